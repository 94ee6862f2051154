/* SPDX-License-Identifier: Apache-2.0 */
#include "common/space/rnn_tree.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "common/space/space.h"

enum { A = RNN_ADD, M = RNN_ELEM_MULT, T = RNN_TANH, R = RNN_RELU, I = RNN_IDENTITY };

static void fill(struct config *c, int base)
{
    *c = (struct config){0};
    c->space.name = SPACE_RNN_TREE;
    c->space.rnn = (struct config_rnn){
        .base = base,
        .combinations = {2, {RNN_ADD, RNN_ELEM_MULT}},
        .activations = {4, {RNN_IDENTITY, RNN_TANH, RNN_SIGMOID, RNN_RELU}},
    };
}

static struct space *make(int base)
{
    static struct config c; /* large */
    struct space *space = NULL;
    fill(&c, base);
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
    fill(&c, 1);
    refused(&c, "space.base: 1 found, allowed are 2 to 32");
    fill(&c, 33);
    refused(&c, "space.base: 33 found");
    fill(&c, 8);
    c.space.rnn.combinations.count = 0;
    refused(&c, "space.combinations: the list has 0 entries");
    fill(&c, 8);
    c.space.rnn.activations.values[3] = RNN_IDENTITY;
    refused(&c, "space.activations: entry 3");
}
END_TEST

#define NODE "{\"combination\": \"add\", \"activation\": \"tanh\"}"
#define NODES "\"nodes\": [" NODE ", " NODE ", " NODE "]"
static const struct {
    const char *json, *says;
} bad[] = {
    {"{}", "no list 'nodes'"},
    {"{\"nodes\": [" NODE "]}", "'nodes' has 1 entries, allowed are odd numbers from 3"},
    {"{\"nodes\": [" NODE ", " NODE ", " NODE ", " NODE "]}", "'nodes' has 4 entries"},
    {"{\"nodes\": [" NODE ", 1, " NODE "]}", "node 1 is not an object"},
    {"{\"nodes\": [" NODE ", {\"combination\": \"sub\"}, " NODE "]}",
     "node 1: 'combination' is 'sub', allowed are add, elem_mult"},
    {"{" NODES "}", "'inject' is not an object"},
    {"{" NODES ", \"inject\": {\"combination\": \"add\"}}",
     "'inject': there is no text 'activation'"},
    {"{" NODES ", \"inject\": " NODE "}", "there is no whole number 'memory'"},
    {"{" NODES ", \"inject\": " NODE ", \"memory\": 3}",
     "'memory' is 3, allowed are 0 to 2"},
    {"{" NODES ", \"inject\": " NODE ", \"memory\": 2, \"injected\": -1}",
     "'injected' is -1, allowed are 0 to 2"},
};

START_TEST(bad_json_is_named)
{
    struct rnn_tree tree = {.base = 77};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        json_t *json = json_loads(bad[i].json, 0, NULL);
        ck_assert_ptr_nonnull(json);
        ck_assert_int_eq(rnn_tree_from_json(json, &tree, &err), ERROR_INPUT);
        ck_assert_msg(strstr(err.text, bad[i].says), "case %zu says: %s", i, err.text);
        json_decref(json);
    }
    ck_assert_int_eq(tree.base, 77);
}
END_TEST

/* The paper's example: base 2, figure 5. */
static struct architecture example(void)
{
    /* add tanh, mult relu, mult sigmoid; add relu; 1, 0 */
    return (struct architecture){
        .depth = 2, .count = 10, .tokens = {0, 1, 1, 3, 1, 2, 0, 3, 1, 0}};
}

START_TEST(worked_example_gives_its_equations)
{
    struct space *space = make(2);
    struct architecture a = example();
    struct rnn_tree tree;
    char line[80];
    ck_assert_int_eq(space_validate(space, &a, NULL), 0);
    char *equations = space_to_equations(space, &a), *dot = space_to_dot(space, &a);
    ck_assert_str_eq(equations, "a0 = tanh(W1 x + W2 h)\n"
                                "a0' = relu(a0 + c)\n"
                                "a1 = relu((W3 x) * (W4 h))\n"
                                "a2 = sigmoid(a0' * a1)\n"
                                "next h = a2\n"
                                "next c = (W3 x) * (W4 h)\n");
    space_describe(space, &a, line, sizeof line);
    ck_assert_str_eq(line, "+tanh *relu *sigmoid c+relu@0 c=1");
    ck_assert_ptr_nonnull(strstr(dot, "a0 -> inject;\n    c -> inject;\n"));
    ck_assert_ptr_nonnull(strstr(dot, "inject -> a2;\n    a1 -> a2;\n"));
    ck_assert_ptr_nonnull(strstr(dot, "a2 -> next_h;\n    a1 -> next_c"));
    json_t *json = space_to_json(space, &a);
    ck_assert_int_eq(rnn_tree_from_json(json, &tree, NULL), 0);
    ck_assert_int_eq(tree.base, 2);
    ck_assert_int_eq(tree.memory, 1);
    ck_assert_int_eq(tree.injected, 0);
    ck_assert_int_eq(tree.inject.activation, RNN_RELU);
    ck_assert_int_eq(tree.nodes[2].combination, RNN_ELEM_MULT);
    ck_assert_int_eq(tree.nodes[2].activation, RNN_SIGMOID);
    json_decref(json);
    free(equations);
    free(dot);
    space_free(space);
}
END_TEST

