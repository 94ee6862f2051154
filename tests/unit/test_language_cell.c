/* SPDX-License-Identifier: Apache-2.0 */
/* Architectures as the master sends them become cells of the model. */
#include "worker/language_cell.h"

#include <string.h>

#include "common/rng.h"
#include "common/space/rnn_words.h"
#include "common/space/space.h"
#include "unit.h"

#define TREE "{\"space\": \"rnn-tree\""

static void refused(const char *text, const char *says)
{
    struct language_cell cell = {.graph = {.nodes = 7}};
    struct error err = {0};
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_int_eq(language_cell_read(json, &cell, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_int_eq(cell.graph.nodes, 7);
    json_decref(json);
}

START_TEST(what_is_no_cell_is_refused)
{
    refused("{\"space\": \"conv-chain\"}", "'conv-chain' has no recurrent cells");
    refused("{\"space\": 3}", "space '' has no recurrent cells");
    refused("{\"space\": \"rnn-dag\"}", "nodes");
    refused("{}", "nodes");
    refused("[]", "nodes");
    refused(TREE "}", "there is no list 'nodes'");
    refused(TREE ", \"nodes\": [1, 2]}", "'nodes' has 2 entries");
}
END_TEST

#define NODE(c, a) "{\"combination\": \"" c "\", \"activation\": \"" a "\"}"
#define FIRST NODE("add", "tanh")
#define SECOND NODE("elem_mult", "relu")
#define ROOT NODE("elem_mult", "sigmoid")
#define JOIN NODE("add", "identity")

START_TEST(a_tree_is_read)
{
    const char *text = TREE ", \"nodes\": [" FIRST ", " SECOND ", " ROOT
                            "], \"inject\": " JOIN ", \"memory\": 1, \"injected\": 2}";
    struct language_cell cell;
    struct error err = {0};
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_msg(language_cell_read(json, &cell, &err) == 0, "%s", err.text);
    static const struct recurrent_tree_node nodes[] = {
        {RECURRENT_ADD, RECURRENT_TANH},
        {RECURRENT_MULTIPLY, RECURRENT_RELU},
        {RECURRENT_MULTIPLY, RECURRENT_SIGMOID}};
    ck_assert(cell.is_tree);
    ck_assert_int_eq(cell.tree.leaves, 2);
    ck_assert_mem_eq(cell.tree.nodes, nodes, sizeof nodes);
    ck_assert_int_eq(cell.tree.inject.combination, RECURRENT_ADD);
    ck_assert_int_eq(cell.tree.inject.activation, RECURRENT_IDENTITY);
    ck_assert_int_eq(cell.tree.memory, 1);
    ck_assert_int_eq(cell.tree.injected, 2);
    ck_assert_int_eq(recurrent_tree_check(&cell.tree, NULL), 0);
    json_decref(json);
}
END_TEST

/* What the space says that a child costs is what its model has. */
static void check_size(enum config_space name, int size)
{
    static struct config c; /* large */
    struct space *space;
    struct language_cell cell;
    struct recurrent *model;
    struct rng rng;
    struct architecture a;
    c = (struct config){0};
    c.space.name = name;
    c.space.rnn = (struct config_rnn){.base = size,
                                      .nodes = size,
                                      .combinations = {2, {RNN_ADD, RNN_ELEM_MULT}},
                                      .activations = {2, {RNN_TANH, RNN_SIGMOID}}};
    ck_assert_int_eq(space_new(&c, &space, NULL), 0);
    rng_init(&rng, 1, RNG_TEST, 0);
    space_sample(space, space_min_depth(space), &rng, &a);
    json_t *json = space_to_json(space, &a);
    ck_assert_int_eq(language_cell_read(json, &cell, NULL), 0);
    struct recurrent_options o = {.vocabulary = 21,
                                  .hidden = 6,
                                  .steps = 1,
                                  .batch = 1,
                                  .nodes = size,
                                  .only = cell.is_tree ? NULL : &cell.graph,
                                  .tree = cell.is_tree ? &cell.tree : NULL,
                                  .threads = 1};
    ck_assert_int_eq(recurrent_new(&o, &model, NULL), 0);
    struct space_task task = {.vocabulary = 21, .hidden = 6};
    struct space_cost cost = space_cost(space, &a, &task);
    int matrices = language_cell_matrices(&cell);
    ck_assert_double_eq(cost.params, (double)recurrent_count(model));
    ck_assert_double_eq(cost.params, matrices * 6 * 6 + 21 * 6);
    recurrent_free(model);
    json_decref(json);
    space_free(space);
}

START_TEST(sizes_agree_with_the_space)
{
    check_size(SPACE_RNN_TREE, 2);
    check_size(SPACE_RNN_TREE, 8);
    check_size(SPACE_RNN_DAG, 1);
    check_size(SPACE_RNN_DAG, 9);
}
END_TEST

UNIT_MAIN("language_cell", what_is_no_cell_is_refused, a_tree_is_read,
          sizes_agree_with_the_space)
