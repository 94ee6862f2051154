/* SPDX-License-Identifier: Apache-2.0 */
/* What every strategy promises (search.h), over the table of strategies, and what only
 * reinforce does. */
#include "search_rig.h"

static const int strategies[] = {STRATEGY_REINFORCE, STRATEGY_RANDOM};
enum { STRATEGIES = 2, BATCH = 8 };

START_TEST(unknown_strategies_are_none)
{
    ck_assert_ptr_null(search_find(-1));
    ck_assert_ptr_null(search_find(99));
    ck_assert_str_eq(search_find(STRATEGY_REINFORCE)->name, "reinforce");
    ck_assert_str_eq(search_find(STRATEGY_RANDOM)->name, "random");
    for (int i = 0; i < STRATEGIES; i++)
        search_find(strategies[i])->destroy(NULL);
}
END_TEST

START_TEST(bad_settings_are_refused)
{
    struct config config = rig_config(2, false);
    struct space *space;
    struct error err = {0};
    void *self = NULL;
    ck_assert_int_eq(space_new(&config, &space, NULL), 0);
    struct search_setup setup = {&config, space, ARM_SEARCH};
    config.search.batch = 0;
    ck_assert_int_eq(search_reinforce.create(&setup, &self, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "search.batch is 0"));
    config.search.batch = 8;
    config.search.controller.hidden = 0;
    ck_assert_int_eq(search_reinforce.create(&setup, &self, &err), ERROR_INPUT);
    ck_assert_ptr_null(self);
    space_free(space);
}
END_TEST

START_TEST(bad_results_are_refused)
{
    static struct proposal p;
    struct config config = rig_config(2, false);
    struct error err = {0};
    struct search_rig g;
    search_rig_init(&g, &config, STRATEGY_REINFORCE);
    ck_assert_int_eq(search_rig_ask(&g, 0, &p), SEARCH_TASK);
    struct trial trial = {.id = 17, .architecture = &p.architecture, .reward = INFINITY};
    ck_assert_int_eq(g.ops->tell(g.self, &trial, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "trial 17"));
    trial.reward = 0.5;
    p.architecture.tokens[0] = 9;
    ck_assert_int_eq(g.ops->tell(g.self, &trial, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "trial 17"));
    search_rig_fini(&g);
}
END_TEST

/* One round in ask, tell order; a trial in five fails without a reward. */
static double failing_reward(uint64_t id, const struct architecture *a)
{
    return id % 5 == 3 ? NAN : search_reward(a);
}

/* Asks for and tells trials [*id, end), at most BATCH open; tokens into *history. */
static void walk(struct search_rig *g, uint64_t first, uint64_t end,
                 struct architecture *history, double *probabilities)
{
    static struct proposal p[BATCH];
    for (uint64_t id = first; id < end; id += BATCH) {
        uint64_t n = end - id < BATCH ? end - id : BATCH;
        for (uint64_t k = 0; k < n; k++) {
            ck_assert_int_eq(search_rig_ask(g, id + k, &p[k]), SEARCH_TASK);
            history[id + k] = p[k].architecture;
            probabilities[id + k] = p[k].log_probability;
        }
        for (uint64_t k = 0; k < n; k++)
            search_rig_tell(g, id + k, &p[k], failing_reward(id + k, &history[id + k]));
    }
}

static void save_and_load(struct search_rig *g)
{
    struct state state;
    struct error err = {0};
    struct search_setup setup = {&g->config, g->space, ARM_SEARCH};
    state_init(&state);
    ck_assert_msg(g->ops->save(g->self, &state, &err) == 0, "%s", err.text);
    g->ops->destroy(g->self);
    ck_assert_int_eq(g->ops->create(&setup, &g->self, &err), 0);
    ck_assert_msg(g->ops->load(g->self, &state, &err) == 0, "%s", err.text);
    state_fini(&state);
}

