/* SPDX-License-Identifier: Apache-2.0 */
/* Quantiles of two sliding windows. A window is sorted again when a sixteenth of it is new:
 * a forecast may lag a few trials behind, a result costs next to nothing. */
#include "master/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void series_add(struct forecast_series *s, double value)
{
    s->ring[s->next] = value;
    s->next = (s->next + 1) % FORECAST_WINDOW;
    s->count += s->count < FORECAST_WINDOW;
    s->fresh++;
}

/* The smallest value that a share q of them does not exceed. */
static double series_quantile(struct forecast_series *s, double q)
{
    if (s->count < FORECAST_FEWEST)
        return NAN;
    if (s->fresh > s->count / 16) {
        memcpy(s->sorted, s->ring, s->count * sizeof *s->ring);
        qsort(s->sorted, s->count, sizeof *s->sorted, compare);
        s->known = s->count;
        s->fresh = 0;
    }
    size_t at = (size_t)ceil(q * (double)s->known);
    return s->sorted[at > 0 ? at - 1 : 0];
}

static bool is_known(double work)
{
    return isfinite(work) && work > 0;
}

void forecast_add(struct forecast *f, const struct trial *t, double work)
{
    if (t->kind != TRIAL_TRAIN_CHILD || t->state != TRIAL_DONE || !(t->seconds >= 0) ||
        isinf(t->seconds))
        return;
    series_add(&f->seconds, t->seconds);
    if (is_known(work))
        series_add(&f->rates, t->seconds / work);
}

static double spread(struct forecast_series *s)
{
    return series_quantile(s, 0.9) / series_quantile(s, 0.1);
}

double forecast_seconds(struct forecast *f, double work, double q)
{
    double all = series_quantile(&f->seconds, q);
    double rate = is_known(work) ? series_quantile(&f->rates, q) : NAN;
    if (isnan(rate) || spread(&f->rates) > spread(&f->seconds))
        return all;
    /* However small, it takes no less than the quickest did. */
    return fmax(rate * work, series_quantile(&f->seconds, 0));
}
