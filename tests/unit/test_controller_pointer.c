/* SPDX-License-Identifier: Apache-2.0 */
/* POINTER decisions and squashed logits, on a space made for it: NODES nodes, each with
 * one of ACTIVATIONS activations; node j > 0 first points at an earlier one. */
#include "common/space/space_ops.h"
#include "controller_rig.h"
#include "unit.h"

enum { NODES = 4, ACTIVATIONS = 3, MOST = 16 };

static int nodes_choices(const struct space *s, int kind)
{
    (void)s;
    (void)kind;
    return ACTIVATIONS;
}

static int nodes_kinds(const struct space *s)
{
    (void)s;
    return 1;
}

static const char *nodes_kind_name(const struct space *s, int kind)
{
    (void)s;
    (void)kind;
    return "activation";
}

static int nodes_least(const struct space *s)
{
    (void)s;
    return 1;
}

static bool nodes_anchors(const struct space *s)
{
    (void)s;
    return true;
}

static int nodes_depth(const struct space *s)
{
    (void)s;
    return NODES;
}

static int nodes_tokens(const struct space *s, int depth)
{
    (void)s;
    return 2 * depth - 1;
}

/* f_0, (i_1, f_1), (i_2, f_2), ... */
static bool nodes_next(const struct space *s, const struct architecture *a,
                       struct decision *ret)
{
    int node = (a->count + 1) / 2;
    (void)s;
    if (a->count >= 2 * a->depth - 1)
        return false;
    if (a->count % 2 == 1)
        *ret = (struct decision){DECISION_POINTER, 0, node, node};
    else
        *ret = (struct decision){DECISION_CHOICE, 0, ACTIVATIONS, node};
    return true;
}

static void nodes_free(struct space *s)
{
    (void)s;
}

static struct space nodes_space(void)
{
    static const struct space_ops ops = {
        .name = "nodes",
        .free = nodes_free,
        .unit = "layer",
        .kinds = nodes_kinds,
        .kind_name = nodes_kind_name,
        .kind_choices = nodes_choices,
        .has_anchors = nodes_anchors,
        .min_depth = nodes_least,
        .max_depth = nodes_depth,
        .max_tokens = nodes_tokens,
        .next = nodes_next,
    };
    return (struct space){&ops};
}

static void open_rig(struct rig *g, struct space *space, double init, double temperature,
                     double tanh_constant)
{
    struct config config = rig_config(2, false);
    config.search.controller.init = init;
    config.search.controller.temperature = temperature;
    config.search.controller.tanh_constant = tanh_constant;
    *space = nodes_space();
    *g = (struct rig){.space = space};
    rig_init(g, &config);
}

START_TEST(bad_settings_are_refused)
{
    static const double bad[][2] = {{0, 1}, {-1, 1}, {NAN, 0}, {1, -1}, {1, NAN}};
    struct space space = nodes_space();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config config = rig_config(2, false);
        struct controller *c = NULL;
        struct error err = {0};
        config.search.controller.temperature = bad[i][0];
        config.search.controller.tanh_constant = bad[i][1];
        ck_assert_int_eq(controller_new(&config.search.controller, &space, 1, &c, &err),
                         ERROR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.text, "temperature"));
        ck_assert_ptr_null(c);
    }
}
END_TEST

START_TEST(pointers_out_of_range_are_refused)
{
    struct architecture a = {.depth = 2, .count = 3, .tokens = {0, 1, 0}};
    struct space space = nodes_space();
    struct error err = {0};
    ck_assert_int_eq(space_validate(&space, &a, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "token 1 (layer 1, previous node) is 1"));
    a.tokens[1] = 0;
    ck_assert_int_eq(space_validate(&space, &a, &err), 0);
}
END_TEST

/* All architectures of NODES nodes, in the order of their tokens. */
static size_t enumerate(struct architecture *ret)
{
    size_t n = 0, total = 1;
    for (int j = 0; j < NODES; j++)
        total *= (size_t)(ACTIVATIONS * (j ? j : 1));
    for (size_t k = 0; k < total; k++) {
        struct architecture *a = &ret[n++];
        size_t left = k;
        *a = (struct architecture){.depth = NODES};
        for (int j = 0; j < NODES; j++) {
            if (j > 0) {
                a->tokens[a->count++] = (uint16_t)(left % (size_t)j);
                left /= (size_t)j;
            }
            a->tokens[a->count++] = (uint16_t)(left % ACTIVATIONS);
            left /= ACTIVATIONS;
        }
    }
    return n;
}

enum { ALL = 81 * 6 };
static struct architecture all[ALL];
static struct controller_score scores[ALL];

static void score_all(struct controller *c)
{
    const struct architecture *list[ALL];
    ck_assert_uint_eq(enumerate(all), ALL);
    for (size_t i = 0; i < ALL; i++)
        list[i] = &all[i];
    ck_assert_int_eq(controller_score(c, list, ALL, scores, NULL, NULL), 0);
}

