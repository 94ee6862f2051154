/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a relaxed cell in the engine: what their results must bring, and that the
 * cells which they led to are read back. */
#include "engine_rig.h"

#include <stdlib.h>

static struct temp_folder folder;
static char dir[560];

enum { STEPS = 3, EPOCHS = 2, TOTAL = EPOCHS * (STEPS + 1) + 2 + 2 };

static struct config darts(void)
{
    struct config c = engine_rig_config(MODE_SYNC, 0, 0.5);
    struct error err = {0};
    static const char *const keys[] = {"task.kind=language-model",
                                       "task.data.format=generated-text",
                                       "trainer.builtin.optimizer.momentum=0",
                                       "trainer.builtin.optimizer.nesterov=false",
                                       "trainer.builtin.recurrent.output=all-but-first",
                                       "reward.metric=val_perplexity",
                                       "space.name=rnn-dag",
                                       "space.nodes=4",
                                       "search.strategy=darts",
                                       "search.shared.epochs=2",
                                       "search.shared.steps=3",
                                       "search.shared.finalists=2"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_assert_msg(config_set(&c, keys[i], &err) == 0, "%s", err.text);
    ck_assert_msg(config_check(&c, "test", &err) == 0, "%s", err.text);
    return c;
}

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
    snprintf(dir, sizeof dir, "%s/run", folder.path);
}

static struct architecture cell_of(struct engine_rig *g, uint64_t step)
{
    struct architecture a;
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, step);
    space_sample(engine_space(g->engine), 4, &rng, &a);
    return a;
}

/* What attempt the trial is in, and with what: derived may be NULL. */
static int finish(struct engine_rig *g, uint64_t id, float loss,
                  const struct architecture *derived, struct error *err)
{
    struct trial_epoch epoch = {.train_loss = loss, .val_accuracy = 5 + (float)(id % 7)};
    struct ledger_result r = {.val_accuracy = NAN,
                              .seconds = 1,
                              .params = NAN,
                              .flops = NAN,
                              .finished_at = g->now += 1,
                              .epoch_count = 1,
                              .epochs = &epoch,
                              .derived = derived};
    return engine_finish(g->engine, id, 1, 0, &r, err);
}

static void work(struct engine_rig *g, uint64_t id)
{
    const struct trial *t = engine_rig_trial(g, id);
    struct architecture cell = cell_of(g, t->shared.step);
    engine_rig_start(g, id);
    ck_assert_int_eq(finish(g, id, 2, t->kind == TRIAL_RELAX ? &cell : NULL, NULL), 0);
}

/* Until so many are told. */
static void run(struct engine_rig *g, uint64_t until)
{
    while (engine_told(g->engine) < until) {
        uint64_t id;
        while (engine_rig_propose(g) == ENGINE_PROPOSED)
            ;
        if (ledger_next(engine_ledger(g->engine), &id))
            work(g, id);
        engine_rig_tell(g);
    }
}

START_TEST(a_step_must_say_where_it_led)
{
    struct config c = darts();
    struct engine_rig g;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    const struct trial *t = engine_rig_trial(&g, 0);
    engine_rig_start(&g, 0);
    ck_assert_int_eq(finish(&g, 0, 2, NULL, NULL), 0);
    ck_assert(t->state == TRIAL_QUEUED && t->failure == FAILURE_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(t->reason, "to which cell of the space it led"));
    work(&g, 0);
    struct architecture cell = cell_of(&g, 0);
    ck_assert(t->state == TRIAL_DONE && architecture_equal(t->architecture, &cell));
    ck_assert(isnan(t->reward) && isnan(t->val_accuracy));
    struct architecture_hash hash = space_hash(engine_space(g.engine), &cell);
    ck_assert(architecture_hash_equal(t->hash, hash));
    engine_rig_drop(&g);
}
END_TEST

/* It is not made twice, and its cell is the one that it was proposed with. */
START_TEST(a_step_without_a_loss_is_over)
{
    struct config c = darts();
    struct engine_rig g;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    const struct trial *t = engine_rig_trial(&g, 0);
    struct architecture cell = cell_of(&g, 9), before;
    architecture_copy(t->architecture, &before);
    engine_rig_start(&g, 0);
    ck_assert_int_eq(finish(&g, 0, NAN, &cell, NULL), 0);
    ck_assert(t->state == TRIAL_FAILED && t->failure == FAILURE_NAN);
    ck_assert(architecture_equal(t->architecture, &before));
    engine_rig_drop(&g);
}
END_TEST

