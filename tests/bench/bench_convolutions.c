/* SPDX-License-Identifier: Apache-2.0 */
/* The convolutions of the three children, layer by layer and pass by pass, one thread,
 * against the multiply-adds that a core can do. A batch of 128 images goes through the
 * kernels in groups that fit the second-level cache; all groups have the same memory,
 * since a network makes what a convolution reads right before it. Repacking the weights
 * belongs to the forward pass. Rounds visit all layers in turn, medians are told.
 *
 * usage: bench_convolutions [KERNELS [ROUNDS]] */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_child.h"
#include "bench_peak.h"
#include "common/rng.h"

enum { ROUNDS_MAX = 99, GROUP_BYTES = 256 << 10, FORWARD = 0, DATA, WEIGHT, PASSES };
static const double goal = 95; /* percent of the multiply-adds that a core can do */

struct layer {
    struct nn_conv conv;
    int group; /* images */
    bool passes[PASSES];
    double times[PASSES][ROUNDS_MAX];
    float *x, *y, *dx, *dy, *weight, *dw, *packed;
};

static float *random_floats(size_t count, uint64_t seed)
{
    struct rng rng;
    float *values = malloc(count * sizeof *values);
    if (!values)
        exit(1);
    rng_init(&rng, 1, RNG_TEST, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = rng_float(&rng) - 0.5f;
    return values;
}

static size_t in_floats(const struct nn_conv *s)
{
    return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

static size_t out_floats(const struct nn_conv *s)
{
    return (size_t)s->oh * (size_t)s->ow * (size_t)s->k;
}

/* A network's first layer has no data gradient. */
static void layer_init(struct layer *l, const struct nn_kernels *kernels,
                       struct nn_conv conv, bool first)
{
    size_t in = in_floats(&conv), out = out_floats(&conv);
    size_t weights = (size_t)conv.kh * (size_t)conv.kw * (size_t)conv.c * (size_t)conv.k;
    size_t fit = GROUP_BYTES / (sizeof(float) * (in + out));
    *l = (struct layer){.conv = conv, .passes = {true, !first, true}};
    l->group = fit < 1 ? 1 : fit > CHILD_BATCH ? CHILD_BATCH : (int)fit;
    l->x = random_floats((size_t)l->group * in, 0);
    l->dx = random_floats((size_t)l->group * in, 1);
    l->y = random_floats((size_t)l->group * out, 2);
    l->dy = random_floats((size_t)l->group * out, 3);
    l->weight = random_floats(weights, 4);
    l->dw = random_floats(weights, 5);
    l->packed = random_floats(kernels->conv_pack_count(&l->conv), 6);
    kernels->conv_pack(&l->conv, l->weight, l->packed);
}

static void layer_fini(struct layer *l)
{
    float *all[] = {l->x, l->y, l->dx, l->dy, l->weight, l->dw, l->packed};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void run_group(struct layer *l, const struct nn_kernels *kernels, int pass, int n)
{
    if (pass == FORWARD)
        kernels->conv_forward(&l->conv, n, l->x, l->packed, NULL, false, l->y, NULL);
    else if (pass == DATA)
        kernels->conv_backward_data(&l->conv, n, l->dy, l->packed, false, l->dx, NULL);
    else
        kernels->conv_backward_weight(&l->conv, n, l->x, l->dy, l->dw, NULL);
}

static double time_pass(struct layer *l, const struct nn_kernels *kernels, int pass)
{
    double start = bench_now();
    if (pass == FORWARD)
        kernels->conv_pack(&l->conv, l->weight, l->packed);
    for (int at = 0; at < CHILD_BATCH; at += l->group)
        run_group(l, kernels, pass,
                  CHILD_BATCH - at < l->group ? CHILD_BATCH - at : l->group);
    return bench_now() - start;
}

static void measure(struct layer *layers, const struct nn_kernels *kernels, int rounds)
{
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < CHILD_LAYERS; i++)
            for (int pass = 0; pass < PASSES; pass++)
                if (layers[i].passes[pass])
                    layers[i].times[pass][round] = time_pass(&layers[i], kernels, pass);
}

static void show_rate(double flops, double seconds, double limit)
{
    printf(seconds > 0 ? " %7.1f %4.0f %%" : "       -      -", 1e-9 * flops / seconds,
           1e-7 * flops / seconds / limit);
}

/* A line; adds to the sums over the child. */
static void show_layer(const struct layer *l, int rounds, double limit, double *flops,
                       double *seconds)
{
    const struct nn_conv *s = &l->conv;
    double work = CHILD_BATCH * child_conv_flops(s), all = 0, took = 0;
    printf("  %2d x %-2d x %2d  %d x %d, %2d, /%d ", s->h, s->w, s->c, s->kh, s->kw, s->k,
           s->stride);
    for (int pass = 0; pass < PASSES; pass++) {
        double times[ROUNDS_MAX], median;
        for (int i = 0; i < rounds; i++)
            times[i] = l->times[pass][i];
        median = bench_median(times, rounds);
        show_rate(work, median, limit);
        all += l->passes[pass] ? work : 0;
        took += median;
    }
    show_rate(all, took, limit);
    printf(" %8.2f\n", 1000 * took);
    *flops += all;
    *seconds += took;
}

static void bench_child(const struct child *child, const struct nn_kernels *kernels,
                        int rounds, double limit)
{
    struct layer layers[CHILD_LAYERS];
    double flops = 0, seconds = 0;
    for (int i = 0; i < CHILD_LAYERS; i++)
        layer_init(&layers[i], kernels, child_conv(child, i), i == 0);
    measure(layers, kernels, rounds);
    printf("\n%-7s map, filter, /stride %10s %14s %14s %14s %8s\n", child->name,
           "forward", "data", "weight", "all", "ms");
    for (int i = 0; i < CHILD_LAYERS; i++) {
        show_layer(&layers[i], rounds, limit, &flops, &seconds);
        layer_fini(&layers[i]);
    }
    double share = 1e-7 * flops / seconds / limit;
    printf(
        "  all: %.1f GFLOP/s, %.0f %% of the multiply-adds of a core, goal %.0f %% %s\n",
        1e-9 * flops / seconds, share, goal, share >= goal ? "yes" : "no");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct nn_kernels *kernels = NULL;
    struct error err;
    int rounds = argc > 2 ? atoi(argv[2]) : 7;
    if (nn_kernels_find(argc > 1 ? argv[1] : NULL, &kernels, &err) || rounds < 1 ||
        rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_convolutions [KERNELS [1 to %d rounds]]\n",
                ROUNDS_MAX);
        return 2;
    }
    double limit = peak_fma();
    printf(
        "Convolutions, kernels %s, one thread, batch %d; medians of %d rounds; GFLOP/s "
        "and share\nof the core's fused multiply-adds (%.1f GFLOP/s). Products with "
        "padding are not counted.\n",
        kernels->name, CHILD_BATCH, rounds, limit);
    for (const struct child *c = children; c->name; c++)
        bench_child(c, kernels, rounds, limit);
    return 0;
}
