/* SPDX-License-Identifier: Apache-2.0 */
/* Seconds as a function of work, from some trials:
 *
 *     log seconds = a + b log work + noise,   b ~ N(1, 1/4),
 *
 * and quantiles of what a further trial takes. With few trials they are those of the
 * prediction interval, by Student's t with the degrees of freedom that are left; as soon
 * as there are enough, those of the residuals themselves, whatever their distribution.
 * Either grows with the distance from the trials at hand, but not beyond what seconds in
 * proportion to work would be. One trial in some that took many times as long hardly
 * counts. Where b is known to be
 * close to 0, and cannot be told from it, seconds do not depend on work. */
#ifndef ARCHWAY_MASTER_FORECAST_FIT_H
#define ARCHWAY_MASTER_FORECAST_FIT_H

#include <stddef.h>

/* Trials that a fit may be of. */
enum { FORECAST_FEWEST = 5, FORECAST_WINDOW = 256 };

struct forecast_point {
    double seconds; /* not negative */
    double work;    /* > 0, in any unit; the same for all: it says nothing */
};

/* Plain data. */
struct forecast_fit {
    size_t count;
    double seconds, work; /* of the first trial: logarithms are of ratios to it. work 0:
                             seconds do not depend on work */
    double log_seconds, log_work; /* means */
    double slope;                 /* b */
    double precision; /* of b, in units of 1 / spread^2: sum of squares and prior */
    double spread;    /* standard deviation of the noise */
    double freedom;   /* degrees of it, >= 3 */
    struct forecast_residual {
        double value;             /* noise, divided by its spread at that distance */
        double offset;            /* log work, from the mean */
        double seconds;           /* of the trial */
    } residuals[FORECAST_WINDOW]; /* ascending by value */
};

/* count: FORECAST_FEWEST ... FORECAST_WINDOW. */
void forecast_fit_make(struct forecast_fit *f, const struct forecast_point *points,
                       size_t count);
/* What a trial of so much work (> 0, finite) does not exceed with probability q of (0,
 * 1).
 */
double forecast_fit_seconds(const struct forecast_fit *f, double work, double q);

#endif
