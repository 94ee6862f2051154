/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_rig.h"

static struct temp_folder folder;
static char dir[512];

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
    snprintf(dir, sizeof dir, "%s/run", folder.path);
}

static const char *file_of(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void fails_to_open(int status, const char *text)
{
    struct engine *e = NULL;
    struct error err = {0};
    ck_assert_int_eq(engine_open(dir, false, &e, NULL, &err), status);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    ck_assert_ptr_null(e);
}

static void assert_same(struct engine_rig *a, struct engine_rig *b)
{
    uint64_t count = ledger_count(engine_ledger(a->engine));
    ck_assert_uint_eq(ledger_count(engine_ledger(b->engine)), count);
    for (uint64_t id = 0; id < count; id++) {
        const struct trial *t = engine_rig_trial(a, id), *u = engine_rig_trial(b, id);
        ck_assert(architecture_equal(t->architecture, u->architecture));
        ck_assert_uint_eq(t->policy_version, u->policy_version);
        ck_assert_int_eq(t->same_as, u->same_as);
        ck_assert_int_eq(t->state, u->state);
        ck_assert(t->reward == u->reward || (isnan(t->reward) && isnan(u->reward)));
    }
}

START_TEST(what_is_no_run_is_not_opened)
{
    struct engine_check check;
    struct engine *e = NULL;
    struct config c = engine_rig_config(MODE_SYNC, 4, 0);
    engine_free(NULL);
    fails_to_open(ERROR_INPUT, "does not exist");
    ck_assert_int_eq(engine_verify(dir, &check, NULL), ERROR_INPUT);
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    engine_rig_write_config(dir, &c);
    ck_assert_int_eq(text_write_file(file_of("journal"), "garbage garbage!!", 17, NULL),
                     0);
    fails_to_open(ERROR_INPUT, "journal");
    c.search.strategy = 99;
    ck_assert_int_eq(engine_new(&c, false, &e, NULL), ERROR_INPUT);
    ck_assert_ptr_null(e);
}
END_TEST

START_TEST(the_control_share_is_exact_at_every_prefix)
{
    const double shares[] = {0, 0.1, 0.25, 1.0 / 3, 0.5, 0.99};
    for (unsigned i = 0; i < 6; i++) {
        struct config c = engine_rig_config(MODE_ASYNC, 1000, shares[i]);
        uint64_t control = 0;
        for (uint64_t id = 0; id < 5000; id++) {
            control += engine_arm(&c, id) == ARM_CONTROL;
            ck_assert_uint_eq(control, (uint64_t)floor((double)(id + 1) * shares[i]));
        }
    }
}
END_TEST

START_TEST(the_budget_holds_to_the_trial)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 7, 0.3);
    engine_rig_new(&g, dir, &c);
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(engine_rig_propose(&g), ENGINE_PROPOSED);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(engine_rig_propose(&g), ENGINE_DONE);
    ck_assert_uint_eq(ledger_count(engine_ledger(g.engine)), 7);
    ck_assert(!engine_settled(g.engine));
    engine_rig_run(&g, 7);
    ck_assert(engine_settled(g.engine));
    engine_rig_drop(&g);
}
END_TEST

