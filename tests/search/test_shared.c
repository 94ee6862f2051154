/* SPDX-License-Identifier: Apache-2.0 */
/* Searches with shared weights, with a synthetic reward in place of them. */
#include "master/search/finalists.h"
#include "search_rig.h"

#include <stdio.h>
#include <stdlib.h>

enum { EPOCHS = 3, STEPS = 4, SAMPLES = 2, UPDATES = 3, BATCH = 2, PROBES = 5 };
enum { CANDIDATES = 12, FINALISTS = 4 };
enum { PER_EPOCH = STEPS * SAMPLES + UPDATES * BATCH + PROBES };
enum { TOTAL = EPOCHS * PER_EPOCH + CANDIDATES + FINALISTS };

static struct config small(int strategy, int mode)
{
    struct config c = rig_config(2, false);
    c.search.strategy = strategy;
    c.search.batch = BATCH;
    c.search.shared = (struct config_shared){.epochs = EPOCHS,
                                             .steps = STEPS,
                                             .samples = SAMPLES,
                                             .controller_steps = UPDATES,
                                             .probes = PROBES,
                                             .candidates = CANDIDATES,
                                             .finalists = FINALISTS};
    c.control.share = 0.25;
    c.run.mode = mode;
    return c;
}

/* What the trial with this proposal is told; no reward for a step. */
static double reward_of(const struct proposal *p)
{
    return p->kind == TRIAL_TRAIN_SHARED ? NAN : search_reward(&p->architecture);
}

static int tell(struct search_rig *g, uint64_t id, struct proposal *p, struct error *err)
{
    struct trial t = {.id = id,
                      .state = TRIAL_DONE,
                      .kind = p->kind,
                      .arm = p->arm,
                      .architecture = &p->architecture,
                      .hash = space_hash(g->space, &p->architecture),
                      .reward = reward_of(p),
                      .log_probability = p->log_probability,
                      .same_as = -1,
                      .policy_version = p->policy_version};
    return g->ops->tell(g->self, &t, err);
}

static enum search_answer ask(struct search_rig *g, uint64_t id, struct proposal *p)
{
    p->kind = p->arm = 0;
    p->shared = (struct trial_shared){0};
    return search_rig_ask(g, id, p);
}

/* Run to the end: everything that can be proposed is, then all of it is told. */
static uint64_t run(struct search_rig *g, struct proposal *ret, uint64_t most)
{
    uint64_t asked = 0, told = 0;
    for (;;) {
        enum search_answer answer = SEARCH_TASK;
        while (asked < most && answer == SEARCH_TASK)
            if ((answer = ask(g, asked, &ret[asked])) == SEARCH_TASK)
                asked++;
        if (answer == SEARCH_DONE || told == asked)
            return asked;
        for (; told < asked; told++)
            ck_assert_int_eq(tell(g, told, &ret[told], NULL), 0);
    }
}

static struct proposal made[TOTAL + 1];

START_TEST(a_control_arm_of_its_own_is_refused)
{
    struct config config = small(STRATEGY_ENAS, MODE_SYNC);
    struct space *space;
    struct error err = {0};
    void *self = NULL;
    ck_assert_int_eq(space_new(&config, &space, NULL), 0);
    struct search_setup setup = {&config, space, ARM_CONTROL};
    ck_assert_int_eq(search_shared.create(&setup, &self, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "proposes its own control arm"));
    ck_assert_ptr_null(self);
    space_free(space);
}
END_TEST

START_TEST(what_was_not_asked_for_is_refused)
{
    struct config config = small(STRATEGY_ENAS, MODE_ASYNC);
    struct search_rig g;
    struct error err = {0};
    search_rig_init(&g, &config, STRATEGY_ENAS);
    ck_assert_int_eq(ask(&g, 0, &made[0]), SEARCH_TASK);
    ck_assert_int_eq(tell(&g, 0, &made[0], NULL), 0);
    ck_assert_int_eq(tell(&g, 1, &made[0], &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "nothing was asked for"));
    search_rig_fini(&g);
}
END_TEST

