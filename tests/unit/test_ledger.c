/* SPDX-License-Identifier: Apache-2.0 */
#include "master/ledger.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "unit.h"

static struct trial make_trial(uint64_t id, int arm, int state, uint64_t hash)
{
    struct trial t = {.id = id,
                      .arm = (uint8_t)arm,
                      .state = (uint8_t)state,
                      .worker = -1,
                      .slot = -1,
                      .same_as = -1,
                      .hash = {hash, ~hash},
                      .reward = NAN};
    t.architecture = calloc(1, sizeof *t.architecture);
    ck_assert_ptr_nonnull(t.architecture);
    return t;
}

static int add(struct ledger *l, int arm, int state, uint64_t hash, int64_t same_as)
{
    struct trial t = make_trial(ledger_count(l), arm, state, hash);
    t.same_as = same_as;
    int status = ledger_add(l, &t, NULL);
    if (status != 0)
        free(t.architecture);
    return status;
}

static struct ledger *make_ledger(void)
{
    struct ledger *l = NULL;
    ck_assert_int_eq(ledger_new(&l, NULL), 0);
    return l;
}

static uint64_t next(const struct ledger *l)
{
    uint64_t id = UINT64_MAX;
    ck_assert(ledger_next(l, &id));
    return id;
}

static int state_of(const struct ledger *l, uint64_t id)
{
    return ledger_trial(l, id)->state;
}

static void assert_add_fails(struct ledger *l, struct trial t, const char *text)
{
    struct error err;
    ck_assert_int_eq(ledger_add(l, &t, &err), ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    free(t.architecture);
}

START_TEST(trials_that_do_not_fit_are_refused)
{
    struct ledger *l = make_ledger();
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 1, -1), 0);
    assert_add_fails(l, make_trial(0, 0, TRIAL_QUEUED, 1), "next id is 1");
    assert_add_fails(l, make_trial(2, 0, TRIAL_QUEUED, 1), "next id is 1");
    assert_add_fails(l, make_trial(1, 2, TRIAL_QUEUED, 1), "arm");
    assert_add_fails(l, make_trial(1, 0, 6, 1), "state");
    assert_add_fails(l, make_trial(1, 0, TRIAL_WAITING, 1), "earlier");
    struct trial t = make_trial(1, 0, TRIAL_WAITING, 1);
    t.same_as = 1;
    assert_add_fails(l, t, "earlier");
    t = make_trial(1, 0, TRIAL_DONE, 1);
    t.epoch_count = TRIAL_MAX_EPOCHS + 1;
    assert_add_fails(l, t, "epochs");
    t = make_trial(1, 0, TRIAL_DONE, 1);
    free(t.architecture);
    t.architecture = NULL;
    assert_add_fails(l, t, "architecture");
    ck_assert_uint_eq(ledger_count(l), 1);
    ledger_free(l);
    ledger_free(NULL);
}
END_TEST

/* Its cell is known in the end only, and answers for no other trial. */
START_TEST(a_step_takes_the_cell_that_it_led_to)
{
    struct ledger *l = make_ledger();
    struct architecture cell = {.depth = 1, .count = 2, .tokens = {5, 6}};
    struct ledger_result r = {
        .derived = &cell, .derived_hash = {9, ~9ULL}, .log_probability = -2.5};
    for (int i = 0; i < 3; i++) {
        struct trial t = make_trial(ledger_count(l), 0, TRIAL_QUEUED, 1);
        t.kind = i < 2 ? TRIAL_RELAX : TRIAL_TRAIN_CHILD;
        ck_assert_int_eq(ledger_add(l, &t, NULL), 0);
    }
    const struct architecture_hash one = {1, ~1ULL};
    ck_assert_uint_eq(ledger_find(l, ARM_SEARCH, one)->id, 2);
    for (uint64_t id = 0; id < 2; id++) {
        ledger_start(l, id, 0, 0);
        ck_assert_int_eq(ledger_done(l, id, &r, NAN, NULL), 0);
        const struct trial *t = ledger_trial(l, id);
        ck_assert(architecture_equal(t->architecture, &cell));
        ck_assert(architecture_hash_equal(t->hash, r.derived_hash));
        ck_assert_double_eq(t->log_probability, -2.5);
        ck_assert_ptr_null(ledger_find(l, ARM_SEARCH, r.derived_hash));
    }
    ck_assert_uint_eq(ledger_find(l, ARM_SEARCH, one)->id, 2);
    ledger_free(l);
}
END_TEST

