/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that say nothing. After run.silent_after a rank is doubted: what it runs is tried
 * elsewhere as well, but not taken from it, since most silences end (a stopped process, a
 * stalled file system). When it comes back, whoever finishes a trial first counts and the
 * other attempt is cancelled; when it stays silent for run.lost_after, it is given up.
 *
 * And attempts that nobody speaks of: an agent ends a trial whose time is up, but its word
 * may be lost, or it may be stuck while its heart beats. So the master has a later deadline
 * of its own. */
#include "master/dispatcher_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEATS_MISSED = 3 }; /* at least, before a rank is doubted */
enum { TRAINER_START_S = 300 }; /* as agents give it, see worker/agent.h */

double dispatcher_silence_limit(const struct dispatcher *d)
{
    const struct config_run *run = &engine_config(d->setup.engine)->run;
    return fmax(run->silent_after, BEATS_MISSED * run->heartbeat);
}

static int cancel(struct dispatcher *d, int rank, const struct flight *f,
                  struct error *err)
{
    struct message m = {.type = MESSAGE_CANCEL,
                        .cancel = {.trial = f->trial, .attempt = f->attempt}};
    return dispatcher_send(d, rank, &m, err);
}

/* Those that wait behind the running one have lost nothing. */
static int take_waiting(struct dispatcher *d, int rank, int slot, struct error *err)
{
    struct dispatcher_slot *s = &d->workers[rank].slots[slot];
    int status = 0;
    while (s->count > 1 && status == 0) {
        struct flight f = dispatcher_land(d, rank, slot, 1);
        if (!f.doubled)
            engine_forget(d->setup.engine, f.trial, 0);
        status = cancel(d, rank, &f, err);
    }
    return status;
}

static bool is_over(const struct trial *t)
{
    return t->state == TRIAL_DONE || t->state == TRIAL_FAILED || t->state == TRIAL_SAVED;
}

static void describe(const struct dispatcher *d, int rank, char *text, size_t size)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    size_t used = (size_t)snprintf(text, size, "no heartbeat for %.1f s",
                                   dispatcher_now(d) - w->heard);
    for (int i = 0, named = 0; i < w->slot_count && used < size; i++)
        if (w->ghosts && w->ghosts[i].attempt > 0 && named++ < 8)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%llu",
                                 named == 1 ? "; tried elsewhere as well: trial " : ", ",
                                 (unsigned long long)w->ghosts[i].trial);
}

int dispatcher_doubt(struct dispatcher *d, int rank, struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    char text[MESSAGE_TEXT];
    int status = 0;
    w->ghosts = calloc((size_t)w->slot_count + 1, sizeof *w->ghosts);
    if (!w->ghosts)
        return error_set(err, ERROR_SYSTEM, "no memory for rank %d", rank);
    dispatcher_withdraw(d, rank);
    w->state = WORKER_SILENT;
    d->silent++;
    for (int i = 0; i < w->slot_count && status == 0; i++) {
        status = take_waiting(d, rank, i, err);
        if (w->slots[i].count == 0)
            continue;
        w->ghosts[i] = dispatcher_land(d, rank, i, 0);
        d->doubled -= w->ghosts[i].doubled;
        if (!w->ghosts[i].doubled)
            engine_doubt(d->setup.engine, w->ghosts[i].trial);
    }
    describe(d, rank, text, sizeof text);
    dispatcher_notify(d, DISPATCHER_RANK_SILENT, 0, rank, text);
    return status;
}

int dispatcher_welcome_back(struct dispatcher *d, int rank, double silence,
                            struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    char text[MESSAGE_TEXT];
    int status = 0;
    w->state = WORKER_READY;
    d->silent--;
    dispatcher_offer(d, rank);
    for (int i = 0; i < w->slot_count && status == 0 && !d->stopping; i++) {
        struct flight f = w->ghosts[i];
        if (f.attempt == 0)
            continue;
        if (is_over(ledger_trial(d->ledger, f.trial))) {
            status = cancel(d, rank, &f, err);
            continue;
        }
        f.doubled = true;
        d->doubled++;
        status = dispatcher_board(d, &w->slots[i], f, err);
    }
    free(w->ghosts);
    w->ghosts = NULL;
    snprintf(text, sizeof text, "back after %.1f s of silence", silence);
    dispatcher_notify(d, DISPATCHER_RANK_BACK, 0, rank, text);
    return status;
}

