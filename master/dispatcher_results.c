/* SPDX-License-Identifier: Apache-2.0 */
/* What attempts gave: into the record, and into what is known of durations and nodes. */
#include "master/dispatcher_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void note_seconds(struct dispatcher *d, double seconds)
{
    if (!isfinite(seconds) || seconds < 0)
        return;
    d->mean_seconds =
        d->mean_seconds < 0 ? seconds : 0.95 * d->mean_seconds + 0.05 * seconds;
}

/* Does the outcome speak against a node? */
static void judge(struct dispatcher *d, int rank, uint64_t id, int failure)
{
    const struct trial *t = ledger_trial(d->ledger, id);
    const char *host = d->workers[rank].host, *guilty = NULL;
    char text[MESSAGE_TEXT + 128];
    if (t->state == TRIAL_DONE)
        guilty = blame_done(d->blame, id, host);
    else if (t->state == TRIAL_FAILED)
        blame_forget(d->blame, id);
    else if (failure != FAILURE_NONE && failure != FAILURE_NAN)
        blame_failed(d->blame, id, host);
    if (!guilty)
        return;
    dispatcher_quarantine(d, guilty);
    snprintf(
        text, sizeof text,
        "node %s gets no more trials: %d in a row failed there and succeeded elsewhere",
        guilty, engine_config(d->setup.engine)->run.quarantine_after);
    dispatcher_notify(d, DISPATCHER_QUARANTINE, id, 0, text);
}

/* An attempt whose trial is tried elsewhere as well: only a success counts, and only when
 * it is the first. */
static bool is_welcome(struct dispatcher *d, const struct flight *f, int failure)
{
    const struct trial *t = ledger_trial(d->ledger, f->trial);
    d->doubled -= f->doubled;
    return !f->doubled || (failure == FAILURE_NONE &&
                           (t->state == TRIAL_QUEUED || t->state == TRIAL_RUNNING));
}

/* Results of attempts that were given up meanwhile are late: nobody waits for them. */
int dispatcher_take_result(struct dispatcher *d, int rank, const struct message_result *m,
                           struct error *err)
{
    int index = dispatcher_find_flight(d, rank, m->slot, m->trial, m->attempt);
    struct flight f = {0};
    if (index >= 0)
        f = dispatcher_land(d, rank, m->slot, index);
    if (f.again)
        return dispatcher_take_again(d, &f, m, err);
    if (index < 0 || !is_welcome(d, &f, m->failure)) {
        dispatcher_notify(d, DISPATCHER_LATE_RESULT, m->trial, rank, NULL);
        return 0;
    }
    note_seconds(d, m->seconds);
    struct ledger_result r = {.failure = m->failure,
                              .val_accuracy = NAN,
                              .seconds = m->seconds,
                              .params = m->params,
                              .flops = m->flops,
                              .finished_at = dispatcher_wall(d),
                              .epoch_count = m->epoch_count,
                              .epochs = m->epochs,
                              .reason = m->reason && *m->reason ? m->reason : NULL};
    memcpy(r.kernels, m->kernels, sizeof r.kernels);
    struct architecture derived;
    struct error why = {0};
    dispatcher_read_derived(d, m, &derived, &r, &why);
    const struct trial *t = ledger_trial(d->ledger, m->trial);
    bool has_state = t->saved_seconds > 0;
    int status = engine_finish(d->setup.engine, m->trial, rank, m->slot, &r, err);
    if (has_state && t->saved_seconds <= 0)
        dispatcher_drop_state(d, m->trial);
    bool again = t->state == TRIAL_QUEUED;
    if (status == 0 && (f.doubled || (d->doubled > 0 && !again)))
        status = dispatcher_cancel_others(d, m->trial, err);
    if (status != 0)
        return status;
    judge(d, rank, m->trial, r.failure);
    if (m->failure != FAILURE_NONE && m->failure != FAILURE_NAN)
        dispatcher_break_gang(d, t);
    dispatcher_learn(d, t);
    if (t->state == TRIAL_DONE) /* a result without a finite reward is none */
        d->results++;
    else
        d->failures++;
    dispatcher_notify(d, again ? DISPATCHER_ATTEMPT_FAILED : DISPATCHER_FINISHED,
                      m->trial, rank, t->reason);
    uint64_t enough = d->slots > 4 ? 2 * (uint64_t)d->slots : 8;
    if (d->results == 0 && d->failures >= enough)
        return error_set(err, ERROR_FAILED,
                         "the first %llu attempts all failed, so the trainer or the "
                         "configuration is at fault; the last one: %.*s",
                         (unsigned long long)d->failures,
                         t->reason ? (int)strcspn(t->reason, "\n") : 9,
                         t->reason ? t->reason : "no reason");
    return 0;
}
