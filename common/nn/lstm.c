/* SPDX-License-Identifier: Apache-2.0 */
/* The stack over the kernels: copies of the parameters padded to whole vectors (and
 * transposed for the way back), made once per set of parameters, because every step of
 * every sequence reads them. The weights' gradients are one product over all steps, not
 * one a step. No truncation of the unrolled length, no dropout: a controller has neither.
 */
#include "common/nn/lstm.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

float *lstm_alloc(size_t count)
{
    if (count > SIZE_MAX / sizeof(float) / 2)
        return NULL;
    size_t size = (lstm_pad(count) + LSTM_LANES) * sizeof(float);
    float *p = aligned_alloc(LSTM_LANES * sizeof(float), size);
    if (p)
        memset(p, 0, size);
    return p;
}

static bool alloc_layer(const struct lstm *l, struct lstm_layer *y)
{
    size_t forward = l->units * l->columns, back = 4 * l->units * l->width;
    y->w_input = lstm_alloc(forward);
    y->w_hidden = lstm_alloc(forward);
    y->bias_row = lstm_alloc(l->columns);
    y->w_input_back = lstm_alloc(back);
    y->w_hidden_back = lstm_alloc(back);
    y->d_input = lstm_alloc(forward);
    y->d_hidden = lstm_alloc(forward);
    y->d_bias = lstm_alloc(l->columns);
    return y->w_input && y->w_hidden && y->bias_row && y->w_input_back &&
           y->w_hidden_back && y->d_input && y->d_hidden && y->d_bias;
}

int lstm_init(struct lstm *l, size_t layers, size_t units,
              const struct lstm_kernels *kernels, size_t *offset, struct error *err)
{
    struct lstm fresh = {.layers = layers,
                         .units = units,
                         .width = lstm_pad(units),
                         .columns = lstm_pad(4 * units),
                         .kernels = kernels ? kernels : lstm_kernels_best()};
    size_t at = *offset;
    if (layers < 1 || layers > LSTM_MAX_LAYERS || units < 1 || units > LSTM_MAX_UNITS)
        return error_set(err, ERROR_INPUT,
                         "LSTM: %zu layers of %zu units, allowed are 1 to %d of 1 to %d",
                         layers, units, LSTM_MAX_LAYERS, LSTM_MAX_UNITS);
    fresh.layer = calloc(layers, sizeof *fresh.layer);
    for (size_t i = 0; fresh.layer && i < layers; i++) {
        struct lstm_layer *y = &fresh.layer[i];
        y->input = at;
        y->hidden = at + 4 * units * units;
        y->bias = at + 8 * units * units;
        at = y->bias + 4 * units;
        if (!alloc_layer(&fresh, y)) {
            lstm_fini(&fresh);
            break;
        }
    }
    if (!fresh.layer)
        return error_set(err, ERROR_SYSTEM, "LSTM: no memory for %zu layers of %zu units",
                         layers, units);
    *l = fresh;
    *offset = at;
    return 0;
}

void lstm_fini(struct lstm *l)
{
    for (size_t i = 0; l->layer && i < l->layers; i++) {
        struct lstm_layer *y = &l->layer[i];
        float *owned[] = {y->w_input,       y->w_hidden, y->bias_row, y->w_input_back,
                          y->w_hidden_back, y->d_input,  y->d_hidden, y->d_bias};
        for (size_t j = 0; j < sizeof owned / sizeof *owned; j++)
            free(owned[j]);
    }
    free(l->layer);
    *l = (struct lstm){0};
}

/* from (rows, columns) -> to with row stride `stride`, and its transpose. */
static void pack_matrix(const float *from, size_t rows, size_t columns, float *to,
                        size_t stride, float *transposed, size_t transposed_stride)
{
    for (size_t i = 0; i < rows; i++) {
        memcpy(to + i * stride, from + i * columns, columns * sizeof *to);
        for (size_t j = 0; j < columns; j++)
            transposed[j * transposed_stride + i] = from[i * columns + j];
    }
}

void lstm_pack(struct lstm *l, const float *parameters)
{
    size_t n = 4 * l->units;
    for (size_t i = 0; i < l->layers; i++) {
        struct lstm_layer *y = &l->layer[i];
        pack_matrix(parameters + y->input, l->units, n, y->w_input, l->columns,
                    y->w_input_back, l->width);
        pack_matrix(parameters + y->hidden, l->units, n, y->w_hidden, l->columns,
                    y->w_hidden_back, l->width);
        memcpy(y->bias_row, parameters + y->bias, n * sizeof(float));
    }
}

void lstm_multiply(const struct lstm *l, size_t rows, size_t n, size_t k, const float *a,
                   size_t a_row, const float *b, size_t b_row, float *c, size_t c_row)
{
    struct lstm_product p = {.m = rows,
                             .n = n,
                             .k = k,
                             .a = a,
                             .a_row = a_row,
                             .a_column = 1,
                             .b = b,
                             .b_row = b_row,
                             .c = c,
                             .c_row = c_row};
    l->kernels->product(&p);
}

