/* SPDX-License-Identifier: Apache-2.0 */
/* How long a trial will take, from those that are over: seconds a unit of work of the last
 * of them, where the work is known, and seconds. Epochs and data are the same for all
 * trials of a run, so the FLOPs of one forward pass stand for the work; what they leave out
 * (slow layers, other machines, starting up) is in the spread that an upper quantile
 * covers. Where the work explains nothing (the spread of the seconds is smaller), the
 * seconds alone tell. */
#ifndef ARCHWAY_MASTER_FORECAST_H
#define ARCHWAY_MASTER_FORECAST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/trial.h"

/* Trials that count, the latest; fewer than FORECAST_FEWEST say nothing. */
enum { FORECAST_WINDOW = 256, FORECAST_FEWEST = 5 };

struct forecast_series {
    double ring[FORECAST_WINDOW], sorted[FORECAST_WINDOW];
    size_t count, next; /* of ring */
    size_t known, fresh; /* entries of sorted; values that came after them */
};
/* Plain data, zeros at the start. */
struct forecast {
    struct forecast_series seconds, rates; /* rates: seconds a unit of work */
};

/* A trial is over: counts when it is a child that was trained (DONE). work: NAN where it is
 * not known. O(1). */
void forecast_add(struct forecast *f, const struct trial *t, double work);
/* Seconds that a trial of so much work takes with probability q of (0, 1). NAN: nobody
 * knows yet. Amortised O(1) a trial and a call. */
double forecast_seconds(struct forecast *f, double work, double q);

#endif
