/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the recurrent model only. A slice is a part of the vocabulary that
 * is packed on its own, so that threads can share the packing. */
#ifndef ARCHWAY_COMMON_NN_RECURRENT_PRIVATE_H
#define ARCHWAY_COMMON_NN_RECURRENT_PRIVATE_H

#include "common/nn/recurrent.h"
#include "common/nn/recurrent_tree.h"

enum {
    RECURRENT_SLICE = 1024, /* words */
    RECURRENT_CHUNK = 320   /* rows of logits at once */
};

enum { MASK_INPUT, MASK_STATE, MASK_OUTPUT, MASKS };

/* Packed weights of a product and of its way back. */
struct recurrent_matrix {
    float *forward, *back; /* (H, width) and its transposed */
    float *mask;           /* (H, width): 0 or 1 / (1 - share); only with drop_weights */
};

/* A tree and what is kept of its nodes; all pointers into the model's memory. */
struct recurrent_tree {
    struct recurrent_tree_cell cell; /* the copy that options.tree points to */
    float *value;    /* (2N, T, B, H): of all nodes, then of the injected one with c */
    float *gradient; /* (2N, B, H): of these at one step */
    float *c;        /* (T + 1, B, H): memories that enter the steps */
    float *dc;       /* (2, B, H): of that which enters an even step, an odd one */
    float *cut;      /* (T, B): factor on the memory that leaves a step */
};

struct recurrent {
    struct recurrent_options options;
    struct recurrent_cell own;  /* the copy that options.only points to; of a tree one
                                   node: W_h is its W_0 */
    struct recurrent_tree tree; /* only with options.tree */
    const struct recurrent_kernels *kernels;
    const struct recurrent_nodes *nodes;
    const struct relaxed *relaxed; /* whose core this is; NULL: a model of its own */
    size_t count, hidden; /* hidden: H */
    size_t width;         /* columns of every W: 2H; of a tree N H */
    int slices;

    /* The cell at hand. */
    const struct recurrent_cell *cell;
    int leaves, leaf[RECURRENT_MAX_NODES];
    const struct recurrent_dropout *dropout; /* NULL: none */

    /* All buffers; owned as one block. Rows are (step, column) of the window at hand. */
    float *memory;
    float *x, *dx;      /* (T, B, H): embedded inputs */
    float *inputs;      /* (T, B, width): x W_x; its gradient. a[0], but of a tree */
    float *s;           /* (T + 1, B, H): states that enter the steps */
    float *out, *dout;  /* (T, B, H) */
    float *cut;         /* (T, B): factor on the state that leaves a step */
    float *normal;      /* (T, B, H): h_t before the output's mask, with norm */
    float *deviation;   /* (T, H): 1 / standard deviation, likewise; of a relaxed model
                           (nodes, T, H), and `normal` is empty */
    float *words;       /* (V): factor of each word's embedding */
    float *mask[MASKS]; /* (B, H): of inputs, states, outputs */
    float *dstate;      /* (B, H) */
    float *logits;      /* (RECURRENT_CHUNK, V) */
    float *scratch; /* (H, width) a thread, for masked weights; only with drop_weights */
    size_t scratch_each; /* floats */
    float *embedding_forward, *embedding_back; /* E', E: packed by slices */
    struct recurrent_matrix input, matrix[RECURRENT_MAX_NODES]; /* W_x; W into node j */
    float
        *a[RECURRENT_MAX_NODES];    /* (T, B, 2H): what goes into a node; g, u; gradient.
                                       Of relaxed node j > 0 (j, T, B, 2H): by its inputs */
    float *h[RECURRENT_MAX_NODES];  /* (T, B, H): of all nodes, equally far apart */
    float *dh[RECURRENT_MAX_NODES]; /* (B, H), likewise */
    double *losses;                 /* (RECURRENT_CHUNK) */
};

/* Columns of a batch that one thread takes, at step t; possibly none. */
struct recurrent_strip {
    const struct recurrent *r;
    const struct recurrent_window *w;
    int t;
    size_t from, columns;
    size_t at; /* first row: t * batch + from */
};
/* Columns [from, to) of weights' gradients that one thread makes, over so many rows. */
struct recurrent_part {
    size_t from, to, rows;
};

/* What stands between x_t, the state and h_t. Called by all threads of a team. */
struct recurrent_nodes {
    /* From inputs and s to out, and back from dout to dstate and the gradient of inputs:
     * rows of the strip. */
    void (*forward)(const struct recurrent_strip *p);
    void (*back)(const struct recurrent_strip *p);
    /* Gradients of all weights but W_x and W_0, added. */
    void (*weights_back)(const struct recurrent *r, const struct recurrent_part *part,
                         float *gradient); /* NULL: there are none */
    /* What is carried from window to window beside h, from w->state and back to it, by
     * one thread. NULL: nothing. */
    void (*enter)(const struct recurrent *r, const struct recurrent_window *w);
    void (*leave)(const struct recurrent *r, const struct recurrent_window *w);
};
extern const struct recurrent_nodes recurrent_nodes_discrete, recurrent_nodes_relaxed,
    recurrent_nodes_tree;

