/* SPDX-License-Identifier: Apache-2.0 */
/* The three children of bench_children and a training step of theirs: forward, backward,
 * SGD with Nesterov momentum, batch 128 of 28 x 28 x 1. */
#ifndef ARCHWAY_TESTS_BENCH_BENCH_CHILD_H
#define ARCHWAY_TESTS_BENCH_BENCH_CHILD_H

#include "common/nn/kernels.h"

enum { CHILD_BATCH = 128, CHILD_SIDE = 28, CHILD_LAYERS = 6 };

struct child_layer {
    int kh, kw, k, stride;
};
struct child {
    const char *name;
    struct child_layer layers[CHILD_LAYERS];
};

extern const struct child children[]; /* ends with a NULL name */

/* NULL: there is none of this name. */
const struct child *child_find(const char *name);
/* The convolution of layer 0 to CHILD_LAYERS - 1. */
struct nn_conv child_conv(const struct child *child, int layer);
/* Operations of one image in one of the three passes of a convolution, 2 a multiply-add.
 * Products with padding are not counted: a good kernel skips them. */
double child_conv_flops(const struct nn_conv *s);
/* The same of a whole training step, convolutions and the linear layer. */
double child_flops(const struct child *child);
/* Images a second at the median step of about `seconds`; ends the program when the child
 * cannot be built. */
double child_rate(const struct child *child, const char *kernels, int threads,
                  double seconds);

double bench_now(void); /* seconds */
/* Sorts values; 0 when there are none. */
double bench_median(double *values, int count);

#endif
