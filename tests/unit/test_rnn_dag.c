/* SPDX-License-Identifier: Apache-2.0 */
#include "common/space/rnn_dag.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "common/space/space.h"

static void fill(struct config *c, int nodes, int decisions)
{
    *c = (struct config){0};
    c->space.name = SPACE_RNN_DAG;
    c->space.rnn = (struct config_rnn){
        .nodes = nodes,
        .decisions = decisions,
        .activations = {4, {RNN_TANH, RNN_RELU, RNN_IDENTITY, RNN_SIGMOID}},
    };
}

static struct space *make(int nodes, int decisions)
{
    static struct config c; /* large */
    struct space *space = NULL;
    fill(&c, nodes, decisions);
    ck_assert_int_eq(space_new(&c, &space, NULL), 0);
    return space;
}

static void refused(const struct config *c, const char *says)
{
    struct error err = {0};
    struct space *space = NULL;
    ck_assert_int_eq(space_new(c, &space, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_ptr_null(space);
}

START_TEST(bad_configurations_are_named)
{
    static struct config c;
    fill(&c, 0, DECISIONS_PER_STEP);
    refused(&c, "space.nodes: 0 found, allowed are 1 to 32");
    fill(&c, 33, DECISIONS_PER_STEP);
    refused(&c, "space.nodes: 33 found");
    fill(&c, 4, DECISIONS_PER_STEP);
    c.space.rnn.activations.count = 0;
    refused(&c, "space.activations: the list has 0 entries");
    c.space.rnn.activations.count = 5;
    refused(&c, "space.activations: the list has 5 entries");
    fill(&c, 4, DECISIONS_PER_STEP);
    c.space.rnn.activations.values[2] = RNN_ACTIVATIONS;
    refused(&c, "space.activations: entry 2");
    c.space.rnn.activations.values[2] = RNN_TANH;
    refused(&c, "space.activations: entry 2");
}
END_TEST

static const struct {
    const char *json, *says;
} bad[] = {
    {"{}", "no list 'nodes'"},
    {"{\"nodes\": []}", "'nodes' has 0 entries, allowed are 1 to 32"},
    {"{\"nodes\": [3]}", "node 0 is not an object"},
    {"{\"nodes\": [{\"previous\": -1}]}", "node 0: there is no text 'activation'"},
    {"{\"nodes\": [{\"activation\": \"tan\", \"previous\": -1}]}",
     "node 0: 'activation' is 'tan', allowed are tanh, relu, identity, sigmoid"},
    {"{\"nodes\": [{\"activation\": \"tanh\"}]}", "node 0: there is no whole number"},
    {"{\"nodes\": [{\"activation\": \"tanh\", \"previous\": 0}]}",
     "node 0: 'previous' is 0, allowed are -1 to -1"},
    {"{\"nodes\": [{\"activation\": \"tanh\", \"previous\": -1}, {\"activation\": "
     "\"tanh\", \"previous\": 1}]}",
     "node 1: 'previous' is 1, allowed are 0 to 0"},
    {"{\"nodes\": [{\"activation\": \"tanh\", \"previous\": -1}, {\"activation\": "
     "\"tanh\", \"previous\": -1}]}",
     "node 1: 'previous' is -1"},
};

START_TEST(bad_json_is_named)
{
    struct rnn_dag dag = {.node_count = 77};
    struct error err = {0};
    json_t *json, *many = json_array();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json = json_loads(bad[i].json, 0, NULL);
        ck_assert_int_eq(rnn_dag_from_json(json, &dag, &err), ERROR_INPUT);
        ck_assert_msg(strstr(err.text, bad[i].says), "says: %s", err.text);
        json_decref(json);
    }
    for (int i = 0; i < 33; i++)
        json_array_append_new(many, json_object());
    json = json_pack("{s:o}", "nodes", many);
    ck_assert_int_eq(rnn_dag_from_json(json, &dag, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "33 entries"));
    ck_assert_int_eq(dag.node_count, 77);
    json_decref(json);
}
END_TEST

START_TEST(decisions_come_in_token_order)
{
    struct space *space = make(12, DECISIONS_PER_STEP),
                 *pointing = make(12, DECISIONS_ATTENTION);
    struct architecture a = {.depth = 12};
    struct decision d;
    ck_assert_int_eq(space_kinds(space), 23);
    ck_assert_int_eq(space_kinds(pointing), 1);
    ck_assert_str_eq(space_kind_name(space, 0), "activation of node 0");
    ck_assert_str_eq(space_kind_name(space, 21), "previous of node 11");
    ck_assert_str_eq(space_kind_name(pointing, 0), "activation");
    ck_assert(!space_has_anchors(space) && space_has_anchors(pointing));
    for (; space_next(space, &a, &d); a.count++) {
        bool previous = a.count % 2;
        int node = (a.count + 1) / 2, choices = previous ? node : 4;
        ck_assert_int_eq(d.type, DECISION_CHOICE);
        ck_assert_int_eq(d.kind, a.count);
        ck_assert_int_eq(d.choices, choices);
        ck_assert_int_eq(d.choices, space_kind_choices(space, d.kind));
        ck_assert(space_next(pointing, &a, &d));
        ck_assert_int_eq(d.type, previous ? DECISION_POINTER : DECISION_CHOICE);
        ck_assert_int_eq(d.choices, choices);
        ck_assert_int_eq(d.layer, node);
    }
    ck_assert_int_eq(a.count, 23);
    ck_assert_int_eq(space_max_tokens(space, 12), 23);
    ck_assert(!space_next(pointing, &a, &d));
    space_free(space);
    space_free(pointing);
}
END_TEST

/* 4^12 11! and, with the article's three activations, 3^12 11!. */
START_TEST(size_is_that_of_the_paper)
{
    static struct config c;
    struct space *space = make(12, DECISIONS_PER_STEP), *three;
    double paths = lgamma(12) / log(10);
    ck_assert_double_eq_tol(space_log10_size(space, 12), 12 * log10(4) + paths, 1e-9);
    fill(&c, 12, DECISIONS_PER_STEP);
    c.space.rnn.activations.count = 3;
    ck_assert_int_eq(space_new(&c, &three, NULL), 0);
    ck_assert_double_eq_tol(space_log10_size(three, 12), 12 * log10(3) + paths, 1e-9);
    space_free(three);
    space_free(space);
}
END_TEST

START_TEST(samples_are_valid)
{
    enum { SAMPLES = 6000 };
    struct space *space = make(4, DECISIONS_ATTENTION);
    struct architecture a;
    struct error err;
    struct rng rng;
    int previous[3] = {0};
    rng_init(&rng, 3, RNG_TEST, 0);
    for (int i = 0; i < SAMPLES; i++) {
        space_sample(space, 4, &rng, &a);
        ck_assert_int_eq(space_validate(space, &a, NULL), 0);
        previous[a.tokens[5]]++;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_lt(abs(previous[i] - SAMPLES / 3), 150);
    a.tokens[3] = 2;
    ck_assert_int_eq(space_validate(space, &a, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, "token 3 (node 2, previous node) is 2"), "%s",
                  err.text);
    space_free(space);
}
END_TEST

static struct rnn_dag dag_of(int nodes, const int *activations, const int *previous)
{
    struct rnn_dag dag = {.node_count = nodes};
    for (int j = 0; j < nodes; j++)
        dag.nodes[j] = (struct rnn_dag_node){activations[j], j ? previous[j] : -1};
    rnn_dag_find_leaves(&dag);
    return dag;
}

static bool same(const struct rnn_dag *a, const struct rnn_dag *b)
{
    uint8_t memory[2][RNN_DAG_CANONICAL_SIZE];
    struct bytes x = {.data = memory[0], .capacity = sizeof memory[0]};
    struct bytes y = {.data = memory[1], .capacity = sizeof memory[1]};
    rnn_dag_canonical(a, &x);
    rnn_dag_canonical(b, &y);
    ck_assert(x.data == memory[0] && y.data == memory[1]);
    return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

/* The discovered 12-node cell as the two publications write it. */
START_TEST(published_encodings_are_one_cell)
{
    static const uint16_t tokens[] = {0, 0, 0, 1, 1, 2, 1, 2, 0, 2, 0, 5,
                                      1, 1, 0, 6, 1, 8, 1, 8, 1, 8, 1};
    enum { T = RNN_TANH, R = RNN_RELU };
    static const int activations[] = {T, T, T, R, T, T, R, R, R, R, R, R};
    static const int previous[] = {-1, 0, 1, 1, 3, 3, 3, 4, 7, 8, 8, 8};
    static const int leaves[] = {2, 5, 6, 9, 10, 11};
    struct space *space = make(12, DECISIONS_PER_STEP);
    struct architecture a = {.depth = 12, .count = 23}, b = a;
    struct rnn_dag second = dag_of(12, activations, previous), first;
    struct error err;
    memcpy(a.tokens, tokens, sizeof tokens);
    json_t *json = space_to_json(space, &a);
    ck_assert_int_eq(rnn_dag_from_json(json, &first, &err), 0);
    json_decref(json);
    ck_assert(same(&first, &second));
    ck_assert_int_eq(second.leaf_count, 6);
    ck_assert_mem_eq(second.leaves, leaves, sizeof leaves);
    for (int j = 0; j < 12; j++) {
        b.tokens[2 * j] = (uint16_t)activations[j];
        if (j > 0)
            b.tokens[2 * j - 1] = (uint16_t)previous[j];
    }
    ck_assert(architecture_hash_equal(space_hash(space, &a), space_hash(space, &b)));
    b.tokens[22] = RNN_TANH;
    ck_assert(!architecture_hash_equal(space_hash(space, &a), space_hash(space, &b)));
    space_free(space);
}
END_TEST

static int from_text(const struct space *space, const char *text,
                     struct architecture *ret, struct error *err)
{
    json_t *json = json_loads(text, 0, NULL);
    int status = space_from_json(space, json, ret, err);
    json_decref(json);
    return status;
}

START_TEST(texts_that_fit_no_cell_of_the_space_are_refused)
{
    static const struct {
        const char *text, *says;
    } unfit[] = {{"[]", "no list 'nodes'"},
                 {"{\"nodes\":[]}", "0 entries"},
                 {"{\"nodes\":[{\"activation\":\"tanh\",\"previous\":-1},"
                  "{\"activation\":\"relu\",\"previous\":1}]}",
                  "previous"},
                 {"{\"nodes\":[{\"activation\":\"sigmoid\",\"previous\":-1}]}",
                  "sigmoid is no choice of this space"},
                 {"{\"nodes\":[{\"activation\":\"tanh\",\"previous\":-1},"
                  "{\"activation\":\"tanh\",\"previous\":0},"
                  "{\"activation\":\"tanh\",\"previous\":0}]}",
                  "depth is 3"}};
    struct config config;
    struct space *space, *chain;
    struct architecture a = {.depth = 77};
    struct error err = {0};
    config_defaults(&config);
    ck_assert_int_eq(space_new(&config, &chain, NULL), 0);
    config.space.name = SPACE_RNN_DAG;
    config.space.rnn.nodes = 2;
    config.space.rnn.activations = (struct config_list){2, {RNN_RELU, RNN_TANH}};
    ck_assert_int_eq(space_new(&config, &space, NULL), 0);
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        ck_assert_int_eq(from_text(space, unfit[i].text, &a, &err), ERROR_INPUT);
        ck_assert_msg(strstr(err.text, unfit[i].says), "%s", err.text);
    }
    ck_assert_int_eq(space_from_json(space, NULL, &a, &err), ERROR_INPUT);
    ck_assert_int_eq(from_text(chain, "{}", &a, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "those of conv-chain are not read back"));
    ck_assert_int_eq(a.depth, 77);
    space_free(space);
    space_free(chain);
}
END_TEST

START_TEST(cells_come_back_from_their_texts)
{
    struct space *space = make(12, DECISIONS_ATTENTION);
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 0);
    for (int i = 0; i < 50; i++) {
        struct architecture a, b;
        struct error err = {0};
        space_sample(space, 12, &rng, &a);
        json_t *json = space_to_json(space, &a);
        json_object_del(json, "tokens"); /* the nodes say it all */
        ck_assert_msg(space_from_json(space, json, &b, &err) == 0, "%s", err.text);
        ck_assert(architecture_equal(&a, &b));
        json_decref(json);
    }
    space_free(space);
}
END_TEST

enum { SMALL = 5, WORDS = 2, CELLS = 32 * 24 };
static struct rnn_dag cells[CELLS];

static int enumerate(void)
{
    int n = 0;
    for (int k = 0; k < CELLS; k++) {
        int activations[SMALL], previous[SMALL] = {-1}, left = k;
        for (int j = 0; j < SMALL; j++) {
            activations[j] = left % WORDS;
            left /= WORDS;
            previous[j] = j ? left % j : -1;
            left = j ? left / j : left;
        }
        cells[n++] = dag_of(SMALL, activations, previous);
    }
    return n;
}

/* Does this numbering of the nodes make b of a? */
static bool maps(const struct rnn_dag *a, const struct rnn_dag *b, const int *to)
{
    for (int j = 0; j < SMALL; j++) {
        const struct rnn_dag_node *x = &a->nodes[j], *y = &b->nodes[to[j]];
        if (x->activation != y->activation ||
            y->previous != (j ? to[x->previous] : RNN_DAG_INPUT))
            return false;
    }
    return true;
}

/* All 24 numberings that leave node 0 where it is. */
static bool isomorphic(const struct rnn_dag *a, const struct rnn_dag *b)
{
    int to[SMALL] = {0};
    for (to[1] = 1; to[1] < SMALL; to[1]++)
        for (to[2] = 1; to[2] < SMALL; to[2]++)
            for (to[3] = 1; to[3] < SMALL; to[3]++) {
                to[4] = 10 - to[1] - to[2] - to[3];
                bool different = to[1] != to[2] && to[1] != to[3] && to[2] != to[3];
                if (different && maps(a, b, to))
                    return true;
            }
    return false;
}

START_TEST(hash_agrees_with_trying_every_numbering)
{
    int equal = 0;
    ck_assert_int_eq(enumerate(), CELLS);
    for (int a = 0; a < CELLS; a++)
        for (int b = 0; b < a; b++) {
            bool expected = isomorphic(&cells[a], &cells[b]);
            ck_assert_msg(same(&cells[a], &cells[b]) == expected, "cells %d and %d", a,
                          b);
            equal += expected;
        }
    ck_assert_int_gt(equal, 500);
}
END_TEST

/* Number the nodes anew, every one still behind the one that it reads. */
static struct rnn_dag renumber(const struct rnn_dag *dag, struct rng *rng)
{
    int to[RNN_DAG_MAX_NODES] = {0};
    bool done[RNN_DAG_MAX_NODES] = {true};
    struct rnn_dag ret = {.node_count = dag->node_count, .nodes = {dag->nodes[0]}};
    for (int next = 1; next < dag->node_count;) {
        int j = 1 + (int)rng_below(rng, (uint32_t)dag->node_count - 1);
        if (done[j] || !done[dag->nodes[j].previous])
            continue;
        done[j] = true;
        to[j] = next;
        ret.nodes[next++] =
            (struct rnn_dag_node){dag->nodes[j].activation, to[dag->nodes[j].previous]};
    }
    rnn_dag_find_leaves(&ret);
    return ret;
}

START_TEST(hash_does_not_see_the_numbering)
{
    struct rng rng;
    rng_init(&rng, 11, RNG_TEST, 0);
    for (int i = 0; i < 300; i++) {
        int n = 2 + (int)rng_below(&rng, 31), activations[32], previous[32] = {-1};
        for (int j = 0; j < n; j++) {
            activations[j] = (int)rng_below(&rng, 4);
            previous[j] = j ? (int)rng_below(&rng, (uint32_t)j) : -1;
        }
        struct rnn_dag a = dag_of(n, activations, previous), b = renumber(&a, &rng);
        ck_assert(same(&a, &b));
        int j = (int)rng_below(&rng, (uint32_t)n);
        b.nodes[j].activation = (b.nodes[j].activation + 1) % 4;
        ck_assert(!same(&a, &b));
    }
}
END_TEST

/* A chain of most nodes and a star: the longest strings. */
START_TEST(largest_cells_fit)
{
    int activations[32] = {0}, chain[32], star[32] = {0};
    for (int j = 0; j < 32; j++)
        chain[j] = j - 1;
    struct rnn_dag a = dag_of(32, activations, chain), b = dag_of(32, activations, star);
    ck_assert(same(&a, &a) && same(&b, &b) && !same(&a, &b));
    ck_assert_int_eq(a.leaf_count, 1);
    ck_assert_int_eq(b.leaf_count, 31);
    ck_assert_int_eq(rnn_dag_matrices(&a), 66);
}
END_TEST

START_TEST(json_reads_back)
{
    struct space *space = make(7, DECISIONS_PER_STEP);
    struct architecture a;
    struct rng rng;
    rng_init(&rng, 12, RNG_TEST, 0);
    for (int i = 0; i < 50; i++) {
        struct rnn_dag dag;
        space_sample(space, 7, &rng, &a);
        json_t *json = space_to_json(space, &a);
        ck_assert_str_eq(json_string_value(json_object_get(json, "space")), "rnn-dag");
        ck_assert_int_eq(rnn_dag_from_json(json, &dag, NULL), 0);
        ck_assert_int_eq(dag.node_count, 7);
        for (int j = 0; j < 7; j++) {
            ck_assert_int_eq(dag.nodes[j].activation, a.tokens[2 * j]);
            ck_assert_int_eq(dag.nodes[j].previous, j ? a.tokens[2 * j - 1] : -1);
        }
        json_decref(json);
    }
    space_free(space);
}
END_TEST

START_TEST(cost_counts_every_matrix)
{
    struct space *space = make(3, DECISIONS_PER_STEP);
    struct architecture a = {.depth = 3, .count = 5, .tokens = {0, 0, 1, 0, 3}};
    struct space_task task = {.vocabulary = 1000, .hidden = 10};
    ck_assert(space_knows_cost(space, &task));
    ck_assert_int_eq(space_reads(space), SPACE_INPUT_TEXT);
    struct space_cost cost = space_cost(space, &a, &task);
    ck_assert_double_eq(cost.params, 8 * 100 + 10 * 1000);
    ck_assert_double_eq(cost.flops, 2 * (8 * 100 + 10 * 1000));
    task.vocabulary = 0;
    ck_assert(!space_knows_cost(space, &task));
    space_free(space);
}
END_TEST

/* As the trainer takes it, which may be the mean of more than the leaves. */
START_TEST(the_output_is_shown)
{
    static const char *const means[] = {
        [OUTPUT_LEAVES] = "next h = (h1 + h2) / 2\n",
        [OUTPUT_ALL] = "next h = (h0 + h1 + h2) / 3\n",
        [OUTPUT_ALL_BUT_FIRST] = "next h = (h1 + h2) / 2\n",
    };
    static struct config c; /* large */
    struct architecture a = {.depth = 3, .count = 5, .tokens = {0, 0, 1, 1, 0}};
    for (int chain = 0; chain < 2; chain++)
        for (int output = OUTPUT_LEAVES; output <= OUTPUT_ALL_BUT_FIRST; output++) {
            struct space *space = NULL;
            fill(&c, 3, DECISIONS_PER_STEP);
            c.trainer.builtin.recurrent.output = output;
            ck_assert_int_eq(space_new(&c, &space, NULL), 0);
            a.tokens[3] = (uint16_t)chain;
            char *equations = space_to_equations(space, &a),
                 *dot = space_to_dot(space, &a);
            bool leaves = chain && output == OUTPUT_LEAVES;
            const char *mean = leaves ? "next h = (h2) / 1\n" : means[output];
            ck_assert_msg(strstr(equations, mean), "%s", equations);
            ck_assert_int_eq(strstr(dot, "node0 -> mean") != NULL, output == OUTPUT_ALL);
            ck_assert_int_eq(strstr(dot, "node1 -> mean") != NULL, !leaves);
            free(equations);
            free(dot);
            space_free(space);
        }
}
END_TEST

START_TEST(cells_are_shown)
{
    struct space *space = make(4, DECISIONS_PER_STEP);
    struct architecture a = {.depth = 4, .count = 7, .tokens = {0, 0, 1, 0, 3, 1, 2}};
    char line[60], small[12];
    char *dot = space_to_dot(space, &a), *equations = space_to_equations(space, &a);
    space_describe(space, &a, line, sizeof line);
    ck_assert_str_eq(line, "tanh 0:relu 0:sigmoid 1:identity");
    space_describe(space, &a, small, sizeof small);
    ck_assert_str_eq(small, "tanh 0:r...");
    ck_assert_str_eq(equations, "c0 = sigmoid(Wxc x + Whc h)\n"
                                "h0 = c0 * tanh(Wxh x + Whh h) + (1 - c0) * h\n"
                                "c1 = sigmoid(Wc0,1 h0)\n"
                                "h1 = c1 * relu(Wh0,1 h0) + (1 - c1) * h0\n"
                                "c2 = sigmoid(Wc0,2 h0)\n"
                                "h2 = c2 * sigmoid(Wh0,2 h0) + (1 - c2) * h0\n"
                                "c3 = sigmoid(Wc1,3 h1)\n"
                                "h3 = c3 * identity(Wh1,3 h1) + (1 - c3) * h1\n"
                                "next h = (h2 + h3) / 2\n");
    ck_assert_ptr_nonnull(strstr(dot, "    node1 [label=\"1: relu\"];\n"));
    ck_assert_ptr_nonnull(strstr(dot, "    node0 -> node1;\n"));
    ck_assert_ptr_nonnull(strstr(dot, "    node2 -> mean;\n    node3 -> mean;\n}"));
    ck_assert_ptr_null(strstr(dot, "node1 -> mean"));
    free(dot);
    free(equations);
    space_free(space);
}
END_TEST

UNIT_MAIN("rnn_dag", bad_configurations_are_named, bad_json_is_named,
          texts_that_fit_no_cell_of_the_space_are_refused,
          cells_come_back_from_their_texts, decisions_come_in_token_order,
          size_is_that_of_the_paper, samples_are_valid, published_encodings_are_one_cell,
          hash_agrees_with_trying_every_numbering, hash_does_not_see_the_numbering,
          largest_cells_fit, json_reads_back, cost_counts_every_matrix,
          the_output_is_shown, cells_are_shown)
