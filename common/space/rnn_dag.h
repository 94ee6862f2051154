/* SPDX-License-Identifier: Apache-2.0 */
/* A recurrent cell that is a graph of nodes (ENAS; Pham et al., ICML 2018, section 2.1),
 * as the trainer builds it. With x the input and h the last hidden state, node 0 is
 *
 *     c_0 = sigmoid(W_xc x + W_hc h)
 *     h_0 = c_0 * f_0(W_xh x + W_hh h) + (1 - c_0) * h
 *
 * and node j > 0, which reads node i = previous < j,
 *
 *     c_j = sigmoid(W^c_ij h_i)
 *     h_j = c_j * f_j(W^h_ij h_i) + (1 - c_j) * h_i.
 *
 * The next h is the mean of the leaves, the nodes that no other node reads; so every node
 * matters. Tokens: f_0, then previous and activation of every other node.
 *
 * Same child network: as every node reads one other, a cell is a tree hanging from node
 * 0, whose nodes carry an activation, and its output sums over leaves. Two cells are the
 * same network exactly when these trees are isomorphic; how the nodes are numbered, and
 * in which order a node's readers come, changes nothing when the child is trained from
 * scratch. (In a shared pool of weights W_ij such twins do have different weights.) */
#ifndef ARCHWAY_COMMON_SPACE_RNN_DAG_H
#define ARCHWAY_COMMON_SPACE_RNN_DAG_H

#include <jansson.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/space/diagram.h"
#include "common/space/rnn_words.h"
#include "common/text.h"

enum { RNN_DAG_MAX_NODES = 32, RNN_DAG_INPUT = -1 };

struct rnn_dag {
    int node_count;
    struct rnn_dag_node {
        int activation; /* enum rnn_activation */
        int previous;   /* node read, below the own number; RNN_DAG_INPUT for node 0 */
    } nodes[RNN_DAG_MAX_NODES];
    int leaf_count;
    int leaves[RNN_DAG_MAX_NODES]; /* ascending */
};

/* Read "nodes" of a task's architecture (see space_to_json), all bounds checked, and work
 * out the leaves. ERROR_INPUT naming node and key otherwise. */
int rnn_dag_from_json(const json_t *architecture, struct rnn_dag *ret, struct error *err);
/* The "nodes" array of the above. New reference; NULL when memory is gone. */
json_t *rnn_dag_to_json(const struct rnn_dag *dag);

/* Fill leaves and leaf_count from the nodes. */
void rnn_dag_find_leaves(struct rnn_dag *dag);

/* Matrices of hidden x hidden of the child: 4 of node 0, 2 of every other node. */
int rnn_dag_matrices(const struct rnn_dag *dag);

/* Append a byte string that two cells share exactly when they are the same network. At
 * most RNN_DAG_CANONICAL_SIZE bytes. */
enum { RNN_DAG_CANONICAL_SIZE = 16 + 2 * RNN_DAG_MAX_NODES };
void rnn_dag_canonical(const struct rnn_dag *dag, struct bytes *out);

/* Append boxes and arrows; one line an equation; one short line (see space_describe): of
 * every node the one read and the activation, "tanh 0:tanh 1:relu". */
void rnn_dag_draw(const struct rnn_dag *dag, struct diagram *d);
void rnn_dag_equations(const struct rnn_dag *dag, struct text *out);
void rnn_dag_describe(const struct rnn_dag *dag, struct text *out);

#endif