START_TEST(calls_that_do_not_fit_the_state_change_nothing)
{
    struct ledger *l = make_ledger();
    struct ledger_result r = {0};
    struct error err;
    const uint64_t *waiting;
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 1, -1), 0);
    ck_assert_ptr_null(ledger_trial(l, 1));
    ck_assert_int_lt(ledger_start(l, 1, 0, 0), 0);
    ck_assert_int_eq(ledger_done(l, 1, &r, 0, &err), ERROR_CORRUPT);
    ck_assert_int_eq(ledger_saved(l, 0, 0, &err), ERROR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "trial 0"));
    ck_assert_int_eq(ledger_attempt_failed(l, 0, &r, &err), ERROR_CORRUPT);
    ledger_requeue(l, 0, false);
    ledger_release(l, 0);
    ledger_requeue(l, 9, false);
    ledger_release(l, 9);
    ck_assert_int_eq(ledger_wait_on(l, 0, 0), ERROR_CORRUPT);
    ck_assert_int_eq(ledger_done(l, 0, &r, 1, &err), 0);
    ck_assert_int_eq(ledger_done(l, 0, &r, 2, &err), ERROR_CORRUPT);
    ck_assert_int_eq(ledger_failed(l, 0, &r, 2, &err), ERROR_CORRUPT);
    ck_assert_int_lt(ledger_start(l, 0, 0, 0), 0);
    ck_assert_double_eq(ledger_trial(l, 0)->reward, 1);
    ck_assert_uint_eq(ledger_count_state(l, -1, 99), 0);
    ck_assert_int_eq(ledger_waiting(l, 0, &waiting), 0);
    ck_assert_int_eq(ledger_waiting(l, 7, &waiting), 0);
    ledger_free(l);
}
END_TEST

START_TEST(queue_is_first_in_first_out_with_retries_in_front)
{
    struct ledger *l = make_ledger();
    uint64_t id;
    ck_assert(!ledger_next(l, &id));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, (uint64_t)i, -1), 0);
    ck_assert_uint_eq(next(l), 0);
    ck_assert_int_eq(ledger_start(l, 0, 3, 4), 1);
    ck_assert_int_eq(ledger_start(l, 1, 3, 4), 1);
    ck_assert_int_eq(ledger_start(l, 3, 3, 4), 1);
    ck_assert_int_eq(ledger_trial(l, 0)->worker, 3);
    ck_assert_int_eq(ledger_trial(l, 0)->slot, 4);
    ck_assert_uint_eq(next(l), 2);
    ledger_requeue(l, 1, false);
    ledger_requeue(l, 0, true);
    ck_assert_uint_eq(next(l), 1);
    ck_assert_int_eq(ledger_start(l, 1, 0, 0), 2);
    ck_assert_uint_eq(next(l), 0);
    ck_assert_int_eq(ledger_start(l, 0, 0, 0), 1);
    ck_assert_uint_eq(next(l), 2);
    ck_assert_uint_eq(ledger_count_state(l, 0, TRIAL_RUNNING), 3);
    ck_assert_uint_eq(ledger_count_state(l, -1, TRIAL_QUEUED), 2);
    ck_assert_uint_eq(ledger_count_state(l, 1, TRIAL_QUEUED), 0);
    ledger_free(l);
}
END_TEST