/* The whole state of one search equals that of another, byte for byte. */
static void compare_states(const struct search_rig *a, const struct search_rig *b)
{
    struct state x, y;
    state_init(&x);
    state_init(&y);
    ck_assert_int_eq(a->ops->save(a->self, &x, NULL), 0);
    ck_assert_int_eq(b->ops->save(b->self, &y, NULL), 0);
    ck_assert_uint_eq(x.count, y.count);
    for (size_t i = 0; i < x.count; i++) {
        size_t n = state_array_count(&x.arrays[i]);
        ck_assert_str_eq(x.arrays[i].name, y.arrays[i].name);
        ck_assert_uint_eq(n, state_array_count(&y.arrays[i]));
        if (n)
            ck_assert_mem_eq(x.arrays[i].data, y.arrays[i].data,
                             n * state_type_size(x.arrays[i].type));
    }
    state_fini(&x);
    state_fini(&y);
}

/* Undisturbed, and saved and loaded at several moments, mid-batch ones included. */
static void check_resume(int strategy, bool skip, int mode)
{
    enum { N = 203 };
    static struct architecture history[2][N];
    static double p[2][N];
    struct config config = rig_config(3, skip);
    struct search_rig a, b;
    config.search.controller.lr = 0.01;
    config.run.mode = mode;
    config.search.batch = mode == MODE_SYNC ? BATCH : 11;
    config.space.conv_chain.grow_every = 60;
    config.space.conv_chain.grow_by = 1;
    search_rig_init(&a, &config, strategy);
    search_rig_init(&b, &config, strategy);
    walk(&a, 0, N, history[0], p[0]);
    uint64_t at[] = {0, 8, 64, 104, 160, N};
    for (int i = 0; i + 1 < 6; i++) {
        save_and_load(&b);
        walk(&b, at[i], at[i + 1], history[1], p[1]);
    }
    for (int i = 0; i < N; i++)
        ck_assert(architecture_equal(&history[0][i], &history[1][i]));
    ck_assert_mem_eq(p[0], p[1], sizeof p[0]);
    compare_states(&a, &b);
    search_rig_fini(&a);
    search_rig_fini(&b);
}

START_TEST(loading_continues_the_same_sequence)
{
    for (int i = 0; i < STRATEGIES; i++)
        for (int skip = 0; skip < 2; skip++) {
            check_resume(strategies[i], skip, MODE_SYNC);
            check_resume(strategies[i], skip, MODE_ASYNC);
        }
}
END_TEST

/* Saved while a round is half told: the rest of the round is told after the load. */
START_TEST(half_a_round_survives)
{
    static struct proposal p[BATCH], next[2];
    struct config config = rig_config(3, true);
    struct search_rig a, b;
    search_rig_init(&a, &config, STRATEGY_REINFORCE);
    search_rig_init(&b, &config, STRATEGY_REINFORCE);
    for (uint64_t k = 0; k < BATCH; k++) {
        ck_assert_int_eq(search_rig_ask(&a, k, &p[k]), SEARCH_TASK);
        ck_assert_int_eq(search_rig_ask(&b, k, &p[k]), SEARCH_TASK);
    }
    for (uint64_t k = 0; k < BATCH; k++) {
        save_and_load(&b);
        ck_assert_int_eq(search_rig_ask(&b, BATCH, &next[1]), SEARCH_WAIT);
        double reward = failing_reward(k, &p[k].architecture);
        search_rig_tell(&a, k, &p[k], reward);
        search_rig_tell(&b, k, &p[k], reward);
    }
    compare_states(&a, &b);
    ck_assert_int_eq(search_rig_ask(&a, BATCH, &next[0]), SEARCH_TASK);
    ck_assert_int_eq(search_rig_ask(&b, BATCH, &next[1]), SEARCH_TASK);
    ck_assert(architecture_equal(&next[0].architecture, &next[1].architecture));
    ck_assert_uint_eq(next[0].policy_version, 1);
    search_rig_fini(&a);
    search_rig_fini(&b);
}
END_TEST

