/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent cell of a child, of whatever space, as the language model takes it. */
#ifndef ARCHWAY_WORKER_LANGUAGE_CELL_H
#define ARCHWAY_WORKER_LANGUAGE_CELL_H

#include <stdbool.h>
#include <jansson.h>

#include "common/error.h"
#include "common/nn/recurrent_tree.h"

struct language_cell {
    bool is_tree;                    /* rnn-tree, else rnn-dag */
    struct recurrent_cell graph;     /* unless it is a tree */
    struct recurrent_tree_cell tree; /* if it is */
};

/* The cell of a task's architecture, whose "space" says which kind it is; without one it
 * is of rnn-dag. ERROR_INPUT naming what is wrong, a space without recurrent cells say.
 */
int language_cell_read(const json_t *architecture, struct language_cell *ret,
                       struct error *err);
/* Its matrices of hidden x hidden: of a graph those of the input, the state and the
 * edges. */
int language_cell_matrices(const struct language_cell *cell);

#endif