START_TEST(results_are_copied)
{
    struct ledger *l = make_ledger();
    struct trial_epoch curve[2] = {{.val_accuracy = 0.5f}, {.val_accuracy = NAN}};
    char reason[TRIAL_REASON + 50];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    struct ledger_result r = {.failure = FAILURE_TIMEOUT,
                              .seconds = 3,
                              .epoch_count = 2,
                              .epochs = curve,
                              .reason = reason};
    ck_assert_int_eq(add(l, 1, TRIAL_QUEUED, 1, -1), 0);
    const struct trial *t = ledger_trial(l, 0);
    ck_assert_int_eq(ledger_start(l, 0, 1, 1), 1);
    ck_assert_int_eq(ledger_attempt_failed(l, 0, &r, NULL), 0);
    ck_assert_int_eq(t->state, TRIAL_QUEUED);
    ck_assert_int_eq(t->failure, FAILURE_TIMEOUT);
    ck_assert_uint_eq(strlen(t->reason), TRIAL_REASON - 1);
    ck_assert_uint_eq(next(l), 0);
    ck_assert_int_eq(ledger_start(l, 0, 1, 1), 2);
    r = (struct ledger_result){.val_accuracy = 0.5,
                               .seconds = 7,
                               .params = 10,
                               .flops = 20,
                               .finished_at = 30,
                               .epoch_count = 2,
                               .epochs = curve};
    ck_assert_int_eq(ledger_done(l, 0, &r, 0.125, NULL), 0);
    curve[0].val_accuracy = 0;
    ck_assert_float_eq(t->epochs[0].val_accuracy, 0.5f);
    ck_assert(isnan(t->epochs[1].val_accuracy));
    ck_assert_ptr_null(t->reason);
    ck_assert_int_eq(t->failure, FAILURE_NONE);
    ck_assert_double_eq(t->reward, 0.125);
    ck_assert_double_eq(t->flops, 20);
    ck_assert_double_eq(t->finished_at, 30);
    r.epoch_count = TRIAL_MAX_EPOCHS + 1;
    ck_assert_int_eq(add(l, 1, TRIAL_QUEUED, 1, -1), 0);
    ck_assert_int_eq(ledger_done(l, 1, &r, 0, NULL), ERROR_CORRUPT);
    ck_assert_int_eq(state_of(l, 1), TRIAL_QUEUED);
    ledger_free(l);
}
END_TEST

START_TEST(find_gives_the_first_that_is_not_failed_in_its_arm)
{
    struct ledger *l = make_ledger();
    struct ledger_result r = {0};
    struct architecture_hash h = {7, ~7ULL}, half = {7, 7};
    ck_assert_ptr_null(ledger_find(l, ARM_SEARCH, h));
    ck_assert_int_eq(add(l, ARM_CONTROL, TRIAL_QUEUED, 7, -1), 0);
    ck_assert_ptr_null(ledger_find(l, ARM_SEARCH, h));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(add(l, ARM_SEARCH, TRIAL_QUEUED, 7, -1), 0);
    ck_assert_uint_eq(ledger_find(l, ARM_SEARCH, h)->id, 1);
    ck_assert_uint_eq(ledger_find(l, ARM_CONTROL, h)->id, 0);
    ck_assert_ptr_null(ledger_find(l, ARM_SEARCH, half));
    ck_assert_ptr_null(ledger_find(l, ARM_COUNT, h));
    ck_assert_int_eq(ledger_failed(l, 2, &r, NAN, NULL), 0);
    ck_assert_uint_eq(ledger_find(l, ARM_SEARCH, h)->id, 1);
    ck_assert_int_eq(ledger_failed(l, 1, &r, NAN, NULL), 0);
    ck_assert_uint_eq(ledger_find(l, ARM_SEARCH, h)->id, 3);
    ck_assert_int_eq(ledger_failed(l, 3, &r, NAN, NULL), 0);
    ck_assert_ptr_null(ledger_find(l, ARM_SEARCH, h));
    ck_assert_int_eq(add(l, ARM_SEARCH, TRIAL_FAILED, 7, -1), 0);
    ck_assert_ptr_null(ledger_find(l, ARM_SEARCH, h));
    ck_assert_int_eq(add(l, ARM_SEARCH, TRIAL_DONE, 7, -1), 0);
    ck_assert_uint_eq(ledger_find(l, ARM_SEARCH, h)->id, 5);
    ledger_free(l);
}
END_TEST

