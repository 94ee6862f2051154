/* SPDX-License-Identifier: Apache-2.0 */
/* Building a graph: every call checks its arguments against the nodes already there and
 * appends one node. Nothing is computed and no tensor is allocated before finish.
 *
 * The first failure is kept in the graph and returned by every later call, so a caller
 * may write down a network without looking at each status. */
#include "common/nn/graph_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIMIT_NODES = 4096,
    LIMIT_SIDE = 4096,      /* height or width of a map */
    LIMIT_CHANNELS = 65536, /* channels of a map, outputs */
    LIMIT_FILTER = 255,
    LIMIT_BATCH = 1 << 20,
    LIMIT_THREADS = 1024,
    LIMIT_CLASSES = 256 /* labels are bytes */
};

int nn_graph_new(const struct nn_graph_options *options, struct nn_graph **ret,
                 struct error *err)
{
    const struct nn_kernels *kernels;
    if (options->max_batch < 1 || options->max_batch > LIMIT_BATCH)
        return error_set(err, ERROR_INPUT, "batch %d: allowed are 1 to %d images",
                         options->max_batch, LIMIT_BATCH);
    if (options->threads < 1 || options->threads > LIMIT_THREADS)
        return error_set(err, ERROR_INPUT, "%d threads: allowed are 1 to %d",
                         options->threads, LIMIT_THREADS);
    int status = nn_kernels_find(options->kernels, &kernels, err);
    if (status)
        return status;
    struct nn_graph *g = calloc(1, sizeof *g);
    if (!g)
        return error_set(err, ERROR_SYSTEM, "out of memory for a network");
    g->options = *options;
    g->options.kernels = NULL;
    g->kernels = kernels;
    *ret = g;
    return 0;
}

/* Keep the first error; returns its status. */
#define GRAPH_FAIL(g, ...) \
    ((g)->error.status ? (g)->error.status : error_set(&(g)->error, __VA_ARGS__))

static int fail_memory(struct nn_graph *g)
{
    return GRAPH_FAIL(g, ERROR_SYSTEM, "out of memory for node %d of a network",
                      g->node_count);
}

static bool within(int value, int limit)
{
    return value >= 1 && value <= limit;
}

static int check_open(struct nn_graph *g)
{
    if (g->error.status)
        return g->error.status;
    if (g->finished)
        return GRAPH_FAIL(g, ERROR_INPUT, "a finished network takes no more nodes");
    if (g->node_count && g->nodes[g->node_count - 1].kind == NN_OP_SOFTMAX_LOSS)
        return GRAPH_FAIL(g, ERROR_INPUT, "node %d: nothing may follow the loss",
                          g->node_count);
    if (g->node_count >= LIMIT_NODES)
        return GRAPH_FAIL(g, ERROR_INPUT, "a network has at most %d nodes", LIMIT_NODES);
    return 0;
}

static int check_inputs(struct nn_graph *g, const int *inputs, int count)
{
    int status = check_open(g);
    if (status)
        return status;
    if (count < 1 || count > LIMIT_NODES)
        return GRAPH_FAIL(g, ERROR_INPUT, "node %d: %d inputs; allowed are 1 to %d",
                          g->node_count, count, LIMIT_NODES);
    for (int i = 0; i < count; i++)
        if (inputs[i] < 0 || inputs[i] >= g->node_count)
            return GRAPH_FAIL(g, ERROR_INPUT,
                              "node %d: input %d is not an earlier node (there are %d)",
                              g->node_count, inputs[i], g->node_count);
    return 0;
}

static int reserve_node(struct nn_graph *g)
{
    if (g->node_count < g->node_capacity)
        return 0;
    int capacity = g->node_capacity ? 2 * g->node_capacity : 16;
    struct nn_node *nodes = realloc(g->nodes, (size_t)capacity * sizeof *nodes);
    if (!nodes)
        return fail_memory(g);
    g->nodes = nodes;
    g->node_capacity = capacity;
    return 0;
}

/* Append a node; *ret is valid until the next one. Inputs are checked already. */
static int append_node(struct nn_graph *g, enum nn_op_kind kind, const int *inputs,
                       int count, struct nn_shape shape, struct nn_node **ret)
{
    if (reserve_node(g))
        return g->error.status;
    struct nn_node *node = &g->nodes[g->node_count];
    memset(node, 0, sizeof *node);
    *node = (struct nn_node){.kind = kind, .shape = shape, .first_parameter = -1};
    if (count) {
        node->inputs = malloc((size_t)count * sizeof *node->inputs);
        if (!node->inputs)
            return fail_memory(g);
        memcpy(node->inputs, inputs, (size_t)count * sizeof *inputs);
    }
    node->input_count = count;
    for (int i = 0; i < count; i++)
        node->trainable = node->trainable || g->nodes[inputs[i]].trainable;
    g->node_count++;
    g->kind_count[kind]++;
    *ret = node;
    return 0;
}

