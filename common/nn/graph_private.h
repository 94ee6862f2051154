/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a graph: its nodes, its memory, and the table of operations.
 *
 * Life: nn_graph_<node> calls append nodes and check shapes; nn_graph_finish plans what
 * is stored and in what groups images are handled, allocates one block and turns offsets
 * into pointers; forward walks the nodes up, backward down, through the table.
 *
 * A batch goes through a layer in groups of images that fit the cache, so what lies
 * between two convolutions is made where it is used and never travels to memory: the
 * output of a batch norm or a concatenation is not stored but made again by each consumer
 * (nn_fetch), and the gradient of a convolution that only a batch norm reads is made from
 * the norm's (nn_take). Stored are the outputs of the other nodes and the gradients that
 * arrive at batch norms. Without training, a group goes through all layers at once. */
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
    int *inputs; /* owned; earlier nodes; a concatenation's are no concatenations */
    int input_count;
    struct nn_shape shape; /* of one image */
    bool trainable;        /* a gradient has to pass through: parameters here or before */
    int first_parameter;   /* in the parameter list, -1: none */
    size_t statistic;      /* batch norm: offset of mean, then variance */
    struct nn_conv conv;   /* convolution; linear as 1 x 1 convolution of a 1 x 1 map */
    bool relu;

    /* Planned by nn_plan. */
    int norm;   /* convolution: the batch norm that alone reads it, else -1 */
    bool fused; /* batch norm: its input is such a convolution */
    bool live;  /* the loss depends on it */
    int givers; /* nodes that give it a gradient */
    int group;  /* images handled together in training */

    float *out;     /* (n, h, w, c); NULL: made by nn_fetch */
    float *grad;    /* same; shares memory with nodes not live at the same time; NULL */
    int given;      /* nodes that gave a gradient in this backward pass */
    float *packed;  /* conv, linear: repacked weights */
    float *partial; /* (threads - 1, weights): weight gradients of the other threads */
    float *norms;   /* batch norm: NN_NORMS x c coefficients, see graph_norm.c */
    double *sums;   /* batch norm: (threads, 2, c) */
    float *shifts;  /* batch norm: (threads, c), what the sums are taken about */
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
    int group;             /* images handled together without training */
    size_t scratch_floats; /* of one thread */
    void *block;           /* one mapping that holds everything below */
    size_t block_size;
    float *parameters, *gradients, *statistics;
    float *folded;       /* weights of one convolution times the scale of its norm */
    float *scratch;      /* (threads, scratch_floats) */
    double *losses;      /* (n) of the last forward */
    uint8_t *hits;       /* (n) */
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
/* count floats (or doubles), 64-byte aligned; NULL in the counting pass. */
float *nn_carve(struct nn_carver *carver, size_t count);
double *nn_carve_double(struct nn_carver *carver, size_t count);

/* A group of images in the hands of one thread. */
struct nn_span {
    int part;         /* of the batch, one thread each */
    int part_from;    /* first image of the part */
    int part_to;      /* behind its last one */
    int first, count; /* images of the group */
    int at;           /* where stored outputs of the group begin, in images: `first` in
                         training; without it groups follow each other in one place */
    float *scratch;   /* free memory of the thread; moves up as it is taken */
};

/* One row of the table. Functions with a span are called for every group of a batch, by
 * several threads; the others once, before and after. NULL: nothing to do. */
struct nn_op {
    const char *name; /* in parameter names */
    /* Buffers of the operation's own, besides out and grad. */
    void (*carve)(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver);
    void (*begin)(struct nn_graph *g, struct nn_node *node);
    void (*forward)(struct nn_graph *g, struct nn_node *node, struct nn_span span);
    void (*end)(struct nn_graph *g, struct nn_node *node); /* in training */
    /* From the gradient that arrived (nn_take) to those of the inputs (nn_place, nn_give)
     * and of the parameters. */
    void (*begin_backward)(struct nn_graph *g, struct nn_node *node);
    void (*backward)(struct nn_graph *g, struct nn_node *node, struct nn_span span);
    void (*end_backward)(struct nn_graph *g, struct nn_node *node);
};
extern const struct nn_op nn_ops[NN_OP_COUNT];

