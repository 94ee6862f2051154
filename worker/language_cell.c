/* SPDX-License-Identifier: Apache-2.0 */
/* What the spaces call combinations and activations, and what the model does. */
#include "worker/language_cell.h"

#include <string.h>

#include "common/config.h"
#include "common/space/rnn_dag.h"
#include "common/space/rnn_tree.h"

static const uint8_t activations[RNN_ACTIVATIONS] = {
    [RNN_TANH] = RECURRENT_TANH,
    [RNN_RELU] = RECURRENT_RELU,
    [RNN_IDENTITY] = RECURRENT_IDENTITY,
    [RNN_SIGMOID] = RECURRENT_SIGMOID,
};
static const uint8_t combinations[RNN_COMBINATIONS] = {
    [RNN_ADD] = RECURRENT_ADD,
    [RNN_ELEM_MULT] = RECURRENT_MULTIPLY,
};

static int read_graph(const json_t *architecture, struct recurrent_cell *ret,
                      struct error *err)
{
    struct rnn_dag dag;
    int status = rnn_dag_from_json(architecture, &dag, err);
    if (status)
        return status;
    *ret = (struct recurrent_cell){.nodes = dag.node_count};
    for (int j = 0; j < dag.node_count; j++) {
        ret->activation[j] = activations[dag.nodes[j].activation];
        ret->previous[j] = (uint8_t)(j > 0 ? dag.nodes[j].previous : 0);
    }
    return 0;
}

static struct recurrent_tree_node node_of(const struct rnn_tree_node *node)
{
    return (struct recurrent_tree_node){.combination = combinations[node->combination],
                                        .activation = activations[node->activation]};
}

static int read_tree(const json_t *architecture, struct recurrent_tree_cell *ret,
                     struct error *err)
{
    struct rnn_tree tree;
    int status = rnn_tree_from_json(architecture, &tree, err);
    if (status)
        return status;
    *ret = (struct recurrent_tree_cell){.leaves = tree.base,
                                        .inject = node_of(&tree.inject),
                                        .memory = tree.memory,
                                        .injected = tree.injected};
    for (int i = 0; i < rnn_tree_node_count(&tree); i++)
        ret->nodes[i] = node_of(&tree.nodes[i]);
    return 0;
}

int language_cell_read(const json_t *architecture, struct language_cell *ret,
                       struct error *err)
{
    const json_t *named = json_object_get(architecture, "space");
    const char *graph = config_choice_name("space.name", SPACE_RNN_DAG);
    const char *space = named ? json_string_value(named) : graph;
    struct language_cell cell = {0};
    if (space)
        cell.is_tree =
            strcmp(space, config_choice_name("space.name", SPACE_RNN_TREE)) == 0;
    if (!space || (!cell.is_tree && strcmp(space, graph) != 0))
        return error_set(err, ERROR_INPUT,
                         "architecture: space '%.40s' has no recurrent cells",
                         space ? space : "");
    int status = cell.is_tree ? read_tree(architecture, &cell.tree, err)
                              : read_graph(architecture, &cell.graph, err);
    if (!status)
        *ret = cell;
    return status;
}

int language_cell_matrices(const struct language_cell *cell)
{
    return cell->is_tree ? 2 * cell->tree.leaves : 2 * (1 + cell->graph.nodes);
}