/* An inner node and the root injected: every form of an equation. */
START_TEST(equations_of_larger_trees)
{
    struct rnn_tree tree = {.base = 3,
                            .nodes = {{A, T}, {M, R}, {A, I}, {A, T}, {M, T}},
                            .inject = {M, I},
                            .memory = 4,
                            .injected = 4};
    struct text out;
    text_init(&out);
    rnn_tree_equations(&tree, &out);
    ck_assert_str_eq(out.data, "a0 = tanh(W1 x + W2 h)\n"
                               "a1 = relu((W3 x) * (W4 h))\n"
                               "a2 = identity(W5 x + W6 h)\n"
                               "a3 = tanh(a0 + a1)\n"
                               "a4 = tanh(a2 * a3)\n"
                               "a4' = identity(a4 * c)\n"
                               "next h = a4'\n"
                               "next c = a2 * a3\n");
    text_fini(&out);
}
END_TEST

/* "approximately 6 x 10^16 architectures" with base 8 */
START_TEST(size_is_that_of_the_paper)
{
    struct space *space = make(8);
    ck_assert_double_eq_tol(space_log10_size(space, 8), 16 * log10(8) + log10(225), 1e-9);
    ck_assert_double_eq_tol(pow(10, space_log10_size(space, 8)), 6.3e16, 0.1e16);
    ck_assert_int_eq(space_max_tokens(space, 8), 34);
    ck_assert_int_eq(space_min_depth(space), 8);
    ck_assert_int_eq(space_max_depth(space), 8);
    ck_assert_int_eq(space_depth(space, 1000000), 8);
    space_free(space);
}
END_TEST

START_TEST(decisions_and_samples)
{
    struct space *space = make(8);
    struct architecture a = {.depth = 8};
    struct decision d;
    struct error err;
    struct rng rng;
    for (; space_next(space, &a, &d); a.count++) {
        ck_assert_int_eq(d.type, DECISION_CHOICE);
        ck_assert_int_eq(d.choices, space_kind_choices(space, d.kind));
        ck_assert_int_eq(d.kind, a.count < 32 ? a.count % 2 : a.count - 30);
        ck_assert_int_eq(d.choices, a.count >= 32 ? 15 : a.count % 2 ? 4 : 2);
    }
    ck_assert_int_eq(a.count, 34);
    ck_assert_str_eq(space_kind_name(space, 2), "next c");
    rng_init(&rng, 5, RNG_TEST, 0);
    space_sample(space, 8, &rng, &a);
    ck_assert_int_eq(space_validate(space, &a, NULL), 0);
    a.tokens[33] = 15;
    ck_assert_int_eq(space_validate(space, &a, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, "token 33 (node 15, where c joins) is 15"), "%s",
                  err.text);
    a.depth = 7;
    ck_assert_int_eq(space_validate(space, &a, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "depth is 7, allowed are 8 to 8"));
    space_free(space);
}
END_TEST

static bool same(const struct rnn_tree *a, const struct rnn_tree *b)
{
    uint8_t memory[2][RNN_TREE_CANONICAL_SIZE];
    struct bytes x = {.data = memory[0], .capacity = sizeof memory[0]};
    struct bytes y = {.data = memory[1], .capacity = sizeof memory[1]};
    rnn_tree_canonical(a, &x);
    rnn_tree_canonical(b, &y);
    ck_assert(x.data == memory[0] && y.data == memory[1]);
    return x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
}

/* The witness for the hash computes with numbers instead of forms. Activations become
 * functions without any property of their own, so that two cells agree on random inputs
 * only where the rules of sums and products make them equal; that the leaves' weights may
 * change places is tried, with every permutation. */
enum { MOST = 4 };
static double leaf_x[MOST] = {0.73, -1.19, 1.41, -0.57};
static double leaf_h[MOST] = {-1.07, 0.61, 0.89, 1.33};
static const double memory_value = 1.27;