/* A step that is no number is left out; another failure ends the run. */
START_TEST(a_failed_step_ends_the_run)
{
    struct config config = small(STRATEGY_ENAS, MODE_ASYNC);
    struct search_rig g;
    struct error err = {0};
    search_rig_init(&g, &config, STRATEGY_ENAS);
    for (uint64_t id = 0; id < 2; id++)
        ck_assert_int_eq(ask(&g, id, &made[id]), SEARCH_TASK);
    struct trial t = {.id = 0,
                      .kind = TRIAL_TRAIN_SHARED,
                      .state = TRIAL_FAILED,
                      .failure = FAILURE_NAN,
                      .reward = NAN,
                      .architecture = &made[0].architecture};
    ck_assert_int_eq(g.ops->tell(g.self, &t, &err), 0);
    t.id = 1;
    t.failure = FAILURE_EXIT;
    t.reason = (char[]){"planted"};
    ck_assert_int_eq(g.ops->tell(g.self, &t, &err), ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(err.text, "trial 1, a step of the shared weights, failed"));
    ck_assert_ptr_nonnull(strstr(err.text, "planted"));
    search_rig_fini(&g);
}
END_TEST

/* Place, kind, step and part of every proposal of an epoch. */
static void check_epoch(int strategy, const struct proposal *p, int epoch)
{
    int control = strategy == STRATEGY_RANDOM_SHARED ? 0 : UPDATES * BATCH, arms = 0;
    uint64_t after = (uint64_t)(epoch + 1) * STEPS;
    for (int k = 0; k < STEPS * SAMPLES; k++, p++) {
        ck_assert_uint_eq(p->kind, TRIAL_TRAIN_SHARED);
        ck_assert_uint_eq(p->shared.step, (uint64_t)(epoch * STEPS + k / SAMPLES));
        ck_assert_int_eq(p->shared.part, k % SAMPLES);
        ck_assert_uint_eq(p->arm, ARM_SEARCH);
        ck_assert_int_eq(isnan(p->log_probability), control == 0);
    }
    for (int k = 0; k < control; k++, p++) {
        ck_assert_uint_eq(p->kind, TRIAL_EVAL_SHARED);
        ck_assert_uint_eq(p->shared.step, after);
        ck_assert_int_eq(p->shared.part, 1 + epoch * UPDATES + k / BATCH);
        ck_assert_uint_eq(p->policy_version, (uint32_t)(epoch * UPDATES + k / BATCH));
    }
    for (int k = 0; k < PROBES; k++, p++) {
        bool uniform = p->arm == ARM_CONTROL || strategy != STRATEGY_ENAS;
        ck_assert_uint_eq(p->kind, TRIAL_EVAL_SHARED);
        ck_assert_uint_eq(p->shared.step, after);
        ck_assert_int_eq(p->shared.part, -1);
        ck_assert_int_eq(isnan(p->log_probability), uniform);
        arms += p->arm;
    }
    ck_assert_int_eq(arms, 1); /* a quarter of five */
}

static void check_end(const struct proposal *p)
{
    int arms = 0;
    for (int k = 0; k < CANDIDATES + FINALISTS; k++, p++) {
        ck_assert_uint_eq(p->kind, TRIAL_EVAL_SHARED);
        ck_assert_uint_eq(p->shared.step, EPOCHS * STEPS);
        ck_assert_int_eq(p->shared.part, k < CANDIDATES ? 0 : -1);
        arms += p->arm;
        if (k == CANDIDATES - 1)
            ck_assert_int_eq(arms, 3);
    }
    ck_assert_int_eq(arms, 4);
}

static void check_sequence(int strategy, int mode)
{
    struct config config = small(strategy, mode);
    struct search_rig g;
    int per_epoch =
        PER_EPOCH - (strategy == STRATEGY_RANDOM_SHARED ? UPDATES * BATCH : 0);
    search_rig_init(&g, &config, strategy);
    uint64_t count = run(&g, made, TOTAL + 1);
    ck_assert_uint_eq(count, (uint64_t)(EPOCHS * per_epoch + CANDIDATES + FINALISTS));
    for (int e = 0; e < EPOCHS; e++)
        check_epoch(strategy, made + e * per_epoch, e);
    check_end(made + EPOCHS * per_epoch);
    search_rig_fini(&g);
}

START_TEST(phases_follow_each_other)
{
    check_sequence(STRATEGY_ENAS, MODE_SYNC);
    check_sequence(STRATEGY_ENAS_RANDOM, MODE_SYNC);
    check_sequence(STRATEGY_RANDOM_SHARED, MODE_SYNC);
    check_sequence(STRATEGY_RANDOM_SHARED, MODE_ASYNC);
}
END_TEST

/* Nothing of a phase is proposed before the last result of the one before; within a phase
 * results may come in any order. */
