/* SPDX-License-Identifier: Apache-2.0 */
/* Running a finished graph: the table of operations, one walk up, one walk down, the
 * initial numbers and what a caller may ask. Allocates nothing. */
#include "common/nn/graph_private.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "common/rng.h"

const struct nn_op nn_ops[NN_OP_COUNT] = {
    [NN_OP_INPUT] = {.name = "input"},
    [NN_OP_CONV] = {"conv", nn_conv_carve, nn_conv_forward, nn_conv_backward},
    [NN_OP_BATCH_NORM] = {"bn", nn_norm_carve, nn_norm_forward, nn_norm_backward},
    [NN_OP_CONCAT] = {"concat", NULL, nn_concat_forward, nn_concat_backward},
    [NN_OP_GLOBAL_POOL] = {"pool", NULL, nn_pool_forward, nn_pool_backward},
    [NN_OP_LINEAR] = {"linear", nn_conv_carve, nn_linear_forward, nn_linear_backward},
    [NN_OP_SOFTMAX_LOSS] = {"loss", NULL, nn_loss_forward, nn_loss_backward},
};

void nn_parallel(const struct nn_graph *g, void (*task)(void *context, int part),
                 void *context)
{
    int threads = g->options.threads;
    if (threads == 1) {
        task(context, 0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int part = 0; part < threads; part++)
        task(context, part);
}

void nn_graph_forward(struct nn_graph *g, int n, const float *images,
                      const uint8_t *labels, bool training, struct nn_result *ret)
{
    assert(g->finished && n >= 1 && n <= g->options.max_batch);
    g->n = n;
    g->images = images;
    g->labels = labels;
    g->training = training;
    for (int i = 0; i < g->node_count; i++)
        if (nn_ops[g->nodes[i].kind].forward)
            nn_ops[g->nodes[i].kind].forward(g, &g->nodes[i]);
    nn_loss_result(g, ret);
}

float *nn_grad_of(struct nn_graph *g, int node, bool *ret_add)
{
    struct nn_node *in = &g->nodes[node];
    if (!in->trainable)
        return NULL;
    *ret_add = in->grad_ready;
    in->grad_ready = true;
    return in->grad;
}

void nn_graph_backward(struct nn_graph *g)
{
    assert(g->finished && g->n && g->training);
    memset(g->gradients, 0, g->parameter_count * sizeof *g->gradients);
    for (int i = 0; i < g->node_count; i++)
        g->nodes[i].grad_ready = i == g->node_count - 1;
    for (int i = g->node_count - 1; i >= 0; i--) {
        struct nn_node *node = &g->nodes[i];
        if (node->trainable && node->grad_ready && nn_ops[node->kind].backward)
            nn_ops[node->kind].backward(g, node);
    }
}

static void fill_uniform(struct rng *rng, float *at, size_t count, double bound)
{
    for (size_t i = 0; i < count; i++)
        at[i] = (float)(bound * (2 * rng_double(rng) - 1));
}

/* One stream a parameter: its numbers do not depend on the layers before it. */
static void init_node(struct nn_graph *g, const struct nn_node *node, uint64_t seed)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    struct rng rng;
    rng_init(&rng, seed, RNG_CHILD_INIT, (uint64_t)node->first_parameter);
    if (node->kind == NN_OP_BATCH_NORM) {
        for (size_t i = 0; i < p->count; i++) {
            g->parameters[p[0].offset + i] = 1;
            g->parameters[p[1].offset + i] = 0;
            g->statistics[node->statistic + i] = 0;
            g->statistics[node->statistic + p->count + i] = 1;
        }
        return;
    }
    const struct nn_conv *s = &node->conv;
    double fan_in = (double)s->kh * s->kw * s->c;
    double bound = sqrt((node->kind == NN_OP_CONV ? 6 : 1) / fan_in);
    fill_uniform(&rng, g->parameters + p->offset, p->count, bound);
    if (node->kind == NN_OP_LINEAR)
        fill_uniform(&rng, g->parameters + p[1].offset, p[1].count, bound);
}

void nn_graph_init(struct nn_graph *g, uint64_t seed)
{
    assert(g->finished);
    for (int i = 0; i < g->node_count; i++)
        if (g->nodes[i].first_parameter >= 0)
            init_node(g, &g->nodes[i], seed);
}

struct nn_shape nn_graph_shape(const struct nn_graph *g, int node)
{
    assert(node >= 0 && node < g->node_count);
    return g->nodes[node].shape;
}

const float *nn_graph_output(const struct nn_graph *g, int node)
{
    assert(g->finished && node >= 0 && node < g->node_count);
    return nn_out(g, node);
}

size_t nn_graph_memory(const struct nn_graph *g)
{
    return g->block_size;
}

double nn_graph_flops(const struct nn_graph *g)
{
    double flops = 0;
    for (int i = 0; i < g->node_count; i++) {
        const struct nn_conv *s = &g->nodes[i].conv; /* all zero elsewhere */
        flops += 2.0 * s->oh * s->ow * s->kh * s->kw * s->c * s->k;
    }
    return flops;
}

size_t nn_graph_parameter_count(const struct nn_graph *g)
{
    return g->parameter_count;
}

float *nn_graph_parameters(struct nn_graph *g)
{
    return g->parameters;
}

float *nn_graph_gradients(struct nn_graph *g)
{
    return g->gradients;
}

int nn_graph_parameter_list(const struct nn_graph *g, const struct nn_parameter **ret)
{
    *ret = g->parameter_list;
    return g->parameter_list_count;
}

float *nn_graph_statistics(struct nn_graph *g, size_t *ret_count)
{
    *ret_count = g->statistic_count;
    return g->statistics;
}

const char *nn_graph_kernels(const struct nn_graph *g)
{
    return g->kernels->name;
}

void nn_set_flush_denormals(bool flush)
{
#ifdef __SSE__
    enum { FLUSH_TO_ZERO = 1 << 15, DENORMALS_ARE_ZERO = 1 << 6 };
    unsigned mode = _mm_getcsr() & ~(unsigned)(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    _mm_setcsr(flush ? mode | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO : mode);
#else
    (void)flush;
#endif
}
