/* SPDX-License-Identifier: Apache-2.0 */
/* A recurrent language model over a relaxed cell (DARTS; Liu et al., ICLR 2019): every
 * node follows all earlier ones by all operations at once, in shares that are learned.
 *
 *     s_0 = p + g (u - p),  p = h_{t-1},  [g, u] = [sigmoid, tanh](x_t W_x + p W_0)
 *     s_j = sum over i < j and o of q_{(i,j),o} (s_i + g (o(v) - s_i)),
 *           [g, v] = [sigmoid(.), .] of s_i W_j,    j = 1 ... N
 *     q_{(i,j)} = softmax(alpha_{(i,j)}) over {none, tanh, relu, sigmoid, identity}
 *     h_t = (s_1 + ... + s_N) / N
 *     P(next word) = softmax(h_t E'),     x_t = row of E: embedding and output are tied
 *
 * All inputs of a node share one pair of matrices W_j. `none` adds exactly 0: its share
 * is lost, as published. With `norm` each of s_0 ... s_N is replaced, before anything
 * reads it, by its batch norm without scale and shift (variance over n, epsilon 1e-5):
 * unit by unit over the columns of the batch at that step, in evaluation as well, since
 * running statistics of such a mixture mean nothing. This is where the published search
 * has its norm; h_t itself is not normalised.
 *
 * Every W is a pair, stored (H, 2H): the gate's H columns, then the candidate's.
 * Parameters stand in one flat vector that the caller owns: E (vocabulary, H), W_x, W_0,
 * W_1 ... W_N. That is also the layout of a recurrent.h model of one cell of N + 1 nodes:
 * the cell that is derived here can be run from the same vector.
 *
 * alpha (edges, RELAXED_OPERATIONS) is the caller's as well; edges (i, j) with j
 * ascending, within it i. Both vectors are plain floats: relaxed_descend steps the
 * parameters, optimizer_adam_step of common/nn/optimizer.h alpha.
 *
 * Windows, their states and dropouts are those of recurrent.h. The mask `state` is that
 * of the h_{t-1} which enters a step; dropout of weights is not provided for: `weight`
 * must be 0. Losses are means over all tokens of a window, natural logarithms.
 *
 * A model splits the columns of a batch between threads; results have the same bits for
 * any number of them. One call at a time; nothing is allocated after relaxed_new. */
#ifndef ARCHWAY_COMMON_NN_RELAXED_H
#define ARCHWAY_COMMON_NN_RELAXED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/nn/recurrent.h"

enum relaxed_operation {
    RELAXED_NONE,
    RELAXED_TANH,
    RELAXED_RELU,
    RELAXED_SIGMOID,
    RELAXED_IDENTITY,
    RELAXED_OPERATIONS
};
enum { RELAXED_MAX_NODES = RECURRENT_MAX_NODES - 1 };

struct relaxed_options {
    int vocabulary, hidden;
    int steps, batch; /* of the largest window: BPTT length, columns */
    int nodes;        /* N: 1 ... RELAXED_MAX_NODES; 8 as published */
    bool norm;
    bool unrolled; /* have room for relaxed_step_unrolled */
    int threads;
    const char *kernels; /* limit, see recurrent_kernels_find; NULL: none */
};

struct relaxed; /* opaque */

/* ERROR_INPUT for sizes out of bounds, ERROR_SYSTEM without memory. */
int relaxed_new(const struct relaxed_options *options, struct relaxed **ret,
                struct error *err);
void relaxed_free(struct relaxed *r); /* NULL is allowed */
/* Bytes that a model of these options, which must be within bounds, takes, without the
 * caller's vectors. Most of it is what goes into the edges, (steps, batch, 2H) each. */
size_t relaxed_bytes(const struct relaxed_options *options);

size_t relaxed_count(const struct relaxed *r); /* floats of the parameters */
/* Where W_j begins, j = 0 ... N; j = -1: W_x. */
size_t relaxed_matrix(const struct relaxed *r, int j);

/* Number of the edge (i, j), i < j, and of all edges of N nodes. */
static inline size_t relaxed_edge(int i, int j)
{
    return (size_t)j * (size_t)(j - 1) / 2 + (size_t)i;
}
static inline size_t relaxed_edges(int nodes)
{
    return relaxed_edge(0, nodes + 1);
}
/* q of so many edges: (edges, RELAXED_OPERATIONS) like alpha. */
void relaxed_shares(const float *alpha, size_t edges, float *ret_shares);

/* Mean loss of a window. */
double relaxed_loss(struct relaxed *r, const float *parameters, const float *alpha,
                    const struct recurrent_window *window);
/* Likewise (but same_weights, which does not speak of alpha, serves only after another
 * gradient), and adds weight (> 0) x its gradients to those that are not NULL, laid out
 * as parameters and alpha. Gradients stop at the window's first state. */
double relaxed_gradient(struct relaxed *r, const float *parameters, const float *alpha,
                        const struct recurrent_window *window, float weight,
                        float *gradient, float *alpha_gradient);

/* recurrent_descend on all parameters; a vector laid out like them set to 0. */
double relaxed_descend(const struct relaxed *r, const struct recurrent_descent *d,
                       const float *gradient, float *parameters);
void relaxed_clear(const struct relaxed *r, float *vector);

/* The discrete cell that these alpha of N nodes stand for: N + 1 nodes, node 0 tanh; node
 * j follows the i whose strongest operation other than none has the largest share, by
 * that operation; the first of equals. Its output is RECURRENT_ALL_BUT_FIRST. ERROR_INPUT
 * for a number of nodes out of bounds or an alpha that is no number. */
int relaxed_derive(const float *alpha, int nodes, struct recurrent_cell *ret,
                   struct error *err);
/* How far alpha has settled on a cell of N + 1 nodes: the sum over j > 0 of the logarithm
 * of the share that node j's operation has on its edge among those other than none, which
 * is no choice of a cell, however much of the mixture it takes. N log(1/4) while all are
 * equal, 0 when all of it is the cell's. */
double relaxed_settled(const float *alpha, const struct recurrent_cell *cell);

#endif
