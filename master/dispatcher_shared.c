/* SPDX-License-Identifier: Apache-2.0 */
/* Trials on weights that all architectures share. Steps of training go to one slot, the
 * holder, in their order, or, with several lanes, to those of a gang (dispatcher_gang.c);
 * scores go to any, since trainers read the weights that they score with from the run's
 * folder.
 *
 * A trainer whose weights are not those that a trial needs says how far they have come:
 * it has been started again, or is another one after a rank was lost or the run resumed.
 * The steps from there on are in the record, so it is made to take them again, as trials
 * that nobody waits for. The same steps give the same weights (worker/pool.h). */
#include "master/dispatcher_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { MOST_BEHIND = 64 /* answers about one trial before that is no accident */ };

bool dispatcher_catches_up(const struct dispatcher *d)
{
    const struct dispatcher_shared *h = &d->shared;
    return h->end > 0 ||
           (h->waits && ledger_trial(d->ledger, h->next)->state == TRIAL_RUNNING);
}

static void stop_catching_up(struct dispatcher *d)
{
    d->shared.next = d->shared.end = 0;
    d->shared.waits = false;
}

static struct dispatcher_slot *holder(struct dispatcher *d)
{
    const struct dispatcher_shared *h = &d->shared;
    struct dispatcher_worker *w = &d->workers[h->rank];
    bool here = h->rank > 0 && dispatcher_is_open(w) && h->slot < w->slot_count;
    return here ? &w->slots[h->slot] : NULL;
}

static void hold(struct dispatcher *d, const struct dispatcher_slot *s)
{
    d->shared.rank = s->rank;
    d->shared.slot = s->index;
    stop_catching_up(d);
}

struct dispatcher_slot *dispatcher_holder(struct dispatcher *d, int depth,
                                          struct dispatcher_slot *instead)
{
    struct dispatcher_slot *s = holder(d);
    if (!s || instead) {
        s = instead ? instead : dispatcher_roomiest(d, depth);
        if (s)
            hold(d, s);
    }
    return s && s->count < depth ? s : NULL;
}

uint64_t dispatcher_first_step(const struct dispatcher *d, uint64_t id)
{
    uint64_t first = id, at = id;
    uint64_t retries = ledger_count_retries(d->ledger);
    bool more = retries > 0 && ledger_next(d->ledger, &at);
    for (; more && retries > 0; retries--) {
        if (at < first && trial_kind_is_step(ledger_trial(d->ledger, at)->kind))
            first = at;
        more = ledger_next_after(d->ledger, at, &at);
    }
    /* One that ran ahead may be tried again before those that it ran ahead of. */
    if (ledger_next_fresh(d->ledger, &at) && at < first &&
        trial_kind_is_step(ledger_trial(d->ledger, at)->kind))
        first = at;
    return first;
}

/* --- catching up -------------------------------------------------------------------- */

/* The trial of this step and part before `id`; `id` when there is none. */
static uint64_t find_step(const struct dispatcher *d, const struct trial_shared *at,
                          uint64_t id)
{
    for (uint64_t i = id; i-- > 0;) {
        const struct trial *t = ledger_trial(d->ledger, i);
        if (trial_kind_is_step(t->kind) && t->shared.step == at->step &&
            t->shared.part == at->part)
            return i;
    }
    return id;
}

/* Does a trial build on this step? A lane in the middle of a round knows nothing of the
 * other lanes of that round. */
static bool is_needed(const struct dispatcher *d, const struct trial *step,
                      const struct trial_shared *by, int kind)
{
    const struct config_shared *c = &engine_config(d->setup.engine)->search.shared;
    uint64_t sync = (uint64_t)c->sync_every;
    uint64_t round = by->step - by->step % sync;
    if (!trial_kind_is_step(step->kind))
        return false;
    if (!dispatcher_has_gang(d) || kind != TRIAL_TRAIN_SHARED)
        return true;
    /* The last one of a round waits for all of it, so that the state can be kept. */
    if (by->part == c->samples - 1 && by->step == round + sync - 1)
        return true;
    return step->shared.step < round ||
           (step->shared.step < by->step && step->shared.part == by->part);
}

/* Where steps that can be made again end: at the first that has no outcome yet, for which
 * those behind it have to wait too. */
static uint64_t find_end(const struct dispatcher *d, uint64_t first, uint64_t id)
{
    const struct trial *by = ledger_trial(d->ledger, id);
    for (uint64_t i = first; i < id; i++) {
        const struct trial *t = ledger_trial(d->ledger, i);
        if (is_needed(d, t, &by->shared, by->kind) && t->state != TRIAL_DONE &&
            t->state != TRIAL_FAILED)
            return i;
    }
    return id;
}

