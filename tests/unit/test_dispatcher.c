/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks are played by a scripted wire: the test puts their messages in and reads what the
 * master sent. Time is a variable. */
#include "master/dispatcher.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"
#include "engine_rig.h"

enum { RANKS = 4, QUEUE = 64 };

struct fake_wire {
    struct wire base;
    struct {
        int peer;
        struct bytes data;
    } incoming[QUEUE];
    int first, count;
    int sent[RANKS][16];              /* by rank and type */
    struct message_task tasks[QUEUE]; /* numbers only */
    int task_ranks[QUEUE], task_count;
    bool forgotten[RANKS];
};

static struct temp_folder folder;
static char dir[512];
static struct fake_wire fake;
static struct engine_rig rig;
static struct dispatcher *dispatcher;
static struct config config;
static double now;
static int notified[DISPATCHER_EVENT_COUNT];
static char lost_reason[512];

static int fake_send(struct wire *w, int peer, const void *data, size_t size,
                     struct error *err)
{
    struct bytes_reader in;
    struct message m;
    bytes_reader_init(&in, data, size);
    while (message_decode(&in, &m, err) == 1) {
        fake.sent[peer][m.type]++;
        if (m.type == MESSAGE_TASK && fake.task_count < QUEUE) {
            fake.task_ranks[fake.task_count] = peer;
            fake.tasks[fake.task_count++] = m.task;
        }
        message_fini(&m);
    }
    return 0;
}

static int fake_receive(struct wire *w, int *ret_peer, struct bytes *ret,
                        struct error *err)
{
    if (fake.first == fake.count)
        return 0;
    *ret_peer = fake.incoming[fake.first].peer;
    bytes_clear(ret);
    bytes_put(ret, fake.incoming[fake.first].data.data,
              fake.incoming[fake.first].data.size);
    bytes_fini(&fake.incoming[fake.first++].data);
    return 1;
}

static int fake_progress(struct wire *w, struct error *err)
{
    return 0;
}

static bool fake_idle(const struct wire *w)
{
    return true;
}

static void fake_forget(struct wire *w, int peer)
{
    fake.forgotten[peer] = true;
}

static void fake_close(struct wire *w, bool clean)
{
}

static const struct wire_ops fake_ops = {.name = "fake",
                                         .send = fake_send,
                                         .receive = fake_receive,
                                         .progress = fake_progress,
                                         .idle = fake_idle,
                                         .forget = fake_forget,
                                         .close = fake_close};

static double fake_clock(void *context)
{
    return now;
}

static const struct clock test_clock = {fake_clock, fake_clock, NULL};

static void notify(void *context, const struct dispatcher_event *e)
{
    notified[e->type]++;
    if (e->type == DISPATCHER_RANK_LOST)
        snprintf(lost_reason, sizeof lost_reason, "%s", e->reason);
}

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
    snprintf(dir, sizeof dir, "%s/run", folder.path);
    memset(&fake, 0, sizeof fake);
    memset(notified, 0, sizeof notified);
    now = 5000;
    config = engine_rig_config(MODE_ASYNC, 1000, 0);
    config.search.duplicates = DUPLICATES_TRAIN;
    config.run.lost_after = 60;
    config.run.silent_after = 1000;
    config.run.quarantine_after = 0;
    config.run.heartbeat = 5;
    config.run.prefetch = 8;
    config.run.retries = 1;
    config.run.slots = 0;
    config.resources.threads_per_trial = 1;
    config.resources.memory_per_trial = 0;
}

static void say_frame(int rank, const struct message *m)
{
    ck_assert_int_lt(fake.count, QUEUE);
    fake.incoming[fake.count].peer = rank;
    bytes_init(&fake.incoming[fake.count].data);
    message_encode(m, &fake.incoming[fake.count++].data);
}

static void say(int rank, int type)
{
    struct message m = {.type = (enum message_type)type};
    say_frame(rank, &m);
}

static void say_hello(int rank, const char *cpus)
{
    struct message m = {.type = MESSAGE_HELLO};
    snprintf(m.hello.host, sizeof m.hello.host, "host%d", rank);
    snprintf(m.hello.cpus, sizeof m.hello.cpus, "%s", cpus);
    say_frame(rank, &m);
}

static void say_result(int rank, const struct message_task *t, int failure,
                       double seconds, float accuracy)
{
    struct trial_epoch epoch = {.val_accuracy = accuracy};
    struct message m = {.type = MESSAGE_RESULT,
                        .result = {.trial = t->trial,
                                   .attempt = t->attempt,
                                   .slot = t->slot,
                                   .failure = (uint8_t)failure,
                                   .seconds = seconds,
                                   .params = NAN,
                                   .flops = NAN,
                                   .epoch_count = 1,
                                   .epochs = &epoch,
                                   .reason = (char *)(failure ? "planted" : "")}};
    say_frame(rank, &m);
}

static int step(struct error *err)
{
    fake.first = fake.first == fake.count ? fake.count = 0 : fake.first;
    return dispatcher_step(dispatcher, err);
}