START_TEST(a_duplicate_waits_or_is_answered)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    engine_rig_one_choice(&c);
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_propose(&g);
    ck_assert_int_eq(engine_rig_trial(&g, 1)->state, TRIAL_WAITING);
    ck_assert_int_eq(engine_rig_trial(&g, 1)->same_as, 0);
    engine_rig_train(&g, 0);
    ck_assert_int_eq(engine_rig_trial(&g, 1)->state, TRIAL_SAVED);
    ck_assert_double_eq(engine_rig_trial(&g, 1)->reward, engine_rig_trial(&g, 0)->reward);
    engine_rig_propose(&g);
    ck_assert_int_eq(engine_rig_trial(&g, 2)->state, TRIAL_SAVED);
    engine_rig_tell(&g);
    ck_assert_uint_eq(engine_told(g.engine), 3);
    ck_assert_uint_eq(ledger_hours(engine_ledger(g.engine))->duplicates, 2);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(arms_share_no_answers)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0.5);
    engine_rig_one_choice(&c);
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_propose(&g);
    ck_assert_int_ne(engine_rig_trial(&g, 0)->arm, engine_rig_trial(&g, 1)->arm);
    ck_assert_int_eq(engine_rig_trial(&g, 1)->state, TRIAL_QUEUED);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(those_who_wait_for_a_failure_are_trained_themselves)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    engine_rig_one_choice(&c);
    c.run.retries = 0;
    engine_rig_new(&g, dir, &c);
    for (int i = 0; i < 4; i++)
        engine_rig_propose(&g);
    engine_rig_start(&g, 0);
    engine_rig_end(&g, 0, FAILURE_EXIT);
    ck_assert_int_eq(engine_rig_trial(&g, 0)->state, TRIAL_FAILED);
    ck_assert_int_eq(engine_rig_trial(&g, 1)->state, TRIAL_QUEUED);
    ck_assert_int_eq(engine_rig_trial(&g, 2)->state, TRIAL_WAITING);
    ck_assert_int_eq(engine_rig_trial(&g, 2)->same_as, 1);
    ck_assert_int_eq(engine_rig_trial(&g, 3)->same_as, 1);
    engine_rig_train(&g, 1);
    ck_assert_int_eq(engine_rig_trial(&g, 3)->state, TRIAL_SAVED);
    engine_rig_drop(&g);
    struct engine_reading reading; /* and the same when read back */
    engine_rig_open(&g, &reading);
    ck_assert_int_eq(engine_rig_trial(&g, 2)->same_as, 1);
    ck_assert_int_eq(engine_rig_trial(&g, 3)->state, TRIAL_SAVED);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(failures_are_tried_again_and_then_told)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    c.run.on_failure = ON_FAILURE_REWARD_0;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    ck_assert_int_eq(engine_rig_start(&g, 0), 1);
    engine_forget(g.engine, 0, 3); /* not its fault */
    ck_assert_int_eq(engine_rig_start(&g, 0), 1);
    engine_rig_end(&g, 0, FAILURE_TIMEOUT);
    ck_assert_int_eq(engine_rig_trial(&g, 0)->state, TRIAL_QUEUED);
    ck_assert_int_eq(engine_rig_tell(&g), 0);
    ck_assert_int_eq(engine_rig_start(&g, 0), 2);
    engine_rig_end(&g, 0, FAILURE_TIMEOUT);
    ck_assert_int_eq(engine_rig_trial(&g, 0)->state, TRIAL_FAILED);
    ck_assert_double_eq(engine_rig_trial(&g, 0)->reward, 0);
    ck_assert_int_eq(engine_rig_tell(&g), 1);
    ck_assert_double_eq(ledger_hours(engine_ledger(g.engine))->lost, 3);
    ck_assert_double_eq(ledger_hours(engine_ledger(g.engine))->failed, 4);
    engine_rig_drop(&g);
}
END_TEST

static int keep(struct engine_rig *g, uint64_t id, int what, uint32_t epochs,
                double seconds)
{
    return engine_checkpoint(g->engine, id, 1, 0, what, epochs, seconds, g->now += 1,
                             NULL);
}

static void check_kept(struct engine_rig *g, int state, uint32_t epochs, double seconds)
{
    const struct trial *t = engine_rig_trial(g, 0);
    ck_assert_int_eq(t->state, state);
    ck_assert_uint_eq(t->saved_epochs, epochs);
    ck_assert_double_eq(t->saved_seconds, seconds);
}

/* A suspended trial comes first, its attempt does not count, and its hours are counted
 * once; so it is after a kill, from the journal and from a snapshot. */
