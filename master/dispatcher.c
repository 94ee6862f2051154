/* SPDX-License-Identifier: Apache-2.0 */
/* Who is there, what they say, and who has fallen silent. MPI reports no dead peer, so
 * signs of life and deadlines are all there is; handing out is in dispatcher_tasks.c. */
#include "master/dispatcher_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_WORD_S = 30, STALL_S = 2 };
static const double look_every = 0.1; /* seconds between looks for silent ranks */

double dispatcher_now(const struct dispatcher *d)
{
    return clock_now(d->setup.clock);
}

double dispatcher_wall(const struct dispatcher *d)
{
    return clock_wall(d->setup.clock);
}

void dispatcher_notify(struct dispatcher *d, enum dispatcher_event_type type,
                       uint64_t trial, int rank, const char *reason)
{
    struct dispatcher_event event = {
        .type = type, .trial = trial, .rank = rank, .reason = reason};
    if (d->setup.notify)
        d->setup.notify(d->setup.context, &event);
}

/* What earlier sessions took. */
static void learn_history(struct dispatcher *d)
{
    uint64_t ids[FORECAST_WINDOW], id = ledger_count(d->ledger);
    size_t n = 0;
    while (n < FORECAST_WINDOW && id-- > 0)
        if (ledger_trial(d->ledger, id)->state == TRIAL_DONE)
            ids[n++] = id;
    while (n-- > 0)
        dispatcher_learn(d, ledger_trial(d->ledger, ids[n]));
}

int dispatcher_new(const struct dispatcher_setup *setup, struct dispatcher **ret,
                   struct error *err)
{
    struct dispatcher *d = calloc(1, sizeof *d);
    int size = setup->wire->size;
    if (d)
        d->workers = calloc((size_t)size, sizeof *d->workers);
    if (d)
        d->blame = blame_new(engine_config(setup->engine)->run.quarantine_after);
    if (!d || !d->workers || !d->blame) {
        if (d)
            free(d->workers);
        free(d);
        return error_set(err, ERROR_SYSTEM, "no memory for %d ranks", size);
    }
    d->setup = *setup;
    d->ledger = engine_ledger(setup->engine);
    d->mean_seconds = -1;
    d->end_at = d->span = INFINITY;
    d->aside.smallest_first = true;
    learn_history(d);
    d->opened = d->beat_at = d->idle_at = dispatcher_now(d);
    d->expected = d->living = size - 1;
    for (int rank = 1; rank < size; rank++)
        d->workers[rank].heard = d->opened;
    bytes_init(&d->in);
    bytes_init(&d->out);
    *ret = d;
    return 0;
}

void dispatcher_free(struct dispatcher *d)
{
    if (!d)
        return;
    for (int rank = 0; rank < d->setup.wire->size; rank++) {
        struct dispatcher_worker *w = &d->workers[rank];
        for (int i = 0; w->slots && i < w->slot_count; i++)
            free(w->slots[i].flights);
        free(w->host);
        free(w->hello);
        free(w->slots);
        free(w->ghosts);
    }
    free(d->workers);
    work_heap_fini(&d->waiting);
    work_heap_fini(&d->aside);
    blame_free(d->blame);
    dispatcher_gang_fini(d);
    placement_fini(&d->placement);
    bytes_fini(&d->in);
    bytes_fini(&d->out);
    free(d);
}

int dispatcher_send(struct dispatcher *d, int rank, const struct message *m,
                    struct error *err)
{
    bytes_clear(&d->out);
    message_encode(m, &d->out);
    if (d->out.failed)
        return error_set(err, ERROR_SYSTEM,
                         "%s for rank %d is too large or memory is gone",
                         message_name((int)m->type), rank);
    return wire_send(d->setup.wire, rank, d->out.data, d->out.size, err);
}

/* A rank is given up: an attempt counts against its trial, since the trial may be what
 * brought the machine down. */
static int give_up(struct dispatcher *d, int rank, const char *reason, struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    if (w->state == WORKER_LOST)
        return 0;
    wire_forget(d->setup.wire, rank);
    d->expected -= w->state == WORKER_EXPECTED;
    d->living -= w->state != WORKER_GONE;
    d->lost++;
    dispatcher_withdraw(d, rank);
    dispatcher_drop_ghosts(d, rank);
    dispatcher_take_suspended(d, rank);
    w->state = WORKER_LOST;
    snprintf(d->last_lost, sizeof d->last_lost,
             "no worker rank is left that could train; the last one lost was rank %d: "
             "%.*s",
             rank, MESSAGE_TEXT - 1, reason);
    int status = dispatcher_take_back(d, rank, false, err);
    d->slots -= w->slot_count;
    for (int i = 0; i < w->slot_count; i++)
        free(w->slots[i].flights);
    w->slot_count = 0;
    dispatcher_notify(d, DISPATCHER_RANK_LOST, 0, rank, reason);
    return status;
}