static void step_well(void)
{
    struct error err = {0};
    ck_assert_msg(step(&err) >= 0, "%s", err.text);
}

/* A dispatcher of `ranks` workers with `cpus` each, ready for tasks. */
static void start(int ranks, const char *cpus)
{
    fake.base = (struct wire){&fake_ops, 0, ranks + 1};
    engine_rig_new(&rig, dir, &config);
    struct dispatcher_setup s = {.engine = rig.engine,
                                 .wire = &fake.base,
                                 .clock = &test_clock,
                                 .run_folder = dir,
                                 .notify = notify};
    ck_assert_int_eq(dispatcher_new(&s, &dispatcher, NULL), 0);
    for (int rank = 1; rank <= ranks && cpus; rank++)
        say_hello(rank, cpus);
    step_well();
    for (int rank = 1; rank <= ranks && cpus; rank++)
        say(rank, MESSAGE_READY);
    step_well();
}

static void finish(void)
{
    dispatcher_free(dispatcher);
    engine_rig_drop(&rig);
}

static int hand_out(int proposals)
{
    struct error err = {0};
    for (int i = 0; i < proposals; i++)
        engine_rig_propose(&rig);
    int handed = dispatcher_hand_out(dispatcher, &err);
    ck_assert_msg(handed >= 0, "%s", err.text);
    return handed;
}

/* Not yet, but after one step more. */
static void is_alone(const char *text)
{
    ck_assert_ptr_null(dispatcher_alone(dispatcher));
    step_well();
    const char *why = dispatcher_alone(dispatcher);
    ck_assert_msg(why && strstr(why, text), "'%s' lacks '%s'", why ? why : "", text);
}

START_TEST(nothing_is_handed_out_before_all_have_reported)
{
    start(2, NULL);
    dispatcher_free(NULL);
    say_hello(1, "0-1");
    say(2, MESSAGE_READY); /* out of turn: no HELLO yet */
    step_well();
    ck_assert_ptr_null(dispatcher_placement(dispatcher));
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 0);
    ck_assert_int_eq(hand_out(2), 0);
    say_hello(2, "0");
    step_well();
    ck_assert_int_eq(dispatcher_placement(dispatcher)->count, 3);
    ck_assert_int_eq(fake.sent[1][MESSAGE_WELCOME], 1);
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 0);
    say(1, MESSAGE_READY);
    say_hello(1, "0-7"); /* a second one changes nothing */
    step_well();
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 2);
    ck_assert_int_eq(hand_out(0), 2);
    ck_assert_int_eq(notified[DISPATCHER_STARTED], 1);
    finish();
}
END_TEST

/* Time goes by in the steps of a living loop; rank 1 gives signs of life. */
static void pass(double seconds)
{
    for (double until = now + seconds; now < until;) {
        now += 1.5;
        say(1, MESSAGE_HEARTBEAT);
        step_well();
    }
}

START_TEST(a_master_that_stood_still_blames_nobody)
{
    start(2, "0");
    now += 1000;
    step_well();
    ck_assert(!dispatcher_lost_any(dispatcher));
    pass(61);
    ck_assert(fake.forgotten[2] && !fake.forgotten[1]);
    finish();
}
END_TEST

START_TEST(a_rank_that_never_reports_is_given_up)
{
    start(2, NULL);
    say_hello(1, "0-1");
    step_well();
    pass(59);
    ck_assert_ptr_null(dispatcher_placement(dispatcher));
    pass(2);
    ck_assert_int_eq(dispatcher_placement(dispatcher)->count, 2);
    ck_assert(fake.forgotten[2] && !fake.forgotten[1]);
    finish();
}
END_TEST

/* The states are these, one a line. */
static void describes(const char *expected)
{
    struct text text;
    text_init(&text);
    dispatcher_describe(dispatcher, 20, &text);
    ck_assert_str_eq(text.data ? text.data : "", expected);
    text_fini(&text);
}

START_TEST(who_keeps_the_start_waiting_is_named)
{
    config.run.silent_after = 4;
    config.run.heartbeat = 1;
    start(3, NULL);
    say_hello(1, "0");
    step_well();
    pass(3);
    describes("");
    pass(3);
    describes("2 of 3 ranks have not reported, so no trial is handed out, for 6 s\n"
              "rank 2 has not reported for 6 s\n"
              "rank 3 has not reported for 6 s\n");
    say_hello(2, "0");
    say_hello(3, "0");
    step_well();
    describes("");
    say(1, MESSAGE_READY);
    pass(6); /* the others know their slots and say nothing more */
    describes("rank 2 on host2, no heartbeat for 6 s\n"
              "rank 3 on host3, no heartbeat for 6 s\n");
    finish();
}
END_TEST

