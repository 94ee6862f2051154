/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from the parameters and is rebuilt after every change: padded and
 * transposed copies of the heads, and for every token the first layer's gates, embedding
 * W_x + b, as one table. With the table a token costs a copy instead of a product,
 * forward and back: the gradient of the table is turned into those of embeddings and W_x
 * once an update. */
#include "master/controller_private.h"

#include <stdlib.h>
#include <string.h>

static bool kind_alloc(struct controller *c, struct controller_kind *k)
{
    k->w = lstm_alloc(c->lstm.units * k->padded);
    k->bias_row = lstm_alloc(k->padded);
    k->w_back = lstm_alloc(k->choices * c->lstm.width);
    k->d_w = lstm_alloc(c->lstm.units * k->padded);
    k->d_bias = lstm_alloc(k->padded);
    return k->w && k->bias_row && k->w_back && k->d_w && k->d_bias;
}

static bool anchor_alloc(struct controller *c)
{
    struct controller_anchor *a = &c->anchor;
    size_t units = c->lstm.units, width = c->lstm.width;
    a->w_previous = lstm_alloc(units * width);
    a->w_current = lstm_alloc(units * width);
    a->w_previous_back = lstm_alloc(units * width);
    a->w_current_back = lstm_alloc(units * width);
    a->v = lstm_alloc(units * LSTM_LANES);
    a->d_previous = lstm_alloc(units * width);
    a->d_current = lstm_alloc(units * width);
    a->d_v = lstm_alloc(width);
    return a->w_previous && a->w_current && a->w_previous_back && a->w_current_back &&
           a->v && a->d_previous && a->d_current && a->d_v;
}

int controller_pack_init(struct controller *c, struct error *err)
{
    bool good = true;
    for (size_t i = 0; i < c->kinds; i++)
        good = good && kind_alloc(c, &c->kind[i]);
    if (c->has_anchors)
        good = good && anchor_alloc(c);
    c->table = lstm_alloc(c->tokens * c->lstm.columns);
    c->d_table = lstm_alloc(c->tokens * c->lstm.columns);
    c->embedding = lstm_alloc(c->tokens * c->lstm.width);
    c->d_embedding = lstm_alloc(c->tokens * c->lstm.width);
    if (!good || !c->table || !c->d_table || !c->embedding || !c->d_embedding)
        return error_set(err, ERROR_SYSTEM, "controller: no memory for its parameters");
    return 0;
}

void controller_pack_fini(struct controller *c)
{
    for (size_t i = 0; c->kind && i < c->kinds; i++) {
        struct controller_kind *k = &c->kind[i];
        free(k->w);
        free(k->bias_row);
        free(k->w_back);
        free(k->d_w);
        free(k->d_bias);
    }
    struct controller_anchor *a = &c->anchor;
    float *owned[] = {a->w_previous, a->w_current,  a->w_previous_back, a->w_current_back,
                      a->v,          a->d_previous, a->d_current,       a->d_v,
                      c->table,      c->d_table,    c->embedding,       c->d_embedding};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

static void pack_kind(struct controller *c, struct controller_kind *k)
{
    const float *p = c->parameters;
    for (size_t i = 0; i < c->lstm.units; i++)
        for (size_t j = 0; j < k->choices; j++) {
            float w = p[k->weight + i * k->choices + j];
            k->w[i * k->padded + j] = w;
            k->w_back[j * c->lstm.width + i] = w;
        }
    memcpy(k->bias_row, p + k->bias, k->choices * sizeof *p);
    for (size_t j = 0; j < k->choices; j++)
        memcpy(c->embedding + (k->first_row + j) * c->lstm.width,
               p + k->embedding + j * c->lstm.units, c->lstm.units * sizeof *p);
}

static void pack_anchor(struct controller *c)
{
    struct controller_anchor *a = &c->anchor;
    const float *previous = c->parameters + a->previous;
    const float *current = c->parameters + a->current;
    size_t units = c->lstm.units, width = c->lstm.width;
    for (size_t i = 0; i < units; i++) {
        for (size_t j = 0; j < units; j++) {
            a->w_previous[i * width + j] = previous[i * units + j];
            a->w_previous_back[j * width + i] = previous[i * units + j];
            a->w_current[i * width + j] = current[i * units + j];
            a->w_current_back[j * width + i] = current[i * units + j];
        }
        a->v[i * LSTM_LANES] = c->parameters[a->vector + i];
    }
}

void controller_pack(struct controller *c)
{
    const struct lstm *l = &c->lstm;
    lstm_pack(&c->lstm, c->parameters);
    for (size_t i = 0; i < c->kinds; i++)
        pack_kind(c, &c->kind[i]);
    if (c->has_anchors)
        pack_anchor(c);
    for (size_t i = 0; i < c->tokens; i++)
        memcpy(c->table + i * l->columns, l->layer[0].bias_row,
               l->columns * sizeof *c->table);
    lstm_multiply(l, c->tokens, 4 * l->units, l->units, c->embedding, l->width,
                  l->layer[0].w_input, l->columns, c->table, l->columns);
}

static void clear(float *p, size_t count)
{
    memset(p, 0, count * sizeof *p);
}

void controller_gradient_clear(struct controller *c)
{
    size_t square = c->lstm.units * c->lstm.width;
    lstm_gradient_clear(&c->lstm);
    clear(c->d_table, c->tokens * c->lstm.columns);
    clear(c->d_embedding, c->tokens * c->lstm.width);
    clear(c->gradient, c->count);
    for (size_t i = 0; i < c->kinds; i++) {
        clear(c->kind[i].d_w, c->lstm.units * c->kind[i].padded);
        clear(c->kind[i].d_bias, c->kind[i].padded);
    }
    if (c->has_anchors) {
        clear(c->anchor.d_previous, square);
        clear(c->anchor.d_current, square);
        clear(c->anchor.d_v, c->lstm.width);
    }
}

/* to (rows, columns), dense, from rows `stride` apart. */
static void unpack(float *to, const float *from, size_t rows, size_t columns,
                   size_t stride)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * columns, from + i * stride, columns * sizeof *to);
}

void controller_gradient_unpack(struct controller *c)
{
    const struct lstm *l = &c->lstm;
    float *g = c->gradient;
    lstm_multiply(l, c->tokens, l->units, 4 * l->units, c->d_table, l->columns,
                  l->layer[0].w_input_back, l->width, c->d_embedding, l->width);
    lstm_multiply_transposed(l, c->tokens, l->units, 4 * l->units, c->embedding, l->width,
                             c->d_table, l->columns, l->layer[0].d_input, l->columns);
    lstm_gradient_unpack(l, g);
    for (size_t i = 0; i < c->kinds; i++) {
        const struct controller_kind *k = &c->kind[i];
        unpack(g + k->embedding, c->d_embedding + k->first_row * l->width, k->choices,
               l->units, l->width);
        unpack(g + k->weight, k->d_w, l->units, k->choices, k->padded);
        unpack(g + k->bias, k->d_bias, 1, k->choices, k->padded);
    }
    if (c->has_anchors) {
        unpack(g + c->anchor.previous, c->anchor.d_previous, l->units, l->units,
               l->width);
        unpack(g + c->anchor.current, c->anchor.d_current, l->units, l->units, l->width);
        unpack(g + c->anchor.vector, c->anchor.d_v, 1, l->units, l->width);
    }
}
