/* SPDX-License-Identifier: Apache-2.0 */
/* A training step as a program without an agent would write it: random images that stay
 * in place, one loop for the update. The median step is reported, so that a step during
 * which the machine did something else does not count. */
#include "bench_child.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/nn/graph.h"
#include "common/rng.h"

enum { PIXELS = CHILD_SIDE * CHILD_SIDE, CLASSES = 10, STEPS_MIN = 3, STEPS_MAX = 1000 };

const struct child children[] = {
    {"small",
     {{3, 3, 24, 1},
      {3, 3, 24, 2},
      {3, 3, 24, 1},
      {3, 3, 24, 2},
      {3, 3, 24, 1},
      {3, 3, 24, 1}}},
    {"medium",
     {{5, 3, 36, 1},
      {3, 3, 48, 2},
      {7, 1, 36, 1},
      {3, 5, 48, 2},
      {1, 7, 64, 1},
      {3, 3, 48, 1}}},
    {"large",
     {{5, 5, 48, 1},
      {7, 7, 36, 1},
      {3, 7, 64, 1},
      {5, 5, 48, 2},
      {3, 3, 64, 1},
      {7, 5, 48, 1}}},
    {.name = NULL},
};

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int count)
{
    if (count == 0)
        return 0;
    qsort(values, (size_t)count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

const struct child *child_find(const char *name)
{
    for (const struct child *c = children; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* Pairs of an output and a filter tap inside the input, along one axis. */
static double pairs(int in, int out, int stride, int before, int taps)
{
    double sum = 0;
    for (int tap = 0; tap < taps; tap++) {
        int from, to;
        nn_conv_tap_range(in, out, stride, before, tap, &from, &to);
        sum += to > from ? to - from : 0;
    }
    return sum;
}

double child_conv_flops(const struct nn_conv *s)
{
    return 2.0 * s->c * s->k * pairs(s->h, s->oh, s->stride, s->top, s->kh) *
           pairs(s->w, s->ow, s->stride, s->left, s->kw);
}

struct nn_conv child_conv(const struct child *child, int layer)
{
    int side = CHILD_SIDE, c = 1;
    for (int i = 0;; i++) {
        const struct child_layer *l = &child->layers[i];
        struct nn_conv s = nn_conv_make(side, side, c, l->kh, l->kw, l->k, l->stride);
        if (i == layer)
            return s;
        side = s.oh;
        c = l->k;
    }
}

/* Forward, weight gradient, and data gradient but for the first layer. */
double child_flops(const struct child *child)
{
    double flops = 2.0 * 3 * child->layers[CHILD_LAYERS - 1].k * CLASSES;
    for (int i = 0; i < CHILD_LAYERS; i++) {
        struct nn_conv s = child_conv(child, i);
        flops += (i ? 3 : 2) * child_conv_flops(&s);
    }
    return flops;
}

static void fail(const struct error *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static struct nn_graph *build(const struct child *child, const char *kernels, int threads)
{
    struct nn_graph_options options = {
        .max_batch = CHILD_BATCH, .threads = threads, .kernels = kernels};
    struct nn_graph *g = NULL;
    struct error err;
    if (nn_graph_new(&options, &g, &err))
        fail(&err);
    int node = nn_graph_input(g, (struct nn_shape){CHILD_SIDE, CHILD_SIDE, 1});
    for (int i = 0; i < CHILD_LAYERS; i++) {
        const struct child_layer *l = &child->layers[i];
        node = nn_graph_conv(g, node, l->kh, l->kw, l->k, l->stride);
        node = nn_graph_batch_norm(g, node, true);
    }
    node = nn_graph_linear(g, nn_graph_global_pool(g, node), CLASSES);
    nn_graph_softmax_loss(g, node);
    if (nn_graph_finish(g, &err))
        fail(&err);
    nn_graph_init(g, 1);
    return g;
}

struct training {
    struct nn_graph *g;
    float *images, *momentum;
    uint8_t labels[CHILD_BATCH];
};

static void training_init(struct training *t, struct nn_graph *g)
{
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 0);
    t->g = g;
    t->images = calloc(CHILD_BATCH * PIXELS, sizeof *t->images);
    t->momentum = calloc(nn_graph_parameter_count(g), sizeof *t->momentum);
    if (!t->images || !t->momentum)
        exit(1);
    for (int i = 0; i < CHILD_BATCH * PIXELS; i++)
        t->images[i] = (float)rng_normal(&rng);
    for (int i = 0; i < CHILD_BATCH; i++)
        t->labels[i] = (uint8_t)rng_below(&rng, CLASSES);
}

static void training_fini(struct training *t)
{
    nn_graph_free(t->g);
    free(t->images);
    free(t->momentum);
}

static void step(struct training *t)
{
    struct nn_result result;
    float *restrict p = nn_graph_parameters(t->g), *restrict m = t->momentum;
    const float *restrict gradients = nn_graph_gradients(t->g);
    nn_graph_forward(t->g, CHILD_BATCH, t->images, t->labels, true, &result);
    nn_graph_backward(t->g);
    for (size_t i = 0; i < nn_graph_parameter_count(t->g); i++) {
        float g = gradients[i] + 1e-4f * p[i];
        m[i] = 0.9f * m[i] + g;
        p[i] -= 0.05f * (g + 0.9f * m[i]);
    }
    if (!isfinite(result.loss))
        fprintf(stderr, "the loss is not a number\n");
}

double child_rate(const struct child *child, const char *kernels, int threads,
                  double seconds)
{
    double times[STEPS_MAX];
    struct training t;
    int count = 0;
    nn_set_flush_denormals(true);
    training_init(&t, build(child, kernels, threads));
    step(&t);
    for (double start = bench_now(); count < STEPS_MAX; count++) {
        double from = bench_now();
        if (count >= STEPS_MIN && from - start > seconds)
            break;
        step(&t);
        times[count] = bench_now() - from;
    }
    training_fini(&t);
    return CHILD_BATCH / bench_median(times, count);
}