/* Before there is a forecast many times the mean, with one far beyond it. */
START_TEST(trials_that_take_too_long_are_named)
{
    char expected[160];
    start(1, "0");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(hand_out(1), 1);
        say_result(1, &fake.tasks[i], FAILURE_NONE, 5, 0.5F);
        step_well();
    }
    ck_assert_int_eq(hand_out(1), 1);
    pass(48);
    describes("");
    pass(6);
    snprintf(expected, sizeof expected,
             "rank 1 on host1, trial %d, runs for 54 s (mean 5 s)\n",
             (int)fake.tasks[2].trial);
    describes(expected);
    say_result(1, &fake.tasks[2], FAILURE_NONE, 5, 0.5F);
    step_well();
    for (int i = 3; i < 8; i++) {
        ck_assert_int_eq(hand_out(1), 1);
        say_result(1, &fake.tasks[i], FAILURE_NONE, 5, 0.5F);
        step_well();
    }
    ck_assert_int_eq(hand_out(1), 1);
    pass(15);
    describes("");
    pass(3);
    snprintf(expected, sizeof expected,
             "rank 1 on host1, trial %d, runs for 18 s (expected 5 s at most)\n",
             (int)fake.tasks[8].trial);
    describes(expected);
    finish();
}
END_TEST

START_TEST(a_silent_rank_loses_its_trials)
{
    start(2, "0");
    ck_assert_int_eq(hand_out(2), 2);
    ck_assert_int_ne(fake.task_ranks[0], fake.task_ranks[1]);
    struct message_task lost = fake.tasks[fake.task_ranks[0] == 2 ? 0 : 1];
    pass(61);
    ck_assert_int_eq(notified[DISPATCHER_RANK_LOST], 1);
    ck_assert_str_eq(lost_reason, "no sign of life");
    ck_assert(dispatcher_lost_any(dispatcher));
    const struct trial *t = engine_rig_trial(&rig, lost.trial);
    ck_assert_int_eq(t->state, TRIAL_QUEUED);
    ck_assert_int_eq(t->failure, FAILURE_LOST);
    ck_assert_double_ge(ledger_hours(engine_ledger(rig.engine))->lost, 60);
    ck_assert_double_eq(ledger_hours(engine_ledger(rig.engine))->failed, 0);
    struct dispatcher_counts c = dispatcher_count(dispatcher);
    ck_assert_int_eq(c.lost, 1);
    ck_assert_int_eq(c.slots, 1);
    ck_assert_int_eq(c.in_flight, 1);
    say_result(2, &lost, FAILURE_NONE, 1, 0.9F); /* too late */
    step_well();
    ck_assert_int_eq(t->state, TRIAL_QUEUED);
    finish();
}
END_TEST

/* Heartbeats of both ranks for so many seconds. */
static void live(double seconds)
{
    for (double until = now + seconds; now < until;) {
        now += 5;
        say(1, MESSAGE_HEARTBEAT);
        say(2, MESSAGE_HEARTBEAT);
        step_well();
        fake.first = fake.count = 0; /* all of it was taken */
    }
}

/* The heart of rank 2 beats, but its trial never ends: the master has its own deadline. */
START_TEST(a_trial_without_a_word_is_given_up)
{
    struct text t;
    config.run.trial_timeout = 100;
    start(2, "0");
    ck_assert_int_eq(hand_out(2), 2);
    struct message_task stuck = fake.tasks[fake.task_ranks[0] == 2 ? 0 : 1];
    say_result(1, &fake.tasks[fake.task_ranks[0] == 2 ? 1 : 0], FAILURE_NONE, 50, 0.5F);
    live(450); /* 100, 300 for a trainer to get ready, run.lost_after */
    const struct trial *trial = engine_rig_trial(&rig, stuck.trial);
    ck_assert_int_eq(trial->state, TRIAL_RUNNING);
    live(15);
    ck_assert_int_eq(trial->state, TRIAL_QUEUED);
    ck_assert_int_eq(trial->failure, FAILURE_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(trial->reason, "no word from rank 2 on host2 for"));
    ck_assert_int_eq(notified[DISPATCHER_ATTEMPT_FAILED], 1);
    ck_assert_int_eq(fake.sent[2][MESSAGE_CANCEL], 1);
    text_init(&t);
    dispatcher_describe(dispatcher, 20, &t);
    ck_assert_ptr_nonnull(strstr(t.data, "no word for"));
    text_fini(&t);
    live(100); /* and only once */
    ck_assert_int_eq(notified[DISPATCHER_ATTEMPT_FAILED], 1);
    ck_assert_int_eq(hand_out(0), 1); /* to the other rank: the slot is taken */
    ck_assert_int_eq(fake.task_ranks[fake.task_count - 1], 1);
    say_result(2, &stuck, FAILURE_NONE, 460, 0.9F); /* after all, and the first */
    step_well();
    ck_assert_int_eq(trial->state, TRIAL_DONE);
    ck_assert_int_eq(fake.sent[1][MESSAGE_CANCEL], 1);
    finish();
}
END_TEST

