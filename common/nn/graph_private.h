/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a graph: its nodes, its memory, and the table of operations.
 *
 * Life: nn_graph_<node> calls append nodes and check shapes; nn_graph_finish plans every
 * buffer as an offset, allocates one block and turns offsets into pointers; forward walks
 * the nodes up, backward down, through the table. Each operation is one row of the table
 * and knows only its own node and its inputs. */
#ifndef ARCHWAY_COMMON_NN_GRAPH_PRIVATE_H
#define ARCHWAY_COMMON_NN_GRAPH_PRIVATE_H

#include "common/nn/graph.h"
#include "common/nn/kernels.h"

enum nn_op_kind {
    NN_OP_INPUT,
    NN_OP_CONV,
    NN_OP_BATCH_NORM,
    NN_OP_CONCAT,
    NN_OP_GLOBAL_POOL,
    NN_OP_LINEAR,
    NN_OP_SOFTMAX_LOSS,
    NN_OP_COUNT
};

struct nn_node {
    enum nn_op_kind kind;
    int *inputs; /* owned; earlier nodes */
    int input_count;
    struct nn_shape shape; /* of one image */
    bool trainable;        /* a gradient has to pass through: parameters here or before */
    int first_parameter;   /* in the parameter list, -1: none */
    size_t statistic;      /* batch norm: offset of mean, then variance */
    struct nn_conv conv;   /* convolution; linear as 1 x 1 convolution of a 1 x 1 map */
    bool relu;

    float *out;      /* (n, h, w, c) */
    float *grad;     /* same; shares memory with nodes not live at the same time; NULL */
    bool grad_ready; /* grad holds something to add to */
    float *packed;   /* conv, linear: repacked weights */
    float *partial;  /* (threads - 1, weights): weight gradients of the other threads */
    float *norm;     /* batch norm: 6 x c coefficients, see graph_norm.c */
    double *sums;    /* batch norm: (threads, 2, c) */
};

struct nn_graph {
    struct nn_graph_options options; /* kernels pointer is not kept */
    const struct nn_kernels *kernels;
    struct error error; /* of the first failed call */
    struct nn_node *nodes;
    int node_count, node_capacity;
    struct nn_parameter *parameter_list; /* names owned */
    int parameter_list_count;
    size_t parameter_count, statistic_count;
    int kind_count[NN_OP_COUNT]; /* for the names */

    bool finished;
    void *block; /* one mapping that holds everything below */
    size_t block_size;
    float *parameters, *gradients, *statistics;
    const float *images; /* of the last forward, borrowed until backward */
    const uint8_t *labels;
    int n; /* images of the last forward */
    bool training;
};

/* Carves one block into buffers: first pass base is NULL and only counts. */
struct nn_carver {
    char *base;
    size_t used;
};
/* count floats (or doubles) and slack, 64-byte aligned; NULL in the counting pass. */
float *nn_carve(struct nn_carver *carver, size_t count);
double *nn_carve_double(struct nn_carver *carver, size_t count);

/* One row of the table. */
struct nn_op {
    const char *name; /* in parameter names */
    /* Buffers of the operation's own, besides out and grad; NULL: none. */
    void (*carve)(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver);
    void (*forward)(struct nn_graph *g, struct nn_node *node);
    /* From node->grad to the gradients of the inputs that are trainable (through
     * nn_grad_of) and of the parameters. */
    void (*backward)(struct nn_graph *g, struct nn_node *node);
};
extern const struct nn_op nn_ops[NN_OP_COUNT];

void nn_conv_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver);
void nn_conv_forward(struct nn_graph *g, struct nn_node *node);
void nn_conv_backward(struct nn_graph *g, struct nn_node *node);
void nn_linear_forward(struct nn_graph *g, struct nn_node *node);
void nn_linear_backward(struct nn_graph *g, struct nn_node *node);
void nn_norm_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver);
void nn_norm_forward(struct nn_graph *g, struct nn_node *node);
void nn_norm_backward(struct nn_graph *g, struct nn_node *node);
void nn_concat_forward(struct nn_graph *g, struct nn_node *node);
void nn_concat_backward(struct nn_graph *g, struct nn_node *node);
void nn_pool_forward(struct nn_graph *g, struct nn_node *node);
void nn_pool_backward(struct nn_graph *g, struct nn_node *node);
/* Loss: node->out holds the probabilities. */
void nn_loss_forward(struct nn_graph *g, struct nn_node *node);
void nn_loss_backward(struct nn_graph *g, struct nn_node *node);
void nn_loss_result(const struct nn_graph *g, struct nn_result *ret);

/* What a node's consumers see: its activations. */
static inline const float *nn_out(const struct nn_graph *g, int node)
{
    return g->nodes[node].kind == NN_OP_INPUT ? g->images : g->nodes[node].out;
}

/* The gradient buffer of an input, NULL when no gradient passes there. *ret_add: add to
 * it, otherwise write it. */
float *nn_grad_of(struct nn_graph *g, int node, bool *ret_add);

static inline size_t nn_shape_count(struct nn_shape s)
{
    return (size_t)s.h * s.w * s.c;
}

/* Part `part` of `parts` of [0, n): always the same split. */
static inline void nn_split(size_t n, int parts, int part, size_t *ret_from,
                            size_t *ret_to)
{
    *ret_from = n * (size_t)part / (size_t)parts;
    *ret_to = n * ((size_t)part + 1) / (size_t)parts;
}

/* Call task(context, part) for every part in [0, options.threads), one thread each. The
 * split of the work depends on `threads` alone, so results do as well. */
void nn_parallel(const struct nn_graph *g, void (*task)(void *context, int part),
                 void *context);

#endif
