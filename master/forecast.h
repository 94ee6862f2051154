/* SPDX-License-Identifier: Apache-2.0 */
/* How long a trial will take, from the last of those that are over (forecast_fit.h): by
 * its work where that is known and tells something, else like the others. Epochs and data
 * are the same for all trials of a run, so the FLOPs of one forward pass stand for the
 * work; what they leave out (slow layers, other machines, starting up) is in the noise
 * that an upper quantile covers. */
#ifndef ARCHWAY_MASTER_FORECAST_H
#define ARCHWAY_MASTER_FORECAST_H

#include "common/trial.h"
#include "master/forecast_fit.h"

/* Plain data, zeros at the start. */
struct forecast {
    struct forecast_point ring[FORECAST_WINDOW]; /* work: NAN where it is not known */
    size_t count, next;                          /* of ring */
    size_t fresh;                                /* trials that the fits do not know */
    double quickest;                             /* seconds, of those they know */
    struct forecast_fit all, by_work;            /* count 0: fewer than FORECAST_FEWEST */
};

/* A trial is over: counts when it is a child that was trained (DONE). work: NAN where it is
 * not known. O(1). */
void forecast_add(struct forecast *f, const struct trial *t, double work);
/* Seconds that a trial of so much work takes at most with probability q of (0, 1). NAN:
 * nobody knows yet, there were fewer than FORECAST_FEWEST. Amortised O(1) a trial and a
 * call. */
double forecast_seconds(struct forecast *f, double work, double q);

#endif