static double activate(int activation, double v)
{
    switch (activation) {
    case RNN_TANH:
        return sin(1.3 * v + 0.4) + 0.37 * v; /* no flat top where many meet */
    case RNN_RELU:
        return cos(0.9 * v + 0.2) + 0.3 * v;
    case RNN_SIGMOID:
        return atan(v - 0.3) + 0.1 * v * v;
    default:
        return v;
    }
}

static double combine(int combination, double a, double b)
{
    return combination == RNN_ADD ? a + b : a * b;
}

/* Next h and c, leaf i having the weights of leaf to[i]. */
static void evaluate(const struct rnn_tree *tree, const int *to, double ret[2])
{
    double value[2 * MOST];
    int count = rnn_tree_node_count(tree);
    for (int i = 0; i < count; i++) {
        const struct rnn_tree_node *n = &tree->nodes[i];
        int left = i < tree->base ? 0 : rnn_tree_left(tree, i);
        double p = i < tree->base ? combine(n->combination, leaf_x[to[i]], leaf_h[to[i]])
                                  : combine(n->combination, value[left], value[left + 1]);
        value[i] = activate(n->activation, p);
        if (i == tree->memory)
            ret[1] = p;
        if (i == tree->injected)
            value[i] = activate(tree->inject.activation, combine(tree->inject.combination,
                                                                 value[i], memory_value));
    }
    ret[0] = value[count - 1];
}

static void swap(int *a, int *b)
{
    int was = *a;
    *a = *b;
    *b = was;
}

static bool next_permutation(int *to, int n)
{
    int i = n - 2, j = n - 1;
    while (i >= 0 && to[i] > to[i + 1])
        i--;
    if (i < 0)
        return false;
    while (to[j] < to[i])
        j--;
    swap(&to[i], &to[j]);
    for (i++, j = n - 1; i < j; i++, j--)
        swap(&to[i], &to[j]);
    return true;
}

/* Smallest (h, c) over the permutations: equal exactly where some permutation agrees. */
struct signature {
    double h, c;
};

static struct signature sign(const struct rnn_tree *tree)
{
    int to[MOST] = {0, 1, 2, 3};
    struct signature least = {INFINITY, INFINITY};
    do {
        double v[2] = {0};
        evaluate(tree, to, v);
        if (v[0] < least.h - 1e-9 || (v[0] < least.h + 1e-9 && v[1] < least.c))
            least = (struct signature){v[0], v[1]};
    } while (next_permutation(to, tree->base));
    return least;
}

static bool agree(struct signature a, struct signature b)
{
    return fabs(a.h - b.h) < 1e-9 && fabs(a.c - b.c) < 1e-9;
}

struct cell {
    struct architecture_hash hash;
    struct signature signature;
};

static int by_hash(const void *a, const void *b)
{
    const struct architecture_hash *x = &((const struct cell *)a)->hash;
    const struct architecture_hash *y = &((const struct cell *)b)->hash;
    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    return x->low < y->low ? -1 : x->low > y->low;
}

static int by_signature(const void *a, const void *b)
{
    const struct signature x = ((const struct cell *)a)->signature;
    const struct signature y = ((const struct cell *)b)->signature;
    if (fabs(x.h - y.h) > 1e-9)
        return x.h < y.h ? -1 : 1;
    return fabs(x.c - y.c) < 1e-9 ? 0 : x.c < y.c ? -1 : 1;
}

/* In order of hash, neighbours of one hash agree; in order of signature, the reverse.
 * Returns how many networks there are. */
static int compare_all(struct cell *cells, size_t n)
{
    int networks = 1;
    qsort(cells, n, sizeof *cells, by_hash);
    for (size_t i = 1; i < n; i++) {
        bool one = by_hash(&cells[i - 1], &cells[i]) == 0;
        ck_assert(!one || agree(cells[i - 1].signature, cells[i].signature));
        networks += !one;
    }
    qsort(cells, n, sizeof *cells, by_signature);
    for (size_t i = 1; i < n; i++)
        if (agree(cells[i - 1].signature, cells[i].signature))
            ck_assert_int_eq(by_hash(&cells[i - 1], &cells[i]), 0);
    return networks;
}

static void hash_cell(const struct rnn_tree *tree, struct cell *ret)
{
    uint8_t memory[RNN_TREE_CANONICAL_SIZE];
    struct bytes out = {.data = memory, .capacity = sizeof memory};
    rnn_tree_canonical(tree, &out);
    *ret = (struct cell){architecture_hash_bytes(&out), sign(tree)};
}