START_TEST(duplicates_copy_the_result_they_waited_for)
{
    struct ledger *l = make_ledger();
    const uint64_t *waiting = NULL;
    struct trial_epoch curve = {.val_accuracy = 0.75f};
    struct ledger_result r = {.val_accuracy = 0.75,
                              .seconds = 9,
                              .params = 5,
                              .epoch_count = 1,
                              .epochs = &curve};
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 7, -1), 0);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(add(l, 0, TRIAL_WAITING, 7, 0), 0);
    ck_assert_int_eq(ledger_waiting(l, 0, &waiting), 9);
    for (uint64_t i = 0; i < 9; i++)
        ck_assert_uint_eq(waiting[i], i + 1);
    ck_assert_int_eq(ledger_saved(l, 1, 0, NULL), ERROR_CORRUPT);
    ck_assert_int_eq(ledger_done(l, 0, &r, 0.5, NULL), 0);
    while (ledger_waiting(l, 0, &waiting) > 0)
        ck_assert_int_eq(ledger_saved(l, waiting[0], 11, NULL), 0);
    const struct trial *t = ledger_trial(l, 5);
    ck_assert_int_eq(t->state, TRIAL_SAVED);
    ck_assert_double_eq(t->reward, 0.5);
    ck_assert_double_eq(t->val_accuracy, 0.75);
    ck_assert_double_eq(t->seconds, 9);
    ck_assert_double_eq(t->params, 5);
    ck_assert_double_eq(t->finished_at, 11);
    ck_assert_uint_eq(t->epoch_count, 1);
    ck_assert_float_eq(t->epochs[0].val_accuracy, 0.75f);
    ck_assert_ptr_ne(t->epochs, ledger_trial(l, 0)->epochs);
    ck_assert_int_eq(t->same_as, 0);
    ck_assert_uint_eq(ledger_count_state(l, 0, TRIAL_SAVED), 9);
    ledger_free(l);
}
END_TEST

START_TEST(waiting_trials_are_resolved_again_when_theirs_fails)
{
    struct ledger *l = make_ledger();
    const uint64_t *waiting = NULL;
    struct ledger_result r = {.failure = FAILURE_EXIT, .reason = "signal 9"};
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 7, -1), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(add(l, 0, TRIAL_WAITING, 7, 0), 0);
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 8, -1), 0);
    ck_assert_int_eq(ledger_failed(l, 0, &r, NAN, NULL), 0);
    ck_assert_str_eq(ledger_trial(l, 0)->reason, "signal 9");
    ck_assert_int_eq(ledger_wait_on(l, 1, 0), ERROR_CORRUPT);
    ck_assert_int_eq(ledger_wait_on(l, 1, 2), ERROR_CORRUPT);
    struct architecture_hash h = ledger_trial(l, 1)->hash;
    ck_assert_uint_eq(ledger_find(l, 0, h)->id, 1);
    ledger_release(l, 1);
    ck_assert_uint_eq(next(l), 1);
    ck_assert_int_eq(ledger_trial(l, 1)->same_as, -1);
    ck_assert_int_eq(ledger_wait_on(l, 3, 1), 0);
    ck_assert_int_eq(ledger_wait_on(l, 2, 1), 0);
    ck_assert_int_eq(ledger_wait_on(l, 2, 1), 0);
    ck_assert_int_eq(ledger_waiting(l, 0, &waiting), 0);
    ck_assert_int_eq(ledger_waiting(l, 1, &waiting), 2);
    ck_assert_uint_eq(waiting[0], 2);
    ck_assert_uint_eq(waiting[1], 3);
    ck_assert_int_eq(ledger_failed(l, 2, &r, NAN, NULL), 0);
    ck_assert_int_eq(ledger_waiting(l, 1, &waiting), 1);
    ledger_free(l);
}
END_TEST

