/* SPDX-License-Identifier: Apache-2.0 */
/* The order of things in a search by darts, with cells made up in place of a relaxed one.
 */
#include "search_rig.h"

#include <stdio.h>
#include <stdlib.h>

enum { NODES = 5, EPOCHS = 3, STEPS = 4, SEEDS = 2, RANDOM = 3 };
enum { TOTAL = EPOCHS * (STEPS + 1) + SEEDS + RANDOM };
enum { RELU, SIGMOID, TANH, IDENTITY }; /* tokens */

static struct config small(int mode)
{
    struct config c = rig_config(2, false);
    c.search.strategy = STRATEGY_DARTS;
    c.search.shared = (struct config_shared){.epochs = EPOCHS,
                                             .steps = STEPS,
                                             .samples = 1,
                                             .sync_every = 1,
                                             .finalists = SEEDS,
                                             .order = 2};
    c.space.name = SPACE_RNN_DAG;
    c.space.rnn.nodes = NODES;
    c.space.rnn.activations = (struct config_list){4, {1, 3, 0, 2}};
    c.control.share = 0.6;
    c.run.mode = mode;
    return c;
}

/* The cell that a step leads to. */
static void derived_at(struct search_rig *g, uint64_t step, struct architecture *ret)
{
    struct rng rng;
    rng_init(&rng, 7, RNG_TEST, step);
    space_sample(g->space, NODES, &rng, ret);
    ret->tokens[0] = TANH;
}

/* failure: of a step, instead of what it leads to. */
static int tell_with(struct search_rig *g, uint64_t id, struct proposal *p, int failure,
                     struct error *err)
{
    struct architecture derived;
    struct trial t = {.id = id,
                      .state = failure ? TRIAL_FAILED : TRIAL_DONE,
                      .failure = (uint8_t)failure,
                      .kind = p->kind,
                      .arm = p->arm,
                      .shared = p->shared,
                      .architecture = &p->architecture,
                      .reward = NAN,
                      .same_as = -1};
    derived_at(g, p->shared.step, &derived);
    if (p->kind == TRIAL_RELAX && !failure)
        t.architecture = &derived;
    return g->ops->tell(g->self, &t, err);
}

static int tell(struct search_rig *g, uint64_t id, struct proposal *p)
{
    return tell_with(g, id, p, FAILURE_NONE, NULL);
}

static enum search_answer ask(struct search_rig *g, uint64_t id, struct proposal *p)
{
    p->kind = p->arm = 0;
    p->shared = (struct trial_shared){0};
    return search_rig_ask(g, id, p);
}

/* Run to the end with at most `ahead` proposals that are not told. */
static uint64_t run(struct search_rig *g, struct proposal *ret, uint64_t ahead)
{
    uint64_t asked = 0, told = 0;
    for (;;) {
        enum search_answer answer = SEARCH_WAIT;
        if (asked - told < ahead) {
            struct proposal p;
            answer = ask(g, asked, &p);
            if (answer == SEARCH_TASK) {
                ck_assert_uint_lt(asked, TOTAL);
                ret[asked++] = p;
                continue;
            }
        }
        if (answer == SEARCH_DONE)
            return asked;
        ck_assert_uint_lt(told, asked);
        ck_assert_int_eq(tell(g, told, &ret[told]), 0);
        told++;
    }
}

static struct proposal made[TOTAL], again[TOTAL];