START_TEST(suspended_trials_go_on_first)
{
    struct engine_rig g;
    struct engine_reading reading;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    uint64_t next = 9;
    c.search.duplicates = DUPLICATES_TRAIN;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_propose(&g);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_SUSPENDED, 1, 1), ERROR_CORRUPT);
    ck_assert_int_eq(engine_rig_start(&g, 0), 1);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_SAVED, 2, 4), 0);
    check_kept(&g, TRIAL_RUNNING, 2, 4);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_SUSPENDED, 3, 6), 0);
    check_kept(&g, TRIAL_QUEUED, 3, 6);
    const struct ledger_hours *h = ledger_hours(engine_ledger(g.engine));
    ck_assert_double_eq(h->trained, 6);
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            engine_rig_snapshot(&g);
        engine_rig_drop(&g);
        engine_rig_open(&g, &reading);
        check_kept(&g, TRIAL_QUEUED, 3, 6);
        ck_assert_int_eq(engine_rig_trial(&g, 0)->attempts, 0);
        ck_assert(ledger_next(engine_ledger(g.engine), &next));
        ck_assert_uint_eq(next, 0);
    }
    h = ledger_hours(engine_ledger(g.engine));
    ck_assert_int_eq(engine_rig_start(&g, 0), 1);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_CONTINUED, 3, 6), 0);
    engine_forget(g.engine, 0, 7); /* a second beyond the state is lost */
    check_kept(&g, TRIAL_QUEUED, 3, 6);
    ck_assert_double_eq(h->lost, 1);
    ck_assert_int_eq(engine_rig_start(&g, 0), 1);
    struct trial_epoch epoch = {.val_accuracy = 0.5F};
    struct ledger_result r = {.epochs = &epoch, .epoch_count = 1, .seconds = 10};
    ck_assert_int_eq(engine_finish(g.engine, 0, 1, 0, &r, NULL), 0);
    check_kept(&g, TRIAL_DONE, 0, 0);
    ck_assert_double_eq(h->trained, 10);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_SAVED, 3, 6), ERROR_CORRUPT);
    engine_rig_drop(&g);
}
END_TEST

/* An attempt that fails by its own fault begins anew, and all of it is wasted; a lost
 * rank does not cost the state; one that cannot be used is lost. */
START_TEST(states_go_with_a_failed_attempt)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    c.run.retries = 5;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    const struct ledger_hours *h = ledger_hours(engine_ledger(g.engine));
    struct ledger_result r = {.failure = FAILURE_LOST, .seconds = 9, .reason = "planted"};
    engine_rig_start(&g, 0);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_SAVED, 2, 4), 0);
    ck_assert_int_eq(engine_finish(g.engine, 0, 1, 0, &r, NULL), 0);
    check_kept(&g, TRIAL_QUEUED, 2, 4);
    ck_assert(h->lost == 5 && h->trained == 4 && h->failed == 0);
    engine_rig_start(&g, 0);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_CONTINUED, 1, 3), 0); /* an older one */
    check_kept(&g, TRIAL_RUNNING, 1, 3);
    ck_assert(h->lost == 6 && h->trained == 3);
    r.failure = FAILURE_EXIT;
    ck_assert_int_eq(engine_finish(g.engine, 0, 1, 0, &r, NULL), 0);
    check_kept(&g, TRIAL_QUEUED, 0, 0);
    ck_assert(h->lost == 6 && h->trained == 0 && h->failed == 9);
    engine_rig_start(&g, 0);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_SAVED, 2, 4), 0);
    ck_assert_int_eq(keep(&g, 0, CHECKPOINT_REFUSED, 0, 0), 0);
    check_kept(&g, TRIAL_RUNNING, 0, 0);
    ck_assert(h->lost == 10 && h->trained == 0 && h->failed == 9);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(hours_count_devices_where_there_are_some)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 10, 0);
    c.resources.gpus_per_trial = 4;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_start(&g, 0);
    engine_forget(g.engine, 0, 3);
    ck_assert_double_eq(ledger_hours(engine_ledger(g.engine))->lost, 12);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(a_reward_that_is_no_number_is_a_failure)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    c.run.retries = 0;
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_start(&g, 0);
    struct trial_epoch epoch = {.val_accuracy = NAN};
    struct ledger_result r = {.epochs = &epoch, .epoch_count = 1, .seconds = 1};
    ck_assert_int_eq(engine_finish(g.engine, 0, 1, 0, &r, NULL), 0);
    ck_assert_int_eq(engine_rig_trial(&g, 0)->state, TRIAL_FAILED);
    ck_assert_int_eq(engine_rig_trial(&g, 0)->failure, FAILURE_NAN);
    ck_assert(isnan(engine_rig_trial(&g, 0)->reward));
    engine_rig_drop(&g);
}
END_TEST