START_TEST(phases_are_barriers)
{
    struct config config = small(STRATEGY_ENAS, MODE_ASYNC);
    struct search_rig g;
    search_rig_init(&g, &config, STRATEGY_ENAS);
    for (int epoch = 0, first = 0; epoch < EPOCHS; epoch++)
        for (int phase = 0; phase < 3; phase++) {
            const int sizes[] = {STEPS * SAMPLES, UPDATES * BATCH, PROBES};
            int size = sizes[phase];
            for (int k = 0; k < size; k++)
                ck_assert_int_eq(ask(&g, (uint64_t)(first + k), &made[first + k]),
                                 SEARCH_TASK);
            for (int k = size - 1; k >= 0; k--) {
                ck_assert_int_eq(ask(&g, 999, &made[TOTAL]), SEARCH_WAIT);
                ck_assert_int_eq(tell(&g, (uint64_t)(first + k), &made[first + k], NULL),
                                 0);
            }
            first += size;
        }
    search_rig_fini(&g);
}
END_TEST

/* The finalists are the best distinct candidates of their arm, best first. */
START_TEST(the_best_candidates_are_finalists)
{
    struct config config = small(STRATEGY_RANDOM_SHARED, MODE_SYNC);
    struct search_rig g;
    search_rig_init(&g, &config, STRATEGY_RANDOM_SHARED);
    uint64_t count = run(&g, made, TOTAL + 1);
    const struct proposal *finals = made + count - FINALISTS, *all = finals - CANDIDATES;
    for (int f = 0; f < FINALISTS; f++) {
        double reward = search_reward(&finals[f].architecture);
        int better = 0, same = 0, rank = 0;
        for (int k = 0; k < CANDIDATES; k++) {
            same += all[k].arm == finals[f].arm &&
                    architecture_equal(&all[k].architecture, &finals[f].architecture);
            better += all[k].arm == finals[f].arm &&
                      search_reward(&all[k].architecture) > reward;
        }
        for (int k = 0; k < f; k++)
            rank += finals[k].arm == finals[f].arm;
        ck_assert_int_ge(same, 1);
        ck_assert_int_le(better, rank);
    }
    search_rig_fini(&g);
}
END_TEST

/* Stop after every number of calls, save, load into a fresh one, go on: the same
 * proposals to the end. */
static void check_restart(int strategy, uint64_t at)
{
    static struct proposal again[TOTAL + 1];
    struct config config = small(strategy, MODE_SYNC);
    struct search_rig g, fresh;
    struct state state;
    struct error err = {0};
    search_rig_init(&g, &config, strategy);
    search_rig_init(&fresh, &config, strategy);
    uint64_t asked = 0, told = 0;
    for (uint64_t calls = 0; calls < at; calls++)
        if (ask(&g, asked, &again[asked]) == SEARCH_TASK) {
            asked++;
        } else {
            if (told == asked)
                break;
            ck_assert_int_eq(tell(&g, told, &again[told], NULL), 0);
            told++;
        }
    state_init(&state);
    ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
    ck_assert_msg(fresh.ops->load(fresh.self, &state, &err) == 0, "%s", err.text);
    for (;;) {
        enum search_answer answer = ask(&fresh, asked, &again[asked]);
        if (answer == SEARCH_DONE)
            break;
        if (answer == SEARCH_TASK) {
            asked++;
            continue;
        }
        ck_assert_int_eq(tell(&fresh, told, &again[told], NULL), 0);
        told++;
    }
    for (uint64_t i = 0; i < asked; i++) {
        ck_assert_msg(architecture_equal(&again[i].architecture, &made[i].architecture),
                      "after %llu calls proposal %llu differs", (unsigned long long)at,
                      (unsigned long long)i);
        ck_assert_uint_eq(again[i].arm, made[i].arm);
        ck_assert_int_eq(again[i].shared.part, made[i].shared.part);
    }
    state_fini(&state);
    search_rig_fini(&g);
    search_rig_fini(&fresh);
}

START_TEST(loading_continues_the_same_sequence)
{
    static const int strategies[] = {STRATEGY_ENAS, STRATEGY_ENAS_RANDOM,
                                     STRATEGY_RANDOM_SHARED};
    for (int i = 0; i < 3; i++) {
        struct config config = small(strategies[i], MODE_SYNC);
        struct search_rig g;
        search_rig_init(&g, &config, strategies[i]);
        uint64_t count = run(&g, made, TOTAL + 1);
        search_rig_fini(&g);
        for (uint64_t at = 0; at <= 2 * count + 8; at += 3)
            check_restart(strategies[i], at);
    }
}
END_TEST

