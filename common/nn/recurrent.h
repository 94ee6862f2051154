/* SPDX-License-Identifier: Apache-2.0 */
/* A recurrent language model over a searched cell (Pham et al., ICML 2018, section 2.1):
 *
 *     h_0 = p + g (u - p),  p = h_{t-1},  [g, u] = [sigmoid, f_0](x_t W_x + p W_0)
 *     h_j = p + g (u - p),  p = h_i,      [g, u] = [sigmoid, f_j](p W_{i,j}),  i < j
 *     h_t = mean of the leaves (nodes that feed no other), of all nodes, or of all but
 *           node 0, and with `norm` each of its units normalised over the columns of the
 *           batch
 *     P(next word) = softmax(h_t E'),     x_t = row of E: embedding and output are tied
 *
 * Every W is a pair (W^c, W^h), stored (H, 2H): the gate's H columns, then the
 * candidate's. All parameters stand in one flat vector that the caller owns: E
 * (vocabulary, H), W_x, W_0, then the pairs of the edges. A pool holds those of every
 * edge (i, j), j ascending, within it i; a model of one cell only its own. Losses are
 * means over all tokens of a window, natural logarithms.
 *
 * A cell that is a tree is another matter: recurrent_tree.h.
 *
 * A model splits the columns of a batch between threads; results have the same bits for
 * any number of them. One call at a time; nothing is allocated after recurrent_new. */
#ifndef ARCHWAY_COMMON_NN_RECURRENT_H
#define ARCHWAY_COMMON_NN_RECURRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/nn/recurrent_kernels.h"

enum { RECURRENT_MAX_NODES = 64 };

struct recurrent_cell {
    int nodes;                               /* 1 ... RECURRENT_MAX_NODES */
    uint8_t activation[RECURRENT_MAX_NODES]; /* enum recurrent_activation */
    uint8_t previous[RECURRENT_MAX_NODES];   /* of node j: < j; of node 0: not used */
};

/* Which nodes the output is the mean of. Of a cell of one node it is always that one. */
enum recurrent_output {
    RECURRENT_LEAVES,
    RECURRENT_ALL,
    RECURRENT_ALL_BUT_FIRST /* Liu et al., ICLR 2019 */
};

struct recurrent_tree_cell; /* common/nn/recurrent_tree.h */

struct recurrent_options {
    int vocabulary, hidden;
    int steps, batch; /* of the largest window: BPTT length, columns */
    int nodes;        /* of the largest cell */
    const struct recurrent_cell *only; /* lay out this cell's weights alone; NULL: a pool */
    const struct recurrent_tree_cell *tree; /* a model of this tree; NULL: of nodes */
    enum recurrent_output output;
    bool norm; /* batch norm without scale and shift; of the columns at hand, in
                  evaluation as well (shared weights have no running statistics) */
    bool drop_weights; /* dropouts may have a share `weight` */
    double state_clip; /* longer states h_t are cut to this norm before the next step,
                          the factor counted as a constant; 0: never */
    int threads;
    const char *kernels; /* limit, see recurrent_kernels_find; NULL: none */
};

/* Shares that are dropped while training; what is left is scaled by 1 / (1 - share). Masks
 * of a window are functions of (seed, step), independent of threads. */
struct recurrent_dropout {
    double embedding; /* whole words of E, as inputs */
    double input, state; /* units of x_t and of the h_{t-1} that enters a step */
    double output;       /* units of h_t on its way to the softmax; each of the three has
                            one mask for all steps */
    double weight;       /* single weights of the pairs of W_0 and the edges */
    uint64_t seed, step; /* step: below 2^56 */
};

struct recurrent_window {
    int steps, batch;                /* at most those of the options */
    const int32_t *inputs, *targets; /* (steps, batch): words, below the vocabulary */
    float *state;                    /* (batch, H): in h before the first step, out after
                                        the last; of a tree (2, batch, H) */
    const struct recurrent_dropout *dropout; /* NULL: none */
    bool same_weights; /* parameters and cell are those of the last call, no weight was
                          or is dropped: what was packed then serves again */
};

struct recurrent; /* opaque */

/* ERROR_INPUT for sizes out of bounds or a cell that is none, ERROR_SYSTEM without memory.
 */
int recurrent_new(const struct recurrent_options *options, struct recurrent **ret,
                  struct error *err);
void recurrent_free(struct recurrent *r); /* NULL is allowed */
/* Bytes that a model of these options takes, without the caller's parameters. */
size_t recurrent_bytes(const struct recurrent_options *options);
/* ERROR_INPUT saying what is wrong with a cell of at most `nodes` nodes. */
int recurrent_cell_check(const struct recurrent_cell *cell, int nodes, struct error *err);

size_t recurrent_count(const struct recurrent *r); /* floats of the vector */
/* Where in it. edge: of (i, j), i < j; i = -1: W_0 (j is 0). SIZE_MAX when a model of one
 * cell has no such edge. */
size_t recurrent_input(const struct recurrent *r);
size_t recurrent_edge(const struct recurrent *r, int i, int j);

/* Floats of the state of a window of so many columns. */
size_t recurrent_state(const struct recurrent *r, int batch);

/* The parts of the vector that a cell uses, ascending. */
struct recurrent_range {
    size_t first, count; /* floats */
};
enum { RECURRENT_MAX_RANGES = RECURRENT_MAX_NODES + 2 };
int recurrent_touched(const struct recurrent *r, const struct recurrent_cell *cell,
                      struct recurrent_range ret[RECURRENT_MAX_RANGES]);

/* Mean loss of a window. The cell must be valid, and the model's own if it has one. */
double recurrent_loss(struct recurrent *r, const float *parameters,
                      const struct recurrent_cell *cell,
                      const struct recurrent_window *window);
/* Likewise (but same_weights serves only after another gradient), and adds weight (> 0) x
 * its gradient to `gradient` (laid out as the parameters) in the parts that the cell
 * uses. Gradients stop at the window's first state. */
double recurrent_gradient(struct recurrent *r, const float *parameters,
                          const struct recurrent_cell *cell,
                          const struct recurrent_window *window, float weight,
                          float *gradient);

/* Plain gradient descent on some parts of the vector, as the published recurrent searches
 * use it: with f = min(1, clip / (|gradient| + 1e-6)), clip 0: f = 1,
 *
 *     w -= lr (f gradient + decay w).
 */
struct recurrent_descent {
    double lr, clip, decay;
};
/* The norm of the gradient over all these parts, before clipping; where it is not finite,
 * nothing is changed. Both are the same for any number of threads. */
double recurrent_descend(const struct recurrent *r, const struct recurrent_descent *d,
                         const struct recurrent_range *ranges, int count,
                         const float *gradient, float *parameters);
/* Set these parts of a vector to 0. */
void recurrent_clear(const struct recurrent *r, const struct recurrent_range *ranges,
                     int count, float *vector);
/* to += share x values, `count` floats anywhere in memory. */
void recurrent_add(const struct recurrent *r, size_t count, float share,
                   const float *values, float *to);
/* mean += (parameters - mean) / n over the whole vector: the running mean of n of them. */
void recurrent_average(const struct recurrent *r, uint64_t n, const float *parameters,
                       float *mean);

#endif