START_TEST(sync_tells_in_the_order_of_ids)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_SYNC, 1000, 0);
    c.search.duplicates = DUPLICATES_TRAIN;
    engine_rig_new(&g, dir, &c);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(engine_rig_propose(&g), ENGINE_PROPOSED);
    ck_assert_int_eq(engine_rig_propose(&g), ENGINE_WAIT);
    engine_rig_train(&g, 3);
    engine_rig_train(&g, 1);
    ck_assert_int_eq(engine_rig_tell(&g), 0);
    engine_rig_train(&g, 0);
    ck_assert_int_eq(engine_rig_tell(&g), 1);
    ck_assert_uint_eq(engine_told(g.engine), 2);
    ck_assert_int_eq(engine_rig_propose(&g), ENGINE_WAIT);
    engine_rig_train(&g, 2);
    engine_rig_tell(&g);
    ck_assert_uint_eq(engine_told(g.engine), 4);
    ck_assert_int_eq(engine_rig_propose(&g), ENGINE_PROPOSED);
    ck_assert_uint_eq(engine_rig_trial(&g, 4)->policy_version, 1);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(nothing_is_told_before_it_is_durable)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_train(&g, 0);
    ck_assert_int_eq(engine_tell(g.engine, NULL), 0); /* nobody has committed */
    ck_assert(engine_owes_tell(g.engine));
    ck_assert_int_eq(engine_rig_tell(&g), 1);
    ck_assert(!engine_owes_tell(g.engine));
    engine_rig_drop(&g);
}
END_TEST

/* The history of a sync run does not depend on the order of finishing. */
START_TEST(sync_history_ignores_who_finishes_first)
{
    struct engine_rig a, b;
    char other[600];
    struct config c = engine_rig_config(MODE_SYNC, 32, 0.25);
    engine_rig_new(&a, dir, &c);
    snprintf(other, sizeof other, "%s/other", folder.path);
    engine_rig_new(&b, other, &c);
    engine_rig_run(&a, 32);
    while (!engine_settled(b.engine)) {
        while (engine_rig_propose(&b) == ENGINE_PROPOSED) {
        }
        for (uint64_t id = ledger_count(engine_ledger(b.engine)); id-- > 0;)
            if (engine_rig_trial(&b, id)->state == TRIAL_QUEUED)
                engine_rig_train(&b, id);
        engine_rig_tell(&b);
    }
    /* Which of two equal trials was trained may differ; what was learned may not. */
    for (uint64_t id = 0; id < 32; id++) {
        const struct trial *t = engine_rig_trial(&a, id), *u = engine_rig_trial(&b, id);
        ck_assert(architecture_equal(t->architecture, u->architecture));
        ck_assert_double_eq(t->reward, u->reward);
    }
    engine_rig_drop(&a);
    engine_rig_drop(&b);
}
END_TEST

/* Cut a run anywhere, with and without snapshots: read back, it goes on as if nothing had
 * happened. */
static void cut_and_continue(int mode, bool snapshots)
{
    struct engine_rig whole, cut;
    struct engine_reading reading;
    struct engine_check check;
    struct error err = {0};
    char other[600];
    struct config c = engine_rig_config(mode, 40, 0.2);
    engine_rig_new(&whole, dir, &c);
    engine_rig_run(&whole, 40);
    snprintf(other, sizeof other, "%s/other", folder.path);
    engine_rig_new(&cut, other, &c);
    for (uint64_t until = 3; until <= 42; until += 3) {
        engine_rig_run(&cut, until);
        if (snapshots && until % 2 == 0)
            engine_rig_snapshot(&cut);
        engine_rig_drop(&cut);
        engine_rig_open(&cut, &reading);
        ck_assert_uint_eq(reading.different, 0);
        ck_assert(!reading.torn && !reading.closed);
    }
    ck_assert(engine_settled(cut.engine));
    ck_assert_uint_eq(reading.sessions, 14);
    assert_same(&whole, &cut);
    engine_rig_snapshot(&cut);
    engine_rig_drop(&cut);
    engine_rig_drop(&whole);
    ck_assert_msg(engine_verify(other, &check, &err) == 0, "%s", err.text);
    ck_assert_msg(check.has_snapshot && check.state_equal && !*check.difference, "%s",
                  check.difference);
    ck_assert_uint_eq(check.reading.different, 0);
}

