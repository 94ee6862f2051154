/* SPDX-License-Identifier: Apache-2.0 */
/* Which trial is next: a ledger with a history, no ranks, and a clock that is a variable.
 */
#include "master/dispatcher_internal.h"

#include "engine_rig.h"

enum { PAST = 12, WAITING = 8 };

static struct temp_folder folder;
static char dir[512];
static struct engine_rig rig;
static struct dispatcher *d;
static struct config config;
static struct wire wire = {.size = 1};
static double now;
static bool continues;

static double fake_clock(void *context)
{
    return now;
}

static const struct clock test_clock = {fake_clock, fake_clock, NULL};

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
    snprintf(dir, sizeof dir, "%s/run", folder.path);
    config = engine_rig_config(MODE_ASYNC, 1000, 0);
    config.search.strategy = STRATEGY_RANDOM;
    config.search.duplicates = DUPLICATES_TRAIN;
    config.run.retries = 3;
    continues = false;
    now = 5000;
}

static double work_of(uint64_t id)
{
    return engine_work(rig.engine, engine_rig_trial(&rig, id));
}

static void end(uint64_t id, int failure, double seconds)
{
    struct trial_epoch epoch = {.val_accuracy = 0.5F};
    struct ledger_result r = {.failure = (uint8_t)failure,
                              .val_accuracy = NAN,
                              .seconds = seconds,
                              .params = NAN,
                              .flops = NAN,
                              .finished_at = now,
                              .epoch_count = failure ? 0 : 1,
                              .epochs = &epoch,
                              .reason = failure ? "planted" : NULL};
    engine_rig_start(&rig, id);
    ck_assert_int_eq(engine_finish(rig.engine, id, 1, 0, &r, NULL), 0);
}

/* `past` trials took `rate` seconds a unit of work, or with 0 `seconds` each, being all
 * alike; WAITING more wait. */
static void start(int past, double rate, double seconds)
{
    if (rate == 0)
        engine_rig_one_choice(&config);
    engine_rig_new(&rig, dir, &config);
    struct data_facts facts = {.height = 28, .width = 28, .channels = 1, .classes = 10};
    engine_set_facts(rig.engine, &facts);
    for (int i = 0; i < past + WAITING; i++)
        engine_rig_propose(&rig);
    for (int i = 0; i < past; i++)
        end((uint64_t)i, FAILURE_NONE, rate > 0 ? rate * work_of((uint64_t)i) : seconds);
    struct dispatcher_setup s = {.engine = rig.engine,
                                 .wire = &wire,
                                 .clock = &test_clock,
                                 .run_folder = dir,
                                 .continues = continues};
    ck_assert_int_eq(dispatcher_new(&s, &d, NULL), 0);
    d->mean_seconds = 100; /* of this session */
}

static void finish(void)
{
    dispatcher_free(d);
    engine_rig_drop(&rig);
}

/* A rate by which the waiting trials take up to 1,000 seconds. */
static double hourly(void)
{
    double most = 0;
    engine_rig_new(&rig, dir, &config);
    struct data_facts facts = {.height = 28, .width = 28, .channels = 1, .classes = 10};
    engine_set_facts(rig.engine, &facts);
    for (int i = 0; i < PAST + WAITING; i++) {
        engine_rig_propose(&rig);
        most = i >= PAST ? fmax(most, work_of((uint64_t)i)) : most;
    }
    engine_rig_drop(&rig);
    setup();
    return 1000 / most;
}

static uint64_t chosen(void)
{
    uint64_t id = UINT64_MAX;
    ck_assert(dispatcher_choose(d, false, &id));
    return id;
}

START_TEST(without_a_history_the_oldest_is_next)
{
    uint64_t id;
    start(FORECAST_FEWEST - 1, 1e-6, 0);
    ck_assert_uint_eq(chosen(), FORECAST_FEWEST - 1);
    dispatcher_set_end(d, now + 1, false); /* and nothing is held */
    ck_assert_uint_eq(chosen(), FORECAST_FEWEST - 1);
    for (uint64_t k = 0; k < WAITING; k++)
        engine_rig_start(&rig, FORECAST_FEWEST - 1 + k);
    ck_assert(!dispatcher_choose(d, false, &id));
    struct dispatcher_held held;
    ck_assert(!dispatcher_is_held(d, &held));
    finish();
}
END_TEST

