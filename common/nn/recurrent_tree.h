/* SPDX-License-Identifier: Apache-2.0 */
/* A cell that is a binary tree of N leaves (Zoph & Le, ICLR 2017, section 3.4): with
 * options.tree a model of recurrent.h is made of it. A node combines two values, by a sum
 * or an elementwise product, and applies its activation f_i:
 *
 *     leaf i      p_i = combine_i(x_t W_{x,i}, h_{t-1} W_{h,i})     a_i = f_i(p_i)
 *     inner node  p_i = combine_i(a_left, a_right)                  a_i = f_i(p_i)
 *
 * Leaves are 0 ... N - 1; inner node N + k reads nodes 2k and 2k + 1, the last one is the
 * root. The memory c_{t-1} joins at the node `injected`: what is read of it is
 *
 *     a_i' = f(combine(a_i, c_{t-1})),     combine and f those of `inject`.
 *
 * h_t is what is read of the root, with `norm` normalised as in recurrent.h, and c_t =
 * p_i of the node `memory`, before its activation. With state_clip rows of c_t are cut
 * like those of h_t, each by its own length, the factors counted as constants.
 *
 * What else differs from the cells of recurrent.h:
 *
 * - Parameters are E (vocabulary, H), W_x and W_h, (H, N H) each: leaf i has columns
 *   i H ... (i + 1) H - 1 of both. recurrent_input and recurrent_edge(r, -1, 0) tell
 * where they begin; weights of W_h are what dropout.weight drops.
 * - The state of a window is (2, batch, H): h, then c. dropout.state is of h alone.
 * - Functions do not look at the cell that they are given, which may be NULL, nor at
 *   options.nodes, only and output. */
#ifndef ARCHWAY_COMMON_NN_RECURRENT_TREE_H
#define ARCHWAY_COMMON_NN_RECURRENT_TREE_H

#include <stdint.h>

#include "common/error.h"
#include "common/nn/recurrent.h"

enum {
    RECURRENT_TREE_MAX_LEAVES = 32,
    RECURRENT_TREE_MAX_NODES = 2 * RECURRENT_TREE_MAX_LEAVES - 1
};

struct recurrent_tree_node {
    uint8_t combination, activation; /* enum recurrent_combination, _activation */
};

struct recurrent_tree_cell {
    int leaves; /* N: 2 ... RECURRENT_TREE_MAX_LEAVES */
    struct recurrent_tree_node nodes[RECURRENT_TREE_MAX_NODES]; /* 2 N - 1 */
    struct recurrent_tree_node inject;
    int memory, injected; /* nodes */
};

static inline int recurrent_tree_nodes(const struct recurrent_tree_cell *cell)
{
    return 2 * cell->leaves - 1;
}
static inline int recurrent_tree_left(const struct recurrent_tree_cell *cell, int inner)
{
    return 2 * (inner - cell->leaves); /* the right one follows it */
}

/* ERROR_INPUT saying what is wrong with a cell. */
int recurrent_tree_check(const struct recurrent_tree_cell *cell, struct error *err);

#endif
