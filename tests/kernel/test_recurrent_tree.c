/* SPDX-License-Identifier: Apache-2.0 */
/* Language models of random trees against a reference in double precision, and the worked
 * example of the paper. */
#include "recurrent_rig.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { ADD = RECURRENT_ADD, MULTIPLY = RECURRENT_MULTIPLY };

static struct recurrent_tree_node random_node(void)
{
    return (struct recurrent_tree_node){(uint8_t)rig_below(RECURRENT_COMBINATIONS),
                                        (uint8_t)rig_below(RECURRENT_ACTIVATIONS)};
}

static struct recurrent_tree_cell random_tree(int leaves)
{
    struct recurrent_tree_cell c = {.leaves = leaves, .inject = random_node()};
    for (int i = 0; i < 2 * leaves - 1; i++)
        c.nodes[i] = random_node();
    c.memory = rig_below(2 * leaves - 1);
    c.injected = rig_below(2 * leaves - 1);
    return c;
}

/* The paper's figure 5: base 2, c_t is that of node 1 before its activation. */
static const struct recurrent_tree_cell published = {
    .leaves = 2,
    .nodes = {{ADD, RECURRENT_TANH},
              {MULTIPLY, RECURRENT_RELU},
              {MULTIPLY, RECURRENT_SIGMOID}},
    .inject = {ADD, RECURRENT_RELU},
    .memory = 1,
    .injected = 0};

static const struct recurrent_options small = {
    .vocabulary = 3, .hidden = 4, .steps = 2, .batch = 2, .threads = 1};