static int take_hello(struct dispatcher *d, int rank, const struct message_hello *hello,
                      struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    if (w->state != WORKER_EXPECTED)
        return 0;
    w->host = strdup(hello->host);
    w->hello = malloc(sizeof *w->hello);
    if (!w->hello || !w->host)
        return error_set(err, ERROR_SYSTEM, "no memory for rank %d", rank);
    *w->hello = *hello;
    w->state = WORKER_REPORTED;
    d->reported++;
    d->expected--;
    return 0;
}

static void take_ready(struct dispatcher *d, struct dispatcher_worker *w)
{
    if (w->state != WORKER_REPORTED || !w->slots)
        return;
    w->state = WORKER_READY;
    dispatcher_begin(d);
    dispatcher_offer(d, (int)(w - d->workers));
}

int dispatcher_find_flight(const struct dispatcher *d, int rank, int slot, uint64_t trial,
                           int attempt)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    if (slot < 0 || slot >= w->slot_count)
        return -1;
    const struct dispatcher_slot *s = &w->slots[slot];
    for (int i = 0; i < s->count; i++)
        if (s->flights[i].trial == trial && s->flights[i].attempt == attempt)
            return i;
    return -1;
}

static int take_message(struct dispatcher *d, int rank, const struct message *m,
                        struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    char text[MESSAGE_TEXT];
    switch (m->type) {
    case MESSAGE_HELLO:
        return take_hello(d, rank, &m->hello, err);
    case MESSAGE_READY:
        take_ready(d, w);
        return 0;
    case MESSAGE_RESULT:
        return dispatcher_take_result(d, rank, &m->result, err);
    case MESSAGE_BYE:
        if (d->stopping) {
            d->living -= w->state != WORKER_GONE;
            w->state = WORKER_GONE;
            return 0;
        }
        return give_up(d, rank, *m->bye.reason ? m->bye.reason : "it left", err);
    case MESSAGE_CHECKPOINT:
        return dispatcher_take_checkpoint(d, rank, &m->checkpoint, err);
    case MESSAGE_BEHIND:
        return dispatcher_take_behind(d, rank, &m->behind, err);
    case MESSAGE_SUSPENDED:
        dispatcher_take_suspended(d, rank);
        return 0;
    case MESSAGE_PROGRESS:
    case MESSAGE_HEARTBEAT:
        return 0;
    default:
        snprintf(text, sizeof text, "it sent %s, which only a master sends",
                 message_name((int)m->type));
        return give_up(d, rank, text, err);
    }
}

static int take_frames(struct dispatcher *d, int rank, struct error *err)
{
    struct bytes_reader reader;
    struct message m;
    struct error why = {0};
    int more;
    bytes_reader_init(&reader, d->in.data, d->in.size);
    while ((more = message_decode(&reader, &m, &why)) == 1) {
        int status =
            d->workers[rank].state == WORKER_LOST ? 0 : take_message(d, rank, &m, err);
        message_fini(&m);
        if (status != 0)
            return status;
    }
    return more < 0 ? give_up(d, rank, why.text, err) : 0;
}

static int take_messages(struct dispatcher *d, struct error *err)
{
    int rank, got = 0, more;
    while ((more = wire_receive(d->setup.wire, &rank, &d->in, err)) == 1) {
        if (rank <= 0 || rank >= d->setup.wire->size)
            continue;
        got = 1;
        double now = dispatcher_now(d), silence = now - d->workers[rank].heard;
        int status = 0;
        d->workers[rank].heard = now;
        if (d->workers[rank].state == WORKER_SILENT)
            status = dispatcher_welcome_back(d, rank, silence, err);
        if (status == 0)
            status = take_frames(d, rank, err);
        if (status != 0)
            return status;
    }
    return more < 0 ? more : got;
}

/* With no other node left, one that fails is better than none. */
static void forgive(struct dispatcher *d)
{
    if (d->ready > 0 || d->quarantined == 0)
        return;
    dispatcher_end_quarantine(d);
    if (d->ready > 0)
        dispatcher_notify(
            d, DISPATCHER_QUARANTINE_OVER, 0, 0,
            "no other node is left, so the ones in quarantine are used again");
}