START_TEST(hash_agrees_with_arithmetic_on_every_cell_of_base_2)
{
    enum { ALL = 8 * 8 * 8 * 8 * 9 };
    static struct cell cells[ALL];
    for (int k = 0; k < ALL; k++) {
        struct rnn_tree tree = {.base = 2};
        struct rnn_tree_node *nodes[] = {&tree.nodes[0], &tree.nodes[1], &tree.nodes[2],
                                         &tree.inject};
        int left = k;
        for (int i = 0; i < 4; i++, left /= 8)
            *nodes[i] = (struct rnn_tree_node){left % 2, left / 2 % 4};
        tree.memory = left % 3;
        tree.injected = left / 3;
        hash_cell(&tree, &cells[k]);
    }
    int networks = compare_all(cells, ALL);
    ck_assert_int_gt(networks, ALL / 4);
    ck_assert_int_lt(networks, ALL * 2 / 3);
}
END_TEST

/* Larger trees with few different labels, so that many of them are one network. */
static void compare_random(int base, uint64_t seed)
{
    enum { SAMPLES = 30000 };
    static struct cell cells[SAMPLES];
    static const int activations[] = {RNN_IDENTITY, RNN_IDENTITY, RNN_TANH};
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0);
    for (int k = 0; k < SAMPLES; k++) {
        struct rnn_tree tree = {.base = base};
        int count = rnn_tree_node_count(&tree);
        for (int i = 0; i < count; i++)
            tree.nodes[i] = (struct rnn_tree_node){(int)rng_below(&rng, 2),
                                                   activations[rng_below(&rng, 3)]};
        tree.inject = tree.nodes[rng_below(&rng, (uint32_t)count)];
        tree.memory = (int)rng_below(&rng, (uint32_t)count);
        tree.injected = (int)rng_below(&rng, (uint32_t)count);
        hash_cell(&tree, &cells[k]);
    }
    ck_assert_int_lt(compare_all(cells, SAMPLES), SAMPLES);
}

START_TEST(hash_agrees_with_arithmetic_on_larger_trees)
{
    compare_random(3, 31);
    compare_random(4, 41);
}
END_TEST

START_TEST(what_melts_and_what_does_not)
{
    struct rnn_tree sums = {
        .base = 4,
        .nodes = {{A, T}, {A, R}, {M, T}, {M, R}, {A, I}, {A, I}, {A, T}},
        .inject = {A, T},
        .memory = 6,
        .injected = 6};
    struct rnn_tree regrouped = sums;
    regrouped.nodes[1] = sums.nodes[2];
    regrouped.nodes[2] = sums.nodes[1];
    ck_assert(same(&sums, &regrouped));
    sums.memory = regrouped.memory = 4; /* now it matters what is summed there */
    ck_assert(!same(&sums, &regrouped));
    sums.memory = regrouped.memory = 6;
    sums.nodes[4].activation = regrouped.nodes[4].activation = RNN_RELU;
    ck_assert(!same(&sums, &regrouped));
    sums.nodes[4] = regrouped.nodes[4] = (struct rnn_tree_node){M, I};
    ck_assert(!same(&sums, &regrouped));
}
END_TEST

START_TEST(largest_trees_fit)
{
    struct rnn_tree tree = {.base = 32, .memory = 62, .injected = 31};
    struct rng rng;
    rng_init(&rng, 8, RNG_TEST, 0);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 63; i++)
            tree.nodes[i] = (struct rnn_tree_node){
                (int)rng_below(&rng, 2), round ? (int)rng_below(&rng, 4) : RNN_IDENTITY};
        ck_assert(same(&tree, &tree));
    }
    ck_assert_int_eq(rnn_tree_matrices(&tree), 64);
}
END_TEST

START_TEST(cost_counts_the_leaves)
{
    struct space *space = make(2);
    struct architecture a = example();
    struct space_task task = {.vocabulary = 50, .hidden = 10};
    struct space_cost cost = space_cost(space, &a, &task);
    ck_assert_double_eq(cost.params, 4 * 100 + 10 * 50);
    ck_assert_double_eq(cost.flops, 2 * (4 * 100 + 10 * 50));
    space_free(space);
}
END_TEST

UNIT_MAIN("rnn_tree", bad_configurations_are_named, bad_json_is_named,
          worked_example_gives_its_equations, equations_of_larger_trees,
          size_is_that_of_the_paper, decisions_and_samples,
          hash_agrees_with_arithmetic_on_every_cell_of_base_2,
          hash_agrees_with_arithmetic_on_larger_trees, what_melts_and_what_does_not,
          largest_trees_fit, cost_counts_the_leaves)