START_TEST(a_sync_run_goes_on_from_its_journal)
{
    cut_and_continue(MODE_SYNC, false);
}
END_TEST
START_TEST(a_sync_run_goes_on_from_its_snapshots)
{
    cut_and_continue(MODE_SYNC, true);
}
END_TEST
START_TEST(an_async_run_goes_on_from_its_journal)
{
    cut_and_continue(MODE_ASYNC, false);
}
END_TEST
START_TEST(an_async_run_goes_on_from_its_snapshots)
{
    cut_and_continue(MODE_ASYNC, true);
}
END_TEST

/* The wall clock between the last record and the snapshot is in no record: the state must
 * be that of the record all the same. */
START_TEST(a_snapshot_after_a_pause_replays_alike)
{
    struct engine_rig g;
    struct engine_reading reading;
    struct engine_check check;
    struct config c = engine_rig_config(MODE_ASYNC, 40, 0);
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 5);
    g.now += 1000;
    engine_rig_snapshot(&g);
    engine_rig_drop(&g);
    engine_rig_open(&g, &reading);
    engine_rig_snapshot(&g);
    engine_rig_drop(&g);
    ck_assert_int_eq(engine_verify(dir, &check, NULL), 0);
    ck_assert_msg(check.state_equal, "%s", check.difference);
}
END_TEST

START_TEST(a_snapshot_is_written_while_the_run_goes_on)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 40, 0);
    struct engine_reading reading;
    struct engine *e = NULL;
    struct error err;
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 40);
    ck_assert_int_eq(engine_snapshot_begin(g.engine, g.dir, &err), 0);
    int status;
    while ((status = engine_snapshot_poll(g.engine, g.dir, &err)) == 1)
        usleep(1000);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(engine_snapshot_poll(g.engine, g.dir, &err), 0);
    ck_assert_int_eq(engine_open(g.dir, true, &e, &reading, NULL), 0);
    ck_assert_uint_eq(reading.records, 0);
    ck_assert_uint_eq(ledger_count(engine_ledger(e)), 40);
    engine_free(e);
    ck_assert_int_eq(engine_snapshot_begin(g.engine, "/nowhere", &err), 0);
    while ((status = engine_snapshot_poll(g.engine, "/nowhere", &err)) == 1)
        usleep(1000);
    ck_assert_int_eq(status, ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/snapshot.h5"));
    engine_rig_drop(&g);
}
END_TEST

START_TEST(what_was_running_comes_back_oldest_first)
{
    struct engine_rig g;
    struct engine_reading reading;
    struct config c = engine_rig_config(MODE_ASYNC, 40, 0);
    c.search.duplicates = DUPLICATES_TRAIN;
    engine_rig_new(&g, dir, &c);
    for (uint64_t id = 0; id < 5; id++) {
        engine_rig_propose(&g);
        engine_rig_start(&g, id);
    }
    engine_rig_drop(&g);
    engine_rig_open(&g, &reading);
    for (uint64_t id = 0, next; id < 5; id++) {
        ck_assert(ledger_next(engine_ledger(g.engine), &next));
        ck_assert_uint_eq(next, id);
        ck_assert_int_eq(engine_rig_start(&g, id), 1); /* the lost one does not count */
    }
    engine_rig_drop(&g);
}
END_TEST