/* Append a parameter of the newest node. dims end with 0. */
static int append_parameter(struct nn_graph *g, const char *part, bool decay,
                            const int dims[5])
{
    struct nn_node *node = &g->nodes[g->node_count - 1];
    size_t count = (size_t)g->parameter_list_count;
    struct nn_parameter *list =
        realloc(g->parameter_list, (count + 1) * sizeof *g->parameter_list);
    if (!list)
        return fail_memory(g);
    g->parameter_list = list;
    char *name = NULL;
    if (asprintf(&name, "%s%d.%s", nn_ops[node->kind].name, g->kind_count[node->kind] - 1,
                 part) < 0)
        return fail_memory(g);
    struct nn_parameter *p = &list[count];
    *p = (struct nn_parameter){
        .name = name, .offset = g->parameter_count, .count = 1, .decay = decay};
    for (; p->rank < 4 && dims[p->rank]; p->rank++) {
        p->dims[p->rank] = dims[p->rank];
        p->count *= (size_t)dims[p->rank];
    }
    if (node->first_parameter < 0)
        node->first_parameter = g->parameter_list_count;
    node->trainable = true;
    g->parameter_list_count++;
    g->parameter_count += p->count;
    return 0;
}

int nn_graph_input(struct nn_graph *g, struct nn_shape shape)
{
    struct nn_node *node;
    int status = check_open(g);
    if (status)
        return status;
    if (g->node_count)
        return GRAPH_FAIL(g, ERROR_INPUT,
                          "node %d: a network has one input, its first node",
                          g->node_count);
    if (!within(shape.h, LIMIT_SIDE) || !within(shape.w, LIMIT_SIDE) ||
        !within(shape.c, LIMIT_CHANNELS))
        return GRAPH_FAIL(
            g, ERROR_INPUT,
            "input of %d x %d with %d channels; allowed are sides of 1 to %d "
            "and 1 to %d channels",
            shape.h, shape.w, shape.c, LIMIT_SIDE, LIMIT_CHANNELS);
    status = append_node(g, NN_OP_INPUT, NULL, 0, shape, &node);
    return status ? status : g->node_count - 1;
}

int nn_graph_conv(struct nn_graph *g, int input, int filter_height, int filter_width,
                  int filters, int stride)
{
    struct nn_node *node;
    int status = check_inputs(g, &input, 1);
    if (status)
        return status;
    if (!within(filter_height, LIMIT_FILTER) || !within(filter_width, LIMIT_FILTER) ||
        !within(filters, LIMIT_CHANNELS) || !within(stride, LIMIT_FILTER))
        return GRAPH_FAIL(
            g, ERROR_INPUT,
            "node %d: %d filters of %d x %d with stride %d; allowed are 1 to "
            "%d filters, sides and strides of 1 to %d",
            g->node_count, filters, filter_height, filter_width, stride, LIMIT_CHANNELS,
            LIMIT_FILTER);
    struct nn_shape in = g->nodes[input].shape;
    struct nn_conv conv =
        nn_conv_make(in.h, in.w, in.c, filter_height, filter_width, filters, stride);
    struct nn_shape shape = {conv.oh, conv.ow, filters};
    if ((status = append_node(g, NN_OP_CONV, &input, 1, shape, &node)) ||
        (status = append_parameter(
             g, "weight", true, (int[5]){filter_height, filter_width, in.c, filters, 0})))
        return status;
    node->conv = conv;
    return g->node_count - 1;
}

int nn_graph_batch_norm(struct nn_graph *g, int input, bool relu)
{
    struct nn_node *node;
    int status = check_inputs(g, &input, 1);
    if (status)
        return status;
    struct nn_shape shape = g->nodes[input].shape;
    const int dims[5] = {shape.c, 0};
    if ((status = append_node(g, NN_OP_BATCH_NORM, &input, 1, shape, &node)) ||
        (status = append_parameter(g, "scale", false, dims)) ||
        (status = append_parameter(g, "shift", false, dims)))
        return status;
    node->relu = relu;
    node->statistic = g->statistic_count;
    g->statistic_count += 2 * (size_t)shape.c;
    return g->node_count - 1;
}

