/* SPDX-License-Identifier: Apache-2.0 */
/* Which queued trial is next. Retries go first, in their order. Of the others, when
 * run.order says so and durations can be told, the longest expected one of the first
 * LOOK: when little is left, a long trial that starts last is what everybody waits for
 * (Graham, 1969: longest processing time first). And none is started that would be cut
 * off by the end of the session, as far as can be told: it is held for the next one. A
 * trial that is longer than a whole session would be held for ever, so it is started all
 * the same, but when the session is young: later it would only be cut off sooner. */
#include "master/dispatcher_internal.h"

#include <math.h>
#include <stdio.h>

enum { LOOK = 64 /* queued trials, from the front, where age decides */ };
/* A trial that can be suspended and continued is worth this many seconds. */
static const double worth_starting = 10;
/* With this share of the session left, the next one would hardly bring more. */
static const double young = 0.9;

void dispatcher_set_end(struct dispatcher *d, double at, bool final)
{
    d->end_at = at;
    d->final = final;
    d->span = at - dispatcher_now(d);
}

/* Ranks may take their time to get ready: what trials can have of a session begins now.
 */
void dispatcher_begin(struct dispatcher *d)
{
    if (!d->begun)
        d->span = d->end_at - dispatcher_now(d);
    d->begun = true;
}

void dispatcher_learn(struct dispatcher *d, const struct trial *t)
{
    forecast_add(&d->forecast, t, engine_work(d->setup.engine, t));
}

double dispatcher_expected(struct dispatcher *d, const struct trial *t, double quantile)
{
    double work = engine_work(d->setup.engine, t);
    double seconds = forecast_seconds(&d->forecast, work, quantile);
    return isnan(seconds) ? seconds : fmax(0, seconds - t->saved_seconds);
}

/* Steps of shared weights are short, and no state is kept of one. */
static bool can_continue(const struct dispatcher *d, const struct trial *t)
{
    return (d->setup.continues || d->seen_state) && !d->final &&
           t->kind == TRIAL_TRAIN_CHILD;
}

/* Will it end in time, or is a part of it worth having? Unknown: yes. */
static bool is_in_time(struct dispatcher *d, const struct trial *t, double left,
                       double *ret_seconds)
{
    if (isinf(left))
        return true;
    *ret_seconds = dispatcher_expected(d, t, engine_config(d->setup.engine)->run.forecast);
    return isnan(*ret_seconds) || *ret_seconds <= left ||
           (can_continue(d, t) && left > worth_starting);
}

/* May it start now? */
static bool fits(struct dispatcher *d, const struct trial *t)
{
    double left = d->end_at - dispatcher_now(d), seconds;
    return is_in_time(d, t, left, &seconds) || (!d->final && left >= young * d->span);
}

/* That so many are held, of which this is one. */
static void note_held(struct dispatcher *d, const struct trial *t, uint64_t count)
{
    double seconds = dispatcher_expected(d, t, engine_config(d->setup.engine)->run.forecast);
    if (d->held.count == 0)
        d->held = (struct dispatcher_held){.trial = t->id,
                                           .seconds = seconds,
                                           .left = d->end_at - dispatcher_now(d),
                                           .final = d->final};
    d->held.count += count;
}

bool dispatcher_is_risky(struct dispatcher *d, const struct trial *t, char *ret_why,
                         size_t size)
{
    double left = d->end_at - dispatcher_now(d), seconds;
    char takes[32], has[32];
    if (is_in_time(d, t, left, &seconds))
        return false;
    text_format_duration(seconds, takes, sizeof takes);
    text_format_duration(left, has, sizeof has);
    snprintf(ret_why, size,
             "trial %llu is expected to take up to %s, but a whole session has only %s: "
             "started all the same, it will probably be cut off",
             (unsigned long long)t->id, takes, has);
    return true;
}

bool dispatcher_had_all(const struct dispatcher *d, const struct trial *t, double seconds,
                        char *ret_why, size_t size)
{
    char had[32], span[32];
    if (!isfinite(d->span) || seconds < young * d->span || t->saved_seconds > 0)
        return false;
    text_format_duration(seconds, had, sizeof had);
    text_format_duration(d->span, span, sizeof span);
    snprintf(
        ret_why, size,
        "cut off by the end of the session, of whose %s it had %s: it needs more time "
        "or a trainer that saves its state",
        span, had);
    return true;
}

static bool is_fresh(const struct dispatcher *d, uint64_t id)
{
    const struct trial *t = ledger_trial(d->ledger, id);
    return t->state == TRIAL_QUEUED && t->attempts == 0 && !(t->saved_seconds > 0);
}

