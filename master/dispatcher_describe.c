/* SPDX-License-Identifier: Apache-2.0 */
/* What is not as it should be at ranks and slots, in words, for session_watch.c: ranks
 * that have not reported or say nothing, nodes in quarantine, and trials that take too
 * long. A trial does when it takes several times the median of all and what is forecast
 * for its work; before there is a forecast, many times the mean. A look at 10,000 slots
 * must cost next to nothing, so the forecast is asked about the few that the median
 * singles out. */
#include "master/dispatcher_internal.h"

#include <math.h>

enum { SLOW_S = 10, MEAN_FACTOR = 10, MEDIAN_FACTOR = 3, FORECAST_FACTOR = 2 };
static const double upper = 0.95; /* quantile of the forecast */

/* Until all ranks have reported, or are given up, no trial is handed out. */
static void describe_start(const struct dispatcher *d, struct text *out)
{
    double waited = dispatcher_now(d) - d->opened;
    if (!d->placed && d->expected > 0 && waited > dispatcher_silence_limit(d))
        text_append(out,
                    "%d of %d ranks have not reported, so no trial is handed out, for "
                    "%.0f s\n",
                    d->expected, d->setup.wire->size - 1, waited);
}

static void describe_silent(const struct dispatcher *d, int rank, struct text *out)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    text_append(out, "rank %d on %s", rank, w->host);
    for (int i = 0; w->ghosts && i < w->slot_count; i++)
        if (w->ghosts[i].attempt > 0)
            text_append(out, ", trial %llu", (unsigned long long)w->ghosts[i].trial);
    text_append(out, ", no heartbeat for %.0f s\n", dispatcher_now(d) - w->heard);
}

static void describe_worker(const struct dispatcher *d, int rank, struct text *out)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    double silence = dispatcher_now(d) - w->heard;
    bool quiet = silence > dispatcher_silence_limit(d);
    if (w->state == WORKER_EXPECTED && quiet)
        text_append(out, "rank %d has not reported for %.0f s\n", rank, silence);
    if (w->state == WORKER_SILENT || (w->state == WORKER_REPORTED && quiet))
        describe_silent(d, rank, out);
    if (w->quarantined && w->state != WORKER_LOST)
        text_append(out, "rank %d on %s, in quarantine\n", rank, w->host);
}

/* What makes a trial worth a closer look, seconds; INFINITY while nothing is known. */
static double suspicious(struct dispatcher *d)
{
    double median = forecast_seconds(&d->forecast, NAN, 0.5);
    if (!isnan(median))
        return fmax(SLOW_S, MEDIAN_FACTOR * median);
    return d->mean_seconds < 0 ? INFINITY : fmax(SLOW_S, MEAN_FACTOR * d->mean_seconds);
}

static void describe_flight(struct dispatcher *d, const struct dispatcher_slot *s,
                            double seconds, struct text *out)
{
    const struct trial *t = ledger_trial(d->ledger, s->flights[0].trial);
    double most = dispatcher_expected(d, t, upper);
    char usual[64];
    if (!isnan(most) && seconds <= FORECAST_FACTOR * most)
        return;
    if (isnan(most))
        snprintf(usual, sizeof usual, "mean %.3g s", d->mean_seconds);
    else
        snprintf(usual, sizeof usual, "expected %.3g s at most", most);
    text_append(out, "rank %d on %s, trial %llu, runs for %.0f s (%s)\n", s->rank,
                d->workers[s->rank].host, (unsigned long long)t->id, seconds, usual);
}

static void describe_slow(struct dispatcher *d, int rank, double limit, struct text *out)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    for (int i = 0; w->slots && i < w->slot_count; i++) {
        const struct dispatcher_slot *s = &w->slots[i];
        double seconds = s->count > 0 ? dispatcher_now(d) - s->flights->started : 0;
        if (seconds > limit)
            describe_flight(d, s, seconds, out);
    }
}

static void describe_overdue(const struct dispatcher *d, int rank, struct text *out)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    for (int i = 0; w->slots && i < w->slot_count; i++) {
        const struct flight *f = w->slots[i].flights;
        double seconds = w->slots[i].count > 0 ? dispatcher_now(d) - f->started : 0;
        if (seconds > dispatcher_overdue_after(d) && f->doubled)
            text_append(out, "rank %d on %s, trial %llu, no word for %.0f s: given up there\n",
                        rank, w->host, (unsigned long long)f->trial, seconds);
    }
}

void dispatcher_describe(struct dispatcher *d, int most, struct text *out)
{
    double limit = suspicious(d);
    describe_start(d, out);
    dispatcher_describe_held(d, out);
    dispatcher_describe_shared(d, out);
    size_t size = out->size;
    for (int rank = 1, lines = 0; rank < d->setup.wire->size && lines < most; rank++) {
        describe_worker(d, rank, out);
        describe_slow(d, rank, limit, out);
        describe_overdue(d, rank, out);
        lines += out->size > size;
        size = out->size;
    }
}
