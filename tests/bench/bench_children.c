/* SPDX-License-Identifier: Apache-2.0 */
/* Images a second of a training step (forward, backward, SGD with Nesterov momentum) of
 * three chain children, one thread, batch 128, with each implementation that runs here
 * and, in the same run, with PyTorch tuned and as most people run it. The rounds are
 * interleaved and the median is taken, so that a busy machine hurts all alike.
 *
 * usage: bench_children PYTORCH_SCRIPT [rounds]   (the script prints images a second) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common/nn/graph.h"
#include "common/nn/kernels.h"
#include "common/rng.h"

enum { BATCH = 128, SIDE = 28, LAYERS = 6, ROUNDS_MAX = 15, STEPS_MIN = 3 };
static const double seconds_per_round = 1.0;

struct layer {
    int kh, kw, k, stride;
};
static const struct child {
    const char *name;
    struct layer layers[LAYERS];
} children[] = {
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
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct nn_graph *build(const struct child *child, const char *kernels)
{
    struct nn_graph_options options = {
        .max_batch = BATCH, .threads = 1, .kernels = kernels};
    struct nn_graph *g = NULL;
    struct error err;
    if (nn_graph_new(&options, &g, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    int node = nn_graph_input(g, (struct nn_shape){SIDE, SIDE, 1});
    for (int i = 0; i < LAYERS; i++) {
        const struct layer *l = &child->layers[i];
        node = nn_graph_conv(g, node, l->kh, l->kw, l->k, l->stride);
        node = nn_graph_batch_norm(g, node, true);
    }
    node = nn_graph_linear(g, nn_graph_global_pool(g, node), 10);
    nn_graph_softmax_loss(g, node);
    if (nn_graph_finish(g, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    nn_graph_init(g, 1);
    return g;
}

struct training {
    struct nn_graph *g;
    float *images, *momentum;
    uint8_t labels[BATCH];
};

static void training_init(struct training *t, const struct child *child,
                          const char *kernels)
{
    struct rng rng;
    t->g = build(child, kernels);
    rng_init(&rng, 1, RNG_TEST, 0);
    t->images = malloc(BATCH * SIDE * SIDE * sizeof *t->images);
    for (int i = 0; i < BATCH * SIDE * SIDE; i++)
        t->images[i] = (float)rng_normal(&rng);
    for (int i = 0; i < BATCH; i++)
        t->labels[i] = (uint8_t)rng_below(&rng, 10);
    t->momentum = calloc(nn_graph_parameter_count(t->g), sizeof *t->momentum);
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
    nn_graph_forward(t->g, BATCH, t->images, t->labels, true, &result);
    nn_graph_backward(t->g);
    for (size_t i = 0; i < nn_graph_parameter_count(t->g); i++) {
        float g = gradients[i] + 1e-4f * p[i];
        m[i] = 0.9f * m[i] + g;
        p[i] -= 0.05f * (g + 0.9f * m[i]);
    }
    if (!isfinite(result.loss))
        fprintf(stderr, "the loss is not a number\n");
}

/* Images a second at the median step of one round. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2]
                     : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double own_round(const struct child *child, const char *kernels)
{
    enum { STEPS_MAX = 1000 };
    static double times[STEPS_MAX];
    struct training t;
    int count = 0;
    training_init(&t, child, kernels);
    step(&t);
    for (double start = now(); count < STEPS_MAX; count++) {
        double from = now();
        if (count >= STEPS_MIN && from - start > seconds_per_round)
            break;
        step(&t);
        times[count] = now() - from;
    }
    training_fini(&t);
    return BATCH / median(times, count);
}

/* One figure from the PyTorch script; 0 when it has none. */
static double peer_round(const char *script, const char *child, const char *setting)
{
    char command[4096], line[64];
    double rate = 0;
    snprintf(command, sizeof command,
             "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1073741824 "
             "MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864 "
             "/usr/bin/python3 '%s' %s %s %g",
             script, child, setting, seconds_per_round);
    FILE *pipe = popen(command, "r");
    if (!pipe)
        return 0;
    if (fgets(line, sizeof line, pipe))
        rate = atof(line);
    return pclose(pipe) == 0 ? rate : 0;
}

enum { SERIES_MAX = 8 };
struct series {
    char name[32];
    double rates[ROUNDS_MAX];
};

static int bench_child(const struct child *child, const char *script, int rounds)
{
    struct series series[SERIES_MAX] = {0};
    static const char *const settings[] = {"tuned", "default"};
    int count = 0;
    for (int round = 0; round < rounds; round++) {
        count = 0;
        for (int i = 0; nn_kernels_all[i]; i++) {
            const char *name = nn_kernels_all[i]->name;
            if (!nn_kernels_all[i]->runs_here() || !strcmp(name, "plain"))
                continue;
            snprintf(series[count].name, sizeof series[count].name, "%s", name);
            series[count++].rates[round] = own_round(child, name);
        }
        for (int i = 0; i < 2; i++) {
            snprintf(series[count].name, sizeof series[count].name, "PyTorch, %s",
                     settings[i]);
            series[count++].rates[round] = peer_round(script, child->name, settings[i]);
        }
    }
    double best = fmax(median(series[count - 2].rates, rounds),
                       median(series[count - 1].rates, rounds));
    for (int i = 0; i < count; i++) {
        double rate = median(series[i].rates, rounds);
        printf("%-7s %-16s %8.0f images/s", child->name, series[i].name, rate);
        if (best > 0)
            printf("   %5.2f x the faster PyTorch", rate / best);
        printf("\n");
    }
    fflush(stdout);
    return best > 0;
}

int main(int argc, char **argv)
{
    int rounds = argc > 2 ? atoi(argv[2]) : 5, peer = 1;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_children PYTORCH_SCRIPT [1 to %d rounds]\n",
                ROUNDS_MAX);
        return 2;
    }
    nn_set_flush_denormals(true);
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++)
        peer &= bench_child(&children[i], argv[1], rounds);
    if (!peer)
        printf("PyTorch for /usr/bin/python3 is missing: figures without their peer\n");
    return 0;
}