/* Everywhere the same: it fails for good, and says why. */
START_TEST(a_trial_that_silences_every_slot_fails)
{
    config.run.trial_timeout = 100;
    config.run.retries = 1;
    start(2, "0");
    ck_assert_int_eq(hand_out(1), 1);
    live(470);
    ck_assert_int_eq(hand_out(0), 1);
    live(470);
    const struct trial *t = engine_rig_trial(&rig, 0);
    ck_assert_int_eq(t->state, TRIAL_FAILED);
    ck_assert_int_eq(t->attempts, 2);
    ck_assert_int_eq(notified[DISPATCHER_FINISHED], 1);
    finish();
}
END_TEST

/* The task of the trial that was handed out last. */
static struct message_task last_task(uint64_t trial, int *ret_rank)
{
    for (int i = fake.task_count; i-- > 0;)
        if (fake.tasks[i].trial == trial) {
            *ret_rank = fake.task_ranks[i];
            return fake.tasks[i];
        }
    ck_abort_msg("trial %d was not handed out", (int)trial);
}

/* Two ranks of one slot each; rank 2 falls silent with its trial, which is handed to rank
 * 1 when that has finished its own, in so many seconds. The two tasks of the trial. */
static void fall_silent_after(double seconds, struct message_task *ret_old,
                              struct message_task *ret_new)
{
    int rank;
    config.run.silent_after = 4;
    config.run.heartbeat = 1;
    start(2, "0");
    ck_assert_int_eq(hand_out(2), 2);
    int mine = fake.task_ranks[0] == 1 ? 0 : 1;
    *ret_old = fake.tasks[1 - mine];
    say_result(1, &fake.tasks[mine], FAILURE_NONE, seconds, 0.5F);
    pass(2.9);
    ck_assert_int_eq(notified[DISPATCHER_RANK_SILENT], 0);
    pass(1.5);
    ck_assert_int_eq(notified[DISPATCHER_RANK_SILENT], 1);
    ck_assert_int_eq(engine_rig_trial(&rig, ret_old->trial)->state, TRIAL_QUEUED);
    ck_assert_int_eq(hand_out(0), 1);
    *ret_new = last_task(ret_old->trial, &rank);
    ck_assert_int_eq(rank, 1);
    ck_assert_int_eq(ret_new->attempt, 2);
}

static void fall_silent(struct message_task *ret_old, struct message_task *ret_new)
{
    fall_silent_after(2, ret_old, ret_new);
}

START_TEST(the_doubted_may_come_first)
{
    struct message_task old, new;
    fall_silent(&old, &new);
    pass(10);
    say_result(2, &old, FAILURE_NONE, 30, 0.75F);
    int cancels = fake.sent[1][MESSAGE_CANCEL];
    step_well();
    ck_assert_int_eq(notified[DISPATCHER_RANK_BACK], 1);
    const struct trial *t = engine_rig_trial(&rig, old.trial);
    ck_assert_int_eq(t->state, TRIAL_DONE);
    ck_assert_double_eq(t->val_accuracy, 0.75);
    ck_assert_int_eq(fake.sent[1][MESSAGE_CANCEL], cancels + 1);
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 0);
    say_result(1, &new, FAILURE_NONE, 1, 0.25F); /* crossed with the cancel */
    step_well();
    ck_assert_int_eq(notified[DISPATCHER_LATE_RESULT], 1);
    ck_assert_int_eq(notified[DISPATCHER_FINISHED], 2);
    ck_assert_double_eq(t->val_accuracy, 0.75);
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 2);
    finish();
}
END_TEST

START_TEST(the_doubted_may_come_second)
{
    struct message_task old, new;
    fall_silent(&old, &new);
    say_result(1, &new, FAILURE_NONE, 1, 0.25F);
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_DONE);
    ck_assert_int_eq(fake.sent[2][MESSAGE_CANCEL], 0);
    say_result(2, &old, FAILURE_NONE, 30, 0.75F);
    step_well();
    ck_assert_int_eq(fake.sent[2][MESSAGE_CANCEL], 1);
    ck_assert_int_eq(notified[DISPATCHER_LATE_RESULT], 1);
    ck_assert_double_eq(engine_rig_trial(&rig, old.trial)->val_accuracy, 0.25);
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 2);
    finish();
}
END_TEST

START_TEST(both_may_run_for_a_while)
{
    struct message_task old, new;
    fall_silent(&old, &new);
    say(2, MESSAGE_HEARTBEAT);
    step_well();
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 2);
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 0);
    say_result(2, &old, FAILURE_EXIT, 30, 0); /* the other one is still at it */
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_RUNNING);
    say_result(1, &new, FAILURE_NONE, 1, 0.25F);
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_DONE);
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 0);
    finish();
    setup();
    fall_silent(&old, &new);
    say(2, MESSAGE_HEARTBEAT);
    say_result(1, &new, FAILURE_NONE, 1, 0.25F);
    step_well();
    ck_assert_int_eq(fake.sent[2][MESSAGE_CANCEL], 1);
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 0);
    finish();
}
END_TEST

