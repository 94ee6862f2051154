/* SPDX-License-Identifier: Apache-2.0 */
/* Concatenation in depth (skip connections of Zoph & Le 2017: smaller maps are
 * zero-padded so that all have the size of the largest) and the global mean before the
 * classifier. Both only move memory, so they are plain loops over rows of channels. */
#include "common/nn/graph_private.h"

#include <string.h>

static void put_row(struct nn_shape out, struct nn_shape in, const float *x, float *y)
{
    size_t row = (size_t)in.c * sizeof(float);
    int inside = x ? in.w : 0;
    for (int j = 0; j < out.w; j++, y += out.c)
        if (j < inside)
            memcpy(y, x + (size_t)j * in.c, row);
        else
            memset(y, 0, row);
}

void nn_concat_put(const struct nn_node *node, struct nn_shape in, int channel, int n,
                   const float *x, float *y)
{
    struct nn_shape out = node->shape;
    y += channel;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < out.h; j++, y += (size_t)out.w * out.c)
            put_row(out, in,
                    j < in.h ? x + ((size_t)i * in.h + (size_t)j) * in.w * in.c : NULL,
                    y);
}

static void pick_pixel(float *restrict to, const float *restrict from, int count,
                       bool add)
{
    if (!add)
        memcpy(to, from, (size_t)count * sizeof *to);
    else
        for (int i = 0; i < count; i++)
            to[i] += from[i];
}

void nn_concat_pick(const struct nn_node *node, struct nn_shape in, int channel, int n,
                    const float *dy, bool add, float *dx)
{
    struct nn_shape out = node->shape;
    for (int i = 0; i < n; i++)
        for (int y = 0; y < in.h; y++) {
            const float *row =
                dy + ((size_t)i * out.h + (size_t)y) * out.w * out.c + channel;
            for (int x = 0; x < in.w; x++, dx += in.c)
                pick_pixel(dx, row + (size_t)x * out.c, in.c, add);
        }
}

void nn_pool_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    struct nn_shape in = g->nodes[node->inputs[0]].shape;
    size_t pixels = (size_t)in.h * in.w, c = (size_t)in.c;
    float scale = 1 / (float)pixels;
    float *restrict y = nn_at(node, node->out, span.at);
    const float *restrict x = nn_fetch(g, node->inputs[0], &span);
    for (int i = 0; i < span.count; i++, y += c) {
        memset(y, 0, c * sizeof *y);
        for (size_t j = 0; j < pixels; j++, x += c)
            for (size_t k = 0; k < c; k++)
                y[k] += x[k];
        for (size_t k = 0; k < c; k++)
            y[k] *= scale;
    }
}

void nn_pool_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    struct nn_shape in = g->nodes[node->inputs[0]].shape;
    size_t pixels = (size_t)in.h * in.w, c = (size_t)in.c;
    float scale = 1 / (float)pixels;
    bool add = false;
    const float *restrict dy = nn_take(g, node, &span);
    float *place = nn_place(g, node->inputs[0], &span, &add);
    if (!place)
        return;
    float *restrict dx = place;
    for (int i = 0; i < span.count; i++, dy += c)
        for (size_t j = 0; j < pixels; j++, dx += c)
            for (size_t k = 0; k < c; k++)
                dx[k] = (add ? dx[k] : 0) + scale * dy[k];
    nn_give(g, node->inputs[0], span, place);
}