START_TEST(a_torn_end_is_left_out)
{
    struct engine_rig g;
    struct engine_reading reading;
    struct stat st;
    struct config c = engine_rig_config(MODE_SYNC, 8, 0);
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 6);
    engine_rig_drop(&g);
    ck_assert_int_eq(stat(g.path, &st), 0);
    ck_assert_int_eq(truncate(g.path, st.st_size - 3), 0);
    engine_rig_open(&g, &reading);
    ck_assert(reading.torn);
    engine_rig_run(&g, 8);
    ck_assert(engine_settled(g.engine));
    engine_rig_drop(&g);
    engine_rig_open(&g, &reading);
    ck_assert(!reading.torn);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(without_a_valid_snapshot_the_journal_serves)
{
    struct engine_rig g;
    struct engine_reading reading;
    struct config c = engine_rig_config(MODE_SYNC, 12, 0);
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 6);
    engine_rig_snapshot(&g);
    engine_rig_snapshot(&g);
    engine_rig_run(&g, 9);
    engine_rig_drop(&g);
    ck_assert_int_eq(truncate(file_of("snapshot.h5"), 5000), 0);
    engine_rig_open(&g, &reading); /* the one before */
    ck_assert_ptr_nonnull(strstr(reading.note, "snapshot.h5"));
    ck_assert_uint_eq(engine_told(g.engine), 9);
    engine_rig_drop(&g);
    ck_assert_int_eq(truncate(file_of("snapshot.prev.h5"), 700), 0);
    engine_rig_open(&g, &reading);
    ck_assert_ptr_nonnull(strstr(reading.note, "the whole journal is replayed"));
    ck_assert_uint_eq(engine_told(g.engine), 9);
    engine_rig_run(&g, 12);
    ck_assert(engine_settled(g.engine));
    engine_rig_drop(&g);
}
END_TEST

/* Append a record to a run's journal behind the engine's back. */
static void plant(struct engine_rig *g, uint32_t type, const struct bytes *payload)
{
    ck_assert_int_eq(journal_append(g->journal, type, payload, NULL, NULL), 0);
}

static void planted_record_fails(uint32_t type, struct bytes *payload, const char *text)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0);
    setup();
    engine_rig_new(&g, dir, &c);
    engine_rig_propose(&g);
    engine_rig_train(&g, 0);
    engine_rig_tell(&g);
    engine_rig_propose(&g);
    plant(&g, type, payload);
    engine_rig_drop(&g);
    fails_to_open(ERROR_CORRUPT, text);
    fails_to_open(ERROR_CORRUPT, "byte ");
    bytes_fini(payload);
}

START_TEST(records_that_cannot_follow_are_named)
{
    struct bytes b;
    bytes_init(&b);
    planted_record_fails(77, &b, "unknown type 77");
    bytes_init(&b);
    planted_record_fails(RECORD_PROPOSED, &b, "");
    bytes_init(&b);
    record_encode_told(0, &b);
    planted_record_fails(RECORD_TOLD, &b, "trial 0 is told twice");
    bytes_init(&b);
    record_encode_told(1, &b);
    planted_record_fails(RECORD_TOLD, &b, "trial 1: a record of it cannot follow");
    bytes_init(&b);
    record_encode_told(UINT64_MAX, &b);
    planted_record_fails(RECORD_TOLD, &b, "is unknown");
    bytes_init(&b);
    struct record_started s = {.id = 0, .attempt = 1};
    record_encode_started(&s, &b);
    planted_record_fails(RECORD_STARTED, &b, "trial 0");
    bytes_init(&b);
    struct record_finished f = {.id = 1, .attempt = 1, .reward = 1};
    record_encode_finished(&f, &b);
    planted_record_fails(RECORD_FINISHED, &b, "trial 1");
    bytes_init(&b);
    bytes_put_u8(&b, 3);
    planted_record_fails(RECORD_CLOSED, &b, "no time");
}
END_TEST

START_TEST(what_shapes_the_record_cannot_change)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_SYNC, 8, 0.25), d;
    struct error err = {0};
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 6);
#define REFUSED(field, value, name)                                          \
    d = c;                                                                   \
    d.field = value;                                                         \
    ck_assert_int_eq(engine_change_config(g.engine, &d, &err), ERROR_INPUT); \
    ck_assert_ptr_nonnull(strstr(err.text, name))
    REFUSED(seed, 99, "seed");
    REFUSED(space.conv_chain.layers, 3, "space");
    REFUSED(run.mode, MODE_ASYNC, "run.mode");
    REFUSED(control.share, 0, "control.share");
    REFUSED(search.strategy, STRATEGY_RANDOM, "search.strategy");
    REFUSED(search.controller.hidden, 9, "search.controller");
    REFUSED(search.controller.lr, 0.5, "search.controller");
    /* Strategies are made from it: a smaller one could not even be read back. */
    REFUSED(search.batch, 1, "search.batch");
