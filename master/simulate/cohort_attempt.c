/* SPDX-License-Identifier: Apache-2.0 */
/* An attempt of one rank, from its beginning to its result. */
#include <math.h>
#include <string.h>

#include "master/simulate/cohort_private.h"
#include "proto/wire_sim.h"

/* Of its curve: what shares weights is over with one. */
static int epochs_of(const struct cohort *c, const struct order *o)
{
    return o->kind == TRIAL_TRAIN_CHILD ? c->epochs : 1;
}

/* Towards the accuracy of the architecture, which the last epoch reaches. */
static float accuracy_at(const struct cohort *c, const struct order *o, int epoch)
{
    int epochs = epochs_of(c, o);
    double left = (double)(epochs - epoch) / epochs;
    return (float)(o->accuracy * (1 - 0.5 * left * left));
}

void cohort_epoch(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    double now = cohort_now(c);
    struct message m = {
        .type = MESSAGE_PROGRESS,
        .progress = {.trial = o->trial,
                     .attempt = o->attempt,
                     .epoch = ++w->epoch,
                     .values = {.val_accuracy = accuracy_at(c, o, (int)w->epoch)}}};
    cohort_post(c, rank, &m);
    double next = now + (now - w->began) / w->epoch;
    if ((int)w->epoch < c->epochs - 1)
        cohort_arm(c, rank, next, TIMER_EPOCH, w->runs);
}

static void post_result(struct cohort *c, int rank)
{
    const struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    bool failed = w->failure != FAILURE_NONE, step = trial_kind_is_step(o->kind);
    int epochs = epochs_of(c, o);
    struct message m = {.type = MESSAGE_RESULT,
                        .result = {.trial = o->trial,
                                   .attempt = o->attempt,
                                   .failure = w->failure,
                                   .seconds = w->ends - w->began,
                                   .params = NAN,
                                   .flops = NAN,
                                   .epoch_count = failed ? 0 : (uint32_t)epochs,
                                   .epochs = c->curve,
                                   .reason = (char *)(w->failure == FAILURE_TIMEOUT
                                                          ? "time limit of a trial"
                                                      : failed ? "a simulated fault"
                                                               : "")}};
    memcpy(m.result.kernels, c->kernels, sizeof m.result.kernels);
    for (int i = 0; i < epochs && !failed; i++)
        c->curve[i].val_accuracy = step ? NAN : accuracy_at(c, o, i + 1);
    c->curve[0].train_loss = step ? 1 - o->accuracy : NAN;
    m.result.log_probability = NAN;
    if (o->kind == TRIAL_RELAX)
        m.result.architecture =
            sim_pool_derive(c->space, c->setup.config->seed, o->shared.step);
    cohort_post(c, rank, &m);
    free(m.result.architecture);
}

void cohort_tell_behind(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    const struct sim_pool_task task = cohort_task(c, rank);
    cohort_post(c, rank,
                &(struct message){
                    .type = MESSAGE_BEHIND,
                    .behind = {.trial = o->trial,
                               .attempt = o->attempt,
                               .at = sim_pool_lacks(
                                   &w->pool, &c->setup.config->search.shared, &task)}});
    cohort_drop_first(c, rank);
}

/* Is there nothing to do now for an order of shared weights? */
static bool is_settled(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct sim_pool_task task = cohort_task(c, rank);
    if (task.kind == TRIAL_TRAIN_CHILD)
        return false;
    switch (
        sim_pool_begin(&w->pool, &c->states, &c->setup.config->search.shared, &task)) {
    case SIM_READY:
        return false;
    case SIM_MADE:
        w->began = w->ends = cohort_now(c);
        w->failure = FAILURE_NONE;
        post_result(c, rank);
        cohort_drop_first(c, rank);
        return true;
    case SIM_WAITS:
        cohort_wait(c, rank, WAITS_BEFORE);
        return true;
    default:
        cohort_tell_behind(c, rank);
        return true;
    }
}

/* What will become of an attempt is drawn when it begins. */
void cohort_begin(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    struct order *o = &w->orders[0];
    w->waits = WAITS_NOT;
    if (is_settled(c, rank))
        return;
    double now = cohort_now(c), seconds = o->seconds * w->slowness;
    w->runs++;
    w->epoch = 0;
    w->failure = FAILURE_NONE;
    c->counts.attempts++;
    if (cohort_strikes(c, FAULT_SLOW))
        seconds *= FAULT_SLOWNESS;
    double planned = seconds;
    if (cohort_strikes(c, FAULT_TRIAL_FAILED)) {
        w->failure = FAILURE_EXIT;
        seconds *= rng_double(&c->rng);
    }
    if (seconds > o->timeout) {
        w->failure = FAILURE_TIMEOUT;
        seconds = o->timeout;
    }
    w->began = now;
    w->ends = now + seconds;
    if (cohort_strikes(c, FAULT_WORKER_LOST))
        cohort_arm(c, rank, now + seconds * rng_double(&c->rng), TIMER_DEATH, w->runs);
    if (epochs_of(c, o) > 1)
        cohort_arm(c, rank, now + planned / c->epochs, TIMER_EPOCH, w->runs);
    cohort_arm(c, rank, w->ends, TIMER_END, w->runs);
}

void cohort_drop_first(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    w->runs++; /* timers of what ran are void */
    w->waits = WAITS_NOT;
    memmove(w->orders, w->orders + 1, (size_t)--w->count * sizeof *w->orders);
    if (w->count > 0)
        cohort_begin(c, rank);
}

void cohort_finish(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct sim_pool_task task = cohort_task(c, rank);
    enum sim_outcome outcome = SIM_READY;
    if (w->failure == FAILURE_NONE && trial_kind_is_step(task.kind) && w->pool.made)
        outcome =
            sim_pool_finish(&w->pool, &c->states, &c->setup.config->search.shared, &task);
    if (outcome == SIM_WAITS) {
        cohort_wait(c, rank, WAITS_AFTER);
    } else if (outcome == SIM_BEHIND) {
        cohort_tell_behind(c, rank);
    } else {
        post_result(c, rank);
        cohort_drop_first(c, rank);
    }
}

void cohort_end(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct config_shared *shared = &c->setup.config->search.shared;
    const struct sim_pool_task task = cohort_task(c, rank);
    uint64_t round = w->pool.step / (uint64_t)shared->sync_every;
    bool whole = false;
    if (w->waits == WAITS_BEFORE || w->waits == (WAITS_BEFORE | WAITS_ASKED))
        w->began = w->ends; /* it failed before its work began */
    c->counts.failed += w->failure != FAILURE_NONE;
    if (w->failure != FAILURE_NONE)
        sim_pool_reset(&w->pool, shared); /* its trainer is started anew */
    else if (trial_kind_is_step(task.kind))
        sim_pool_train(&w->pool, shared, &task, &whole);
    if (whole && task.attempt > 0)
        cohort_send_lane(c, rank, round, task.shared.part);
    cohort_finish(c, rank);
}
