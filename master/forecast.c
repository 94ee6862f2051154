/* SPDX-License-Identifier: Apache-2.0 */
/* A sliding window of trials, fitted again when a sixteenth of it is new: a forecast may
 * lag a few trials behind, a result costs next to nothing. */
#include "master/forecast.h"

#include <math.h>
#include <stdbool.h>

static bool is_known(double work)
{
    return isfinite(work) && work > 0;
}

void forecast_add(struct forecast *f, const struct trial *t, double work)
{
    if (t->kind != TRIAL_TRAIN_CHILD || t->state != TRIAL_DONE || !(t->seconds >= 0) ||
        isinf(t->seconds))
        return;
    f->ring[f->next] = (struct forecast_point){t->seconds, is_known(work) ? work : NAN};
    f->next = (f->next + 1) % FORECAST_WINDOW;
    f->count += f->count < FORECAST_WINDOW;
    f->fresh++;
}

static void make(struct forecast_fit *fit, const struct forecast_point *points,
                 size_t count)
{
    if (count >= FORECAST_FEWEST)
        forecast_fit_make(fit, points, count);
    else
        fit->count = 0;
}

static void renew(struct forecast *f)
{
    struct forecast_point all[FORECAST_WINDOW], known[FORECAST_WINDOW];
    size_t count = 0;
    if (f->fresh <= f->count / 16)
        return;
    f->fresh = 0;
    f->quickest = INFINITY;
    for (size_t i = 0; i < f->count; i++) {
        all[i] = (struct forecast_point){f->ring[i].seconds, 1};
        f->quickest = fmin(f->quickest, all[i].seconds);
        if (is_known(f->ring[i].work))
            known[count++] = f->ring[i];
    }
    make(&f->all, all, f->count);
    make(&f->by_work, known, count);
}

double forecast_seconds(struct forecast *f, double work, double q)
{
    renew(f);
    if (f->all.count == 0)
        return NAN;
    if (!is_known(work) || f->by_work.count == 0)
        return forecast_fit_seconds(&f->all, 1, q);
    /* However small, it takes no less than the quickest did. */
    return fmax(forecast_fit_seconds(&f->by_work, work, q), f->quickest);
}