/* The shape of a concatenation, or the first error. */
static int concat_shape(struct nn_graph *g, const int *inputs, int count,
                        struct nn_shape *ret)
{
    struct nn_shape shape = {0, 0, 0};
    for (int i = 0; i < count; i++) {
        struct nn_shape in = g->nodes[inputs[i]].shape;
        shape.h = in.h > shape.h ? in.h : shape.h;
        shape.w = in.w > shape.w ? in.w : shape.w;
        shape.c += in.c;
        if (shape.c > LIMIT_CHANNELS)
            return GRAPH_FAIL(g, ERROR_INPUT,
                              "node %d: concatenation of more than %d channels",
                              g->node_count, LIMIT_CHANNELS);
    }
    *ret = shape;
    return 0;
}

/* Inputs that are concatenations themselves replaced by theirs: zero padding at the same
 * corner makes that the same map. Returns how many there are; NULL list: only counts. */
static int flatten(const struct nn_graph *g, const int *inputs, int count, int *list)
{
    int total = 0;
    for (int i = 0; i < count; i++) {
        const struct nn_node *in = &g->nodes[inputs[i]];
        bool joined = in->kind == NN_OP_CONCAT;
        int more = joined ? in->input_count : 1;
        if (list)
            memcpy(list + total, joined ? in->inputs : &inputs[i],
                   (size_t)more * sizeof *list);
        total += more;
    }
    return total;
}

int nn_graph_concat(struct nn_graph *g, const int *inputs, int count)
{
    struct nn_node *node;
    struct nn_shape shape = {0, 0, 0};
    int status = check_inputs(g, inputs, count);
    if (!status)
        status = concat_shape(g, inputs, count, &shape);
    if (status)
        return status;
    int total = flatten(g, inputs, count, NULL);
    int *list = malloc((size_t)total * sizeof *list);
    if (!list)
        return fail_memory(g);
    flatten(g, inputs, count, list);
    status = append_node(g, NN_OP_CONCAT, list, total, shape, &node);
    free(list);
    return status ? status : g->node_count - 1;
}

int nn_graph_global_pool(struct nn_graph *g, int input)
{
    struct nn_node *node;
    int status = check_inputs(g, &input, 1);
    if (status)
        return status;
    struct nn_shape shape = {1, 1, g->nodes[input].shape.c};
    status = append_node(g, NN_OP_GLOBAL_POOL, &input, 1, shape, &node);
    return status ? status : g->node_count - 1;
}

int nn_graph_linear(struct nn_graph *g, int input, int outputs)
{
    struct nn_node *node;
    int status = check_inputs(g, &input, 1);
    if (status)
        return status;
    size_t inputs = nn_shape_count(g->nodes[input].shape);
    if (!within(outputs, LIMIT_CHANNELS) || inputs > (1u << 28))
        return GRAPH_FAIL(
            g, ERROR_INPUT,
            "node %d: linear layer of %zu inputs and %d outputs; allowed are "
            "up to %u inputs and 1 to %d outputs",
            g->node_count, inputs, outputs, 1u << 28, LIMIT_CHANNELS);
    struct nn_shape shape = {1, 1, outputs};
    if ((status = append_node(g, NN_OP_LINEAR, &input, 1, shape, &node)) ||
        (status =
             append_parameter(g, "weight", true, (int[5]){(int)inputs, outputs, 0})) ||
        (status = append_parameter(g, "bias", false, (int[5]){outputs, 0})))
        return status;
    node->conv = nn_conv_make(1, 1, (int)inputs, 1, 1, outputs, 1);
    return g->node_count - 1;
}

int nn_graph_softmax_loss(struct nn_graph *g, int logits)
{
    struct nn_node *node;
    int status = check_inputs(g, &logits, 1);
    if (status)
        return status;
    struct nn_shape shape = g->nodes[logits].shape;
    if (shape.h != 1 || shape.w != 1 || shape.c > LIMIT_CLASSES)
        return GRAPH_FAIL(
            g, ERROR_INPUT,
            "node %d: the loss takes a 1 x 1 map of at most %d classes, not "
            "%d x %d with %d channels",
            g->node_count, LIMIT_CLASSES, shape.h, shape.w, shape.c);
    status = append_node(g, NN_OP_SOFTMAX_LOSS, &logits, 1, shape, &node);
    return status ? status : g->node_count - 1;
}
