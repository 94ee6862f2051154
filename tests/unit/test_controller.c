/* SPDX-License-Identifier: Apache-2.0 */
#include "master/controller.h"
#include "controller_rig.h"
#include "unit.h"

enum { BATCH = 8 };

START_TEST(bad_sizes_are_refused)
{
    struct config config = rig_config(2, false);
    struct space *space;
    struct controller *c = NULL;
    struct error err = {0};
    ck_assert_int_eq(space_new(&config, &space, NULL), 0);
    config.search.controller.layers = 0;
    ck_assert_int_eq(controller_new(&config.search.controller, space, 1, &c, &err),
                     ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "search.controller.layers is 0"));
    config.search.controller.layers = 2;
    config.search.controller.hidden = CONTROLLER_MAX_HIDDEN + 1;
    ck_assert_int_eq(controller_new(&config.search.controller, space, 1, &c, &err),
                     ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "search.controller.hidden is 1025"));
    ck_assert_ptr_null(c);
    controller_free(NULL);
    space_free(space);
}
END_TEST

START_TEST(foreign_architectures_are_refused)
{
    struct config config = rig_config(2, false);
    struct architecture a = {.depth = 2, .count = 3};
    const struct architecture *list[] = {&a};
    struct controller_score score;
    double advantage = 1;
    uint64_t id = 1;
    struct error err = {0};
    struct rig g = {0};
    rig_init(&g, &config);
    ck_assert_int_eq(controller_score(g.c, list, 1, &score, NULL, &err), ERROR_INPUT);
    ck_assert_int_eq(controller_update(g.c, list, &advantage, 1, &err), ERROR_INPUT);
    a.count = 8;
    a.tokens[5] = 4;
    ck_assert_int_eq(controller_score(g.c, list, 1, &score, NULL, &err), ERROR_INPUT);
    ck_assert_uint_eq(controller_version(g.c), 0);
    ck_assert_int_eq(controller_sample(g.c, 60000, &id, 1, &a, NULL, &err), ERROR_INPUT);
    rig_fini(&g);
}
END_TEST

START_TEST(parameters_start_in_their_range)
{
    struct config config = rig_config(3, true);
    const struct controller_block *blocks;
    struct rig g = {0};
    rig_init(&g, &config);
    size_t n = controller_parameter_count(g.c), covered = 0;
    const float *p = controller_parameters(g.c);
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        ck_assert(fabsf(p[i]) <= 0.08f);
        sum += (double)p[i];
        square += (double)p[i] * (double)p[i];
    }
    ck_assert_double_eq_tol(sum / (double)n, 0, 0.001);
    ck_assert_double_eq_tol(square / (double)n, 0.08 * 0.08 / 3, 1e-4);
    size_t count = controller_blocks(g.c, &blocks);
    for (size_t i = 0; i < count; i++)
        covered += blocks[i].dims[0] * (blocks[i].rank == 2 ? blocks[i].dims[1] : 1);
    ck_assert_uint_eq(covered, n);
    rig_fini(&g);
}
END_TEST

/* One at a time, in batches of any size, and scored: the same tokens and the same bits.
 */
static void check_batches(bool skip)
{
    enum { N = 600 };
    static struct architecture together[N], alone;
    struct config config = rig_config(4, skip);
    uint64_t ids[N];
    double p[N], p_alone;
    struct rig g = {0};
    config.search.controller.init = 0.5;
    rig_init(&g, &config);
    for (size_t i = 0; i < N; i++)
        ids[i] = 1000 + 3 * i;
    ck_assert_int_eq(controller_sample(g.c, 4, ids, N, together, p, NULL), 0);
    for (size_t i = 0; i < N; i++) {
        const struct architecture *list[] = {&together[i]};
        struct controller_score score;
        ck_assert_int_eq(controller_sample(g.c, 4, &ids[i], 1, &alone, &p_alone, NULL),
                         0);
        ck_assert(architecture_equal(&alone, &together[i]));
        ck_assert_double_eq(p_alone, p[i]);
        ck_assert_int_eq(controller_score(g.c, list, 1, &score, NULL, NULL), 0);
        ck_assert_double_eq(score.log_probability, p[i]);
        ck_assert_int_eq(space_validate(g.space, &together[i], NULL), 0);
    }
    rig_fini(&g);
}

START_TEST(batches_do_not_matter)
{
    check_batches(false);
    check_batches(true);
}
END_TEST

/* Over all architectures of a small space the probabilities sum to 1, the entropies to
 * the entropy of the whole, and samples follow them. */