START_TEST(what_does_not_fit_is_refused)
{
    struct config config = small(MODE_SYNC);
    struct space *space;
    struct error err = {0};
    void *self = NULL;
    ck_assert_int_eq(space_new(&config, &space, NULL), 0);
    struct search_setup setup = {&config, space, ARM_CONTROL};
    ck_assert_int_eq(search_darts.create(&setup, &self, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text, "control.strategy: darts proposes its own control arm");
    setup.arm = ARM_SEARCH;
    config.space.rnn.nodes = 1;
    ck_assert_int_eq(search_darts.create(&setup, &self, &err), ERROR_INPUT);
    config = small(MODE_SYNC);
    config.space.rnn.activations = (struct config_list){1, {1}};
    ck_assert_int_eq(search_darts.create(&setup, &self, &err), ERROR_INPUT);
    config = small(MODE_SYNC);
    config.space.name = SPACE_CONV_CHAIN;
    ck_assert_int_eq(search_darts.create(&setup, &self, &err), ERROR_INPUT);
    ck_assert_ptr_null(self);
    search_darts.destroy(NULL);
    space_free(space);
}
END_TEST

START_TEST(what_was_not_asked_for_cannot_be_told)
{
    struct config config = small(MODE_SYNC);
    struct search_rig g;
    struct proposal p = {.kind = TRIAL_RELAX};
    struct error err = {0};
    search_rig_init(&g, &config, STRATEGY_DARTS);
    ck_assert_int_eq(tell_with(&g, 0, &p, FAILURE_NONE, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "trial 0: nothing was asked for"));
    search_rig_fini(&g);
}
END_TEST

static void check_epoch(struct search_rig *g, int epoch)
{
    struct architecture shown, first = {.depth = NODES, .tokens = {TANH}};
    for (int j = 1; j < NODES; j++)
        first.tokens[2 * j] = TANH;
    first.count = 2 * NODES - 1;
    derived_at(g, (uint64_t)(epoch * STEPS - 1), &shown);
    for (int k = 0; k <= STEPS; k++) {
        const struct proposal *p = &made[epoch * (STEPS + 1) + k];
        ck_assert_int_eq(p->kind, k < STEPS ? TRIAL_RELAX : TRIAL_EVAL_RELAX);
        ck_assert_uint_eq(p->shared.step, (uint64_t)(epoch * STEPS + k));
        ck_assert_int_eq(p->shared.part, k < STEPS ? 0 : -1);
        ck_assert_int_eq(p->arm, ARM_SEARCH);
        if (k == STEPS)
            derived_at(g, p->shared.step - 1, &shown);
        ck_assert(architecture_equal(&p->architecture,
                                     epoch == 0 && k < STEPS ? &first : &shown));
    }
}

static void check_children(struct search_rig *g)
{
    struct architecture last;
    derived_at(g, EPOCHS * STEPS - 1, &last);
    for (int k = 0; k < SEEDS + RANDOM; k++) {
        const struct proposal *p = &made[EPOCHS * (STEPS + 1) + k];
        ck_assert_int_eq(p->kind, TRIAL_TRAIN_CHILD);
        ck_assert_int_eq(p->arm, k < SEEDS ? ARM_SEARCH : ARM_CONTROL);
        ck_assert(architecture_equal(&p->architecture, &last) == (k < SEEDS));
        ck_assert_uint_eq(p->architecture.tokens[0], TANH);
        ck_assert_int_eq(space_validate(g->space, &p->architecture, NULL), 0);
    }
}

static void check_sequence(int mode)
{
    struct config config = small(mode);
    struct search_rig g;
    search_rig_init(&g, &config, STRATEGY_DARTS);
    ck_assert_uint_eq(run(&g, made, TOTAL), TOTAL);
    ck_assert_uint_eq((uint64_t)config_trials(&config), TOTAL);
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        check_epoch(&g, epoch);
    check_children(&g);
    search_rig_fini(&g);
}

START_TEST(the_sequence_is_as_described)
{
    check_sequence(MODE_SYNC);
    check_sequence(MODE_ASYNC);
}
END_TEST

static void check_same(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_msg(architecture_equal(&again[i].architecture, &made[i].architecture),
                      "proposal %llu differs", (unsigned long long)i);
        ck_assert_int_eq(again[i].kind, made[i].kind);
        ck_assert_int_eq(again[i].arm, made[i].arm);
        ck_assert_uint_eq(again[i].shared.step, made[i].shared.step);
        ck_assert_int_eq(again[i].shared.part, made[i].shared.part);
        ck_assert_uint_eq(again[i].policy_version, made[i].policy_version);
    }
}

/* However many are under way at a time. */
START_TEST(the_sequence_is_the_same_for_any_number_of_workers)
{
    struct config config = small(MODE_SYNC);
    struct search_rig g;
    search_rig_init(&g, &config, STRATEGY_DARTS);
    ck_assert_uint_eq(run(&g, made, 1), TOTAL);
    search_rig_fini(&g);
    for (uint64_t ahead = 2; ahead < 8; ahead++) {
        search_rig_init(&g, &config, STRATEGY_DARTS);
        ck_assert_uint_eq(run(&g, again, ahead), TOTAL);
        check_same(TOTAL);
        search_rig_fini(&g);
    }
}
END_TEST

/* Ask, and tell where nothing can be asked; `calls` of both. False: it is over. */
static bool advance(struct search_rig *g, uint64_t calls, uint64_t *asked, uint64_t *told)
{
    for (uint64_t i = 0; i < calls; i++) {
        struct proposal p;
        enum search_answer answer = ask(g, *asked, &p);
        if (answer == SEARCH_DONE)
            return false;
        if (answer == SEARCH_TASK) {
            again[(*asked)++] = p;
        } else {
            ck_assert_int_eq(tell(g, *told, &again[*told]), 0);
            ++*told;
        }
    }
    return true;
}

START_TEST(loading_continues_the_same_sequence)
{
    struct config config = small(MODE_SYNC);
    struct search_rig g, fresh;
    search_rig_init(&g, &config, STRATEGY_DARTS);
    run(&g, made, TOTAL);
    search_rig_fini(&g);
    for (uint64_t at = 0; at <= 2 * TOTAL; at++) {
        uint64_t asked = 0, told = 0;
        struct state state;
        struct error err = {0};
        search_rig_init(&g, &config, STRATEGY_DARTS);
        search_rig_init(&fresh, &config, STRATEGY_DARTS);
        advance(&g, at, &asked, &told);
        state_init(&state);
        ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
        ck_assert_msg(fresh.ops->load(fresh.self, &state, &err) == 0, "%s", err.text);
        while (advance(&fresh, 1, &asked, &told))
            ;
        ck_assert_uint_eq(asked, TOTAL);
        check_same(TOTAL);
        state_fini(&state);
        search_rig_fini(&g);
        search_rig_fini(&fresh);
    }
}
END_TEST