START_TEST(the_doubted_may_never_come_back)
{
    struct message_task old, new;
    struct text text;
    fall_silent(&old, &new);
    text_init(&text);
    dispatcher_describe(dispatcher, 20, &text);
    char expected[64];
    snprintf(expected, sizeof expected,
             "rank 2 on host2, trial %d, no heartbeat for 4 s\n", (int)old.trial);
    ck_assert_str_eq(text.data, expected);
    text_fini(&text);
    pass(60);
    ck_assert_int_eq(notified[DISPATCHER_RANK_LOST], 1);
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_RUNNING);
    ck_assert_double_ge(ledger_hours(engine_ledger(rig.engine))->lost, 60);
    dispatcher_recall(dispatcher);
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_QUEUED);
    finish();
}
END_TEST

/* A second silence, of the rank that has taken over, and both come back. */
START_TEST(a_trial_may_be_doubted_twice)
{
    struct message_task old, new;
    fall_silent(&old, &new);
    now += 1;
    say(2, MESSAGE_HEARTBEAT);
    step_well();
    for (int i = 0; i < 4; i++) {
        now += 1.5;
        say(2, MESSAGE_HEARTBEAT);
        step_well();
    }
    ck_assert_int_eq(notified[DISPATCHER_RANK_SILENT], 2);
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_QUEUED);
    say_result(1, &new, FAILURE_NONE, 1, 0.25F);
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, old.trial)->state, TRIAL_DONE);
    say_result(2, &old, FAILURE_NONE, 1, 0.75F);
    step_well();
    ck_assert_double_eq(engine_rig_trial(&rig, old.trial)->val_accuracy, 0.25);
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 0);
    ck_assert_int_eq(notified[DISPATCHER_FINISHED], 2);
    finish();
}
END_TEST

/* The first one is back, and the third waits behind it, when the second brings a result.
 */
START_TEST(two_attempts_of_a_trial_may_share_a_slot)
{
    struct message_task old, new, third;
    int rank;
    fall_silent_after(0.01, &old, &new);
    for (int i = 0; i < 5; i++) {
        now += 1.3;
        say(2, MESSAGE_HEARTBEAT);
        step_well();
    }
    ck_assert_int_eq(notified[DISPATCHER_RANK_SILENT], 2);
    ck_assert_int_eq(hand_out(0), 1);
    third = last_task(old.trial, &rank);
    ck_assert(rank == 2 && third.attempt == 3);
    say_result(1, &new, FAILURE_NONE, 1, 0.25F);
    step_well();
    ck_assert_int_eq(fake.sent[2][MESSAGE_CANCEL], 2);
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 0);
    say_result(2, &old, FAILURE_NONE, 1, 0.75F);
    say_result(2, &third, FAILURE_NONE, 1, 0.75F);
    step_well();
    ck_assert_double_eq(engine_rig_trial(&rig, old.trial)->val_accuracy, 0.25);
    finish();
}
END_TEST

/* A task that failed on rank 1 of two: its next attempt. */
START_TEST(a_retry_goes_elsewhere)
{
    int rank;
    start(2, "0");
    ck_assert_int_eq(hand_out(2), 2);
    struct message_task bad = fake.tasks[fake.task_ranks[0] == 1 ? 0 : 1];
    struct message_task good = fake.tasks[fake.task_ranks[0] == 1 ? 1 : 0];
    say_result(1, &bad, FAILURE_EXIT, 2, 0);
    step_well();
    ck_assert_int_eq(hand_out(0), 0); /* rank 2 is busy: wait for it */
    ck_assert_uint_eq(dispatcher_deferred(dispatcher), 1);
    ck_assert_int_eq(hand_out(1), 1); /* and do something else meanwhile */
    last_task(2, &rank);
    ck_assert_int_eq(rank, 1);
    say_result(2, &good, FAILURE_NONE, 2, 0.5F);
    step_well();
    ck_assert_int_eq(hand_out(0), 1);
    ck_assert_int_eq(last_task(bad.trial, &rank).attempt, 2);
    ck_assert_int_eq(rank, 2);
    ck_assert_uint_eq(dispatcher_deferred(dispatcher), 0);
    finish();
}
END_TEST

START_TEST(a_retry_does_not_wait_for_ever)
{
    int rank;
    start(2, "0");
    ck_assert_int_eq(hand_out(2), 2);
    struct message_task bad = fake.tasks[fake.task_ranks[0] == 1 ? 0 : 1];
    say_result(1, &bad, FAILURE_EXIT, 2, 0);
    step_well();
    ck_assert_int_eq(hand_out(0), 0);
    now += 1.9;
    step_well();
    ck_assert_int_eq(hand_out(0), 0);
    now += 0.2;
    step_well();
    ck_assert_int_eq(hand_out(0), 1);
    last_task(bad.trial, &rank);
    ck_assert_int_eq(rank, 1);
    finish();
    setup();
    start(1, "0"); /* or at all, when there is nobody else */
    hand_out(1);
    say_result(1, &fake.tasks[0], FAILURE_EXIT, 2, 0);
    step_well();
    ck_assert_int_eq(hand_out(0), 1);
    finish();
}
END_TEST

