/* SPDX-License-Identifier: Apache-2.0 */
/* Concatenation in depth (skip connections of Zoph & Le 2017: smaller maps are
 * zero-padded so that all have the size of the largest) and the global mean before the
 * classifier. Both only move memory, so they are plain loops over rows of channels. */
#include "common/nn/graph_private.h"

#include <string.h>

struct join_task {
    struct nn_graph *g;
    struct nn_node *node;
    const float *from; /* concat forward: an input's activations */
    float *to;         /* gradient of an input */
    struct nn_shape in;
    int channel; /* first channel of the input in the concatenation */
    bool add;
};

static void concat_part(void *context, int part)
{
    struct join_task *t = context;
    struct nn_shape out = t->node->shape, in = t->in;
    size_t from, to, row = (size_t)in.c * sizeof(float);
    nn_split((size_t)t->g->n * out.h, t->g->options.threads, part, &from, &to);
    for (size_t i = from; i < to; i++) {
        int y = (int)(i % (size_t)out.h);
        const float *x = t->from + ((i / (size_t)out.h) * in.h + y) * in.w * in.c;
        float *at = t->node->out + i * out.w * out.c + t->channel;
        for (int j = 0; j < out.w; j++, at += out.c)
            if (y < in.h && j < in.w)
                memcpy(at, x + (size_t)j * in.c, row);
            else
                memset(at, 0, row);
    }
}

void nn_concat_forward(struct nn_graph *g, struct nn_node *node)
{
    struct join_task t = {.g = g, .node = node};
    for (int i = 0; i < node->input_count; i++) {
        t.from = nn_out(g, node->inputs[i]);
        t.in = g->nodes[node->inputs[i]].shape;
        nn_parallel(g, concat_part, &t);
        t.channel += t.in.c;
    }
}

static void copy_row(float *restrict to, const float *restrict from, int count, bool add)
{
    if (!add)
        memcpy(to, from, (size_t)count * sizeof *to);
    else
        for (int i = 0; i < count; i++)
            to[i] += from[i];
}

static void concat_backward_part(void *context, int part)
{
    struct join_task *t = context;
    struct nn_shape out = t->node->shape, in = t->in;
    size_t from, to;
    nn_split((size_t)t->g->n * in.h, t->g->options.threads, part, &from, &to);
    for (size_t i = from; i < to; i++) {
        size_t image = i / (size_t)in.h, y = i % (size_t)in.h;
        const float *dy =
            t->node->grad + (image * out.h + y) * out.w * out.c + t->channel;
        for (int j = 0; j < in.w; j++)
            copy_row(t->to + (i * in.w + j) * in.c, dy + (size_t)j * out.c, in.c, t->add);
    }
}

void nn_concat_backward(struct nn_graph *g, struct nn_node *node)
{
    struct join_task t = {.g = g, .node = node};
    for (int i = 0; i < node->input_count; i++) {
        t.in = g->nodes[node->inputs[i]].shape;
        t.to = nn_grad_of(g, node->inputs[i], &t.add);
        if (t.to)
            nn_parallel(g, concat_backward_part, &t);
        t.channel += t.in.c;
    }
}

static void pool_part(void *context, int part)
{
    struct join_task *t = context;
    size_t from, to, pixels = (size_t)t->in.h * t->in.w, c = (size_t)t->in.c;
    float scale = 1 / (float)pixels;
    nn_split((size_t)t->g->n, t->g->options.threads, part, &from, &to);
    for (size_t i = from; i < to; i++) {
        const float *restrict x = t->from + i * pixels * c;
        float *restrict y = t->node->out + i * c;
        memset(y, 0, c * sizeof *y);
        for (size_t j = 0; j < pixels; j++, x += c)
            for (size_t k = 0; k < c; k++)
                y[k] += x[k];
        for (size_t k = 0; k < c; k++)
            y[k] *= scale;
    }
}

void nn_pool_forward(struct nn_graph *g, struct nn_node *node)
{
    struct join_task t = {.g = g,
                          .node = node,
                          .from = nn_out(g, node->inputs[0]),
                          .in = g->nodes[node->inputs[0]].shape};
    nn_parallel(g, pool_part, &t);
}

static void pool_backward_part(void *context, int part)
{
    struct join_task *t = context;
    size_t from, to, pixels = (size_t)t->in.h * t->in.w, c = (size_t)t->in.c;
    float scale = 1 / (float)pixels;
    nn_split((size_t)t->g->n, t->g->options.threads, part, &from, &to);
    for (size_t i = from; i < to; i++) {
        const float *restrict dy = t->node->grad + i * c;
        float *restrict dx = t->to + i * pixels * c;
        for (size_t j = 0; j < pixels; j++, dx += c)
            for (size_t k = 0; k < c; k++)
                dx[k] = (t->add ? dx[k] : 0) + scale * dy[k];
    }
}

void nn_pool_backward(struct nn_graph *g, struct nn_node *node)
{
    struct join_task t = {.g = g, .node = node, .in = g->nodes[node->inputs[0]].shape};
    t.to = nn_grad_of(g, node->inputs[0], &t.add);
    if (t.to)
        nn_parallel(g, pool_backward_part, &t);
}
