/* SPDX-License-Identifier: Apache-2.0 */
/* Which rank makes which lane, and who hears of whom. Ranks are played by the test. */
#include "master/dispatcher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine_rig.h"

enum { RANKS = 4, LANES = 3, LETTERS = 512 };

static struct {
    struct wire base;
    struct bytes incoming[LETTERS];
    int from[LETTERS], first, count;
    int gang[RANKS][LANES + 1], gang_size[RANKS], gangs; /* as last told, by rank */
    struct message_task tasks[LETTERS];                  /* numbers only */
    int task_ranks[LETTERS], task_count;
} fake;
static struct temp_folder folder;
static struct engine_rig rig;
static struct dispatcher *dispatcher;
static struct config config;
static double now;

static void note_gang(int rank, const struct message_gang *g)
{
    fake.gangs++;
    fake.gang_size[rank] = g->count;
    for (int i = 0; i < g->count; i++)
        fake.gang[rank][i] = g->ranks[i];
}

static int fake_send(struct wire *w, int rank, const void *data, size_t size,
                     struct error *err)
{
    struct bytes_reader in;
    struct message m;
    bytes_reader_init(&in, data, size);
    while (message_decode(&in, &m, err) == 1) {
        if (m.type == MESSAGE_GANG)
            note_gang(rank, &m.gang);
        if (m.type == MESSAGE_TASK) {
            fake.task_ranks[fake.task_count] = rank;
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
    *ret_peer = fake.from[fake.first];
    bytes_clear(ret);
    bytes_put(ret, fake.incoming[fake.first].data, fake.incoming[fake.first].size);
    bytes_fini(&fake.incoming[fake.first++]);
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

static void say(int rank, const struct message *m)
{
    ck_assert_int_lt(fake.count, LETTERS);
    fake.from[fake.count] = rank;
    bytes_init(&fake.incoming[fake.count]);
    message_encode(m, &fake.incoming[fake.count++]);
}

static void step(void)
{
    struct error err = {0};
    ck_assert_msg(dispatcher_step(dispatcher, &err) >= 0, "%s", err.text);
    fake.first = fake.count = 0;
}

static void say_hello(int rank)
{
    struct message m = {.type = MESSAGE_HELLO};
    snprintf(m.hello.host, sizeof m.hello.host, "host%d", rank);
    snprintf(m.hello.cpus, sizeof m.hello.cpus, "0");
    say(rank, &m);
}

static void say_ready(int rank)
{
    say(rank, &(struct message){.type = MESSAGE_READY});
    step();
}

static void read_config(int sync)
{
    static const char text[] =
        "preset: enas-article\n"
        "task: {data: {format: generated-text}}\n"
        "search: {strategy: random-shared, shared: {samples: 3, steps: 40, "
        "save_every: 10}}\n"
        "run: {lost_after: 60s, slots: 1}\n";
    struct error err = {0};
    ck_assert_msg(config_parse("test", text, strlen(text), &config, &err) == 0, "%s",
                  err.text);
    config.search.shared.sync_every = sync;
}

static void start(int sync)
{
    char dir[600];
    memset(&fake, 0, sizeof fake);
    temp_folder_init(&folder);
    now = 5000;
    read_config(sync);
    snprintf(dir, sizeof dir, "%s/run", folder.path);
    engine_rig_new(&rig, dir, &config);
    fake.base = (struct wire){&fake_ops, 0, RANKS};
    struct dispatcher_setup s = {.engine = rig.engine,
                                 .wire = &fake.base,
                                 .clock = &test_clock,
                                 .run_folder = rig.dir,
                                 .gangs = true};
    ck_assert_int_eq(dispatcher_new(&s, &dispatcher, NULL), 0);
    for (int rank = 1; rank < RANKS; rank++)
        say_hello(rank);
    step();
}

static void finish(void)
{
    dispatcher_free(dispatcher);
    engine_rig_drop(&rig);
    temp_folder_fini(&folder);
}

static void hand_out(void)
{
    struct error err = {0};
    while (ledger_count(engine_ledger(rig.engine)) < 120)
        engine_rig_propose(&rig);
    ck_assert_msg(dispatcher_hand_out(dispatcher, &err) >= 0, "%s", err.text);
}

/* The last task of this rank. */
static const struct message_task *task_of(int rank)
{
    for (int i = fake.task_count; i-- > 0;)
        if (fake.task_ranks[i] == rank)
            return &fake.tasks[i];
    return NULL;
}

static void has_task(int rank, uint64_t step_, int part)
{
    const struct message_task *t = task_of(rank);
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->shared.step, step_);
    ck_assert_int_eq(t->shared.part, part);
}

static void answer(int rank, int failure)
{
    const struct message_task *t = task_of(rank);
    struct trial_epoch epoch = {.train_loss = 2, .val_accuracy = NAN};
    struct message m = {.type = MESSAGE_RESULT,
                        .result = {.trial = t->trial,
                                   .attempt = t->attempt,
                                   .failure = (uint8_t)failure,
                                   .seconds = 2,
                                   .params = NAN,
                                   .flops = NAN,
                                   .epoch_count = 1,
                                   .epochs = &epoch,
                                   .reason = (char *)(failure ? "planted" : "")}};
    say(rank, &m);
    step();
    hand_out();
}

static void has_gang(int rank, int a, int b, int c)
{
    int size = (a > 0) + (b > 0) + (c > 0);
    ck_assert_int_eq(fake.gang_size[rank], size);
    const int ranks[] = {a, b, c};
    for (int i = 0; i < size; i++)
        ck_assert_int_eq(fake.gang[rank][i], ranks[i]);
}

START_TEST(every_rank_makes_its_lane)
{
    start(1);
    for (int rank = 1; rank < RANKS; rank++)
        say_ready(rank);
    hand_out();
    ck_assert_int_eq(fake.gangs, 3);
    for (int rank = 1; rank < RANKS; rank++)
        has_gang(rank, 1, 2, 3);
    for (uint64_t k = 0; k < 5; k++) {
        for (int rank = 1; rank < RANKS; rank++)
            has_task(rank, k, rank - 1);
        for (int rank = RANKS - 1; rank > 0; rank--)
            answer(rank, FAILURE_NONE);
    }
    ck_assert_int_eq(fake.gangs, 3); /* nobody is told twice */
    finish();
}
END_TEST

/* Whoever is late joins where a state of the weights is kept: after 10 steps. */
START_TEST(a_late_rank_joins_at_a_kept_state)
{
    start(1);
    say_ready(2);
    hand_out();
    has_task(2, 0, 0);
    has_gang(2, 2, 0, 0);
    answer(2, FAILURE_NONE);
    answer(2, FAILURE_NONE);
    answer(2, FAILURE_NONE);
    has_task(2, 1, 0);
    say_ready(1);
    say_ready(3);
    hand_out();
    ck_assert_ptr_null(task_of(1));
    while (task_of(2)->shared.step < 10)
        answer(2, FAILURE_NONE);
    has_gang(1, 2, 1, 3);
    has_gang(2, 2, 1, 3);
    has_task(2, 10, 0);
    has_task(1, 10, 1);
    has_task(3, 10, 2);
    finish();
}
END_TEST

/* Its lane goes to the next member, and who waits for it hears that it failed. */
START_TEST(a_lane_that_fails_is_made_elsewhere)
{
    start(1);
    for (int rank = 1; rank < RANKS; rank++)
        say_ready(rank);
    hand_out();
    answer(3, FAILURE_NONE);
    int told = fake.gangs;
    answer(1, FAILURE_EXIT);
    has_task(2, 0, 1); /* rank 2 is busy with its own */
    answer(2, FAILURE_NONE);
    ck_assert_int_eq(fake.gangs, told + 3);
    has_task(2, 0, 0);
    ck_assert_int_eq(task_of(2)->attempt, 2);
    answer(2, FAILURE_NONE);
    has_task(1, 1, 0);
    finish();
}
END_TEST

START_TEST(a_lost_rank_leaves_the_gang)
{
    start(1);
    for (int rank = 1; rank < RANKS; rank++)
        say_ready(rank);
    hand_out();
    struct message bye = {.type = MESSAGE_BYE};
    strcpy(bye.bye.reason, "killed");
    say(2, &bye);
    step();
    answer(1, FAILURE_NONE);
    has_gang(1, 1, 3, 0);
    has_gang(3, 1, 3, 0);
    answer(3, FAILURE_NONE);
    has_task(3, 0, 1); /* part 1 of two ranks */
    finish();
}
END_TEST

/* Lanes with weights of their own do not wait for each other. */
START_TEST(lanes_run_ahead_within_a_round)
{
    start(5);
    for (int rank = 1; rank < RANKS; rank++)
        say_ready(rank);
    hand_out();
    for (int i = 0; i < 3; i++)
        answer(3, FAILURE_NONE);
    has_task(1, 0, 0);
    has_task(2, 0, 1);
    has_task(3, 3, 2);
    answer(3, FAILURE_NONE);
    has_task(3, 4, 2);
    int handed = fake.task_count;
    answer(3, FAILURE_NONE); /* the round is over for this lane */
    ck_assert_int_eq(fake.task_count, handed);
    has_task(1, 0, 0);
    has_task(2, 0, 1);
    finish();
}
END_TEST

/* But not before those of their own lane: one that failed comes first. */
START_TEST(a_lane_waits_for_its_own_steps)
{
    start(5);
    for (int rank = 1; rank < RANKS; rank++)
        say_ready(rank);
    hand_out();
    answer(3, FAILURE_NONE);
    has_task(3, 1, 2);
    int handed = fake.task_count;
    answer(3, FAILURE_EXIT); /* its retry is for rank 1, which is busy */
    ck_assert_int_eq(fake.task_count, handed);
    answer(1, FAILURE_NONE);
    has_task(1, 1, 0);
    answer(2, FAILURE_NONE);
    has_task(2, 1, 1);
    has_task(3, 1, 2);
    ck_assert_int_eq(task_of(3)->attempt, 1); /* nothing since */
    answer(1, FAILURE_NONE);
    has_task(1, 1, 2);
    ck_assert_int_eq(task_of(1)->attempt, 2);
    finish();
}
END_TEST

/* A trainer that was started again is behind, and is alone made to take the steps. */
START_TEST(a_member_that_is_behind_catches_up)
{
    start(1);
    for (int rank = 1; rank < RANKS; rank++)
        say_ready(rank);
    hand_out();
    for (int k = 0; k < 12; k++)
        for (int rank = 1; rank < RANKS; rank++)
            answer(rank, FAILURE_NONE);
    has_task(2, 12, 1);
    const struct message_task *t = task_of(2);
    struct message m = {
        .type = MESSAGE_BEHIND,
        .behind = {.trial = t->trial, .attempt = t->attempt, .at = {.step = 10}}};
    say(2, &m);
    step();
    hand_out();
    for (uint64_t lane = 30; lane < 36; lane++) {
        has_task(2, lane / 3, (int)(lane % 3));
        ck_assert_int_eq(task_of(2)->attempt, 0);
        answer(2, FAILURE_NONE);
    }
    has_task(2, 12, 1);
    ck_assert_int_gt(task_of(2)->attempt, 0);
    has_task(1, 12, 0);
    finish();
}
END_TEST

UNIT_MAIN("dispatcher_gang", every_rank_makes_its_lane, a_late_rank_joins_at_a_kept_state,
          a_lane_that_fails_is_made_elsewhere, a_lost_rank_leaves_the_gang,
          lanes_run_ahead_within_a_round, a_lane_waits_for_its_own_steps,
          a_member_that_is_behind_catches_up)