START_TEST(bad_states_are_refused)
{
    static const struct {
        const char *name;
        int64_t value;
    } bad[] = {{"shared/phase", -1}, {"shared/phase", 6},     {"shared/epoch", EPOCHS},
               {"shared/epoch", -1}, {"shared/proposed", 99}, {"shared/told", -1},
               {"shared/told", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config config = small(STRATEGY_RANDOM_SHARED, MODE_SYNC);
        struct search_rig g;
        struct state state;
        struct error err = {0};
        search_rig_init(&g, &config, STRATEGY_RANDOM_SHARED);
        state_init(&state);
        ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
        for (size_t k = 0; k < state.count; k++)
            if (strcmp(state.arrays[k].name, bad[i].name) == 0)
                memcpy(state.arrays[k].data, &bad[i].value, sizeof bad[i].value);
        ck_assert_int_eq(g.ops->load(g.self, &state, &err), ERROR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.text, "cannot be"));
        state_fini(&state);
        search_rig_fini(&g);
    }
}
END_TEST

/* With many updates the policy's probes become better than uniform ones. */
START_TEST(the_policy_learns_from_its_windows)
{
    struct config config = small(STRATEGY_ENAS, MODE_SYNC);
    struct search_rig g;
    config.search.shared.epochs = 30;
    config.search.shared.controller_steps = 40;
    config.search.shared.probes = 40;
    config.search.batch = 4;
    config.search.controller.lr = 5e-3;
    uint64_t most = 30 * (STEPS * SAMPLES + 160 + 40) + CANDIDATES + FINALISTS + 1;
    struct proposal *all = calloc(most, sizeof *all);
    ck_assert_ptr_nonnull(all);
    search_rig_init(&g, &config, STRATEGY_ENAS);
    uint64_t count = run(&g, all, most), n[ARM_COUNT] = {0};
    double sum[ARM_COUNT] = {0};
    for (uint64_t i = count - CANDIDATES - FINALISTS - 40; i < count - FINALISTS; i++) {
        sum[all[i].arm] += search_reward(&all[i].architecture);
        n[all[i].arm]++;
    }
    ck_assert_double_gt(sum[ARM_SEARCH] / (double)n[ARM_SEARCH],
                        sum[ARM_CONTROL] / (double)n[ARM_CONTROL] + 0.2);
    free(all);
    search_rig_fini(&g);
}
END_TEST

static struct trial scored(struct architecture *a, uint64_t id, double reward,
                           uint64_t hash)
{
    return (struct trial){
        .id = id, .architecture = a, .reward = reward, .hash = {.low = hash}};
}

START_TEST(finalists_are_the_best_distinct_ones)
{
    static struct architecture a = {.depth = 1, .count = 1};
    static const double rewards[] = {0.1, NAN, 0.7, 0.7, INFINITY, 0.3, 0.9, 0.2};
    static const uint64_t hashes[] = {1, 2, 3, 4, 5, 1, 6, 6};
    struct finalists f;
    ck_assert_int_eq(finalists_init(&f, 3, NULL), 0);
    for (uint64_t i = 0; i < 8; i++) {
        struct trial t = scored(&a, i, rewards[i], hashes[i]);
        ck_assert_int_eq(finalists_add(&f, &t, NULL), 0);
    }
    ck_assert_uint_eq(f.count, 3);
    ck_assert_uint_eq(f.entries[0].id, 6);
    ck_assert_uint_eq(f.entries[1].id, 2);
    ck_assert_uint_eq(f.entries[2].id, 3);
    struct trial better = scored(&a, 9, 0.8, 4);
    ck_assert_int_eq(finalists_add(&f, &better, NULL), 0);
    ck_assert_uint_eq(f.count, 3);
    ck_assert_uint_eq(f.entries[1].id, 9);
    ck_assert_uint_eq(f.entries[2].id, 2);
    finalists_fini(&f);
    ck_assert_int_eq(finalists_init(&f, 0, NULL), 0);
    ck_assert_int_eq(finalists_add(&f, &better, NULL), 0);
    ck_assert_uint_eq(f.count, 0);
    finalists_fini(&f);
}
END_TEST

UNIT_MAIN("shared", a_failed_step_ends_the_run, a_control_arm_of_its_own_is_refused,
          what_was_not_asked_for_is_refused, phases_follow_each_other,
          phases_are_barriers, the_best_candidates_are_finalists,
          loading_continues_the_same_sequence, bad_states_are_refused,
          the_policy_learns_from_its_windows, finalists_are_the_best_distinct_ones)