START_TEST(the_longest_expected_is_next)
{
    start(PAST, hourly(), 0);
    double before = INFINITY;
    for (int k = 0; k < WAITING; k++) {
        uint64_t id = chosen();
        ck_assert_double_le(work_of(id), before);
        before = work_of(id);
        engine_rig_start(&rig, id);
    }
    finish();
    setup();
    double rate = hourly();
    config.run.order = ORDER_PROPOSED;
    start(PAST, rate, 0);
    ck_assert_uint_eq(chosen(), PAST);
    finish();
}
END_TEST

/* What is put aside comes back, in its order, when there is time again. */
START_TEST(what_was_held_is_next_when_it_fits)
{
    double rate = hourly(), before = INFINITY;
    struct dispatcher_held held;
    uint64_t id;
    start(PAST, rate, 0);
    dispatcher_set_end(d, now + 2000, false);
    now += 1999.9;
    ck_assert(!dispatcher_choose(d, false, &id));
    ck_assert(dispatcher_is_held(d, &held));
    ck_assert_uint_eq(held.count, WAITING);
    double shortest = INFINITY;
    for (uint64_t k = PAST; k < PAST + WAITING; k++)
        shortest = fmin(shortest, rate * work_of(k));
    ck_assert_double_eq_tol(held.seconds, shortest, 1e-6);
    engine_rig_start(&rig, PAST + 2); /* by another way */
    d->end_at += 1e6;
    for (int k = 0; k < WAITING - 1; k++) {
        id = chosen();
        ck_assert_uint_ne(id, PAST + 2);
        ck_assert_double_le(work_of(id), before);
        before = work_of(id);
        engine_rig_start(&rig, id);
    }
    ck_assert(!dispatcher_choose(d, false, &id));
    ck_assert(!dispatcher_is_held(d, &held));
    finish();
}
END_TEST

START_TEST(retries_come_first)
{
    uint64_t id = 0;
    start(PAST, hourly(), 0);
    end(PAST + 3, FAILURE_EXIT, 1);
    end(PAST + 1, FAILURE_EXIT, 1);
    ck_assert_uint_eq(chosen(), PAST + 3);
    ck_assert(dispatcher_choose(d, true, &id));
    ck_assert(id != PAST + 3 && id != PAST + 1);
    finish();
}
END_TEST

START_TEST(short_trials_keep_their_order)
{
    start(PAST, hourly(), 0);
    d->mean_seconds = 0.01;
    ck_assert_uint_eq(chosen(), PAST);
    dispatcher_set_end(d, now + 61, false);
    ck_assert_uint_eq(chosen(), PAST);
    finish();
}
END_TEST

START_TEST(what_cannot_end_in_time_is_held)
{
    struct dispatcher_held held;
    double rate = hourly(), left = 400;
    uint64_t id;
    start(PAST, rate, 0);
    dispatcher_set_end(d, now + 2000, false);
    now += 2000 - left;
    for (int fitting = 0;; fitting++) {
        if (!dispatcher_choose(d, false, &id)) {
            ck_assert_int_gt(fitting, 0);
            ck_assert_int_lt(fitting, WAITING);
            break;
        }
        ck_assert_double_le(rate * work_of(id), left);
        engine_rig_start(&rig, id);
    }
    for (uint64_t k = PAST; k < PAST + WAITING; k++)
        if (engine_rig_trial(&rig, k)->state == TRIAL_QUEUED)
            ck_assert_double_gt(rate * work_of(k), left);
    ck_assert(dispatcher_is_held(d, &held));
    ck_assert_double_eq_tol(held.seconds, rate * work_of(held.trial), 1e-6);
    ck_assert_double_eq(held.left, left);
    struct text t;
    text_init(&t);
    dispatcher_describe_held(d, &t);
    ck_assert_ptr_nonnull(strstr(t.data, "is held: expected to take up to"));
    ck_assert_ptr_nonnull(strstr(t.data, "6m 40s are left in this session"));
    text_fini(&t);
    d->in_flight = 1; /* something runs: the session is not over */
    ck_assert(!dispatcher_is_held(d, &held));
    d->in_flight = 0;
    finish();
}
END_TEST

