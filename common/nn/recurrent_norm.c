/* SPDX-License-Identifier: Apache-2.0 */
/* Batch norm without scale and shift, y = (x - mean) / sqrt(variance + epsilon) over
 * the columns of the batch. It is the one place where columns meet within a step:
 * threads wait for each other, then each takes some units through all columns, in their
 * order, so that the bits do not depend on the number of threads. With y and 1 /
 * deviation kept,
 *
 *     dx = (dy - mean(dy) - y mean(dy y)) / deviation.
 */
#include "common/nn/recurrent_private.h"

#include <math.h>
#include <omp.h>

#define EPSILON 1e-5

static void unit_forward(const struct recurrent_normal *p, size_t n, size_t unit)
{
    double sum = 0, squares = 0, rows = (double)p->rows;
    for (size_t i = 0; i < p->rows; i++)
        sum += (double)p->x[i * n + unit];
    double mean = sum / rows;
    for (size_t i = 0; i < p->rows; i++) {
        double d = (double)p->x[i * n + unit] - mean;
        squares += d * d;
    }
    double factor = 1 / sqrt(squares / rows + EPSILON);
    p->deviation[unit] = (float)factor;
    for (size_t i = 0; i < p->rows; i++) {
        size_t at = i * n + unit;
        p->y[at] = p->x[at] = (float)(((double)p->x[at] - mean) * factor);
    }
}

static void unit_back(const struct recurrent_normal *p, size_t n, size_t unit)
{
    double sum = 0, product = 0, rows = (double)p->rows;
    double factor = (double)p->deviation[unit];
    for (size_t i = 0; i < p->rows; i++) {
        size_t at = i * n + unit;
        sum += (double)p->x[at];
        product += (double)p->x[at] * (double)p->y[at];
    }
    for (size_t i = 0; i < p->rows; i++) {
        size_t at = i * n + unit;
        p->x[at] =
            (float)(((double)p->x[at] - sum / rows - (double)p->y[at] * product / rows) *
                    factor);
    }
}

static void units(const struct recurrent *r, const struct recurrent_normal *p,
                  void (*unit)(const struct recurrent_normal *, size_t, size_t))
{
    size_t from, to;
    recurrent_share(r->hidden, 16, omp_get_num_threads(), omp_get_thread_num(), &from,
                    &to);
#pragma omp barrier
    for (size_t i = from; i < to; i++)
        unit(p, r->hidden, i);
#pragma omp barrier
}

void recurrent_norm(const struct recurrent *r, const struct recurrent_normal *p)
{
    units(r, p, unit_forward);
}

void recurrent_norm_back(const struct recurrent *r, const struct recurrent_normal *p)
{
    units(r, p, unit_back);
}

/* All columns at the strip's step, of out or dout. */
static struct recurrent_normal of_step(const struct recurrent_strip *p, float *x)
{
    const struct recurrent *r = p->r;
    size_t batch = (size_t)p->w->batch, first = (size_t)p->t * batch * r->hidden;
    return (struct recurrent_normal){.rows = batch,
                                     .x = x + first,
                                     .y = r->normal + first,
                                     .deviation =
                                         r->deviation + (size_t)p->t * r->hidden};
}

void recurrent_norm_out(const struct recurrent_strip *p)
{
    struct recurrent_normal out = of_step(p, p->r->out);
    if (p->r->options.norm)
        recurrent_norm(p->r, &out);
}

void recurrent_norm_out_back(const struct recurrent_strip *p)
{
    struct recurrent_normal dout = of_step(p, p->r->dout);
    if (p->r->options.norm)
        recurrent_norm_back(p->r, &dout);
}