/* Decide what is stored, what is fused and the sizes of groups; fills the planned fields
 * and g->group, g->scratch_floats. */
void nn_plan(struct nn_graph *g);

/* count floats of the span's scratch, 64-byte aligned. */
float *nn_scratch(struct nn_span *span, size_t count);
/* The activations of a node for the span's images: (count, h, w, c), stored or made in
 * scratch. */
const float *nn_fetch(struct nn_graph *g, int node, struct nn_span *span);
/* The gradient that arrived at a node, likewise; backward only. */
const float *nn_take(struct nn_graph *g, const struct nn_node *node,
                     struct nn_span *span);
/* Where to put the gradient of an input, (count, h, w, c); *ret_add: add to what is
 * there. NULL when no gradient passes. Then nn_give hands it on. */
float *nn_place(struct nn_graph *g, int input, struct nn_span *span, bool *ret_add);
void nn_give(struct nn_graph *g, int input, struct nn_span span, const float *place);

void nn_conv_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver);
void nn_conv_begin(struct nn_graph *g, struct nn_node *node);
void nn_conv_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
void nn_conv_begin_backward(struct nn_graph *g, struct nn_node *node);
void nn_conv_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
void nn_conv_end_backward(struct nn_graph *g, struct nn_node *node);
void nn_linear_end_backward(struct nn_graph *g, struct nn_node *node);
void nn_norm_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver);
void nn_norm_begin(struct nn_graph *g, struct nn_node *node);
void nn_norm_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
void nn_norm_end(struct nn_graph *g, struct nn_node *node);
void nn_norm_begin_backward(struct nn_graph *g, struct nn_node *node);
void nn_norm_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
void nn_pool_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
void nn_pool_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
/* Loss: node->out holds the probabilities. */
void nn_loss_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span);
void nn_loss_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span);

/* Batch norm, piece by piece, for those who have its input at hand. Coefficients from the
 * running statistics; then y = scale * x + shift. */
void nn_norm_running(struct nn_graph *g, struct nn_node *node);
const float *nn_norm_scale(const struct nn_node *node);
const float *nn_norm_shift(const struct nn_node *node);
/* Sums over the batch, a group at a time: start, gather in every group. */
void nn_norm_clear(struct nn_graph *g, struct nn_node *node);
void nn_norm_gather(struct nn_graph *g, struct nn_node *node, struct nn_span span,
                    const float *x);
void nn_norm_apply(const struct nn_graph *g, const struct nn_node *node, int n,
                   const float *x, float *y);
void nn_norm_gather_backward(struct nn_graph *g, struct nn_node *node,
                             struct nn_span span, const float *x, const float *dy);
void nn_norm_apply_backward(const struct nn_graph *g, const struct nn_node *node, int n,
                            const float *x, const float *dy, bool add, float *dx);
/* Concatenation: one input's channels from `x` into y, and back. */
void nn_concat_put(const struct nn_node *node, struct nn_shape in, int channel, int n,
                   const float *x, float *y);
void nn_concat_pick(const struct nn_node *node, struct nn_shape in, int channel, int n,
                    const float *dy, bool add, float *dx);

static inline size_t nn_shape_count(struct nn_shape s)
{
    return (size_t)s.h * s.w * s.c;
}

/* Where a stored tensor of this node has the span's images. */
static inline float *nn_at(const struct nn_node *node, float *tensor, int image)
{
    return tensor + (size_t)image * nn_shape_count(node->shape);
}

/* Part `part` of `parts` of [0, n): always the same split. */
static inline void nn_split(size_t n, int parts, int part, size_t *ret_from,
                            size_t *ret_to)
{
    *ret_from = n * (size_t)part / (size_t)parts;
    *ret_to = n * ((size_t)part + 1) / (size_t)parts;
}

#endif