/* A whole session is too short for it: waiting for the next one would never end. */
START_TEST(nothing_is_held_for_ever)
{
    uint64_t id;
    start(PAST, 0, 900);
    dispatcher_set_end(d, now + 600, false);
    ck_assert_uint_eq(chosen(), PAST);
    now += 50;
    ck_assert_uint_eq(chosen(), PAST);
    now += 20; /* the next session has more time for it */
    ck_assert(!dispatcher_choose(d, false, &id));
    finish();
    setup();
    start(PAST, 0, 900);
    dispatcher_set_end(d, now + 910, false);
    now += 20; /* until the ranks are ready: every session loses that */
    ck_assert_uint_eq(chosen(), PAST);
    now += 100;
    ck_assert(!dispatcher_choose(d, false, &id));
    dispatcher_begin(d);
    ck_assert_uint_eq(chosen(), PAST);
    finish();
    setup();
    start(PAST, 0, 900);
    dispatcher_set_end(d, now + 600, true); /* none comes */
    ck_assert(!dispatcher_choose(d, false, &id));
    finish();
    setup();
    start(PAST, 0, 500);
    dispatcher_set_end(d, now + 600, false);
    ck_assert_uint_eq(chosen(), PAST); /* with the whole session before it */
    now += 200;
    ck_assert(!dispatcher_choose(d, false, &id));
    finish();
}
END_TEST

START_TEST(a_cut_that_leaves_no_hope_is_named)
{
    char why[400] = "";
    const struct trial *t;
    start(PAST, 0, 900);
    t = engine_rig_trial(&rig, PAST);
    ck_assert(!dispatcher_is_risky(d, t, why, sizeof why)); /* no end */
    ck_assert(!dispatcher_had_all(d, t, 1e9, why, sizeof why));
    dispatcher_set_end(d, now + 901, false);
    ck_assert(!dispatcher_is_risky(d, t, why, sizeof why));
    dispatcher_set_end(d, now + 600, false);
    ck_assert(dispatcher_is_risky(d, t, why, sizeof why));
    ck_assert_str_eq(why,
                     "trial 12 is expected to take up to 15m 00s, but a whole session "
                     "has only 10m 00s: started all the same, it will probably be "
                     "cut off");
    ck_assert(!dispatcher_had_all(d, t, 539, why, sizeof why));
    ck_assert(dispatcher_had_all(d, t, 541, why, sizeof why));
    ck_assert_msg(strstr(why, "of whose 10m 00s it had 9m 01s"), "%s", why);
    ledger_keep_state(engine_ledger(rig.engine), PAST, 3, 100);
    ck_assert(!dispatcher_had_all(d, t, 541, why, sizeof why));
    finish();
}
END_TEST

START_TEST(what_can_be_continued_is_started)
{
    uint64_t id;
    continues = true;
    start(PAST, 0, 900);
    dispatcher_set_end(d, now + 1000, false);
    now += 900;
    ck_assert_uint_eq(chosen(), PAST);
    struct trial *oldest = (struct trial *)engine_rig_trial(&rig, PAST);
    oldest->kind = TRIAL_TRAIN_SHARED; /* no state is kept of a step */
    ck_assert_uint_eq(chosen(), PAST + 1);
    oldest->kind = TRIAL_TRAIN_CHILD;
    now += 95;
    ck_assert(!dispatcher_choose(d, false, &id)); /* not for five seconds */
    finish();
    setup();
    start(PAST, 0, 900);
    dispatcher_set_end(d, now + 1000, false);
    now += 900;
    ck_assert(!dispatcher_choose(d, false, &id));
    d->seen_state = true; /* a trainer of one's own has saved one */
    ck_assert_uint_eq(chosen(), PAST);
    finish();
}
END_TEST

/* What is behind a suspended trial need not be done again. */
START_TEST(a_suspended_trial_needs_its_rest_only)
{
    uint64_t id;
    start(PAST, 0, 900);
    dispatcher_set_end(d, now + 1000, false);
    now += 800;
    ck_assert(!dispatcher_choose(d, false, &id));
    engine_rig_start(&rig, PAST + 2);
    ledger_requeue(engine_ledger(rig.engine), PAST + 2, true);
    ck_assert(!dispatcher_choose(d, false, &id));
    ledger_keep_state(engine_ledger(rig.engine), PAST + 2, 3, 750);
    ck_assert_uint_eq(chosen(), PAST + 2);
    finish();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {without_a_history_the_oldest_is_next,
                                  the_longest_expected_is_next,
                                  what_was_held_is_next_when_it_fits,
                                  retries_come_first,
                                  short_trials_keep_their_order,
                                  what_cannot_end_in_time_is_held,
                                  nothing_is_held_for_ever,
                                  a_cut_that_leaves_no_hope_is_named,
                                  what_can_be_continued_is_started,
                                  a_suspended_trial_needs_its_rest_only,
                                  NULL};
    return temp_folder_main("dispatcher_choice", tests, &folder, setup);
}