static int begin(struct dispatcher *d, struct dispatcher_slot *s, uint64_t trial,
                 const struct trial_shared *at, struct error *err)
{
    struct dispatcher_shared *h = &d->shared;
    h->behinds = h->behind == trial ? h->behinds + 1 : 1;
    h->behind = trial;
    uint64_t first = find_step(d, at, trial);
    if (first == trial || h->behinds > MOST_BEHIND)
        return error_set(
            err, ERROR_FAILED,
            "trial %llu: rank %d has shared weights of step %llu, part %d, and "
            "they cannot be brought to what it needs%s",
            (unsigned long long)trial, s->rank, (unsigned long long)at->step, at->part,
            first == trial ? ": no such step is in the record" : "");
    hold(d, s);
    h->by = ledger_trial(d->ledger, trial)->shared;
    h->by_kind = ledger_trial(d->ledger, trial)->kind;
    h->next = first;
    h->end = find_end(d, first, trial);
    h->from = at->step;
    if (h->end > first)
        return 0;
    h->end = 0;
    h->waits = true;
    return 0;
}

int dispatcher_take_behind(struct dispatcher *d, int rank, const struct message_behind *m,
                           struct error *err)
{
    int index = dispatcher_find_flight(d, rank, m->slot, m->trial, m->attempt);
    if (index < 0)
        return 0;
    struct flight f = dispatcher_land(d, rank, m->slot, index);
    d->doubled -= f.doubled;
    if (f.again) { /* its trainer has been started anew meanwhile */
        stop_catching_up(d);
        return 0;
    }
    if (!f.doubled)
        engine_forget(d->setup.engine, m->trial, 0);
    if (dispatcher_catches_up(d) || f.doubled)
        return 0;
    return begin(d, &d->workers[rank].slots[m->slot], m->trial, &m->at, err);
}

int dispatcher_take_again(struct dispatcher *d, const struct flight *f,
                          const struct message_result *m, struct error *err)
{
    const struct config *c = engine_config(d->setup.engine);
    d->doubled -= f->doubled;
    if (isfinite(m->seconds) && m->seconds > 0)
        ledger_hours(d->ledger)->lost += m->seconds * c->resources.threads_per_trial;
    if (m->failure == FAILURE_NONE || m->failure == FAILURE_NAN) {
        d->shared.failures = 0;
        return 0;
    }
    stop_catching_up(d);
    d->shared.behinds = 0; /* this is why */
    if (d->shared.failures++ < c->run.retries)
        return 0;
    return error_set(
        err, ERROR_FAILED,
        "the shared weights cannot be brought back: trial %llu, a step that was "
        "made before, fails: %.200s",
        (unsigned long long)m->trial, m->reason ? m->reason : "no reason");
}

/* The next step to make again; false: all have been handed out. */
static bool next_again(struct dispatcher *d, uint64_t *ret_id)
{
    struct dispatcher_shared *h = &d->shared;
    while (h->next < h->end &&
           !is_needed(d, ledger_trial(d->ledger, h->next), &h->by, h->by_kind))
        h->next++;
    if (h->next >= h->end)
        return false;
    *ret_id = h->next++;
    return true;
}

int dispatcher_catch_up(struct dispatcher *d, int depth, struct error *err)
{
    struct dispatcher_slot *s = holder(d);
    int handed = 0;
    uint64_t id;
    if (d->shared.end == 0)
        return 0;
    if (!s)
        stop_catching_up(d);
    while (s && s->count < depth && next_again(d, &id)) {
        struct flight f = {.trial = id, .again = true, .doubled = true};
        int status = dispatcher_board(d, s, f, err);
        d->doubled += status == 0;
        if (status == 0)
            status = dispatcher_send_task(d, ledger_trial(d->ledger, id), s, 0, err);
        if (status != 0)
            return status;
        handed++;
    }
    if (s && s->count == 0 && d->shared.next >= d->shared.end)
        stop_catching_up(d);
    return handed;
}

void dispatcher_read_derived(const struct dispatcher *d, const struct message_result *m,
                             struct architecture *room, struct ledger_result *r,
                             struct error *why)
{
    int kind = ledger_trial(d->ledger, m->trial)->kind;
    if (kind != TRIAL_RELAX || r->failure != FAILURE_NONE || !m->architecture ||
        !*m->architecture)
        return;
    json_t *json = json_loads(m->architecture, 0, NULL);
    if (space_from_json(engine_space(d->setup.engine), json, room, why) == 0) {
        r->derived = room;
        r->log_probability = m->log_probability;
    } else {
        r->failure = FAILURE_PROTOCOL;
        r->reason = why->text;
    }
    json_decref(json);
}

void dispatcher_describe_shared(const struct dispatcher *d, struct text *out)
{
    const struct dispatcher_shared *h = &d->shared;
    if (h->end == 0)
        return;
    const struct trial *last = ledger_trial(d->ledger, h->end);
    text_append(
        out,
        "rank %d on %s makes steps of the shared weights again, from step %llu to %llu\n",
        h->rank, d->workers[h->rank].host ? d->workers[h->rank].host : "?",
        (unsigned long long)h->from, (unsigned long long)last->shared.step);
}
