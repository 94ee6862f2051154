/* SPDX-License-Identifier: Apache-2.0 */
/* A stack of LSTM layers (Hochreiter & Schmidhuber 1997, with forget gate), advanced one
 * step at a time for a number of rows (independent sequences), and its exact gradient:
 *
 *     i, f, o = sigmoid(.), g = tanh(.) of  x W_x + h_prev W_h + b
 *     c = f c_prev + i g,   h = o tanh(c)
 *
 * Every layer has as many inputs as hidden units (H); layer l > 0 reads h of layer l - 1.
 * One bias a gate. The caller brings the first layer's input as gates, x W_x + b, because
 * for tokens that is a row of a table. Results of a row do not depend on the other rows
 * (lstm_kernels.h). Buffers belong to the caller and are made with lstm_alloc. */
#ifndef ARCHWAY_COMMON_NN_LSTM_H
#define ARCHWAY_COMMON_NN_LSTM_H

#include <stddef.h>

#include "common/error.h"
#include "common/nn/lstm_kernels.h"

enum { LSTM_MAX_LAYERS = 64, LSTM_MAX_UNITS = 8192 };

struct lstm_layer {
    /* offsets in the caller's flat parameters: W_x (H, 4 H), W_h (H, 4 H), b (4 H);
     * columns are the gates i, f, g, o of H each */
    size_t input, hidden, bias;
    /* the same as the kernels like it, filled by lstm_pack; owned */
    float *w_input, *w_hidden;           /* (H, columns) */
    float *bias_row;                     /* (columns) */
    float *w_input_back, *w_hidden_back; /* transposed: (4 H, width) */
    float *d_input, *d_hidden, *d_bias;  /* gradients: (H, columns), (columns) */
};

struct lstm {
    size_t layers, units;  /* units: H */
    size_t width, columns; /* H and 4 H rounded up to whole vectors */
    const struct lstm_kernels *kernels;
    struct lstm_layer *layer; /* (layers); owned */
};

/* `count` floats, zero, aligned, with the slack that kernels need; NULL when memory is
 * gone. Freed with free. */
float *lstm_alloc(size_t count);

/* The first parameter stands at *offset of the flat vector; *offset moves past the last.
 * `kernels`: NULL for the fastest. ERROR_INPUT when layers or units are out of bounds,
 * ERROR_SYSTEM when memory is gone. */
int lstm_init(struct lstm *l, size_t layers, size_t units,
              const struct lstm_kernels *kernels, size_t *offset, struct error *err);
void lstm_fini(struct lstm *l);

/* Take over new parameters. */
void lstm_pack(struct lstm *l, const float *parameters);

/* C (rows, n) += A (rows, k) B (k, n) with padded row strides; a shorthand. */
void lstm_multiply(const struct lstm *l, size_t rows, size_t n, size_t k, const float *a,
                   size_t a_row, const float *b, size_t b_row, float *c, size_t c_row);
/* C (m, n) += A' B over `rows` rows of A (rows, m) and B (rows, n). */
void lstm_multiply_transposed(const struct lstm *l, size_t rows, size_t m, size_t n,
                              const float *a, size_t a_row, const float *b, size_t b_row,
                              float *c, size_t c_row);

/* What one step reads and writes; layer l of a buffer stands l * *_layer floats on. */
struct lstm_step {
    size_t rows;
    float *gates; /* (rows, columns): in: first layer's x W_x + b; destroyed */
    const float *h_prev, *c_prev; /* (layers)(rows, width) */
    float *h, *c;                 /* likewise; may be h_prev, c_prev */
    size_t state_layer;
    float *acts; /* (layers)(rows, LSTM_ACTS, width), kept for the way back */
    size_t acts_layer;
    size_t acts_row; /* LSTM_ACTS * width, or 0 when nothing is to be kept: then
                        acts needs LSTM_ACTS * width floats and acts_layer is 0 */
};
void lstm_forward(const struct lstm *l, const struct lstm_step *s);

struct lstm_step_back {
    size_t rows;
    const float *c_prev, *acts; /* of the step */
    size_t state_layer, acts_layer;
    float *dh, *dc; /* (layers)(rows, width): in: gradient wrt h and c after the step;
                       out: wrt those before it */
    size_t d_layer;
    float *dgates; /* (layers)(rows, columns): out; pads must be 0 */
    size_t dgates_layer;
};
void lstm_backward(const struct lstm *l, const struct lstm_step_back *s);

/* Sum the parameters' gradients over `rows` = steps * rows: h_prev, h: (rows, width) of a
 * layer before and after each step; dgates: (rows, columns). Adds to d_hidden, d_bias,
 * and for layers above the first to d_input; d_input of the first is the caller's. */
void lstm_gradient(const struct lstm *l, size_t layer, size_t rows, const float *h_prev,
                   const float *h_below, const float *dgates);
void lstm_gradient_clear(struct lstm *l);
/* Add the gradients to a flat vector laid out as the parameters. */
void lstm_gradient_unpack(const struct lstm *l, float *gradients);

#endif