static void refused(const struct recurrent_tree_cell *cell, const char *says)
{
    struct recurrent_options o = small;
    struct recurrent *r = NULL;
    struct error err = {0};
    o.tree = cell;
    ck_assert_int_eq(recurrent_new(&o, &r, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_ptr_null(r);
}

START_TEST(bad_trees_are_refused)
{
    struct recurrent_tree_cell cell = published;
    ck_assert_int_eq(recurrent_tree_check(&cell, NULL), 0);
    for (cell.leaves = -1; cell.leaves < 2; cell.leaves++)
        refused(&cell, "leaves, allowed are 2 to 32");
    cell.leaves = RECURRENT_TREE_MAX_LEAVES + 1;
    refused(&cell, "33 leaves");
    cell = published;
    for (cell.memory = -1; cell.memory <= 3; cell.memory += 4)
        refused(&cell, "memory is node");
    cell = published;
    for (cell.injected = -1; cell.injected <= 3; cell.injected += 4)
        refused(&cell, "injected is node");
    cell = published;
    cell.nodes[2].activation = RECURRENT_ACTIVATIONS;
    refused(&cell, "node 2 has unknown activation 4");
    cell = published;
    cell.nodes[0].combination = RECURRENT_COMBINATIONS;
    refused(&cell, "node 0 has unknown combination 2");
    cell = published;
    cell.inject.activation = RECURRENT_ACTIVATIONS;
    refused(&cell, "injection at node 0 has unknown activation 4");
    struct recurrent_options o = small;
    struct recurrent *r = NULL;
    o.tree = &published;
    o.hidden = 0;
    ck_assert_int_eq(recurrent_new(&o, &r, NULL), ERROR_INPUT);
    ck_assert_ptr_null(r);
}
END_TEST

START_TEST(parameters_are_two_matrices_a_leaf)
{
    struct recurrent_options o = {
        .vocabulary = 11, .hidden = 5, .steps = 1, .batch = 1, .threads = 1};
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    struct recurrent *r;
    rig_start();
    struct recurrent_tree_cell cell = random_tree(7);
    o.tree = &cell;
    ck_assert_int_eq(recurrent_new(&o, &r, NULL), 0);
    ck_assert_uint_eq(recurrent_count(r), 11 * 5 + 2 * 7 * 5 * 5);
    ck_assert_uint_eq(recurrent_input(r), 11 * 5);
    ck_assert_uint_eq(recurrent_edge(r, -1, 0), 11 * 5 + 7 * 5 * 5);
    int n = recurrent_touched(r, NULL, ranges);
    size_t next = 0;
    for (int i = 0; i < n; i++) {
        ck_assert_uint_eq(ranges[i].first, next);
        next += ranges[i].count;
    }
    ck_assert_uint_eq(next, recurrent_count(r));
    recurrent_free(r);
}
END_TEST

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* H = 1, one word, E = 1: x = 1, W_1 = 0.5, W_3 = -2, W_2 = 0.25, W_4 = 3. */
START_TEST(the_worked_example_is_as_published)
{
    struct recurrent_options o = {.vocabulary = 1,
                                  .hidden = 1,
                                  .steps = 2,
                                  .batch = 1,
                                  .tree = &published,
                                  .threads = 1};
    const float parameters[] = {1, 0.5f, -2, 0.25f, 3};
    const int32_t words[2] = {0};
    float state[2] = {-0.7f, 0.4f};
    struct recurrent_window w = {
        .steps = 2, .batch = 1, .inputs = words, .targets = words, .state = state};
    struct recurrent *r;
    ck_assert_int_eq(recurrent_new(&o, &r, NULL), 0);
    ck_assert_double_eq_tol(recurrent_loss(r, parameters, NULL, &w), 0, 1e-6);
    double h = -0.7, c = 0.4;
    for (int t = 0; t < 2; t++) {
        double a0 = tanh(0.5 + 0.25 * h), p1 = -2 * (3 * h);
        h = sigmoid(fmax(a0 + c, 0) * fmax(p1, 0));
        c = p1;
    }
    ck_assert_double_eq_tol((double)state[0], h, 1e-6);
    ck_assert_double_eq_tol((double)state[1], c, 1e-5);
    recurrent_free(r);
}
END_TEST

/* Every combination and activation at a leaf, at the root and at the injection. */
START_TEST(every_combination_and_activation)
{
    rig_start();
    for (int place = 0; place < 3; place++)
        for (int k = 0; k < RECURRENT_COMBINATIONS * RECURRENT_ACTIVATIONS; k++) {
            struct recurrent_tree_cell cell = random_tree(2);
            struct recurrent_options o = {.vocabulary = 7,
                                          .hidden = 1 + rig_below(9),
                                          .steps = 3,
                                          .batch = 2,
                                          .tree = &cell,
                                          .threads = 1};
            struct recurrent_tree_node *const places[] = {&cell.nodes[0], &cell.nodes[2],
                                                          &cell.inject};
            *places[place] =
                (struct recurrent_tree_node){(uint8_t)(k % RECURRENT_COMBINATIONS),
                                             (uint8_t)(k / RECURRENT_COMBINATIONS)};
            rig_check(&o, NULL, NULL);
        }
}
END_TEST

/* The memory taken from every node and joined at every node of one tree. */
START_TEST(every_memory_and_injection)
{
    rig_start();
    for (int k = 0; k < 25; k++) {
        struct recurrent_tree_cell cell = random_tree(3);
        struct recurrent_options o = {.vocabulary = 5,
                                      .hidden = 3,
                                      .steps = 4,
                                      .batch = 2,
                                      .tree = &cell,
                                      .threads = 1 + k % 2};
        cell.memory = k % 5;
        cell.injected = k / 5;
        rig_check(&o, NULL, NULL);
    }
}
END_TEST

/* What is not bounded is cut, or rounding grows with it from step to step; so it does by
 * norms of few columns. */
static void check_kernels(const char *kernels)
{
    for (int k = 0; k < 18; k++) {
        struct recurrent_tree_cell cell = random_tree(2 + rig_below(k % 6 ? 8 : 31));
        struct recurrent_options o = {.vocabulary = 2 + rig_below(40),
                                      .hidden = 1 + rig_below(21),
                                      .steps = 1 + rig_below(6),
                                      .batch = 1 + rig_below(9),
                                      .tree = &cell,
                                      .norm = k % 5 == 3,
                                      .drop_weights = k > 6,
                                      .state_clip = k % 4 == 2 ? 0.4 : 3,
                                      .threads = 1 + rig_below(3),
                                      .kernels = kernels};
        struct recurrent_dropout d = {.embedding = 0.2,
                                      .input = k % 2 ? 0.3 : 0,
                                      .state = k % 3 ? 0.4 : 0,
                                      .output = k % 2 ? 0 : 0.5,
                                      .weight = o.drop_weights ? 0.25 : 0,
                                      .seed = rig_seed_of(),
                                      .step = (uint64_t)k};
        if (o.norm) {
            cell = random_tree(2 + k % 3);
            o.batch = 12;
            o.steps = 1;
        }
        rig_check(&o, NULL, k > 4 ? &d : NULL);
    }
}

START_TEST(losses_and_gradients_are_those_of_the_reference)
{
    const struct recurrent_kernels *const *all = recurrent_kernels_all();
    rig_start();
    for (; *all; all++)
        if ((*all)->runs_here())
            check_kernels(*all == &recurrent_kernels_plain ? "generic" : (*all)->name);
}
END_TEST

/* The same bits for any number of threads, and after another window. */
START_TEST(threads_change_no_bit)
{
    struct recurrent_options o = {.vocabulary = 1100,
                                  .hidden = 37,
                                  .steps = 9,
                                  .batch = 11,
                                  .norm = true,
                                  .drop_weights = true,
                                  .state_clip = 2,
                                  .threads = 1};
    struct recurrent_dropout d = {.embedding = 0.1,
                                  .input = 0.2,
                                  .state = 0.3,
                                  .output = 0.4,
                                  .weight = 0.5,
                                  .seed = 3,
                                  .step = 8};
    struct recurrent_rig g;
    rig_start();
    struct recurrent_tree_cell cell = random_tree(5);
    o.tree = &cell;
    rig_init(&g, &o, NULL);
    g.w.dropout = &d;
    double loss = recurrent_gradient(g.r, g.parameters, NULL, &g.w, 0.5f, g.gradient);
    float *gradient = malloc(g.count * sizeof *gradient);
    float *state = malloc(g.states * sizeof *state);
    for (o.threads = 2; o.threads <= 5; o.threads++) {
        struct recurrent *r;
        struct recurrent_window w = g.w, part = g.w;
        ck_assert_int_eq(recurrent_new(&o, &r, NULL), 0);
        w.state = part.state = state;
        part.steps = 4;
        part.batch = 3;
        memcpy(state, g.before, g.states * sizeof *state);
        recurrent_loss(r, g.parameters, NULL, &part);
        memset(gradient, 0, g.count * sizeof *gradient);
        memcpy(state, g.before, g.states * sizeof *state);
        ck_assert_double_eq(recurrent_gradient(r, g.parameters, NULL, &w, 0.5f, gradient),
                            loss);
        ck_assert_mem_eq(gradient, g.gradient, g.count * sizeof *gradient);
        ck_assert_mem_eq(state, g.state, g.states * sizeof *state);
        recurrent_free(r);
    }
    free(gradient);
    free(state);
    rig_fini(&g);
}
END_TEST

/* Two windows, the state carried, are one: memory as well. */
START_TEST(states_are_carried)
{
    struct recurrent_options o = {
        .vocabulary = 9, .hidden = 13, .steps = 7, .batch = 3, .threads = 1};
    struct recurrent_rig g;
    rig_start();
    struct recurrent_tree_cell cell = random_tree(4);
    o.tree = &cell;
    rig_init(&g, &o, NULL);
    double whole = recurrent_loss(g.r, g.parameters, NULL, &g.w), parts = 0;
    float *after = malloc(g.states * sizeof *after);
    memcpy(after, g.state, g.states * sizeof *after);
    rig_restart(&g);
    struct recurrent_window w = g.w;
    for (int first = 0; first < 7; first += w.steps) {
        w.steps = first ? 5 : 2;
        w.inputs = g.inputs + 3 * first;
        w.targets = g.targets + 3 * first;
        parts += w.steps * recurrent_loss(g.r, g.parameters, NULL, &w) / 7;
        w.same_weights = true;
    }
    ck_assert_double_eq_tol(parts, whole, 1e-9);
    ck_assert_mem_eq(g.state, after, g.states * sizeof *after);
    free(after);
    rig_fini(&g);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {bad_trees_are_refused,
                                  parameters_are_two_matrices_a_leaf,
                                  the_worked_example_is_as_published,
                                  every_combination_and_activation,
                                  every_memory_and_injection,
                                  losses_and_gradients_are_those_of_the_reference,
                                  threads_change_no_bit,
                                  states_are_carried,
                                  NULL};
    rig_seed(argc > 1 ? strtoull(argv[1], NULL, 10) : 0);
    return unit_main("recurrent_tree", tests);
}
