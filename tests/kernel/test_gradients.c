/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation and compositions of them, with every implementation that runs here:
 * activations against the reference in double, gradients against central differences of
 * the reference's loss. A difference across a ReLU's kink is not a derivative, so it is
 * taken at two step sizes and skipped where they disagree; few may be. */
#include "reference.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/nn/kernels.h"
#include "common/rng.h"
#include "tests/unit/unit.h"

#define INPUT(H, W, C)                          \
    {                                           \
        .kind = NET_INPUT, .shape = { H, W, C } \
    }
#define CONV(FROM, KH, KW, K, S)                                                   \
    {                                                                              \
        .kind = NET_CONV, .in = {FROM}, .in_count = 1, .kh = KH, .kw = KW, .k = K, \
        .stride = S                                                                \
    }
#define NORM(FROM, RELU)                                            \
    {                                                               \
        .kind = NET_NORM, .in = {FROM}, .in_count = 1, .relu = RELU \
    }
#define CONCAT(COUNT, ...)                                         \
    {                                                              \
        .kind = NET_CONCAT, .in = {__VA_ARGS__}, .in_count = COUNT \
    }
#define POOL(FROM)                                    \
    {                                                 \
        .kind = NET_POOL, .in = {FROM}, .in_count = 1 \
    }
#define LINEAR(FROM, K)                                         \
    {                                                           \
        .kind = NET_LINEAR, .in = {FROM}, .in_count = 1, .k = K \
    }
#define LOSS(FROM)                                    \
    {                                                 \
        .kind = NET_LOSS, .in = {FROM}, .in_count = 1 \
    }
#define HEAD(FROM) POOL(FROM), LINEAR(FROM + 1, 5), LOSS(FROM + 2)

static const struct net nets[] = {
    {"linear", {INPUT(1, 1, 7), LINEAR(0, 5), LOSS(1)}},
    {"linear of a map", {INPUT(2, 3, 2), LINEAR(0, 3), LOSS(1)}},
    {"pool", {INPUT(3, 5, 4), CONV(0, 1, 1, 6, 1), POOL(1), LINEAR(2, 5), LOSS(3)}},
    {"conv 3x3", {INPUT(6, 5, 3), CONV(0, 3, 3, 4, 1), CONV(1, 3, 3, 5, 1), HEAD(2)}},
    {"conv stride 2",
     {INPUT(7, 6, 3), CONV(0, 3, 3, 4, 2), CONV(1, 3, 5, 6, 2), HEAD(2)}},
    {"conv stride 3",
     {INPUT(9, 8, 2), CONV(0, 5, 3, 4, 3), CONV(1, 2, 2, 9, 3), HEAD(2)}},
    {"even filters", {INPUT(5, 6, 2), CONV(0, 2, 4, 3, 1), CONV(1, 4, 2, 3, 2), HEAD(2)}},
    {"filter beyond map",
     {INPUT(2, 3, 2), CONV(0, 7, 7, 4, 1), CONV(1, 5, 7, 3, 2), HEAD(2)}},
    {"1x1 map",
     {INPUT(1, 1, 3), CONV(0, 3, 3, 4, 1), NORM(1, 1), CONV(2, 5, 1, 4, 2), HEAD(3)}},
    {"stride beyond filter",
     {INPUT(7, 7, 2), CONV(0, 3, 3, 3, 1), CONV(1, 1, 1, 4, 3), HEAD(2)}},
    {"norm",
     {INPUT(4, 3, 3), CONV(0, 1, 3, 5, 1), NORM(1, 0), CONV(2, 3, 1, 4, 1), HEAD(3)}},
    {"norm of the input", {INPUT(4, 3, 3), NORM(0, 1), CONV(1, 3, 1, 4, 1), HEAD(2)}},
    {"norm and relu",
     {INPUT(4, 4, 2), CONV(0, 3, 3, 9, 1), NORM(1, 1), CONV(2, 3, 3, 4, 1), NORM(3, 1),
      HEAD(4)}},
    {"concat",
     {INPUT(5, 5, 2), CONV(0, 3, 3, 3, 1), CONV(1, 3, 3, 4, 2), CONCAT(2, 1, 2),
      CONV(3, 3, 3, 5, 1), HEAD(4)}},
    {"concat with the input",
     {INPUT(5, 4, 2), CONV(0, 3, 3, 3, 3), CONCAT(3, 1, 0, 1), CONV(2, 2, 2, 5, 1),
      HEAD(3)}},
    {"skips",
     {INPUT(8, 7, 1), CONV(0, 3, 3, 4, 1), NORM(1, 1), CONV(2, 3, 5, 3, 2), NORM(3, 1),
      CONCAT(2, 2, 4), CONV(5, 5, 3, 4, 1), NORM(6, 1), CONCAT(3, 7, 4, 2),
      CONV(8, 1, 1, 6, 3), NORM(9, 1), HEAD(10)}},
    {"chain",
     {INPUT(9, 9, 1), CONV(0, 5, 3, 20, 1), NORM(1, 1), CONV(2, 3, 3, 24, 2), NORM(3, 1),
      CONV(4, 7, 1, 36, 1), NORM(5, 1), CONV(6, 1, 7, 17, 1), NORM(7, 1), HEAD(8)}},
    {"concat of concats",
     {INPUT(6, 5, 2), CONV(0, 3, 3, 4, 1), NORM(1, 1), CONV(2, 3, 3, 3, 2),
      CONCAT(2, 2, 3), NORM(4, 1), CONCAT(4, 4, 5, 2, 0), CONV(6, 3, 1, 5, 1), NORM(7, 0),
      CONCAT(2, 8, 6), HEAD(9)}},
    {"norm beside another reader",
     {INPUT(5, 5, 2), CONV(0, 3, 3, 4, 1), NORM(1, 1), CONV(1, 3, 3, 3, 1), NORM(1, 0),
      CONCAT(3, 2, 3, 4), CONV(5, 3, 3, 4, 2), NORM(6, 1), HEAD(7)}},
    {"dead end",
     {INPUT(4, 4, 2), CONV(0, 3, 3, 3, 1), CONV(1, 3, 3, 4, 1), NORM(1, 1), HEAD(3)}},
};
enum { NETS = sizeof nets / sizeof nets[0], BATCH = 5, PER_PARAMETER = 10 };