START_TEST(trials_of_a_snapshot_rebuild_queue_and_waiting)
{
    struct ledger *l = make_ledger();
    const uint64_t *waiting = NULL;
    ck_assert_int_eq(add(l, 0, TRIAL_DONE, 1, -1), 0);
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 2, -1), 0);
    ck_assert_int_eq(add(l, 0, TRIAL_RUNNING, 3, -1), 0);
    ck_assert_int_eq(add(l, 0, TRIAL_WAITING, 3, 2), 0);
    struct trial t = make_trial(4, 0, TRIAL_QUEUED, 4);
    t.attempts = 2;
    ck_assert_int_eq(ledger_add(l, &t, NULL), 0);
    ck_assert_uint_eq(next(l), 4);
    ledger_requeue(l, 2, true);
    ck_assert_int_eq(ledger_start(l, 4, 0, 0), 3);
    ck_assert_uint_eq(next(l), 2);
    ck_assert_int_eq(ledger_start(l, 2, 0, 0), 1);
    ck_assert_uint_eq(next(l), 1);
    ck_assert_int_eq(ledger_waiting(l, 2, &waiting), 1);
    ck_assert_uint_eq(waiting[0], 3);
    ledger_free(l);
}
END_TEST

START_TEST(trials_from_before_the_first_search_are_found)
{
    enum { COUNT = 5000, HASHES = 1700 };
    struct ledger *l = make_ledger();
    struct ledger_result r = {.failure = FAILURE_EXIT};
    for (uint64_t id = 0; id < COUNT; id++)
        ck_assert_int_eq(add(l, id % 2, TRIAL_QUEUED, id % HASHES, -1), 0);
    for (uint64_t id = 0; id < COUNT; id += 3) /* some before, ... */
        ck_assert_int_eq(ledger_failed(l, id, &r, 0, NULL), 0);
    for (int round = 0; round < 2; round++) {
        for (uint64_t hash = 0; hash < HASHES; hash++)
            for (int arm = 0; arm < 2; arm++) {
                const struct trial *t = ledger_find(
                    l, (enum trial_arm)arm, (struct architecture_hash){hash, ~hash});
                uint64_t id = hash;
                while (id < COUNT &&
                       (id % 2 != (uint64_t)arm || state_of(l, id) == TRIAL_FAILED))
                    id += HASHES;
                ck_assert_int_eq(t ? (int64_t)t->id : -1,
                                 id < COUNT ? (int64_t)id : -1);
            }
        for (uint64_t id = 1; id < COUNT; id += 3) /* ... and some after */
            if (round == 0)
                ck_assert_int_eq(ledger_failed(l, id, &r, 0, NULL), 0);
    }
    ledger_free(l);
}
END_TEST

START_TEST(bytes_are_those_of_the_records)
{
    struct ledger *l = make_ledger();
    struct trial_epoch epochs[3] = {{0}};
    struct ledger_result r = {.epoch_count = 3, .epochs = epochs, .reason = "four"};
    ck_assert_uint_eq(ledger_bytes(l), 0);
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 1, -1), 0);
    uint64_t one = ledger_bytes(l);
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 2, -1), 0);
    ck_assert_uint_eq(ledger_bytes(l), 2 * one);
    ck_assert_int_eq(ledger_start(l, 0, 1, 1), 1);
    ck_assert_int_eq(ledger_attempt_failed(l, 0, &r, NULL), 0);
    ck_assert_uint_eq(ledger_bytes(l), 2 * one + sizeof epochs + 5);
    r.epoch_count = 2; /* fits where the longer one was */
    r.reason = NULL;
    ck_assert_int_eq(ledger_done(l, 0, &r, 1, NULL), 0);
    ck_assert_uint_eq(ledger_bytes(l), 2 * one + sizeof epochs);
    ck_assert_uint_eq(ledger_trial(l, 0)->epoch_count, 2);
    ck_assert_ptr_nonnull(
        ledger_find(l, ARM_SEARCH, (struct architecture_hash){1, ~UINT64_C(1)}));
    ck_assert_uint_eq(ledger_bytes(l), 2 * one + sizeof epochs + 2 * sizeof(uint32_t));
    ledger_free(l);
}
END_TEST