#undef REFUSED
    d = c;
    d.search.trials = 12;
    d.run.retries = 7;
    ck_assert_int_eq(engine_change_config(g.engine, &d, &err), 0);
    engine_rig_run(&g, 12);
    ck_assert(engine_settled(g.engine));
    engine_rig_drop(&g);
    struct engine_reading reading; /* config.yaml is still the old one */
    engine_rig_open(&g, &reading);
    ck_assert_int_eq(engine_config(g.engine)->search.trials, 12);
    ck_assert_int_eq(engine_config(g.engine)->run.retries, 7);
    engine_rig_drop(&g);
}
END_TEST

START_TEST(a_planted_difference_is_found)
{
    struct engine_rig g;
    struct engine_check check;
    struct config c = engine_rig_config(MODE_SYNC, 12, 0);
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 6);
    struct trial t = *engine_rig_trial(&g, 0); /* an old proposal once more */
    t.id = ledger_count(engine_ledger(g.engine));
    struct bytes b;
    bytes_init(&b);
    record_encode_proposed(&t, &b);
    plant(&g, RECORD_PROPOSED, &b);
    bytes_fini(&b);
    engine_rig_drop(&g);
    ck_assert_int_eq(engine_verify(dir, &check, NULL), 0);
    ck_assert_uint_eq(check.reading.different, 1);
    ck_assert_uint_eq(check.reading.first_different, t.id);
    ck_assert_ptr_nonnull(strstr(check.difference, "proposed differently"));
}
END_TEST

START_TEST(an_observer_reads_without_strategies)
{
    struct engine_rig g;
    struct engine *e = NULL;
    struct engine_reading reading;
    struct config c = engine_rig_config(MODE_ASYNC, 12, 0.25);
    engine_rig_new(&g, dir, &c);
    engine_rig_run(&g, 12);
    engine_rig_snapshot(&g);
    ck_assert_int_eq(engine_close_session(g.engine, g.now += 1, NULL), 0);
    engine_rig_drop(&g);
    ck_assert_int_eq(engine_open(dir, true, &e, &reading, NULL), 0);
    ck_assert_uint_eq(engine_told(e), 12);
    ck_assert(reading.closed && engine_settled(e));
    ck_assert_double_gt(engine_elapsed(e), 1);
    engine_free(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_is_no_run_is_not_opened,
                                  the_control_share_is_exact_at_every_prefix,
                                  the_budget_holds_to_the_trial,
                                  a_duplicate_waits_or_is_answered,
                                  arms_share_no_answers,
                                  those_who_wait_for_a_failure_are_trained_themselves,
                                  failures_are_tried_again_and_then_told,
                                  suspended_trials_go_on_first,
                                  states_go_with_a_failed_attempt,
                                  hours_count_devices_where_there_are_some,
                                  a_reward_that_is_no_number_is_a_failure,
                                  sync_tells_in_the_order_of_ids,
                                  nothing_is_told_before_it_is_durable,
                                  sync_history_ignores_who_finishes_first,
                                  a_sync_run_goes_on_from_its_journal,
                                  a_sync_run_goes_on_from_its_snapshots,
                                  an_async_run_goes_on_from_its_journal,
                                  an_async_run_goes_on_from_its_snapshots,
                                  a_snapshot_after_a_pause_replays_alike,
                                  a_snapshot_is_written_while_the_run_goes_on,
                                  what_was_running_comes_back_oldest_first,
                                  a_torn_end_is_left_out,
                                  without_a_valid_snapshot_the_journal_serves,
                                  records_that_cannot_follow_are_named,
                                  what_shapes_the_record_cannot_change,
                                  a_planted_difference_is_found,
                                  an_observer_reads_without_strategies,
                                  NULL};
    return temp_folder_main("engine", tests, &folder, setup);
}
