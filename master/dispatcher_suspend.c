/* SPDX-License-Identifier: Apache-2.0 */
/* States of running trials: what ranks say about them, and asking for them when the run
 * stops. The files are the trainers' business; here it is only known that there is one,
 * how far it reaches, and when it is of no use any more. */
#include "master/dispatcher_internal.h"

#include <string.h>

#include "master/checkpoints.h"

/* The part of a running attempt that has come into the hours. */
static void count(struct dispatcher *d, struct flight *f, double seconds)
{
    double counted = seconds > f->spent ? seconds - f->spent : 0;
    d->counted_sum += counted - f->counted;
    f->counted = counted;
}

static void tell(struct dispatcher *d, int rank, const struct message_checkpoint *m,
                 double before)
{
    struct dispatcher_event event = {.type = DISPATCHER_CHECKPOINT,
                                     .trial = m->trial,
                                     .rank = rank,
                                     .slot = m->slot,
                                     .what = m->what,
                                     .epoch = m->epoch,
                                     .seconds = m->seconds,
                                     .before = before,
                                     .reason = *m->reason ? m->reason : NULL};
    if (d->setup.notify)
        d->setup.notify(d->setup.context, &event);
}

int dispatcher_take_checkpoint(struct dispatcher *d, int rank,
                               const struct message_checkpoint *m, struct error *err)
{
    int index = dispatcher_find_flight(d, rank, m->slot, m->trial, m->attempt);
    const struct trial *t = ledger_trial(d->ledger, m->trial);
    if (index < 0 || !t || (t->state != TRIAL_QUEUED && t->state != TRIAL_RUNNING))
        return 0;
    struct flight *f = &d->workers[rank].slots[m->slot].flights[index];
    int what = m->what;
    bool over = what == CHECKPOINT_SUSPENDED;
    double before = f->spent;
    if (over && (f->doubled || t->state != TRIAL_RUNNING))
        what = CHECKPOINT_SAVED; /* the trial is tried elsewhere as well */
    if (over) {
        d->doubled -= f->doubled;
        dispatcher_land(d, rank, m->slot, index);
    } else if (what == CHECKPOINT_SAVED) {
        d->seen_state = true;
        count(d, f, m->seconds);
    } else {
        f->spent = what == CHECKPOINT_CONTINUED ? m->seconds : 0;
        count(d, f, 0);
    }
    int status = engine_checkpoint(d->setup.engine, m->trial, rank, m->slot, what,
                                   m->epoch, m->seconds, dispatcher_wall(d), err);
    tell(d, rank, m, before);
    return status;
}

void dispatcher_drop_state(struct dispatcher *d, uint64_t trial)
{
    checkpoints_remove(d->setup.run_folder, trial);
}

/* Only ranks that run something have something to save. */
static bool is_busy(const struct dispatcher_worker *w)
{
    for (int i = 0; w->slots && i < w->slot_count; i++)
        if (w->slots[i].count > 0)
            return true;
    return false;
}

int dispatcher_suspend(struct dispatcher *d, struct error *err)
{
    struct message m = {.type = MESSAGE_SUSPEND};
    int status = 0;
    for (int rank = 1; rank < d->setup.wire->size && status == 0; rank++) {
        struct dispatcher_worker *w = &d->workers[rank];
        if (w->state != WORKER_READY || w->saves || !is_busy(w))
            continue;
        w->saves = true;
        d->saving++;
        status = dispatcher_send(d, rank, &m, err);
    }
    return status;
}

void dispatcher_take_suspended(struct dispatcher *d, int rank)
{
    d->saving -= d->workers[rank].saves;
    d->workers[rank].saves = false;
}

bool dispatcher_saves(const struct dispatcher *d)
{
    return d->saving > 0;
}