/* The weights left it out; the cell is the one before. */
START_TEST(a_step_without_a_loss_changes_nothing)
{
    struct config config = small(MODE_SYNC);
    struct search_rig g;
    struct architecture before;
    struct proposal p[STEPS + 1];
    search_rig_init(&g, &config, STRATEGY_DARTS);
    for (uint64_t i = 0; i < STEPS; i++) {
        ask(&g, i, &p[i]);
        int failure = i < STEPS - 1 ? FAILURE_NONE : FAILURE_NAN;
        ck_assert_int_eq(tell_with(&g, i, &p[i], failure, NULL), 0);
    }
    ask(&g, STEPS, &p[STEPS]);
    derived_at(&g, STEPS - 2, &before);
    ck_assert(architecture_equal(&p[STEPS].architecture, &before));
    search_rig_fini(&g);
}
END_TEST

START_TEST(failures_that_matter_end_the_run)
{
    struct config config = small(MODE_SYNC);
    struct search_rig g;
    struct error err = {0};
    struct proposal p;
    search_rig_init(&g, &config, STRATEGY_DARTS);
    ask(&g, 0, &p);
    ck_assert_int_eq(tell_with(&g, 0, &p, FAILURE_EXIT, &err), ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(err.text, "later steps build on it"));
    search_rig_fini(&g);

    /* Nothing but steps that were left out: no cell can be derived. */
    search_rig_init(&g, &config, STRATEGY_DARTS);
    int status = 0;
    for (uint64_t id = 0; status == 0; id++) {
        ck_assert_int_eq(ask(&g, id, &p), SEARCH_TASK);
        ck_assert_int_ne(p.kind, TRIAL_TRAIN_CHILD);
        int failure = p.kind == TRIAL_RELAX ? FAILURE_NAN : FAILURE_NONE;
        status = tell_with(&g, id, &p, failure, &err);
    }
    ck_assert_int_eq(status, ERROR_FAILED);
    ck_assert_ptr_nonnull(strstr(err.text, "no cell can be derived"));
    search_rig_fini(&g);
}
END_TEST

/* Replace a saved number. */
static void set(struct state *state, const char *name, int64_t value)
{
    for (size_t k = 0; k < state->count; k++)
        if (strcmp(state->arrays[k].name, name) == 0)
            memcpy(state->arrays[k].data, &value, sizeof value);
}

START_TEST(bad_states_are_refused)
{
    static const struct {
        const char *name;
        int64_t value;
    } bad[] = {{"darts/phase", -1},        {"darts/phase", 4},  {"darts/phase", 2},
               {"darts/epoch", EPOCHS},    {"darts/epoch", -1}, {"darts/proposed", 99},
               {"darts/told", -1},         {"darts/told", 1},   {"darts/derived_at", -2},
               {"darts/derived_at", STEPS}};
    struct config config = small(MODE_SYNC);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct search_rig g;
        struct state state;
        struct error err = {0};
        search_rig_init(&g, &config, STRATEGY_DARTS);
        state_init(&state);
        ck_assert_int_eq(g.ops->save(g.self, &state, NULL), 0);
        set(&state, bad[i].name, bad[i].value);
        ck_assert_int_eq(g.ops->load(g.self, &state, &err), ERROR_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.text, "cannot be"));
        state_fini(&state);
        state_init(&state);
        ck_assert_int_ne(g.ops->load(g.self, &state, &err), 0);
        state_fini(&state);
        search_rig_fini(&g);
    }
}
END_TEST

/* So many random cells that they are their share of what is trained. */
START_TEST(the_control_arm_is_a_share_of_the_end)
{
    static const struct {
        double share;
        int seeds, control;
    } cases[] = {{0, 4, 0}, {0.5, 4, 4}, {0.1, 9, 1}, {0.1, 10, 2}, {0.75, 1, 3}};
    struct config config = small(MODE_SYNC);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.control.share = cases[i].share;
        config.search.shared.finalists = cases[i].seeds;
        ck_assert_int_eq(config_relaxed_control(&config), cases[i].control);
    }
}
END_TEST

UNIT_MAIN("darts", what_does_not_fit_is_refused, what_was_not_asked_for_cannot_be_told,
          the_sequence_is_as_described,
          the_sequence_is_the_same_for_any_number_of_workers,
          loading_continues_the_same_sequence, a_step_without_a_loss_changes_nothing,
          failures_that_matter_end_the_run, bad_states_are_refused,
          the_control_arm_is_a_share_of_the_end)
