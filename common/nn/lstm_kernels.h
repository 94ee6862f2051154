/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of an LSTM over small matrices: one table of functions per instruction
 * set, all compiled from one source.
 *
 * Every element of a result is computed by the same sequence of fused operations whatever
 * the instruction set and the number of rows. So a sequence sampled alone, sampled in a
 * batch, or scored later gives the same bits; a BLAS promises none of this, and on
 * matrices of 140 x 70 its set-up costs more than the product.
 *
 * Matrices are row-major float32 with row strides that are multiples of LSTM_LANES and
 * LSTM_LANES floats of slack behind the last row; lanes beyond the logical width hold
 * finite values that nobody reads. */
#ifndef ARCHWAY_COMMON_NN_LSTM_KERNELS_H
#define ARCHWAY_COMMON_NN_LSTM_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

enum { LSTM_LANES = 16, LSTM_ACTS = 5 /* i, f, g, o, tanh(c) */ };

/* n rounded up to whole vectors. */
static inline size_t lstm_pad(size_t n)
{
    return (n + LSTM_LANES - 1) / LSTM_LANES * LSTM_LANES;
}

/* C (m, n) += A (m, k) B (k, n); k ascending. */
struct lstm_product {
    size_t m, n, k;
    const float *a; /* element (i, j) at i * a_row + j * a_column */
    size_t a_row, a_column;
    const float *b; /* stride b_row; n is rounded up to whole vectors */
    size_t b_row;
    float *c;
    size_t c_row;
};

/* One layer at one step, `rows` sequences. */
struct lstm_cell {
    size_t rows, hidden;
    const float *gates; /* (rows, 4 * hidden) before activation: i, f, g, o */
    size_t gates_row;
    const float *c_prev; /* (rows, pad(hidden)) */
    float *c, *h;        /* likewise; may be c_prev */
    float *acts;         /* (rows, LSTM_ACTS, pad(hidden)) */
    size_t acts_row;     /* 0: every row into the same place */
};

struct lstm_cell_back {
    size_t rows, hidden;
    const float *acts; /* of the forward step */
    size_t acts_row;
    const float *c_prev, *dh; /* (rows, pad(hidden)) */
    float *dc;                /* in: wrt c of this step; out: wrt c_prev */
    float *dgates;            /* (rows, 4 * hidden) before activation; pads untouched */
    size_t dgates_row;
};

struct lstm_kernels {
    const char *name;
    bool (*runs_here)(void);
    void (*product)(const struct lstm_product *p);
    void (*cell)(const struct lstm_cell *p);
    void (*cell_back)(const struct lstm_cell_back *p);
    /* In place; `count` is rounded up to whole vectors. exp saturates at e^88 and e^-87.
     */
    void (*exp)(float *x, size_t count);
    void (*tanh)(float *x, size_t count);
};

extern const struct lstm_kernels lstm_kernels_avx512, lstm_kernels_avx2,
    lstm_kernels_plain;

/* Every table, fastest first, ends with NULL. Those of other processors are left out. */
const struct lstm_kernels *const *lstm_kernels_all(void);
/* The fastest that runs here. */
const struct lstm_kernels *lstm_kernels_best(void);

#endif