struct fixture {
    const struct net *net;
    struct nn_graph *g;
    struct rng rng;
    size_t image_floats, count;
    float *images;
    double *images_double, *parameters;
    uint8_t labels[BATCH];
    int checked, skipped;
};

/* One thread works on all images at once, several on groups of one or two. */
static void fixture_init(struct fixture *f, const struct net *net, const char *kernels,
                         int threads, uint64_t seed)
{
    struct nn_graph_options options = {.max_batch = BATCH,
                                       .threads = threads,
                                       .kernels = kernels,
                                       .cache = threads > 1 ? 1000 : 0};
    *f = (struct fixture){.net = net, .g = net_build(net, &options)};
    rng_init(&f->rng, seed, RNG_TEST, 0);
    struct nn_shape s = net->nodes[0].shape;
    f->image_floats = (size_t)BATCH * s.h * s.w * s.c;
    f->images = malloc(f->image_floats * sizeof *f->images);
    f->images_double = malloc(f->image_floats * sizeof *f->images_double);
    for (size_t i = 0; i < f->image_floats; i++)
        f->images_double[i] = f->images[i] = (float)rng_normal(&f->rng);
    const struct nn_parameter *list;
    int last = nn_graph_parameter_list(f->g, &list) - 1;
    for (int i = 0; i < BATCH; i++)
        f->labels[i] = (uint8_t)rng_below(&f->rng, (uint32_t)list[last].dims[0]);
    f->count = nn_graph_parameter_count(f->g);
    f->parameters = malloc(f->count * sizeof *f->parameters);
    nn_graph_init(f->g, seed);
    for (size_t i = 0; i < f->count; i++) {
        float *p = nn_graph_parameters(f->g) + i;
        *p += 0.2f * (float)rng_normal(&f->rng); /* scales and shifts as well */
        f->parameters[i] = *p;
    }
}

static void fixture_fini(struct fixture *f)
{
    nn_graph_free(f->g);
    free(f->images);
    free(f->images_double);
    free(f->parameters);
}

static void check_activations(const struct fixture *f, double *const out[NET_MAX_NODES])
{
    for (int node = 1; f->net->nodes[node].kind != NET_LOSS; node++) {
        struct nn_shape s = nn_graph_shape(f->g, node);
        float *got = malloc((size_t)BATCH * s.h * s.w * s.c * sizeof *got);
        nn_graph_output(f->g, node, got);
        for (size_t i = 0; i < (size_t)BATCH * s.h * s.w * s.c; i++)
            ck_assert_msg(fabs(got[i] - out[node][i]) <= 2e-4 * (1 + fabs(out[node][i])),
                          "%s: node %d, %zu: %g, expected %g", f->net->name, node, i,
                          (double)got[i], out[node][i]);
        free(got);
    }
}

static double difference(const struct fixture *f, size_t i, double step)
{
    double at = f->parameters[i], loss[2];
    for (int side = 0; side < 2; side++) {
        f->parameters[i] = at + (side ? -step : step);
        loss[side] = reference_loss(f->net, BATCH, f->images_double, f->labels,
                                    f->parameters, NULL);
    }
    f->parameters[i] = at;
    return (loss[0] - loss[1]) / (2 * step);
}