/* recurrent_cell.c: node j from its source; back: its a becomes the gradient, its
 * source's gradient grows (of node 0: dstate's). Not for a strip of no columns. */
void recurrent_node(const struct recurrent_strip *p, int j);
void recurrent_node_back(const struct recurrent_strip *p, int j);
/* out from the nodes that the output is made of; back: dh of all nodes from dout. */
void recurrent_mean(const struct recurrent_strip *p);
void recurrent_mean_back(const struct recurrent_strip *p);
/* recurrent_run.c: rows (H) on their way into the next step: those longer than state_clip
 * are cut. factors: (rows). to may be from. */
void recurrent_cut(const struct recurrent *r, size_t rows, const float *from,
                   float *factors, float *to);
/* recurrent_run.c: dw (H, width) += a' d over all rows, the part's columns. j: the node
 * whose weights' mask counts; -1: none. */
void recurrent_weight_back(const struct recurrent *r, const struct recurrent_part *part,
                           int j, const float *a, const float *d, float *dw);
/* recurrent.c: a model, and its bytes, that may be the core of a relaxed one: its cell is
 * options.only, a chain. */
int recurrent_make(const struct recurrent_options *options, const struct relaxed *relaxed,
                   struct recurrent **ret, struct error *err);
size_t recurrent_size(const struct recurrent_options *options,
                      const struct relaxed *relaxed);
/* Mean loss of a window, and the way back if weight > 0, which adds to gradient, NULL: to
 * what the nodes keep for themselves alone. */
double recurrent_run(struct recurrent *r, const float *parameters,
                     const struct recurrent_cell *cell, const struct recurrent_window *w,
                     float weight, float *gradient);
/* recurrent_pack.c: all weights that the cell uses; `back`: the way back as well. */
void recurrent_pack(struct recurrent *r, const float *parameters, bool back);
/* recurrent_dropout.c: draw all masks of the window. */
void recurrent_draw(struct recurrent *r, const struct recurrent_dropout *dropout);
/* Is something of this kind dropped? */
static inline bool recurrent_drops(const struct recurrent *r, int mask)
{
    const struct recurrent_dropout *d = r->dropout;
    return d && (mask == MASK_INPUT   ? d->input
                 : mask == MASK_STATE ? d->state
                                      : d->output) > 0;
}
/* recurrent_norm.c: normalise the columns of a batch at one step, by all threads of a
 * team: each takes some units. */
struct recurrent_normal {
    size_t rows;
    float *x;         /* (rows, H): what is normalised, in place; back: its gradient */
    float *y;         /* (rows, H): written, and read on the way back; may be x forward */
    float *deviation; /* (H): 1 / standard deviation, likewise */
};
void recurrent_norm(const struct recurrent *r, const struct recurrent_normal *p);
void recurrent_norm_back(const struct recurrent *r, const struct recurrent_normal *p);
/* The same of the strip's step, out or dout, with options.norm alone: it asks. */
void recurrent_norm_out(const struct recurrent_strip *p);
void recurrent_norm_out_back(const struct recurrent_strip *p);
/* recurrent_run.c: x and inputs, then all states and outputs of the window. */
void recurrent_forward(struct recurrent *r, const float *parameters,
                       const struct recurrent_window *w);
/* From dout to the gradients of all weights but the output's; NULL: to those that the
 * nodes keep for themselves alone. */
void recurrent_backward(struct recurrent *r, const struct recurrent_window *w,
                        float *gradient);
/* recurrent_decode.c: the sum of the losses of all tokens. With weight > 0 dout is
 * written, and with a gradient too the output's part of dE added, both times `weight`. */
double recurrent_decode(struct recurrent *r, const struct recurrent_window *w, float weight,
                        float *gradient);
/* Where slice i of the packed embeddings begins, in floats. */
size_t recurrent_slice_forward(const struct recurrent *r, int i);
size_t recurrent_slice_back(const struct recurrent *r, int i);
static inline int recurrent_slice_words(const struct recurrent *r, int i)
{
    int left = r->options.vocabulary - i * RECURRENT_SLICE;
    return left < RECURRENT_SLICE ? left : RECURRENT_SLICE;
}

/* recurrent_update.c: the norm of these parts, and f of a descent by it. */
double recurrent_norm_of(const struct recurrent *r, const struct recurrent_range *ranges,
                         int count, const float *gradient);
double recurrent_clip_factor(const struct recurrent_descent *d, double norm);

/* The k-th of n parts of `count` things that stand in units: [from, to). */
static inline void recurrent_share(size_t count, size_t unit, int n, int k, size_t *from,
                                   size_t *to)
{
    size_t units = (count + unit - 1) / unit;
    *from = units * (size_t)k / (size_t)n * unit;
    *to = units * (size_t)(k + 1) / (size_t)n * unit;
    *to = *to < count ? *to : count;
    *from = *from < count ? *from : count;
}

#endif