/* Looks at every rank, so not in every turn. */
static int look_for_silent(struct dispatcher *d, double now, struct error *err)
{
    double limit = engine_config(d->setup.engine)->run.lost_after;
    double doubt = dispatcher_silence_limit(d);
    int status = 0;
    if (now < d->look_at)
        return 0;
    d->look_at = now + fmin(look_every, limit / 8);
    for (int rank = 1; rank < d->setup.wire->size && status == 0; rank++) {
        struct dispatcher_worker *w = &d->workers[rank];
        if (w->state == WORKER_LOST || w->state == WORKER_GONE)
            continue;
        /* Looking at a large machine takes its time before the first word. */
        double patience = w->state == WORKER_EXPECTED ? fmax(limit, FIRST_WORD_S) : limit;
        if (now - w->heard > patience)
            status = give_up(d, rank, "no sign of life", err);
        else if (w->state == WORKER_READY && now - w->heard > doubt)
            status = dispatcher_doubt(d, rank, err);
        else if (w->state == WORKER_READY)
            status = dispatcher_end_overdue(d, rank, err);
    }
    forgive(d);
    return status;
}

static int check_silence(struct dispatcher *d, double now, struct error *err)
{
    if (d->stopping)
        return 0;
    return look_for_silent(d, now, err);
}

const char *dispatcher_alone(const struct dispatcher *d)
{
    /* A rank that never had a slot cannot help. */
    bool alone = d->living == 0 || (d->placed && d->slots == 0);
    return alone && !d->stopping ? d->last_lost : NULL;
}

/* The same frame to every living rank. */
static int send_all(struct dispatcher *d, const struct message *m, struct error *err)
{
    int status = 0;
    bytes_clear(&d->out);
    message_encode(m, &d->out);
    if (d->out.failed)
        return error_set(err, ERROR_SYSTEM, "no memory for a message to all ranks");
    for (int rank = 1; rank < d->setup.wire->size && status == 0; rank++) {
        int state = d->workers[rank].state;
        if (state != WORKER_LOST && state != WORKER_GONE)
            status = wire_send(d->setup.wire, rank, d->out.data, d->out.size, err);
    }
    return status;
}

static int beat(struct dispatcher *d, double now, struct error *err)
{
    struct message m = {.type = MESSAGE_HEARTBEAT};
    if (now - d->beat_at < engine_config(d->setup.engine)->run.heartbeat)
        return 0;
    d->beat_at = now;
    return send_all(d, &m, err);
}

/* Slots that had nothing to do since the last look, into the hours ledger. */
static void count_idle(struct dispatcher *d, double now)
{
    const struct config_resources *r = &engine_config(d->setup.engine)->resources;
    struct ledger_hours *hours = ledger_hours(d->ledger);
    double weight = r->gpus_per_trial > 0 ? r->gpus_per_trial : r->threads_per_trial;
    double idle = (d->slots - d->busy) * (now - d->idle_at) * weight;
    d->idle_at = now;
    if (!d->placed || d->stopping)
        return;
    if (d->tail && ledger_count_state(d->ledger, -1, TRIAL_QUEUED) == 0)
        hours->idle_tail += idle;
    else
        hours->idle_wait += idle;
}

/* The master itself stood still (a slow disk, SIGSTOP): what ranks sent meanwhile is not
 * read yet, so their silence does not count. */
static void forgive_stall(struct dispatcher *d, double now)
{
    double gap = now - d->idle_at;
    for (int rank = 1; gap > STALL_S && rank < d->setup.wire->size; rank++)
        d->workers[rank].heard += gap;
}

int dispatcher_step(struct dispatcher *d, struct error *err)
{
    double now = dispatcher_now(d);
    forgive_stall(d, now);
    count_idle(d, now);
    int got = take_messages(d, err);
    int status = got < 0 ? got : wire_progress(d->setup.wire, err);
    if (status >= 0)
        status = check_silence(d, now, err);
    if (status == 0)
        status = beat(d, now, err);
    if (status == 0 && !d->placed && !d->stopping)
        status = dispatcher_place(d, err);
    return status < 0 ? status : got;
}

void dispatcher_set_tail(struct dispatcher *d, bool tail)
{
    d->tail = tail;
}

int dispatcher_stop(struct dispatcher *d, struct error *err)
{
    struct message m = {.type = MESSAGE_STOP, .stop.clean = !dispatcher_lost_any(d)};
    d->stopping = true;
    int status = send_all(d, &m, err);
    if (status != 0)
        return status;
    return wire_progress(d->setup.wire, err) < 0 ? ERROR_PEER : 0;
}

bool dispatcher_stopped(const struct dispatcher *d)
{
    return d->living == 0;
}

bool dispatcher_lost_any(const struct dispatcher *d)
{
    return d->lost > 0;
}

struct dispatcher_counts dispatcher_count(const struct dispatcher *d)
{
    return (struct dispatcher_counts){.ranks = d->reported,
                                      .lost = d->lost,
                                      .slots = d->slots,
                                      .busy = d->busy,
                                      .in_flight = d->in_flight};
}

const struct placement *dispatcher_placement(const struct dispatcher *d)
{
    return d->placed ? &d->placement : NULL;
}
