/* SPDX-License-Identifier: Apache-2.0 */
/* Running a finished graph: the table of operations, the walk up and the walk down, the
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
    [NN_OP_CONV] = {"conv", nn_conv_carve, nn_conv_begin, nn_conv_forward, NULL,
                    nn_conv_begin_backward, nn_conv_backward, nn_conv_end_backward},
    [NN_OP_BATCH_NORM] = {"bn", nn_norm_carve, nn_norm_begin, nn_norm_forward,
                          nn_norm_end, nn_norm_begin_backward, nn_norm_backward, NULL},
    [NN_OP_CONCAT] = {.name = "concat"},
    [NN_OP_GLOBAL_POOL] = {.name = "pool",
                           .forward = nn_pool_forward,
                           .backward = nn_pool_backward},
    [NN_OP_LINEAR] = {"linear", nn_conv_carve, nn_conv_begin, nn_conv_forward, NULL,
                      nn_conv_begin_backward, nn_conv_backward, nn_linear_end_backward},
    [NN_OP_SOFTMAX_LOSS] = {.name = "loss",
                            .forward = nn_loss_forward,
                            .backward = nn_loss_backward},
};

/* What all threads do with their part of the batch: nodes [from, to) for every group of
 * images, up or down. */
struct pass {
    struct nn_graph *g;
    int from, to, group;
    bool backward;
};

static void pass_group(const struct pass *p, struct nn_span span)
{
    for (int i = p->from; i < p->to; i++) {
        const struct nn_op *op = &nn_ops[p->g->nodes[i].kind];
        void (*step)(struct nn_graph *, struct nn_node *, struct nn_span) =
            p->backward ? op->backward : op->forward;
        if (step)
            step(p->g, &p->g->nodes[i], span);
    }
}

static void pass_part(const struct pass *p, int part)
{
    struct nn_graph *g = p->g;
    size_t from, to;
    nn_split((size_t)g->n, g->options.threads, part, &from, &to);
    struct nn_span span = {.part = part,
                           .part_from = (int)from,
                           .part_to = (int)to,
                           .scratch = g->scratch + (size_t)part * g->scratch_floats};
    for (int i = (int)from; i < (int)to; i += p->group) {
        span.first = i;
        span.count = (int)to - i < p->group ? (int)to - i : p->group;
        span.at = g->training ? i : (int)from;
        pass_group(p, span);
    }
}

/* The split of the work depends on `threads` alone, so results do as well. */
static void pass_run(const struct pass *p)
{
    int threads = p->g->options.threads;
    if (threads == 1) {
        pass_part(p, 0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int part = 0; part < threads; part++)
        pass_part(p, part);
}

static void begin_node(struct nn_graph *g, int i)
{
    const struct nn_op *op = &nn_ops[g->nodes[i].kind];
    if (op->begin)
        op->begin(g, &g->nodes[i]);
}

/* Layer by layer: a batch norm needs the whole batch. */
static void forward_training(struct nn_graph *g)
{
    for (int i = 0; i < g->node_count; i++)
        if (g->nodes[i].kind == NN_OP_BATCH_NORM)
            nn_norm_clear(g, &g->nodes[i]);
    for (int i = 0; i < g->node_count; i++) {
        struct nn_node *node = &g->nodes[i];
        struct pass pass = {
            .g = g, .from = i, .to = i + 1, .group = node->group, .backward = false};
        begin_node(g, i);
        if (nn_ops[node->kind].forward && !node->fused)
            pass_run(&pass);
        if (nn_ops[node->kind].end)
            nn_ops[node->kind].end(g, node);
    }
}

/* Group by group through all layers. */
static void forward_evaluation(struct nn_graph *g)
{
    struct pass pass = {.g = g, .to = g->node_count, .group = g->group};
    for (int i = 0; i < g->node_count; i++)
        begin_node(g, i);
    pass_run(&pass);
}

void nn_graph_forward(struct nn_graph *g, int n, const float *images,
                      const uint8_t *labels, bool training, struct nn_result *ret)
{
    assert(g->finished && n >= 1 && n <= g->options.max_batch);
    g->n = n;
    g->images = images;
    g->labels = labels;
    g->training = training;
    if (training)
        forward_training(g);
    else
        forward_evaluation(g);
    *ret = (struct nn_result){0};
    for (int i = 0; i < n; i++) {
        ret->loss += g->losses[i] / n;
        ret->correct += g->hits[i];
    }
}

/* One more giver is done with the gradients of its inputs. */
static void count_given(struct nn_graph *g, const struct nn_node *giver)
{
    for (int j = 0; j < giver->input_count; j++) {
        struct nn_node *input = &g->nodes[giver->inputs[j]];
        bool again = false;
        for (int k = 0; k < j; k++)
            again = again || giver->inputs[k] == giver->inputs[j];
        if (!again && input->kind == NN_OP_CONCAT)
            count_given(g, input);
        else if (!again)
            input->given++;
    }
}

static void backward_node(struct nn_graph *g, int i)
{
    struct nn_node *node = &g->nodes[i];
    const struct nn_op *op = &nn_ops[node->kind];
    struct pass pass = {
        .g = g, .from = i, .to = i + 1, .group = node->group, .backward = true};
    if (op->begin_backward)
        op->begin_backward(g, node);
    if (op->backward && !node->fused)
        pass_run(&pass);
    if (op->end_backward)
        op->end_backward(g, node);
    if (node->kind != NN_OP_CONCAT)
        count_given(g, node);
}

void nn_graph_backward(struct nn_graph *g)
{
    assert(g->finished && g->n && g->training);
    memset(g->gradients, 0, g->parameter_count * sizeof *g->gradients);
    for (int i = 0; i < g->node_count; i++) {
        g->nodes[i].given = 0;
        if (g->nodes[i].kind == NN_OP_BATCH_NORM)
            nn_norm_clear(g, &g->nodes[i]);
    }
    for (int i = g->node_count - 1; i >= 0; i--)
        if (g->nodes[i].live && g->nodes[i].trainable)
            backward_node(g, i);
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

void nn_graph_output(struct nn_graph *g, int node, float *ret)
{
    assert(g->finished && g->n && g->training && node >= 0 && node < g->node_count);
    size_t floats = nn_shape_count(g->nodes[node].shape);
    for (int i = 0; i < g->n; i++) {
        struct nn_span span = {.first = i, .count = 1, .at = i, .scratch = g->scratch};
        memcpy(ret + (size_t)i * floats, nn_fetch(g, node, &span), floats * sizeof *ret);
    }
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