/* Rank 1 fails whatever it gets, rank 2 succeeds. */
START_TEST(a_node_that_fails_alone_is_quarantined)
{
    int answered = 0;
    config.run.quarantine_after = 3;
    config.run.retries = 3;
    start(2, "0");
    for (int turn = 0; turn < 12; turn++) {
        hand_out(2);
        for (; answered < fake.task_count; answered++)
            say_result(fake.task_ranks[answered], &fake.tasks[answered],
                       fake.task_ranks[answered] == 1 ? FAILURE_EXIT : FAILURE_NONE, 2,
                       0.5F);
        step_well();
    }
    ck_assert_int_eq(notified[DISPATCHER_QUARANTINE], 1);
    int before = fake.task_count;
    ck_assert_int_eq(hand_out(2), 1);
    ck_assert_int_eq(fake.task_ranks[before], 2);
    struct text text;
    text_init(&text);
    dispatcher_describe(dispatcher, 20, &text);
    ck_assert_str_eq(text.data, "rank 1 on host1, in quarantine\n");
    text_fini(&text);
    /* With rank 2 gone it is needed again. */
    struct message m = {.type = MESSAGE_BYE, .bye.reason = "power cut"};
    say_frame(2, &m);
    step_well();
    now += 1;
    step_well();
    ck_assert_int_eq(notified[DISPATCHER_QUARANTINE_OVER], 1);
    ck_assert_int_eq(hand_out(0), 1);
    finish();
}
END_TEST

START_TEST(late_and_strange_results_are_ignored)
{
    start(1, "0-1");
    ck_assert_int_eq(hand_out(2), 2);
    struct message_task t = fake.tasks[0], strange;
    strange = t;
    strange.attempt = 2;
    say_result(1, &strange, FAILURE_NONE, 1, 0.5F);
    strange = t;
    strange.slot = 1 - t.slot;
    say_result(1, &strange, FAILURE_NONE, 1, 0.5F);
    strange.slot = MESSAGE_MAX_SLOTS - 1;
    say_result(1, &strange, FAILURE_NONE, 1, 0.5F);
    strange = t;
    strange.trial = 1u << 30;
    say_result(1, &strange, FAILURE_NONE, 1, 0.5F);
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, t.trial)->state, TRIAL_RUNNING);
    say_result(1, &t, FAILURE_NONE, 1, 0.5F);
    say_result(1, &t, FAILURE_NONE, 1, 0.75F); /* twice */
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, t.trial)->state, TRIAL_DONE);
    ck_assert_double_eq(engine_rig_trial(&rig, t.trial)->val_accuracy, 0.5);
    ck_assert_int_eq(notified[DISPATCHER_FINISHED], 1);
    finish();
}
END_TEST

START_TEST(what_only_a_master_sends_costs_the_rank_not_the_run)
{
    start(2, "0");
    hand_out(2);
    say(1, MESSAGE_STOP);
    step_well();
    ck_assert(fake.forgotten[1]);
    ck_assert_ptr_nonnull(strstr(lost_reason, "STOP"));
    ck_assert_int_eq(dispatcher_count(dispatcher).in_flight, 1);
    fake.incoming[fake.count].peer = 2; /* and so does what is no message */
    bytes_init(&fake.incoming[fake.count].data);
    bytes_put(&fake.incoming[fake.count++].data, "garbage garbage", 15);
    is_alone("no worker rank is left");
    finish();
}
END_TEST

START_TEST(ranks_without_slots_are_no_help)
{
    struct message m = {.type = MESSAGE_BYE, .bye.reason = "out of memory"};
    config.resources.threads_per_trial = 2;
    start(2, NULL);
    say_hello(1, "0-1");
    say_hello(2, "0"); /* too few cores for a trial */
    step_well();
    say(1, MESSAGE_READY);
    say(2, MESSAGE_READY);
    step_well();
    ck_assert_int_eq(hand_out(1), 1);
    say_frame(1, &m);
    is_alone("rank 1: out of memory");
    finish();
}
END_TEST

START_TEST(the_last_rank_says_why_it_left)
{
    struct message m = {.type = MESSAGE_BYE, .bye.reason = "no space left on device"};
    start(1, "0");
    say_frame(1, &m);
    is_alone("rank 1: no space left on device");
    finish();
}
END_TEST

static void all_attempts(int failure, float accuracy, const char *words)
{
    struct error err = {0};
    int status = 0, answered = 0;
    start(1, "0-1");
    for (int turn = 0; turn < 20 && status >= 0; turn++) {
        hand_out(2);
        for (; answered < fake.task_count; answered++)
            say_result(1, &fake.tasks[answered], failure, 2, accuracy);
        status = step(&err);
    }
    ck_assert_int_eq(status, ERROR_FAILED);
    ck_assert_msg(strstr(err.text, "the first 8 attempts all failed"), "%s", err.text);
    ck_assert_msg(strstr(err.text, words), "%s", err.text);
    finish();
}

