/* SPDX-License-Identifier: Apache-2.0 */
/* How activations and gradients get from one node to the next, for one group of images:
 * from where they are stored, or made on the spot in the thread's scratch.
 *
 * A node's gradient is written by the first of its consumers in the backward pass and
 * added to by the others, a consumer at a time; the last one leaves it complete, and a
 * batch norm then takes its sums while the numbers are still in the cache. */
#include "common/nn/graph_private.h"

float *nn_scratch(struct nn_span *span, size_t count)
{
    enum { ROUND = 16 };
    float *at = span->scratch;
    span->scratch += (count + ROUND - 1) / ROUND * ROUND;
    return at;
}

static float *scratch_of(const struct nn_node *node, struct nn_span *span)
{
    return nn_scratch(span, (size_t)span->count * nn_shape_count(node->shape));
}

static const float *fetch_norm(struct nn_graph *g, const struct nn_node *node,
                               struct nn_span *span)
{
    if (node->fused && !g->training) /* the convolution did it */
        return nn_fetch(g, node->inputs[0], span);
    float *y = scratch_of(node, span);
    struct nn_span rest = *span;
    nn_norm_apply(g, node, span->count, nn_fetch(g, node->inputs[0], &rest), y);
    return y;
}

static const float *fetch_concat(struct nn_graph *g, const struct nn_node *node,
                                 struct nn_span *span)
{
    float *y = scratch_of(node, span);
    int channel = 0;
    for (int i = 0; i < node->input_count; i++) {
        struct nn_span rest = *span;
        struct nn_shape in = g->nodes[node->inputs[i]].shape;
        const float *x = nn_fetch(g, node->inputs[i], &rest);
        nn_concat_put(node, in, channel, span->count, x, y);
        channel += in.c;
    }
    return y;
}

const float *nn_fetch(struct nn_graph *g, int index, struct nn_span *span)
{
    const struct nn_node *node = &g->nodes[index];
    switch (node->kind) {
    case NN_OP_INPUT:
        return g->images + (size_t)span->first * nn_shape_count(node->shape);
    case NN_OP_BATCH_NORM:
        return fetch_norm(g, node, span);
    case NN_OP_CONCAT:
        return fetch_concat(g, node, span);
    default:
        return nn_at(node, node->out, span->at);
    }
}

const float *nn_take(struct nn_graph *g, const struct nn_node *node, struct nn_span *span)
{
    if (node->norm < 0)
        return nn_at(node, node->grad, span->first);
    const struct nn_node *norm = &g->nodes[node->norm];
    float *dx = scratch_of(node, span);
    nn_norm_apply_backward(g, norm, span->count, nn_at(node, node->out, span->first),
                           nn_at(norm, norm->grad, span->first), false, dx);
    return dx;
}

float *nn_place(struct nn_graph *g, int input, struct nn_span *span, bool *ret_add)
{
    const struct nn_node *node = &g->nodes[input];
    if (!node->trainable)
        return NULL;
    *ret_add = node->kind != NN_OP_CONCAT && node->given > 0;
    return node->kind == NN_OP_CONCAT ? scratch_of(node, span)
                                      : nn_at(node, node->grad, span->first);
}

/* The gradient of a stored node got its portion from one more giver. */
static void gave(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    if (node->kind != NN_OP_BATCH_NORM || node->given + 1 < node->givers)
        return;
    const float *x = nn_fetch(g, node->inputs[0], &span);
    nn_norm_gather_backward(g, node, span, x, nn_at(node, node->grad, span.first));
}

static bool occurs(const int *list, int count, int value)
{
    for (int i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

static void give_concat(struct nn_graph *g, const struct nn_node *node,
                        struct nn_span span, const float *dy)
{
    int channel = 0;
    for (int i = 0; i < node->input_count; i++) {
        int index = node->inputs[i];
        struct nn_node *in = &g->nodes[index];
        if (in->trainable) {
            bool add = in->given > 0 || occurs(node->inputs, i, index);
            nn_concat_pick(node, in->shape, channel, span.count, dy, add,
                           nn_at(in, in->grad, span.first));
            if (!occurs(node->inputs + i + 1, node->input_count - i - 1, index))
                gave(g, in, span);
        }
        channel += in->shape.c;
    }
}

void nn_give(struct nn_graph *g, int input, struct nn_span span, const float *place)
{
    struct nn_node *node = &g->nodes[input];
    if (node->kind == NN_OP_CONCAT)
        give_concat(g, node, span, place);
    else
        gave(g, node, span);
}