void lstm_multiply_transposed(const struct lstm *l, size_t rows, size_t m, size_t n,
                              const float *a, size_t a_row, const float *b, size_t b_row,
                              float *c, size_t c_row)
{
    struct lstm_product p = {.m = m,
                             .n = n,
                             .k = rows,
                             .a = a,
                             .a_row = 1,
                             .a_column = a_row,
                             .b = b,
                             .b_row = b_row,
                             .c = c,
                             .c_row = c_row};
    l->kernels->product(&p);
}

/* Gates of a layer above the first start from the bias and read h of the layer below. */
static void gates_from_below(const struct lstm *l, const struct lstm_step *s,
                             size_t layer)
{
    const struct lstm_layer *y = &l->layer[layer];
    for (size_t r = 0; r < s->rows; r++)
        memcpy(s->gates + r * l->columns, y->bias_row, l->columns * sizeof(float));
    lstm_multiply(l, s->rows, 4 * l->units, l->units, s->h + (layer - 1) * s->state_layer,
                  l->width, y->w_input, l->columns, s->gates, l->columns);
}

void lstm_forward(const struct lstm *l, const struct lstm_step *s)
{
    for (size_t i = 0; i < l->layers; i++) {
        size_t at = i * s->state_layer;
        if (i > 0)
            gates_from_below(l, s, i);
        lstm_multiply(l, s->rows, 4 * l->units, l->units, s->h_prev + at, l->width,
                      l->layer[i].w_hidden, l->columns, s->gates, l->columns);
        struct lstm_cell cell = {.rows = s->rows,
                                 .hidden = l->units,
                                 .gates = s->gates,
                                 .gates_row = l->columns,
                                 .c_prev = s->c_prev + at,
                                 .c = s->c + at,
                                 .h = s->h + at,
                                 .acts = s->acts + i * s->acts_layer,
                                 .acts_row = s->acts_row};
        l->kernels->cell(&cell);
    }
}

void lstm_backward(const struct lstm *l, const struct lstm_step_back *s)
{
    size_t n = 4 * l->units;
    for (size_t i = l->layers; i-- > 0;) {
        float *dh = s->dh + i * s->d_layer, *dgates = s->dgates + i * s->dgates_layer;
        struct lstm_cell_back cell = {.rows = s->rows,
                                      .hidden = l->units,
                                      .acts = s->acts + i * s->acts_layer,
                                      .acts_row = LSTM_ACTS * l->width,
                                      .c_prev = s->c_prev + i * s->state_layer,
                                      .dh = dh,
                                      .dc = s->dc + i * s->d_layer,
                                      .dgates = dgates,
                                      .dgates_row = l->columns};
        l->kernels->cell_back(&cell);
        memset(dh, 0, s->rows * l->width * sizeof *dh);
        lstm_multiply(l, s->rows, l->units, n, dgates, l->columns,
                      l->layer[i].w_hidden_back, l->width, dh, l->width);
        if (i > 0)
            lstm_multiply(l, s->rows, l->units, n, dgates, l->columns,
                          l->layer[i].w_input_back, l->width, dh - s->d_layer, l->width);
    }
}

void lstm_gradient(const struct lstm *l, size_t layer, size_t rows, const float *h_prev,
                   const float *h_below, const float *dgates)
{
    const struct lstm_layer *y = &l->layer[layer];
    lstm_multiply_transposed(l, rows, l->units, 4 * l->units, h_prev, l->width, dgates,
                             l->columns, y->d_hidden, l->columns);
    if (layer > 0)
        lstm_multiply_transposed(l, rows, l->units, 4 * l->units, h_below, l->width,
                                 dgates, l->columns, y->d_input, l->columns);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < l->columns; j++)
            y->d_bias[j] += dgates[r * l->columns + j];
}

void lstm_gradient_clear(struct lstm *l)
{
    size_t size = l->units * l->columns * sizeof(float);
    for (size_t i = 0; i < l->layers; i++) {
        memset(l->layer[i].d_input, 0, size);
        memset(l->layer[i].d_hidden, 0, size);
        memset(l->layer[i].d_bias, 0, l->columns * sizeof(float));
    }
}

static void add_matrix(const float *from, size_t stride, size_t rows, size_t columns,
                       float *to)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            to[i * columns + j] += from[i * stride + j];
}

void lstm_gradient_unpack(const struct lstm *l, float *gradients)
{
    size_t n = 4 * l->units;
    for (size_t i = 0; i < l->layers; i++) {
        const struct lstm_layer *y = &l->layer[i];
        add_matrix(y->d_input, l->columns, l->units, n, gradients + y->input);
        add_matrix(y->d_hidden, l->columns, l->units, n, gradients + y->hidden);
        add_matrix(y->d_bias, l->columns, 1, n, gradients + y->bias);
    }
}