START_TEST(when_all_first_attempts_fail_the_run_ends)
{
    all_attempts(FAILURE_EXIT, 0, "planted");
}
END_TEST

START_TEST(results_without_a_reward_are_failures_too)
{
    all_attempts(FAILURE_NONE, NAN, "not a finite number");
}
END_TEST

START_TEST(after_one_result_failures_are_bearable)
{
    int answered = 0;
    start(1, "0-1");
    for (int turn = 0; turn < 15; turn++) {
        hand_out(2);
        for (; answered < fake.task_count; answered++)
            say_result(1, &fake.tasks[answered], answered ? FAILURE_EXIT : FAILURE_NONE,
                       2, 0.5F);
        step_well();
    }
    finish();
}
END_TEST

START_TEST(only_short_trials_queue_ahead)
{
    start(1, "0");
    ck_assert_int_eq(hand_out(20), 1);
    say_result(1, &fake.tasks[0], FAILURE_NONE, 30, 0.5F);
    step_well();
    ck_assert_int_eq(hand_out(0), 1); /* long: nothing waits at a busy slot */
    finish();
    setup();
    start(1, "0");
    ck_assert_int_eq(hand_out(20), 1);
    say_result(1, &fake.tasks[0], FAILURE_NONE, 0.001, 0.5F);
    step_well();
    ck_assert_int_eq(hand_out(0), 1 + config.run.prefetch);
    ck_assert_int_eq(dispatcher_free_places(dispatcher), 0);
    /* Of a lost rank's trials only the running one has had an attempt. */
    for (int i = 0; i < 39; i++) {
        now += 1.5;
        step_well();
    }
    now += 1.9;
    is_alone("no worker rank is left");
    ck_assert_int_eq(engine_rig_trial(&rig, 1)->attempts, 1);
    ck_assert_int_eq(engine_rig_trial(&rig, 2)->attempts, 0);
    uint64_t next;
    ck_assert(ledger_next(engine_ledger(rig.engine), &next));
    ck_assert_uint_eq(next, 1);
    finish();
}
END_TEST

START_TEST(a_recall_takes_everything_back)
{
    start(1, "0-1");
    ck_assert_int_eq(hand_out(2), 2);
    now += 10;
    ck_assert_double_eq(dispatcher_running_cost(dispatcher), 20);
    dispatcher_recall(dispatcher);
    ck_assert_double_eq(dispatcher_running_cost(dispatcher), 0);
    ck_assert_double_eq(ledger_hours(engine_ledger(rig.engine))->lost, 20);
    ck_assert_uint_eq(ledger_count_state(engine_ledger(rig.engine), -1, TRIAL_QUEUED), 2);
    ck_assert_int_eq(engine_rig_trial(&rig, 0)->attempts, 0);
    ck_assert_int_eq(dispatcher_stop(dispatcher, NULL), 0);
    ck_assert_int_eq(fake.sent[1][MESSAGE_STOP], 1);
    ck_assert_int_eq(hand_out(0), 0);
    say_result(1, &fake.tasks[0], FAILURE_NONE, 1, 0.5F);
    step_well();
    ck_assert_int_eq(engine_rig_trial(&rig, 0)->state, TRIAL_QUEUED);
    ck_assert(!dispatcher_stopped(dispatcher));
    say(1, MESSAGE_BYE);
    step_well();
    ck_assert(dispatcher_stopped(dispatcher) && !dispatcher_lost_any(dispatcher));
    finish();
}
END_TEST

static void say_checkpoint(int rank, const struct message_task *t, int what,
                           uint32_t epoch, double seconds)
{
    struct message m = {.type = MESSAGE_CHECKPOINT,
                        .checkpoint = {.trial = t->trial,
                                       .attempt = t->attempt,
                                       .slot = t->slot,
                                       .what = (uint8_t)what,
                                       .epoch = epoch,
                                       .seconds = seconds}};
    say_frame(rank, &m);
}

/* Two ranks run a trial each; one can save it, the other answers that it is done. The
 * third has nothing to do and is not asked. */
