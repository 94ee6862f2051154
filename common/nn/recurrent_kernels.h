/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of a recurrent language model: one table of functions per instruction
 * set, all compiled from one source (recurrent_kernels_body.c).
 *
 * A product's sums are taken in the order of k, one fused operation each, whatever the
 * number of rows at hand, so a row computed alone, in a batch, or by another thread has
 * the same bits. The table `plain` is compiled for the baseline processor, whose
 * multiplications and additions round twice, so its bits differ from the others'.
 *
 * Matrices are row-major float32; `row` strides are in floats. Nothing is read or written
 * outside of what is said. */
#ifndef ARCHWAY_COMMON_NN_RECURRENT_KERNELS_H
#define ARCHWAY_COMMON_NN_RECURRENT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum recurrent_activation {
    RECURRENT_TANH,
    RECURRENT_RELU,
    RECURRENT_IDENTITY,
    RECURRENT_SIGMOID,
    RECURRENT_ACTIVATIONS
};

enum recurrent_combination { RECURRENT_ADD, RECURRENT_MULTIPLY, RECURRENT_COMBINATIONS };

/* C (m, n) = A (m, k) B (k, n), or added to; likewise for `more` pairs of A and C that
 * stand a_next and c_next floats after the ones before. */
struct recurrent_product {
    size_t m, n, k;
    const float *a;
    size_t a_row;
    const float *packed; /* B, packed by `pack` or `pack_transposed` */
    float *c;
    size_t c_row;
    bool add;
    size_t more, a_next, c_next;
};

/* C (m, n) = A' B with A (k, m), B (k, n), or added to. For long k: B is read once for
 * every few hundred rows of C. */
struct recurrent_transposed {
    size_t m, n, k;
    const float *a, *b;
    size_t a_row, b_row;
    float *c;
    size_t c_row;
    bool add;
};

/* A node that mixes its input p with an activation f of it (a highway, as in Pham et al.,
 * ICML 2018, section 2.1): h = p + g (u - p), g = sigmoid(a_g), u = f(a_u). */
struct recurrent_highway {
    size_t rows, hidden;
    enum recurrent_activation activation;
    float *a;       /* (rows, 2 * hidden): a_g, a_u of each row; replaced by g, u */
    const float *p; /* (rows, hidden) */
    float *h;       /* (rows, hidden) */
};
struct recurrent_highway_back {
    size_t rows, hidden;
    enum recurrent_activation activation;
    float *a;       /* g, u; replaced by the gradient with respect to a_g, a_u */
    const float *p; /* (rows, hidden) */
    const float *dh;
    float *dp; /* (rows, hidden), added to: dh (1 - g) */
};

/* A mixture of such nodes over all activations, which share g and v (Liu et al., ICLR
 * 2019):
 *
 *     h (+)= sum over f of share_f (p + g (f(v) - p)),  g = sigmoid(a_g), v = a_v. */
struct recurrent_mixture {
    size_t rows, hidden;
    float share[RECURRENT_ACTIVATIONS];
    float *a;       /* (rows, 2 * hidden): a_g, v of each row; a_g is replaced by g */
    const float *p; /* (rows, hidden) */
    float *h;       /* (rows, hidden) */
    bool add;
};
struct recurrent_mixture_back {
    size_t rows, hidden;
    float share[RECURRENT_ACTIVATIONS];
    float *a;       /* g, v; replaced by the gradient with respect to a_g, v */
    const float *p; /* (rows, hidden) */
    const float *dh;
    float *dp; /* (rows, hidden), added to: dh (1 - g) times the sum of the shares */
    /* (rows, RECURRENT_ACTIVATIONS), sums_row apart, added to: for each f the sum over
     * the row's units of dh (p + g (f(v) - p)), the gradient of share_f. NULL: not
     * wanted. */
    double *sums;
    size_t sums_row;
};

/* A node of a tree (Zoph & Le, ICLR 2017): value = f(p), p = left + right or, unit by
 * unit, left * right. */
struct recurrent_combine {
    size_t rows, hidden;
    enum recurrent_combination combination;
    enum recurrent_activation activation;
    const float *left, *right; /* (rows, hidden), `row` floats apart */
    size_t row;
    float *value;  /* (rows, hidden) */
    float *before; /* (rows, hidden): p; NULL: not wanted */
};
struct recurrent_combine_back {
    size_t rows, hidden;
    enum recurrent_combination combination;
    enum recurrent_activation activation;
    const float *value, *dvalue; /* (rows, hidden) */
    const float *dbefore;        /* (rows, hidden): p's gradient but for f; NULL: none */
    const float *left, *right;   /* (rows, hidden), `row` floats apart, as all below */
    size_t row;
    float *dleft, *dright; /* written; may be left and right themselves */
};

struct recurrent_kernels {
    const char *name;
    bool (*runs_here)(void);
    size_t panel; /* columns of a packed panel */

    /* B (k, n) with rows b_row apart, or the transposed of B (n, k), into ceil(n / panel)
     * panels of k x panel floats, zeros behind the last column. */
    void (*pack)(size_t k, size_t n, const float *b, size_t b_row, float *packed);
    void (*pack_transposed)(size_t k, size_t n, const float *b, size_t b_row,
                            float *packed);
    void (*product)(const struct recurrent_product *p);
    void (*product_transposed)(const struct recurrent_transposed *p);

    void (*highway)(const struct recurrent_highway *p);
    void (*highway_back)(const struct recurrent_highway_back *p);
    void (*mixture)(const struct recurrent_mixture *p);
    void (*mixture_back)(const struct recurrent_mixture_back *p);
    void (*combine)(const struct recurrent_combine *p);
    void (*combine_back)(const struct recurrent_combine_back *p);
    /* y += s x, y = s x */
    void (*add_scaled)(size_t count, float s, const float *x, float *y);
    void (*scale)(size_t count, float s, const float *x, float *y);
    /* y *= x; y += x */
    void (*multiply)(size_t count, const float *x, float *y);
    /* One row of logits: returns -log softmax(z)[target]; with `weight` > 0, z becomes
     * weight (softmax(z) - onehot(target)), the gradient of weight times that. */
    double (*cross_entropy)(size_t count, float *z, size_t target, float weight);
    double (*sum_of_squares)(size_t count, const float *x);
};

/* Those that may be chosen, the fastest first, then NULL; `plain` runs everywhere. */
const struct recurrent_kernels *const *recurrent_kernels_all(void);
/* The fastest that runs here and is not beyond `limit`: a name of common/nn/kernels.h,
 * where "generic" is the table `plain`; NULL: no limit. */
const struct recurrent_kernels *recurrent_kernels_find(const char *limit);

extern const struct recurrent_kernels recurrent_kernels_plain;
#ifdef __x86_64__
extern const struct recurrent_kernels recurrent_kernels_avx2, recurrent_kernels_avx512;
#endif

/* Floats of a packed (k, n). */
static inline size_t recurrent_packed(const struct recurrent_kernels *f, size_t k,
                                      size_t n)
{
    return (n + f->panel - 1) / f->panel * f->panel * k;
}

#endif