START_TEST(who_was_told_is_kept)
{
    struct ledger *l = make_ledger();
    struct trial t = make_trial(0, 0, TRIAL_DONE, 1);
    t.told = true;
    ck_assert_int_eq(ledger_add(l, &t, NULL), 0);
    ck_assert(!ledger_trial(l, 0)->told);
    ledger_set_told(l, 1);
    ledger_set_told(l, 0);
    ck_assert(ledger_trial(l, 0)->told);
    ledger_free(l);
}
END_TEST

START_TEST(trials_keep_their_place)
{
    struct ledger *l = make_ledger();
    ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, 0, -1), 0);
    const struct trial *t = ledger_trial(l, 0);
    for (uint64_t i = 1; i < 50000; i++)
        ck_assert_int_eq(add(l, 0, TRIAL_QUEUED, i, -1), 0);
    ck_assert_ptr_eq(t, ledger_trial(l, 0));
    ck_assert_uint_eq(ledger_trial(l, 49999)->id, 49999);
    struct architecture_hash h = {31234, ~31234ULL};
    ck_assert_uint_eq(ledger_find(l, 0, h)->id, 31234);
    ledger_hours(l)->trained = 5;
    ck_assert_double_eq(ledger_hours(l)->trained, 5);
    ledger_free(l);
}
END_TEST

/* A plain model of the same rules, quadratic and without lists. */
enum { MODEL_MAX = 400 };
struct model {
    int count;
    struct {
        int arm, state, list; /* list: order in the queue; retries are negative */
        uint64_t hash;
        int64_t same_as;
    } t[MODEL_MAX];
    int fresh, retry;
};

static void model_check(const struct model *m, struct ledger *l)
{
    int best = -1;
    for (int arm = 0; arm < ARM_COUNT; arm++)
        for (int state = 0; state <= TRIAL_SAVED; state++) {
            uint64_t n = 0;
            for (int i = 0; i < m->count; i++)
                n += m->t[i].arm == arm && m->t[i].state == state;
            ck_assert_uint_eq(ledger_count_state(l, arm, state), n);
        }
    for (int i = 0; i < m->count; i++)
        if (m->t[i].state == TRIAL_QUEUED && (best < 0 || m->t[i].list < m->t[best].list))
            best = i;
    uint64_t id = 0;
    ck_assert_int_eq(ledger_next(l, &id), best >= 0);
    if (best >= 0)
        ck_assert_uint_eq(id, (uint64_t)best);
}

static void model_check_trial(const struct model *m, struct ledger *l, int i)
{
    int first = -1;
    int waiters = 0;
    const uint64_t *ids = NULL;
    int n = ledger_waiting(l, (uint64_t)i, &ids);
    for (int k = 0; k < m->count; k++) {
        if (first < 0 && m->t[k].arm == m->t[i].arm && m->t[k].hash == m->t[i].hash &&
            m->t[k].state != TRIAL_FAILED)
            first = k;
        if (m->t[k].state == TRIAL_WAITING && m->t[k].same_as == i) {
            ck_assert_int_lt(waiters, n);
            ck_assert_uint_eq(ids[waiters++], (uint64_t)k);
        }
    }
    ck_assert_int_eq(waiters, n);
    struct architecture_hash h = {m->t[i].hash, ~m->t[i].hash};
    const struct trial *found = ledger_find(l, (enum trial_arm)m->t[i].arm, h);
    ck_assert_int_eq(found ? (int)found->id : -1, first);
}

static void model_add(struct model *m, struct ledger *l, struct rng *rng)
{
    int arm = (int)rng_below(rng, 2), i = m->count;
    uint64_t hash = rng_below(rng, 20);
    struct architecture_hash h = {hash, ~hash};
    const struct trial *same = ledger_find(l, (enum trial_arm)arm, h);
    bool waits = same && rng_below(rng, 4) > 0;
    m->t[i].arm = arm;
    m->t[i].hash = hash;
    m->t[i].state = waits ? TRIAL_WAITING : TRIAL_QUEUED;
    m->t[i].same_as = waits ? (int64_t)same->id : -1;
    m->t[i].list = m->fresh++;
    ck_assert_int_eq(add(l, arm, m->t[i].state, hash, m->t[i].same_as), 0);
    m->count++;
}