START_TEST(a_cell_beyond_the_space_is_none)
{
    struct config c = darts();
    struct engine_rig g;
    struct engine_reading reading;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    struct architecture cell = cell_of(&g, 0);
    cell.tokens[6] = 77;
    for (int attempt = 1; attempt <= 2; attempt++) {
        engine_rig_start(&g, 0);
        ck_assert_int_eq(finish(&g, 0, 2, &cell, NULL), 0);
        ck_assert_int_eq(engine_rig_trial(&g, 0)->failure, FAILURE_PROTOCOL);
    }
    engine_rig_drop(&g);
    engine_rig_open(&g, &reading);
    ck_assert_int_eq(engine_rig_trial(&g, 0)->state, TRIAL_FAILED);
    engine_rig_drop(&g);
}
END_TEST

struct past {
    struct architecture cells[TOTAL];
    int arms[TOTAL];
};

static void read_past(struct engine_rig *g, struct past *ret)
{
    ck_assert_uint_eq(ledger_count(engine_ledger(g->engine)), TOTAL);
    for (uint64_t id = 0; id < TOTAL; id++) {
        const struct trial *t = engine_rig_trial(g, id);
        ck_assert_int_eq(t->state, TRIAL_DONE);
        architecture_copy(t->architecture, &ret->cells[id]);
        ret->arms[id] = t->arm;
    }
}

static void check_past(struct engine_rig *g, const struct past *past)
{
    static struct past again;
    read_past(g, &again);
    for (int i = 0; i < TOTAL; i++) {
        ck_assert_msg(architecture_equal(&again.cells[i], &past->cells[i]), "trial %d",
                      i);
        ck_assert_int_eq(again.arms[i], past->arms[i]);
    }
}

/* From the journal alone, from a snapshot, and from both. */
START_TEST(a_killed_run_goes_on_with_the_same_cells)
{
    static struct past calm;
    struct config c = darts();
    struct engine_rig g;
    engine_rig_new(&g, dir, &c);
    run(&g, TOTAL);
    ck_assert_int_eq(engine_rig_propose(&g), ENGINE_DONE);
    read_past(&g, &calm);
    engine_rig_drop(&g);
    for (uint64_t at = 1; at < TOTAL; at++)
        for (int how = 0; how < 3; how++) {
            struct engine_reading reading;
            setup();
            engine_rig_new(&g, dir, &c);
            run(&g, at > 2 && how == 2 ? at - 2 : at);
            if (how > 0)
                engine_rig_snapshot(&g);
            run(&g, at);
            engine_rig_drop(&g);
            engine_rig_open(&g, &reading);
            ck_assert_uint_eq(reading.different, 0);
            run(&g, TOTAL);
            check_past(&g, &calm);
            engine_rig_drop(&g);
            struct engine_check check;
            ck_assert_int_eq(engine_verify(dir, &check, NULL), 0);
            ck_assert_uint_eq(check.reading.different, 0);
            ck_assert(!check.has_snapshot || check.state_equal);
        }
}
END_TEST

/* The same cell with two seeds: both are trained, whatever search.duplicates says. */
START_TEST(seeds_are_no_duplicates)
{
    struct config c = darts();
    struct engine_rig g;
    c.search.duplicates = DUPLICATES_ANSWER;
    engine_rig_new(&g, dir, &c);
    run(&g, TOTAL);
    const struct trial *first = engine_rig_trial(&g, TOTAL - 4);
    const struct trial *second = engine_rig_trial(&g, TOTAL - 3);
    ck_assert(first->kind == TRIAL_TRAIN_CHILD && first->arm == ARM_SEARCH);
    ck_assert(second->kind == TRIAL_TRAIN_CHILD && second->arm == ARM_SEARCH);
    ck_assert(architecture_equal(first->architecture, second->architecture));
    ck_assert(first->seed != second->seed && second->same_as < 0);
    ck_assert_int_eq(second->attempts, 1);
    engine_rig_drop(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_step_must_say_where_it_led,    a_step_without_a_loss_is_over,
        a_cell_beyond_the_space_is_none, a_killed_run_goes_on_with_the_same_cells,
        seeds_are_no_duplicates,         NULL};
    return temp_folder_main("engine_relaxed", tests, &folder, setup);
}