/* A proposal depends on policy and id, not on what was asked before. */
START_TEST(proposals_depend_on_the_id_alone)
{
    static struct proposal first, again;
    struct config config = rig_config(3, false);
    config.run.mode = MODE_ASYNC;
    for (int i = 0; i < STRATEGIES; i++) {
        struct search_rig g;
        search_rig_init(&g, &config, strategies[i]);
        search_rig_ask(&g, 40, &first);
        for (uint64_t id = 41; id < 60; id++)
            search_rig_ask(&g, id, &again);
        search_rig_ask(&g, 40, &again);
        ck_assert(architecture_equal(&first.architecture, &again.architecture));
        search_rig_fini(&g);
    }
}
END_TEST

START_TEST(rounds_wait_in_mode_sync_only)
{
    static struct proposal p[BATCH], more;
    struct config config = rig_config(2, false);
    struct search_rig g;
    search_rig_init(&g, &config, STRATEGY_REINFORCE);
    ck_assert(!g.ops->oblivious);
    for (uint64_t k = 0; k < BATCH; k++)
        ck_assert_int_eq(search_rig_ask(&g, k, &p[k]), SEARCH_TASK);
    for (uint64_t k = 0; k < BATCH; k++) {
        ck_assert_int_eq(search_rig_ask(&g, 100, &more), SEARCH_WAIT);
        search_rig_tell(&g, k, &p[k], NAN); /* all fail: the round ends, nothing learnt */
    }
    ck_assert_int_eq(search_rig_ask(&g, 100, &more), SEARCH_TASK);
    ck_assert_uint_eq(more.policy_version, 0);
    search_rig_fini(&g);
    config.run.mode = MODE_ASYNC;
    search_rig_init(&g, &config, STRATEGY_REINFORCE);
    for (uint64_t k = 0; k < 5 * BATCH; k++)
        ck_assert_int_eq(search_rig_ask(&g, k, &more), SEARCH_TASK);
    search_rig_fini(&g);
    search_rig_init(&g, &config, STRATEGY_RANDOM);
    ck_assert(g.ops->oblivious);
    for (uint64_t k = 0; k < 5 * BATCH; k++)
        ck_assert_int_eq(search_rig_ask(&g, k, &more), SEARCH_TASK);
    search_rig_fini(&g);
}
END_TEST

/* A tiny space: random goes on for ever. */
START_TEST(random_repeats_an_exhausted_space)
{
    static struct proposal p;
    struct config config = rig_config(1, false);
    struct config_conv_chain *chain = &config.space.conv_chain;
    struct search_rig g;
    int seen[2] = {0};
    chain->filter_widths.count = chain->filters.count = chain->strides.count = 1;
    chain->filter_heights.count = 2;
    search_rig_init(&g, &config, STRATEGY_RANDOM);
    for (uint64_t id = 0; id < 100; id++) {
        ck_assert_int_eq(search_rig_ask(&g, id, &p), SEARCH_TASK);
        ck_assert(isnan(p.log_probability));
        seen[p.architecture.tokens[0]]++;
    }
    ck_assert_int_gt(seen[0], 25);
    ck_assert_int_gt(seen[1], 25);
    search_rig_fini(&g);
}
END_TEST

static void spoil(struct state *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strcmp(s->arrays[i].name, name))
            memset(s->arrays[i].data, 0xff,
                   state_array_count(&s->arrays[i]) * state_type_size(s->arrays[i].type));
}