static void model_queue_front(struct model *m, int i)
{
    m->t[i].state = TRIAL_QUEUED;
    m->t[i].list = -1000000 + m->retry++;
}

/* A random call, which must succeed exactly when the model says so. */
static void model_step(struct model *m, struct ledger *l, struct rng *rng)
{
    struct ledger_result r = {.val_accuracy = 0.5};
    int i = (int)rng_below(rng, (uint32_t)m->count), state = m->t[i].state;
    int other = (int)rng_below(rng, (uint32_t)m->count);
    uint64_t id = (uint64_t)i;
    bool busy = state == TRIAL_RUNNING || state == TRIAL_QUEUED;
    switch (rng_below(rng, 7)) {
    case 0:
        ck_assert_int_eq(ledger_start(l, id, 1, 2) > 0, state == TRIAL_QUEUED);
        if (state == TRIAL_QUEUED)
            m->t[i].state = TRIAL_RUNNING;
        break;
    case 1:
        ledger_requeue(l, id, rng_below(rng, 2));
        if (state == TRIAL_RUNNING)
            model_queue_front(m, i);
        break;
    case 2:
        ck_assert_int_eq(ledger_done(l, id, &r, 1, NULL) == 0, busy);
        if (busy)
            m->t[i].state = TRIAL_DONE;
        break;
    case 3:
        ck_assert_int_eq(ledger_failed(l, id, &r, 1, NULL) == 0,
                         busy || state == TRIAL_WAITING);
        if (busy || state == TRIAL_WAITING)
            m->t[i].state = TRIAL_FAILED;
        break;
    case 4:
        ledger_release(l, id);
        if (state == TRIAL_WAITING) {
            m->t[i].same_as = -1;
            model_queue_front(m, i);
        }
        break;
    case 5: {
        int64_t to = m->t[i].same_as;
        bool ok = state == TRIAL_WAITING &&
                  (m->t[to].state == TRIAL_DONE || m->t[to].state == TRIAL_SAVED);
        ck_assert_int_eq(ledger_saved(l, id, 3, NULL) == 0, ok);
        if (ok)
            m->t[i].state = TRIAL_SAVED;
        break;
    }
    default: {
        bool ok =
            state == TRIAL_WAITING && other < i && m->t[other].state != TRIAL_FAILED;
        ck_assert_int_eq(ledger_wait_on(l, id, (uint64_t)other) == 0, ok);
        if (ok)
            m->t[i].same_as = other;
        break;
    }
    }
}

START_TEST(random_calls_agree_with_a_plain_model)
{
    uint64_t seed = (uint64_t)time(NULL);
    struct rng rng;
    printf("ledger: seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 10; round++) {
        struct model m = {0};
        struct ledger *l = make_ledger();
        rng_init(&rng, seed, RNG_TEST, round);
        for (int step = 0; step < 3000; step++) {
            if (m.count == 0 || (m.count < MODEL_MAX && rng_below(&rng, 8) == 0))
                model_add(&m, l, &rng);
            model_step(&m, l, &rng);
            model_check(&m, l);
            model_check_trial(&m, l, (int)rng_below(&rng, (uint32_t)m.count));
        }
        ledger_free(l);
    }
}
END_TEST

UNIT_MAIN("ledger", trials_that_do_not_fit_are_refused,
          a_step_takes_the_cell_that_it_led_to,
          calls_that_do_not_fit_the_state_change_nothing,
          queue_is_first_in_first_out_with_retries_in_front, results_are_copied,
          find_gives_the_first_that_is_not_failed_in_its_arm,
          duplicates_copy_the_result_they_waited_for,
          waiting_trials_are_resolved_again_when_theirs_fails,
          trials_of_a_snapshot_rebuild_queue_and_waiting,
          trials_from_before_the_first_search_are_found, bytes_are_those_of_the_records,
          who_was_told_is_kept, trials_keep_their_place,
          random_calls_agree_with_a_plain_model)
