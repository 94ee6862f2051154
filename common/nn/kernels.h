/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of a network: one table of functions per implementation.
 *
 * `plain` is the reference: the definitions in portable C, never chosen. Every other
 * implementation computes the same sums in another order, and tests compare them on
 * random odd shapes. The graph chooses one table at run time. Kernels know nothing of
 * graphs or threads: they work on the n images they are given, so a caller splits a batch
 * between threads by images.
 *
 * Tensors are NHWC float32 without padding. Nothing is read or written outside
 * of one. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_H
#define ARCHWAY_COMMON_NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/* One convolution; fill it with nn_conv_make. */
struct nn_conv {
    int h, w, c;   /* input map */
    int kh, kw, k; /* filter height and width, filters */
    int stride;
    int oh, ow;    /* output map: ceil(h / stride), ceil(w / stride) */
    int top, left; /* padding above and left of the input */
};

/* Coefficients of one batch norm, one float a channel each. */
struct nn_norm {
    int c;
    bool relu;
    const float *a, *b;     /* forward: y = a * x + b, then ReLU when `relu` */
    const float *mean;      /* the batch's mean */
    const float *p, *q, *r; /* backward: dx = p * g + q * x + r, g = dy where y > 0 */
};

/* Memory that is read after a convolution: fetched into the cache a few lines at a time
 * while the convolution computes. Ranges are used up from the last one. */
struct nn_ahead {
    struct {
        const char *at, *end;
    } ranges[3];
    int count;
};

struct nn_kernels {
    const char *name;
    bool (*runs_here)(void); /* the processor and the system have what it needs */

    /* Weights are repacked once a step: floats needed, and the repacking itself.
     * weight: (KH, KW, C, K). */
    size_t (*conv_pack_count)(const struct nn_conv *s);
    void (*conv_pack)(const struct nn_conv *s, const float *weight, float *packed);
    /* x: (n, h, w, c) -> y: (n, oh, ow, k), written. bias: k floats added to every pixel,
     * NULL: none. Then `relu` makes 0 of values below 0; a NaN stays one. ahead: what to
     * fetch meanwhile, here and below; NULL: nothing. */
    void (*conv_forward)(const struct nn_conv *s, int n, const float *x,
                         const float *packed, const float *bias, bool relu, float *y,
                         struct nn_ahead *ahead);
    /* dy: (n, oh, ow, k) -> dx: (n, h, w, c), written, or added to when `add`. */
    void (*conv_backward_data)(const struct nn_conv *s, int n, const float *dy,
                               const float *packed, bool add, float *dx,
                               struct nn_ahead *ahead);
    /* x, dy -> dw: (KH, KW, C, K), added to. */
    void (*conv_backward_weight)(const struct nn_conv *s, int n, const float *x,
                                 const float *dy, float *dw, struct nn_ahead *ahead);

    /* Batch norm; x, y, dy, dx: (pixels, c). dx may be dy. */
    /* Add sum(x - shift) and sum((x - shift)^2) per channel to sums[0..c) and
     * squares[0..c); shift: any value near the mean. */
    void (*norm_sums)(size_t pixels, int c, const float *x, const float *shift,
                      double *sums, double *squares);
    void (*norm_forward)(const struct nn_norm *s, size_t pixels, const float *x,
                         float *y);
    /* Add sum(g) and sum(g * (x - mean)) per channel. */
    void (*norm_backward_sums)(const struct nn_norm *s, size_t pixels, const float *x,
                               const float *dy, double *sum_g, double *sum_gx);
    void (*norm_backward)(const struct nn_norm *s, size_t pixels, const float *x,
                          const float *dy, bool add, float *dx);
};

/* Those that may be chosen, the fastest first, then NULL; `generic` runs everywhere. */
extern const struct nn_kernels *const nn_kernels_all[];
extern const struct nn_kernels nn_kernels_generic;
#ifdef NN_HAVE_X86
extern const struct nn_kernels nn_kernels_avx2;
extern const struct nn_kernels nn_kernels_avx512;
#endif

/* The reference, for tests and for what is too odd to be worth vectors. */
extern const struct nn_kernels nn_kernels_plain;

/* The implementation called `name`, or the first that runs here when name is NULL.
 * ERROR_INPUT, naming those that run here, when there is none. */
int nn_kernels_find(const char *name, const struct nn_kernels **ret, struct error *err);

/* 'same' padding: total max((o - 1) * stride + k - h, 0), the smaller half above and
 * left. All arguments at least 1. */
struct nn_conv nn_conv_make(int h, int w, int c, int kh, int kw, int k, int stride);

/* Outputs [*ret_from, *ret_to) of one axis whose filter tap `tap` lies inside the input.
 */
void nn_conv_tap_range(int in, int out, int stride, int before, int tap, int *ret_from,
                       int *ret_to);

#endif
