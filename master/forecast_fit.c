/* SPDX-License-Identifier: Apache-2.0 */
/* A straight line in logarithms, since noise is a share of what a trial takes and what a
 * small child takes for starting up would, as a rate, be multiplied by the work of a
 * large one. The line is robust (Huber, 1981, section 7.8): residuals are cut at a few
 * times their median size, and the line is fitted again to what that leaves. The prior of
 * the slope is worth spread^2 / variance of the slope observations. */
#include "master/forecast_fit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"

enum { ROUNDS = 6 };
static const double slope_variance = 0.25;
static const double slope_most = 1.5;
static const double flat = 0.1;
static const double cut = 3;              /* standard deviations */
static const double least_seconds = 1e-3; /* logarithms want a limit */

/* Trials of a fit under way. */
struct line {
    size_t count;
    double work[FORECAST_WINDOW]; /* logarithms, from their mean */
    double seconds[FORECAST_WINDOW];
    double kept[FORECAST_WINDOW]; /* the same, what lies far from the line moved closer */
    double residual[FORECAST_WINDOW];
    double squares; /* of work */
    double prior;   /* the observations that the prior of the slope is worth */
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_residuals(const void *a, const void *b)
{
    const struct forecast_residual *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static double mean(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

/* Of |v - from|. */
static double median_distance(const double *v, size_t n, double from)
{
    double sorted[FORECAST_WINDOW];
    for (size_t i = 0; i < n; i++)
        sorted[i] = fabs(v[i] - from);
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

static double median(const double *v, size_t n)
{
    double sorted[FORECAST_WINDOW];
    memcpy(sorted, v, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

static double floor_seconds(double seconds)
{
    return fmax(seconds, least_seconds);
}

static void start(struct forecast_fit *f, struct line *l,
                  const struct forecast_point *points, size_t count)
{
    *f = (struct forecast_fit){
        .count = count, .seconds = floor_seconds(points->seconds), .work = points->work};
    l->count = count;
    l->squares = l->prior = 0;
    for (size_t i = 0; i < count; i++) {
        l->work[i] = log(points[i].work / f->work);
        l->kept[i] = l->seconds[i] = log(floor_seconds(points[i].seconds) / f->seconds);
    }
    f->log_work = mean(l->work, count);
    for (size_t i = 0; i < count; i++) {
        l->work[i] -= f->log_work;
        l->squares += l->work[i] * l->work[i];
    }
}

/* Begin again, with nothing but a mean: all work is alike. */
static void forget_work(struct forecast_fit *f, struct line *l)
{
    memset(l->work, 0, l->count * sizeof *l->work);
    memcpy(l->kept, l->seconds, l->count * sizeof *l->kept);
    f->work = f->log_work = 0;
    l->squares = l->prior = 0;
}

static void draw(struct forecast_fit *f, struct line *l)
{
    double products = 0;
    f->log_seconds = mean(l->kept, l->count);
    for (size_t i = 0; i < l->count; i++)
        products += l->work[i] * (l->kept[i] - f->log_seconds);
    f->precision = l->squares + l->prior;
    f->slope = f->precision > 0 ? (products + l->prior) / f->precision : 1;
    f->slope = fmin(fmax(f->slope, 0), slope_most);
    f->freedom = (double)l->count - 1;
    if (f->precision > 0)
        f->freedom -= l->squares / f->precision;
    for (size_t i = 0; i < l->count; i++)
        l->residual[i] = l->seconds[i] - f->log_seconds - f->slope * l->work[i];
}

/* Of the residuals, those far out moved closer. Few tell less of what is far, so that the
 * limit is wider then. */
static void measure(struct forecast_fit *f, struct line *l)
{
    double n = (double)l->count, sum = 0, whole = 0;
    double centre = median(l->residual, l->count);
    double limit =
        cut * (1 + 4 / n) * 1.4826 * median_distance(l->residual, l->count, centre);
    for (size_t i = 0; i < l->count; i++) {
        double r = fmin(fmax(l->residual[i], centre - limit), centre + limit);
        whole += r == l->residual[i];
        sum += r * r;
        l->kept[i] = f->log_seconds + f->slope * l->work[i] + r;
    }
    f->spread = sqrt(sum / f->freedom) * n / whole;
    l->prior = f->spread * f->spread / slope_variance;
}

static void fit(struct forecast_fit *f, struct line *l)
{
    for (int round = 0; round < ROUNDS; round++) {
        draw(f, l);
        measure(f, l);
    }
}

/* Does the slope look like 0, and is it known well enough for trials of other sizes? */
static bool is_flat(const struct forecast_fit *f)
{
    double width = INFINITY;
    if (f->precision > 0)
        width = stats_student_quantile(0.99, f->freedom) * f->spread / sqrt(f->precision);
    return f->slope <= width && width < flat;
}

/* Standard deviations of a prediction at that distance, in units of the spread. */
static double stretch(const struct forecast_fit *f, double offset)
{
    double square = 1 + 1 / (double)f->count;
    if (offset != 0 && f->precision > 0)
        square += offset * offset / f->precision;
    return sqrt(square);
}

void forecast_fit_make(struct forecast_fit *f, const struct forecast_point *points,
                       size_t count)
{
    struct line l;
    start(f, &l, points, count);
    fit(f, &l);
    if (is_flat(f)) {
        forget_work(f, &l);
        fit(f, &l);
    }
    for (size_t i = 0; i < count; i++)
        f->residuals[i] =
            (struct forecast_residual){l.residual[i] / stretch(f, l.work[i]), l.work[i],
                                       floor_seconds(points[i].seconds)};
    qsort(f->residuals, count, sizeof *f->residuals, compare_residuals);
}

/* The place of a quantile among the residuals, from 1, were one more as likely to be
 * anywhere. */
static double place_of(const struct forecast_fit *f, double q)
{
    return ceil(q * ((double)f->count + 1) - 1e-9);
}

/* The residual that a quantile is. NULL where fewer than two are beyond it: one or two
 * mishaps would be all that it tells. */
static const struct forecast_residual *observed(const struct forecast_fit *f, double q)
{
    double place = place_of(f, q);
    bool within = place >= 3 && place <= (double)f->count - 2;
    return within ? &f->residuals[(size_t)place - 1] : NULL;
}

/* Out there the quantile of the distribution that is assumed, but within what residuals
 * tell. */
static double assumed(const struct forecast_fit *f, double q)
{
    double noise = stats_student_quantile(q, f->freedom) * f->spread;
    double place = place_of(f, q), last = (double)f->count - 1;
    const struct forecast_residual *high = &f->residuals[f->count - 3];
    const struct forecast_residual *low = &f->residuals[2];
    if (q < 0.5)
        return place < 2 ? fmin(noise, low->value)
                         : fmax(fmin(noise, low->value), low[-1].value);
    return place > last ? fmax(noise, high->value)
                        : fmin(fmax(noise, high->value), high[1].value);
}

double forecast_fit_seconds(const struct forecast_fit *f, double work, double q)
{
    double offset = f->work > 0 ? log(work / f->work) - f->log_work : 0, seconds;
    const struct forecast_residual *r = observed(f, q);
    double noise = r ? r->value : assumed(f, q);
    if (r) /* told from that trial: where all are alike, exactly what it took */
        seconds = r->seconds * exp(f->slope * (offset - r->offset) +
                                   noise * (stretch(f, offset) - stretch(f, r->offset)));
    else
        seconds = f->seconds *
                  exp(f->log_seconds + f->slope * offset + noise * stretch(f, offset));
    if (offset == 0)
        return seconds;
    double most = fmax(offset, 0) * fmax(f->slope, 1) + noise * stretch(f, 0);
    return fmin(seconds, f->seconds * exp(f->log_seconds + most));
}