/* Trials that were proposed since the last look. What memory has no room for is found by
 * its age, when nothing else waits. */
static void take_new(struct dispatcher *d)
{
    for (; d->taken < ledger_count(d->ledger); d->taken++) {
        if (!is_fresh(d, d->taken))
            continue;
        double work = engine_work(d->setup.engine, ledger_trial(d->ledger, d->taken));
        struct work_item item = {isnan(work) ? 0 : work, d->taken};
        work_heap_push(&d->waiting, item);
    }
}

/* The top of a heap, without those that do not wait any more; NULL when it is empty. */
static const struct trial *top_of(const struct dispatcher *d, struct work_heap *h)
{
    while (h->count > 0 && !is_fresh(d, h->items[0].trial))
        work_heap_pop(h);
    return h->count > 0 ? ledger_trial(d->ledger, h->items[0].trial) : NULL;
}

static bool move_top(struct work_heap *from, struct work_heap *to)
{
    if (work_heap_push(to, from->items[0]) != 0)
        return false;
    work_heap_pop(from);
    return true;
}

/* The longest expected of the fresh trials that fit. Those too long for what is left are
 * put aside, the shortest on top: unless that one fits again, no other does. */
static bool longest(struct dispatcher *d, uint64_t *ret_id)
{
    const struct trial *t;
    take_new(d);
    while ((t = top_of(d, &d->aside)) && fits(d, t))
        if (!move_top(&d->aside, &d->waiting))
            break;
    while ((t = top_of(d, &d->waiting)) && !fits(d, t))
        if (!move_top(&d->waiting, &d->aside))
            return false;
    if (t) {
        *ret_id = t->id;
        return true;
    }
    t = top_of(d, &d->aside);
    if (t)
        note_held(d, t, d->aside.count);
    return !t && ledger_next_fresh(d->ledger, ret_id);
}

/* The oldest of those that fit, from `id` on. */
static bool first(struct dispatcher *d, uint64_t id, uint64_t most, uint64_t *ret_id)
{
    bool more = true;
    for (uint64_t looks = 0; more && looks < most && looks < LOOK; looks++) {
        const struct trial *t = ledger_trial(d->ledger, id);
        if (fits(d, t)) {
            *ret_id = id;
            return true;
        }
        note_held(d, t, 1);
        more = ledger_next_after(d->ledger, id, &id);
    }
    return false;
}

/* Without a history nobody knows durations; steps of shared weights have an order. */
static bool goes_by_length(struct dispatcher *d, uint64_t oldest)
{
    return engine_config(d->setup.engine)->run.order == ORDER_LONGEST &&
           ledger_trial(d->ledger, oldest)->kind == TRIAL_TRAIN_CHILD &&
           !isnan(forecast_seconds(&d->forecast, NAN, 0.5));
}

bool dispatcher_choose(struct dispatcher *d, bool fresh, uint64_t *ret_id)
{
    uint64_t id, retries = fresh ? 0 : ledger_count_retries(d->ledger);
    d->held = (struct dispatcher_held){0};
    if (!(fresh ? ledger_next_fresh(d->ledger, &id) : ledger_next(d->ledger, &id)))
        return false;
    /* Short trials are handed out by the thousand: their order makes no difference. */
    if (d->mean_seconds < 1 && d->end_at - dispatcher_now(d) > 60) {
        *ret_id = id;
        return true;
    }
    if (retries > 0 && first(d, id, retries, ret_id))
        return true;
    if (!ledger_next_fresh(d->ledger, &id))
        return false;
    return goes_by_length(d, id) ? longest(d, ret_id) : first(d, id, LOOK, ret_id);
}

bool dispatcher_is_held(const struct dispatcher *d, struct dispatcher_held *ret)
{
    *ret = d->held;
    return d->held.count > 0 && d->in_flight == 0;
}

void dispatcher_describe_held(const struct dispatcher *d, struct text *out)
{
    char seconds[32], left[32];
    if (d->held.count == 0)
        return;
    text_format_duration(d->held.seconds, seconds, sizeof seconds);
    text_format_duration(d->held.left, left, sizeof left);
    text_append(out,
                "trial %llu is held: expected to take up to %s (%g %% bound), %s are left "
                "%s; %llu such trials\n",
                (unsigned long long)d->held.trial, seconds,
                100 * engine_config(d->setup.engine)->run.forecast, left,
                d->held.final ? "of the budget" : "in this session",
                (unsigned long long)d->held.count);
}