/* Each array missing, and some spoilt: one error, and the search goes on as it was. */
START_TEST(bad_states_are_refused)
{
    static struct architecture history[2 * BATCH];
    static double p[2 * BATCH];
    static const char *const spoilt[] = {"controller/lstm.0.hidden",
                                         "optimizer/v/lstm.1.bias",
                                         "optimizer/step",
                                         "controller/version",
                                         "controller/told",
                                         "controller/proposed",
                                         "controller/pending_tokens",
                                         "controller/pending_depth_count"};
    struct config config = rig_config(2, true);
    struct search_rig g, same;
    struct state state;
    config.run.mode = MODE_ASYNC;
    search_rig_init(&g, &config, STRATEGY_REINFORCE);
    search_rig_init(&same, &config, STRATEGY_REINFORCE);
    walk(&g, 0, BATCH + 3, history, p);
    walk(&same, 0, BATCH + 3, history, p);
    state_init(&state);
    ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
    size_t count = state.count;
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        state.arrays[i].name[0] ^= 1;
        ck_assert_int_eq(g.ops->load(g.self, &state, &err), ERROR_CORRUPT);
        ck_assert_int_gt((int)strlen(err.text), 0);
        state.arrays[i].name[0] ^= 1;
    }
    state_fini(&state);
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        struct error err = {0};
        state_init(&state);
        ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
        spoil(&state, spoilt[i]);
        ck_assert_msg(g.ops->load(g.self, &state, &err) == ERROR_CORRUPT, "%s",
                      spoilt[i]);
        ck_assert_int_eq(err.status, ERROR_CORRUPT);
        state_fini(&state);
    }
    compare_states(&g, &same);
    search_rig_fini(&g);
    search_rig_fini(&same);
}
END_TEST

/* Advantages are taken against earlier rewards: the first one's is 0. */
START_TEST(baseline_follows_the_rewards)
{
    static struct proposal p;
    static const double rewards[] = {0.5, 1.0, NAN, 0.25};
    struct config config = rig_config(2, false);
    struct search_rig g;
    struct state state;
    double values[8], b = 0;
    config.run.mode = MODE_ASYNC;
    config.search.controller.baseline_decay = 0.75;
    search_rig_init(&g, &config, STRATEGY_REINFORCE);
    for (uint64_t k = 0; k < 4; k++) {
        search_rig_ask(&g, k, &p);
        search_rig_tell(&g, k, &p, rewards[k]);
    }
    state_init(&state);
    ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
    ck_assert_int_eq(state_get_f64(&state, "controller/baseline", &b, NULL), 0);
    ck_assert_double_eq_tol(b, 0.75 * (0.75 * 0.5 + 0.25) + 0.25 * 0.25, 1e-15);
    ck_assert_int_eq(state_get(&state, "controller/pending_reward_advantage", STATE_F64,
                               8, values, NULL),
                     0);
    ck_assert_double_eq(values[1], 0);
    ck_assert_double_eq(values[3], 0.5);
    ck_assert(isnan(values[4]) && isnan(values[5]));
    ck_assert_double_eq_tol(values[7], 0.25 - 0.625, 1e-15);
    state_fini(&state);
    search_rig_fini(&g);
}
END_TEST

/* An estimate of the entropy from what was sampled is part of the reward. */
START_TEST(sampled_entropy_is_rewarded)
{
    static struct proposal p;
    struct config config = rig_config(2, false);
    struct search_rig g;
    struct state state;
    double b = 0;
    config.run.mode = MODE_ASYNC;
    config.search.controller.entropy = 0.125;
    config.search.controller.entropy_estimate = ENTROPY_SAMPLED;
    search_rig_init(&g, &config, STRATEGY_REINFORCE);
    search_rig_ask(&g, 0, &p);
    search_rig_tell(&g, 0, &p, 0.5);
    ck_assert_double_lt(p.log_probability, -1);
    state_init(&state);
    ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
    ck_assert_int_eq(state_get_f64(&state, "controller/baseline", &b, NULL), 0);
    ck_assert_double_eq_tol(b, 0.5 - 0.125 * p.log_probability, 1e-12);
    state_fini(&state);
    search_rig_fini(&g);
}
END_TEST

UNIT_MAIN("strategies", unknown_strategies_are_none, bad_settings_are_refused,
          bad_results_are_refused, bad_states_are_refused,
          loading_continues_the_same_sequence, half_a_round_survives,
          proposals_depend_on_the_id_alone, rounds_wait_in_mode_sync_only,
          random_repeats_an_exhausted_space, baseline_follows_the_rewards,
          sampled_entropy_is_rewarded)