static void check_parameter(struct fixture *f, const struct nn_parameter *p)
{
    const float *gradient = nn_graph_gradients(f->g) + p->offset;
    double largest = 0;
    for (size_t i = 0; i < p->count; i++)
        largest = fmax(largest, fabs((double)gradient[i]));
    for (int draw = 0; draw < PER_PARAMETER; draw++) {
        size_t i = rng_below(&f->rng, (uint32_t)p->count);
        double fine = difference(f, p->offset + i, 1e-7);
        double coarse = difference(f, p->offset + i, 1e-6);
        f->checked++;
        if (fabs(fine - coarse) > 1e-4 * (largest + 1e-3)) {
            f->skipped++;
            continue;
        }
        ck_assert_msg(fabs(gradient[i] - fine) <= 1e-3 * largest + 1e-5,
                      "%s: gradient of %s[%zu]: %g, expected %g", f->net->name, p->name,
                      i, (double)gradient[i], fine);
    }
}

static void check_net(const struct net *net, const char *kernels, int threads,
                      uint64_t seed)
{
    struct fixture f;
    struct nn_result result;
    double *out[NET_MAX_NODES];
    fixture_init(&f, net, kernels, threads, seed);
    nn_graph_forward(f.g, BATCH, f.images, f.labels, true, &result);
    nn_graph_backward(f.g);
    double loss =
        reference_loss(net, BATCH, f.images_double, f.labels, f.parameters, out);
    ck_assert_double_eq_tol(result.loss, loss, 1e-4);
    check_activations(&f, out);
    reference_free(out);
    const struct nn_parameter *list;
    int count = nn_graph_parameter_list(f.g, &list);
    for (int i = 0; i < count; i++)
        check_parameter(&f, &list[i]);
    ck_assert_msg(f.skipped * 4 <= f.checked, "%s: %d of %d differences at kinks",
                  net->name, f.skipped, f.checked);
    fixture_fini(&f);
}

/* Make the running statistics those of the last training batch, which was the only one
 * since they were zero: a tenth of mean and unbiased variance. */
static void adopt_batch_statistics(const struct fixture *f)
{
    size_t count;
    float *running = nn_graph_statistics(f->g, &count);
    for (int node = 0; f->net->nodes[node].kind != NET_LOSS; node++) {
        struct nn_shape s = nn_graph_shape(f->g, node);
        double n = (double)BATCH * s.h * s.w;
        if (f->net->nodes[node].kind != NET_NORM)
            continue;
        for (int j = 0; j < s.c; j++) {
            running[j] *= 10;
            running[s.c + j] *= (float)(10 * (n - 1) / n);
        }
        running += 2 * s.c;
    }
}

/* With the batch's own statistics, evaluation computes what training did, another way:
 * norms folded into convolutions, all layers for one group of images after another. */
static void check_evaluation(const struct net *net, const char *kernels, int threads,
                             uint64_t seed)
{
    struct fixture f;
    struct nn_result trained, evaluated;
    size_t count;
    fixture_init(&f, net, kernels, threads, seed);
    float *running = nn_graph_statistics(f.g, &count);
    memset(running, 0, count * sizeof *running);
    nn_graph_forward(f.g, BATCH, f.images, f.labels, true, &trained);
    adopt_batch_statistics(&f);
    for (int again = 0; again < 2; again++) {
        nn_graph_forward(f.g, BATCH, f.images, f.labels, false, &evaluated);
        ck_assert_msg(fabs(evaluated.loss - trained.loss) <= 1e-4 * (1 + trained.loss),
                      "%s: loss %g in training, %g in evaluation", net->name,
                      trained.loss, evaluated.loss);
    }
    fixture_fini(&f);
}

static uint64_t test_seed(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

START_TEST(gradients_match_differences)
{
    uint64_t seed = test_seed();
    for (int i = 0; nn_kernels_all[i]; i++)
        if (nn_kernels_all[i]->runs_here())
            for (int net = 0; net < NETS; net++)
                check_net(&nets[net], nn_kernels_all[i]->name, 1, seed + (uint64_t)net);
}
END_TEST

START_TEST(gradients_match_differences_with_threads)
{
    uint64_t seed = test_seed();
    for (int net = 0; net < NETS; net++)
        check_net(&nets[net], NULL, 2 + net % 5, seed + (uint64_t)net);
}
END_TEST

START_TEST(evaluation_agrees_with_training)
{
    uint64_t seed = test_seed();
    for (int net = 0; net < NETS; net++) {
        for (int i = 0; nn_kernels_all[i]; i++)
            if (nn_kernels_all[i]->runs_here())
                check_evaluation(&nets[net], nn_kernels_all[i]->name, 1, seed);
        check_evaluation(&nets[net], NULL, 2 + net % 5, seed);
    }
}
END_TEST

UNIT_MAIN("gradients", gradients_match_differences, evaluation_agrees_with_training,
          gradients_match_differences_with_threads)