/* Take one flight of a trial off the books and tell its rank. */
static int cancel_flight(struct dispatcher *d, struct dispatcher_slot *s, int index,
                         struct error *err)
{
    int rank = s->rank;
    struct flight f = dispatcher_land(d, rank, s->index, index);
    d->doubled -= f.doubled;
    return cancel(d, rank, &f, err);
}

/* All of them: an attempt that was doubted may be back where a later one waits. */
static int cancel_in_slot(struct dispatcher *d, struct dispatcher_slot *s, uint64_t trial,
                          struct error *err)
{
    int status = 0;
    for (int i = s->count; i-- > 0 && status == 0;)
        if (s->flights[i].trial == trial && !s->flights[i].again)
            status = cancel_flight(d, s, i, err);
    return status;
}

int dispatcher_cancel_others(struct dispatcher *d, uint64_t trial, struct error *err)
{
    int status = 0;
    for (int rank = 1; rank < d->setup.wire->size && status == 0; rank++) {
        struct dispatcher_worker *w = &d->workers[rank];
        for (int i = 0; i < w->slot_count && w->slots && status == 0; i++)
            status = cancel_in_slot(d, &w->slots[i], trial, err);
    }
    return status;
}

/* Their hours are lost for sure now. */
/* When an attempt is overdue: its time, that of a trainer to get ready, and run.lost_after
 * for the word that it is over. */
double dispatcher_overdue_after(const struct dispatcher *d)
{
    const struct config_run *run = &engine_config(d->setup.engine)->run;
    return run->trial_timeout + TRAINER_START_S + run->lost_after;
}

/* The attempt has failed, and what waits behind it goes elsewhere. Its slot stays taken: a
 * result that comes after all is welcome while none has come from elsewhere. */
static int give_up_attempt(struct dispatcher *d, int rank, int slot, struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    struct flight *f = &w->slots[slot].flights[0];
    uint64_t trial = f->trial;
    char reason[MESSAGE_TEXT + 128];
    double seconds = dispatcher_now(d) - f->started;
    snprintf(reason, sizeof reason,
             "no word from rank %d on %s for %.0f s, though its time was up long ago", rank,
             w->host, seconds);
    struct ledger_result r = {.failure = FAILURE_TIMEOUT,
                              .val_accuracy = NAN,
                              .seconds = f->spent + seconds,
                              .params = NAN,
                              .flops = NAN,
                              .finished_at = dispatcher_wall(d),
                              .reason = reason};
    f->doubled = true;
    d->doubled++;
    d->failures++;
    int status = cancel(d, rank, f, err);
    if (status == 0)
        status = take_waiting(d, rank, slot, err);
    if (status == 0)
        status = engine_finish(d->setup.engine, trial, rank, slot, &r, err);
    if (status != 0)
        return status;
    dispatcher_break_gang(d, ledger_trial(d->ledger, trial));
    bool again = ledger_trial(d->ledger, trial)->state == TRIAL_QUEUED;
    dispatcher_notify(d, again ? DISPATCHER_ATTEMPT_FAILED : DISPATCHER_FINISHED, trial, rank,
                      reason);
    return 0;
}

int dispatcher_end_overdue(struct dispatcher *d, int rank, struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    double now = dispatcher_now(d), limit = dispatcher_overdue_after(d);
    int status = 0;
    for (int i = 0; w->slots && i < w->slot_count && status == 0; i++) {
        const struct flight *f = w->slots[i].flights;
        if (w->slots[i].count > 0 && !f->doubled && f->started > 0 &&
            now - f->started > limit)
            status = give_up_attempt(d, rank, i, err);
    }
    return status;
}

void dispatcher_drop_ghosts(struct dispatcher *d, int rank)
{
    struct dispatcher_worker *w = &d->workers[rank];
    const struct config_resources *r = &engine_config(d->setup.engine)->resources;
    double weight = r->gpus_per_trial > 0 ? r->gpus_per_trial : r->threads_per_trial;
    for (int i = 0; w->ghosts && i < w->slot_count; i++)
        if (w->ghosts[i].attempt > 0)
            ledger_hours(d->ledger)->lost +=
                weight * (dispatcher_now(d) - w->ghosts[i].started);
    d->silent -= w->state == WORKER_SILENT;
    free(w->ghosts);
    w->ghosts = NULL;
}
