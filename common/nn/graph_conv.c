/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and linear layers: weights are repacked once a step, the batch is split
 * between threads by images, and weight gradients of the threads are added in their
 * order.
 *
 * A linear layer is a 1 x 1 convolution of a 1 x 1 map with a bias. */
#include "common/nn/graph_private.h"

#include <string.h>

void nn_conv_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver)
{
    size_t others = (size_t)g->options.threads - 1;
    size_t weights = g->parameter_list[node->first_parameter].count;
    node->packed = nn_carve(carver, g->kernels->conv_pack_count(&node->conv));
    node->partial = others ? nn_carve(carver, others * weights) : NULL;
}

struct conv_task {
    struct nn_graph *g;
    struct nn_node *node;
    float *dx;
    bool add;
};

static void forward_part(void *context, int part)
{
    struct conv_task *t = context;
    const struct nn_conv *s = &t->node->conv;
    size_t from, to;
    nn_split((size_t)t->g->n, t->g->options.threads, part, &from, &to);
    t->g->kernels->conv_forward(
        s, (int)(to - from), nn_out(t->g, t->node->inputs[0]) + from * s->h * s->w * s->c,
        t->node->packed, NULL, false, t->node->out + from * s->oh * s->ow * s->k);
}

void nn_conv_forward(struct nn_graph *g, struct nn_node *node)
{
    struct conv_task task = {.g = g, .node = node};
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    g->kernels->conv_pack(&node->conv, g->parameters + p->offset, node->packed);
    nn_parallel(g, forward_part, &task);
}

static void backward_data_part(void *context, int part)
{
    struct conv_task *t = context;
    const struct nn_conv *s = &t->node->conv;
    size_t from, to;
    nn_split((size_t)t->g->n, t->g->options.threads, part, &from, &to);
    t->g->kernels->conv_backward_data(
        s, (int)(to - from), t->node->grad + from * s->oh * s->ow * s->k, t->node->packed,
        t->add, t->dx + from * s->h * s->w * s->c);
}

static void backward_weight_part(void *context, int part)
{
    struct conv_task *t = context;
    const struct nn_conv *s = &t->node->conv;
    const struct nn_parameter *p = &t->g->parameter_list[t->node->first_parameter];
    size_t from, to;
    float *dw = t->g->gradients + p->offset; /* zero already */
    if (part) {
        dw = t->node->partial + (size_t)(part - 1) * p->count;
        memset(dw, 0, p->count * sizeof *dw);
    }
    nn_split((size_t)t->g->n, t->g->options.threads, part, &from, &to);
    t->g->kernels->conv_backward_weight(
        s, (int)(to - from), nn_out(t->g, t->node->inputs[0]) + from * s->h * s->w * s->c,
        t->node->grad + from * s->oh * s->ow * s->k, dw);
}

static void add_partials(struct nn_graph *g, const struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    float *restrict dw = g->gradients + p->offset;
    for (int other = 0; other < g->options.threads - 1; other++) {
        const float *restrict partial = node->partial + (size_t)other * p->count;
        for (size_t i = 0; i < p->count; i++)
            dw[i] += partial[i];
    }
}

void nn_conv_backward(struct nn_graph *g, struct nn_node *node)
{
    struct conv_task task = {.g = g, .node = node};
    nn_parallel(g, backward_weight_part, &task);
    add_partials(g, node);
    task.dx = nn_grad_of(g, node->inputs[0], &task.add);
    if (task.dx)
        nn_parallel(g, backward_data_part, &task);
}

void nn_linear_forward(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    const float *bias = g->parameters + p[1].offset;
    nn_conv_forward(g, node);
    for (int i = 0; i < g->n; i++)
        for (int k = 0; k < node->shape.c; k++)
            node->out[(size_t)i * node->shape.c + k] += bias[k];
}

void nn_linear_backward(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    float *bias = g->gradients + p[1].offset;
    for (int i = 0; i < g->n; i++)
        for (int k = 0; k < node->shape.c; k++)
            bias[k] += node->grad[(size_t)i * node->shape.c + k];
    nn_conv_backward(g, node);
}