START_TEST(a_stop_waits_for_states)
{
    start(3, "0");
    ck_assert(!dispatcher_saves(dispatcher));
    ck_assert_int_eq(hand_out(2), 2);
    int saver = fake.task_ranks[0], other = fake.task_ranks[1];
    ck_assert_double_eq(fake.tasks[0].spent, 0);
    now += 10;
    say_checkpoint(saver, &fake.tasks[0], CHECKPOINT_SAVED, 1, 4);
    step_well();
    ck_assert_double_eq(dispatcher_running_cost(dispatcher), 16); /* 4 are in the hours */
    ck_assert_int_eq(dispatcher_suspend(dispatcher, NULL), 0);
    ck_assert_int_eq(fake.sent[saver][MESSAGE_SUSPEND], 1);
    ck_assert_int_eq(fake.sent[6 - saver - other][MESSAGE_SUSPEND], 0);
    ck_assert(dispatcher_saves(dispatcher));
    say(other, MESSAGE_SUSPENDED);
    say(other, MESSAGE_SUSPENDED); /* one too many */
    step_well();
    ck_assert(dispatcher_saves(dispatcher));
    say_checkpoint(saver, &fake.tasks[0], CHECKPOINT_SUSPENDED, 2, 9);
    say(saver, MESSAGE_SUSPENDED);
    say_checkpoint(saver, &fake.tasks[0], CHECKPOINT_SUSPENDED, 3, 10); /* late */
    step_well();
    ck_assert(!dispatcher_saves(dispatcher));
    ck_assert_int_eq(notified[DISPATCHER_CHECKPOINT], 2);
    ck_assert_double_eq(dispatcher_running_cost(dispatcher), 10);
    const struct trial *t = engine_rig_trial(&rig, fake.tasks[0].trial);
    ck_assert(t->state == TRIAL_QUEUED && t->attempts == 0);
    ck_assert(t->saved_epochs == 2 && t->saved_seconds == 9);
    dispatcher_recall(dispatcher);
    ck_assert_double_eq(ledger_hours(engine_ledger(rig.engine))->trained, 9);
    ck_assert_double_eq(ledger_hours(engine_ledger(rig.engine))->lost, 10);
    ck_assert_int_eq(hand_out(0), 2); /* the next session hands it out with its state */
    ck_assert_uint_eq(fake.tasks[2].trial, t->id);
    ck_assert_double_eq(fake.tasks[2].spent, 9);
    finish();
}
END_TEST

/* A rank that dies while it saves is not waited for; the file of a trial that is over is
 * removed, that of a lost one is not. */
START_TEST(states_end_with_their_trials)
{
    char path[700], other[700];
    struct stat st;
    start(2, "0");
    ck_assert_int_eq(hand_out(2), 2);
    int rank = fake.task_ranks[0];
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/checkpoints/%d", dir, (int)fake.tasks[0].trial);
    snprintf(other, sizeof other, "%s/checkpoints/%d", dir, (int)fake.tasks[1].trial);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(text_write_file(i ? other : path, "x", 1, NULL), 0);
        say_checkpoint(fake.task_ranks[i], &fake.tasks[i], CHECKPOINT_SAVED, 1, 4);
    }
    step_well();
    say_result(rank, &fake.tasks[0], FAILURE_NONE, 6, 0.5F);
    step_well();
    ck_assert_int_ne(stat(path, &st), 0);
    ck_assert_int_eq(dispatcher_suspend(dispatcher, NULL), 0);
    ck_assert(dispatcher_saves(dispatcher));
    say(fake.task_ranks[1], MESSAGE_BYE);
    step_well();
    ck_assert(!dispatcher_saves(dispatcher));
    ck_assert_int_eq(stat(other, &st), 0);
    ck_assert_double_eq(engine_rig_trial(&rig, fake.tasks[1].trial)->saved_seconds, 4);
    finish();
}
END_TEST

START_TEST(the_master_gives_signs_of_life)
{
    start(2, "0");
    int before = fake.sent[1][MESSAGE_HEARTBEAT];
    for (int i = 0; i < 10; i++) {
        now += 2;
        say(1, MESSAGE_HEARTBEAT);
        say(2, MESSAGE_HEARTBEAT);
        step_well();
    }
    ck_assert_int_ge(fake.sent[1][MESSAGE_HEARTBEAT] - before, 3);
    ck_assert_int_eq(dispatcher_count(dispatcher).lost, 0);
    finish();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {nothing_is_handed_out_before_all_have_reported,
                                  a_rank_that_never_reports_is_given_up,
                                  a_master_that_stood_still_blames_nobody,
                                  who_keeps_the_start_waiting_is_named,
                                  trials_that_take_too_long_are_named,
                                  a_silent_rank_loses_its_trials,
                                  a_trial_without_a_word_is_given_up,
                                  a_trial_that_silences_every_slot_fails,
                                  the_doubted_may_come_first,
                                  the_doubted_may_come_second,
                                  both_may_run_for_a_while,
                                  the_doubted_may_never_come_back,
                                  a_trial_may_be_doubted_twice,
                                  two_attempts_of_a_trial_may_share_a_slot,
                                  a_retry_goes_elsewhere,
                                  a_retry_does_not_wait_for_ever,
                                  a_node_that_fails_alone_is_quarantined,
                                  late_and_strange_results_are_ignored,
                                  what_only_a_master_sends_costs_the_rank_not_the_run,
                                  the_last_rank_says_why_it_left,
                                  ranks_without_slots_are_no_help,
                                  when_all_first_attempts_fail_the_run_ends,
                                  results_without_a_reward_are_failures_too,
                                  after_one_result_failures_are_bearable,
                                  only_short_trials_queue_ahead,
                                  a_recall_takes_everything_back,
                                  a_stop_waits_for_states,
                                  states_end_with_their_trials,
                                  the_master_gives_signs_of_life,
                                  NULL};
    return temp_folder_main("dispatcher", tests, &folder, setup);
}