static void check_distribution(bool skip)
{
    enum { DRAWS = 20000 };
    struct config config = rig_config(2, skip);
    struct config_conv_chain *chain = &config.space.conv_chain;
    struct architecture a = {.depth = 2, .count = skip ? 9 : 8};
    const struct architecture *list[] = {&a};
    struct controller_score score;
    struct rig g = {0};
    chain->filter_widths.count = chain->filters.count = chain->strides.count = 1;
    chain->filter_heights.count = 3;
    config.search.controller.init = 1.5;
    rig_init(&g, &config);
    double sum = 0, entropy = 0, mean_entropy = 0, p[18], chi2 = 0;
    int counts[18] = {0}, cells = skip ? 18 : 9;
    for (int i = 0; i < cells; i++) {
        a.tokens[0] = (uint16_t)(i % 3);
        a.tokens[4] = (uint16_t)(i / 3 % 3);
        a.tokens[8] = (uint16_t)(i / 9);
        ck_assert_int_eq(controller_score(g.c, list, 1, &score, NULL, NULL), 0);
        p[i] = exp(score.log_probability);
        sum += p[i];
        entropy -= p[i] * score.log_probability;
        mean_entropy += p[i] * score.entropy;
    }
    ck_assert_double_eq_tol(sum, 1, 1e-6);
    ck_assert_double_eq_tol(entropy, mean_entropy, 1e-5);
    for (uint64_t id = 0; id < DRAWS; id++) {
        ck_assert_int_eq(controller_sample(g.c, 2, &id, 1, &a, NULL, NULL), 0);
        counts[a.tokens[0] + 3 * a.tokens[4] + (skip ? 9 * a.tokens[8] : 0)]++;
    }
    for (int i = 0; i < cells; i++) {
        double e = p[i] * DRAWS, d = (double)counts[i] - e;
        chi2 += d * d / e;
    }
    ck_assert_double_lt(chi2, skip ? 40.8 : 26.1); /* p = 0.001 at 17 or 8 degrees */
    rig_fini(&g);
}

START_TEST(samples_follow_the_probabilities)
{
    check_distribution(false);
    check_distribution(true);
}
END_TEST

/* Depths are mixed, so that rows end at different steps, and n exceeds a chunk. */
static void check_gradient(bool skip, int layers, int hidden, double weight,
                           double temperature)
{
    enum { N = 40 };
    static struct architecture a[N];
    const struct architecture *list[N];
    double advantages[N];
    struct config config = rig_config(3, skip);
    struct rig g = {0};
    config.search.controller.layers = layers;
    config.search.controller.hidden = hidden;
    config.search.controller.init = 0.4;
    config.search.controller.temperature = temperature;
    config.search.controller.tanh_constant = temperature > 1 ? 2 : 0;
    rig_init(&g, &config);
    for (uint64_t i = 0; i < N; i++) {
        ck_assert_int_eq(
            controller_sample(g.c, 2 + (int)(i % 3), &i, 1, &a[i], NULL, NULL), 0);
        list[i] = &a[i];
        advantages[i] = sin(3 * (double)i);
    }
    check_blocks(&g, list, advantages, N, weight);
    check_blocks(&g, list + 3, advantages + 1, 1, weight);
    rig_fini(&g);
}

START_TEST(gradient_matches_finite_differences)
{
    check_gradient(false, 2, 35, 0, 1);
    check_gradient(false, 1, 5, 0.7, 1);
    check_gradient(true, 2, 35, 0, 1);
    check_gradient(true, 3, 17, 0.5, 1);
    check_gradient(true, 2, 35, 0.1, 3);
}
END_TEST

START_TEST(hidden_states_are_the_last_step)
{
    static struct architecture a[2];
    const struct architecture *list[] = {&a[0], &a[1]};
    struct config config = rig_config(3, false);
    struct controller_score score[2];
    float both[2][35], alone[35];
    uint64_t ids[] = {4, 5};
    struct rig g = {0};
    rig_init(&g, &config);
    ck_assert_int_eq(controller_sample(g.c, 3, &ids[0], 1, &a[0], NULL, NULL), 0);
    ck_assert_int_eq(controller_sample(g.c, 2, &ids[1], 1, &a[1], NULL, NULL), 0);
    ck_assert_uint_eq(controller_hidden(g.c), 35);
    ck_assert_int_eq(controller_score(g.c, list, 2, score, &both[0][0], NULL), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(controller_score(g.c, list + i, 1, score, alone, NULL), 0);
        ck_assert_mem_eq(alone, both[i], sizeof alone);
    }
    /* The last token is not seen, the one before it is. */
    a[1] = a[0];
    a[1].tokens[11] = (uint16_t)((a[0].tokens[11] + 1) % 3);
    ck_assert_int_eq(controller_score(g.c, list, 2, score, &both[0][0], NULL), 0);
    ck_assert_mem_eq(both[0], both[1], sizeof alone);
    a[1].tokens[10] = (uint16_t)((a[0].tokens[10] + 1) % 4);
    ck_assert_int_eq(controller_score(g.c, list, 2, score, &both[0][0], NULL), 0);
    ck_assert_mem_ne(both[0], both[1], sizeof alone);
    rig_fini(&g);
}
END_TEST

/* Updates on one architecture with a positive advantage make it likelier. */
START_TEST(updates_raise_what_was_good)
{
    static struct architecture a;
    const struct architecture *list[] = {&a};
    struct config config = rig_config(3, true);
    double advantage = 1, before, after;
    uint64_t id = 1;
    struct rig g = {0};
    config.search.controller.clip = 5;
    rig_init(&g, &config);
    ck_assert_int_eq(controller_sample(g.c, 3, &id, 1, &a, &before, NULL), 0);
    for (int i = 0; i < 60; i++)
        ck_assert_int_eq(controller_update(g.c, list, &advantage, 1, NULL), 0);
    ck_assert_uint_eq(controller_version(g.c), 60);
    struct controller_score score;
    ck_assert_int_eq(controller_score(g.c, list, 1, &score, NULL, NULL), 0);
    after = score.log_probability;
    ck_assert_double_gt(after, before + 1);
    rig_fini(&g);
}
END_TEST

UNIT_MAIN("controller", bad_sizes_are_refused, foreign_architectures_are_refused,
          parameters_start_in_their_range, batches_do_not_matter,
          samples_follow_the_probabilities, gradient_matches_finite_differences,
          hidden_states_are_the_last_step, updates_raise_what_was_good)
