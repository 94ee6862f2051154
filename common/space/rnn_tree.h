/* SPDX-License-Identifier: Apache-2.0 */
/* A recurrent cell that is a binary tree (Zoph & Le, ICLR 2017, section 3.4), as the
 * trainer builds it. With x the input, h and c the last hidden and memory state, a node
 * combines two values (sum or elementwise product) and applies an activation:
 *
 *     leaf i      p_i = combine(W_{2i+1} x, W_{2i+2} h)     a_i = activation(p_i)
 *     inner node  p_i = combine(a_left, a_right)            a_i = activation(p_i)
 *
 * Leaves are 0 to base-1; inner node base + k reads nodes 2k and 2k+1, so base 8 gives
 * levels of 8, 4, 2 and 1. At one node, `injected`, c joins: what others read of it is
 *
 *     a_i' = inject_activation(inject_combine(a_i, c)).
 *
 * The next h is the value of the last node, the root; the next c is p_i, before the
 * activation, of the node `memory`. Inner nodes have no parameters.
 *
 * Tokens: combination and activation of every node in order, combination and activation
 * of the injection, then the two cell indices: `memory`, `injected` (the order of the
 * paper's figure 5).
 *
 * Same child network: the leaves' weights are their own, so leaves may change places, and
 * both combinations commute: left and right mean nothing. Both are associative as well: a
 * node whose value nothing else needs (it is not `memory`, and its activation is the
 * identity) melts into a reader that combines in the same way, so that sums of sums are
 * one sum, c among its terms where it is injected there. Two cells are the same network
 * exactly when these trees, so melted, are isomorphic. Nothing else is looked through:
 * relu of what is positive anyhow, say, counts as different. */
#ifndef ARCHWAY_COMMON_SPACE_RNN_TREE_H
#define ARCHWAY_COMMON_SPACE_RNN_TREE_H

#include <jansson.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/space/diagram.h"
#include "common/space/rnn_words.h"
#include "common/text.h"

enum { RNN_TREE_MAX_BASE = 32, RNN_TREE_MAX_NODES = 2 * RNN_TREE_MAX_BASE - 1 };

struct rnn_tree_node {
    int combination, activation; /* enum rnn_combination, enum rnn_activation */
};

struct rnn_tree {
    int base; /* leaves, from 2; nodes: 2 base - 1 */
    struct rnn_tree_node nodes[RNN_TREE_MAX_NODES];
    struct rnn_tree_node inject;
    int memory, injected; /* nodes */
};

static inline int rnn_tree_node_count(const struct rnn_tree *tree)
{
    return 2 * tree->base - 1;
}
static inline int rnn_tree_left(const struct rnn_tree *tree, int inner)
{
    return 2 * (inner - tree->base); /* the right one follows it */
}

/* Read "nodes", "inject", "memory" and "injected" of a task's architecture (see
 * space_to_json), all bounds checked. ERROR_INPUT naming node and key otherwise. */
int rnn_tree_from_json(const json_t *architecture, struct rnn_tree *ret,
                       struct error *err);
/* Set these keys of an object. False when memory is gone. */
bool rnn_tree_to_json(const struct rnn_tree *tree, json_t *object);

/* Matrices of hidden x hidden of the child: 2 a leaf. */
int rnn_tree_matrices(const struct rnn_tree *tree);

/* Append a byte string that two cells share exactly when they are the same network. At
 * most RNN_TREE_CANONICAL_SIZE bytes. */
enum { RNN_TREE_CANONICAL_SIZE = 16 + 3 * RNN_TREE_MAX_NODES };
void rnn_tree_canonical(const struct rnn_tree *tree, struct bytes *out);

/* Append boxes and arrows; one line an equation, in order; one short line (see
 * space_describe): of every node combination and activation, then the injection and the
 * node of the next c, "+tanh *relu *sigmoid c+relu@0 c=1". */
void rnn_tree_draw(const struct rnn_tree *tree, struct diagram *d);
void rnn_tree_equations(const struct rnn_tree *tree, struct text *out);
void rnn_tree_describe(const struct rnn_tree *tree, struct text *out);

#endif