/* Probabilities of all architectures sum to 1, and their mean of -log P is the mean
 * entropy: both only if the decisions' distributions are what they claim to be. */
static void check_distribution(struct controller *c)
{
    double sum = 0, surprise = 0, entropy = 0;
    score_all(c);
    for (size_t i = 0; i < ALL; i++) {
        double p = exp(scores[i].log_probability);
        sum += p;
        surprise -= p * scores[i].log_probability;
        entropy += p * scores[i].entropy;
    }
    ck_assert_double_eq_tol(sum, 1, 1e-5);
    ck_assert_double_eq_tol(surprise, entropy, 1e-4);
}

START_TEST(probabilities_sum_to_one)
{
    static const double settings[][2] = {{1, 0}, {5, 2.5}, {0.5, 0}, {1, 1.5}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct space space;
        struct rig g;
        open_rig(&g, &space, 1, settings[i][0], settings[i][1]);
        check_distribution(g.c);
        rig_fini(&g);
    }
}
END_TEST

/* What is sampled comes as often as its score says, alone and in a batch. */
START_TEST(samples_follow_the_scores)
{
    enum { N = 4000 };
    static struct architecture a[N], alone;
    static uint64_t ids[N];
    static double log_p[N];
    struct space space;
    struct rig g;
    double expected = 0, seen = 0;
    open_rig(&g, &space, 0.8, 5, 2.5);
    score_all(g.c);
    for (size_t i = 0; i < N; i++)
        ids[i] = i;
    ck_assert_int_eq(controller_sample(g.c, NODES, ids, N, a, log_p, NULL), 0);
    for (size_t i = 0; i < N; i += 97) {
        double p;
        ck_assert_int_eq(controller_sample(g.c, NODES, &ids[i], 1, &alone, &p, NULL), 0);
        ck_assert(architecture_equal(&alone, &a[i]));
        ck_assert_double_eq(p, log_p[i]);
    }
    for (size_t i = 0; i < ALL; i++)
        expected += exp(scores[i].log_probability) * scores[i].log_probability;
    for (size_t i = 0; i < N; i++)
        seen += log_p[i] / N;
    ck_assert_double_eq_tol(seen, expected, 0.1);
    rig_fini(&g);
}
END_TEST

static void check_gradient(double temperature, double tanh_constant, double weight)
{
    static struct architecture a[MOST];
    const struct architecture *list[MOST];
    double advantages[MOST];
    struct space space;
    struct rig g;
    open_rig(&g, &space, 0.5, temperature, tanh_constant);
    for (uint64_t i = 0; i < MOST; i++) {
        int depth = 2 + (int)(i % (NODES - 1));
        ck_assert_int_eq(controller_sample(g.c, depth, &i, 1, &a[i], NULL, NULL), 0);
        list[i] = &a[i];
        advantages[i] = cos(2 * (double)i);
    }
    check_blocks(&g, list, advantages, MOST, weight);
    rig_fini(&g);
}

START_TEST(gradient_matches_finite_differences)
{
    check_gradient(1, 0, 0);
    check_gradient(1, 0, 0.5);
    check_gradient(3, 0, 0.2);
    check_gradient(5, 2.5, 0);
    check_gradient(2, 1.5, 0.4);
}
END_TEST

/* No decision can be surer than the tanh constant allows, until it is taken off. */
START_TEST(tanh_keeps_every_choice_possible)
{
    struct space space;
    struct rig g;
    double bound = 0, lowest = 0, plain = 0;
    open_rig(&g, &space, 8, 1, 0.7);
    for (int j = 0; j < NODES; j++) {
        bound -= log(1 + (ACTIVATIONS - 1) * exp(2 * 0.7));
        bound -= j > 1 ? log(1 + (j - 1) * exp(2 * 0.7)) : 0;
    }
    score_all(g.c);
    for (size_t i = 0; i < ALL; i++)
        lowest = fmin(lowest, scores[i].log_probability);
    ck_assert_double_gt(lowest, bound - 1e-6);
    controller_set_plain(g.c, true);
    check_distribution(g.c);
    for (size_t i = 0; i < ALL; i++)
        plain = fmin(plain, scores[i].log_probability);
    ck_assert_double_lt(plain, 2 * bound);
    controller_set_plain(g.c, false);
    rig_fini(&g);
}
END_TEST

START_TEST(heat_makes_all_alike)
{
    struct space space;
    struct rig g;
    double uniform = log(1.0 / ALL);
    open_rig(&g, &space, 1, 1e3, 0);
    score_all(g.c);
    for (size_t i = 0; i < ALL; i++)
        ck_assert_double_eq_tol(scores[i].log_probability, uniform, 0.05);
    rig_fini(&g);
}
END_TEST

UNIT_MAIN("controller_pointer", bad_settings_are_refused,
          pointers_out_of_range_are_refused, probabilities_sum_to_one,
          samples_follow_the_scores, gradient_matches_finite_differences,
          tanh_keeps_every_choice_possible, heat_makes_all_alike)
