/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and linear layers: weights are repacked once a step, each thread has its
 * own weight gradients, and these are added in the order of the threads.
 *
 * A linear layer is a 1 x 1 convolution of a 1 x 1 map with a bias. In training, a
 * convolution that a batch norm reads leaves the sums for its statistics behind; without
 * training the norm is folded in: its scale into the weights, its shift and ReLU into the
 * kernel's last step. */
#include "common/nn/graph_private.h"

#include <string.h>

void nn_conv_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver)
{
    size_t others = (size_t)g->options.threads - 1;
    size_t weights = g->parameter_list[node->first_parameter].count;
    node->packed = nn_carve(carver, g->kernels->conv_pack_count(&node->conv));
    node->partial = others ? nn_carve(carver, others * weights) : NULL;
}

/* Filters times the scale of the norm that follows: the last dimension. */
static const float *fold(struct nn_graph *g, const struct nn_node *node)
{
    const float *a = nn_norm_scale(&g->nodes[node->norm]);
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    const float *weight = g->parameters + p->offset;
    size_t k = (size_t)node->conv.k;
    for (size_t i = 0; i < p->count; i += k)
        for (size_t j = 0; j < k; j++)
            g->folded[i + j] = weight[i + j] * a[j];
    return g->folded;
}

static bool folds(const struct nn_graph *g, const struct nn_node *node)
{
    return node->norm >= 0 && !g->training;
}

void nn_conv_begin(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    const float *weight = g->parameters + p->offset;
    if (folds(g, node)) {
        nn_norm_running(g, &g->nodes[node->norm]);
        weight = fold(g, node);
    }
    g->kernels->conv_pack(&node->conv, weight, node->packed);
}

/* What the next group reads of a stored tensor. */
static void add_ahead(struct nn_ahead *ahead, const struct nn_node *node, float *tensor,
                      struct nn_span span)
{
    int from = span.first + span.count, to = from + span.count;
    if (to > span.part_to)
        to = span.part_to;
    if (!tensor || from >= to)
        return;
    ahead->ranges[ahead->count].at = (const char *)nn_at(node, tensor, from);
    ahead->ranges[ahead->count++].end = (const char *)nn_at(node, tensor, to);
}

/* The stored tensor behind the input of a node; a concatenation's are left alone. */
static void add_input_ahead(struct nn_ahead *ahead, const struct nn_graph *g,
                            const struct nn_node *node, struct nn_span span)
{
    const struct nn_node *input = &g->nodes[node->inputs[0]];
    if (input->kind == NN_OP_BATCH_NORM)
        input = &g->nodes[input->inputs[0]];
    add_ahead(ahead, input, input->out, span);
}

void nn_conv_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    float *y = nn_at(node, node->out, span.at);
    const float *x = nn_fetch(g, node->inputs[0], &span), *bias = NULL;
    struct nn_node *norm = node->norm >= 0 ? &g->nodes[node->norm] : NULL;
    struct nn_ahead ahead = {.count = 0};
    if (node->kind == NN_OP_LINEAR)
        bias = g->parameters + g->parameter_list[node->first_parameter + 1].offset;
    else if (folds(g, node))
        bias = nn_norm_shift(norm);
    if (g->training)
        add_input_ahead(&ahead, g, node, span);
    g->kernels->conv_forward(&node->conv, span.count, x, node->packed, bias,
                             folds(g, node) && norm->relu, y, &ahead);
    if (norm && g->training)
        nn_norm_gather(g, norm, span, y);
}

void nn_conv_begin_backward(struct nn_graph *g, struct nn_node *node)
{
    size_t others = (size_t)g->options.threads - 1;
    size_t weights = g->parameter_list[node->first_parameter].count;
    if (others)
        memset(node->partial, 0, others * weights * sizeof *node->partial);
}

void nn_conv_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    struct nn_ahead ahead = {.count = 0};
    bool add = false;
    float *dw = span.part ? node->partial + (size_t)(span.part - 1) * p->count
                          : g->gradients + p->offset;
    const float *dy = nn_take(g, node, &span);
    const float *x = nn_fetch(g, node->inputs[0], &span);
    add_input_ahead(&ahead, g, node, span);
    add_ahead(&ahead, node, node->norm >= 0 ? node->out : NULL, span);
    add_ahead(&ahead, node, node->norm >= 0 ? g->nodes[node->norm].grad : node->grad,
              span);
    g->kernels->conv_backward_weight(&node->conv, span.count, x, dy, dw, &ahead);
    float *dx = nn_place(g, node->inputs[0], &span, &add);
    if (!dx)
        return;
    g->kernels->conv_backward_data(&node->conv, span.count, dy, node->packed, add, dx,
                                   &ahead);
    nn_give(g, node->inputs[0], span, dx);
}

void nn_conv_end_backward(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    float *restrict dw = g->gradients + p->offset;
    for (int other = 0; other < g->options.threads - 1; other++) {
        const float *restrict partial = node->partial + (size_t)other * p->count;
        for (size_t i = 0; i < p->count; i++)
            dw[i] += partial[i];
    }
}

void nn_linear_end_backward(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    float *bias = g->gradients + p[1].offset;
    for (int i = 0; i < g->n; i++)
        for (int k = 0; k < node->shape.c; k++)
            bias[k] += node->grad[(size_t)i * node->shape.c + k];
    nn_conv_end_backward(g, node);
}
