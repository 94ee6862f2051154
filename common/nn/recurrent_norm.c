/* SPDX-License-Identifier: Apache-2.0 */
/* Batch norm of h_t without scale and shift, y = (x - mean) / sqrt(variance + epsilon) over
 * the columns of the batch. It is the one place where columns meet within a step: threads
 * wait for each other, then each takes some units through all columns, in their order, so
 * that the bits do not depend on the number of threads. With y and 1 / deviation kept,
 *
 *     dx = (dy - mean(dy) - y mean(dy y)) / deviation.
 */
#include "common/nn/recurrent_private.h"

#include <math.h>
#include <omp.h>

#define EPSILON 1e-5

/* The units of this thread, and the rows of step t. */
struct units {
    size_t from, to, rows, first;
};

static struct units units_of(const struct recurrent *r, const struct recurrent_window *w,
                             int t)
{
    struct units u = {.rows = (size_t)w->batch, .first = (size_t)t * (size_t)w->batch};
    recurrent_share(r->hidden, 16, omp_get_num_threads(), omp_get_thread_num(), &u.from,
                    &u.to);
    return u;
}

static void normalise(const struct units *u, size_t n, size_t unit, float *out,
                      float *normal, float *deviation)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < u->rows; i++)
        sum += (double)out[(u->first + i) * n + unit];
    double mean = sum / (double)u->rows;
    for (size_t i = 0; i < u->rows; i++) {
        double d = (double)out[(u->first + i) * n + unit] - mean;
        squares += d * d;
    }
    double factor = 1 / sqrt(squares / (double)u->rows + EPSILON);
    *deviation = (float)factor;
    for (size_t i = 0; i < u->rows; i++) {
        size_t at = (u->first + i) * n + unit;
        normal[at] = out[at] = (float)(((double)out[at] - mean) * factor);
    }
}

void recurrent_norm(struct recurrent *r, const struct recurrent_window *w, int t)
{
    struct units u = units_of(r, w, t);
#pragma omp barrier
    for (size_t unit = u.from; unit < u.to; unit++)
        normalise(&u, r->hidden, unit, r->out, r->normal,
                  &r->deviation[(size_t)t * r->hidden + unit]);
#pragma omp barrier
}

static void unit_back(const struct units *u, size_t n, size_t unit, const float *y,
                      double factor, float *d)
{
    double sum = 0, product = 0, rows = (double)u->rows;
    for (size_t i = 0; i < u->rows; i++) {
        size_t at = (u->first + i) * n + unit;
        sum += (double)d[at];
        product += (double)d[at] * (double)y[at];
    }
    for (size_t i = 0; i < u->rows; i++) {
        size_t at = (u->first + i) * n + unit;
        d[at] = (float)(((double)d[at] - sum / rows - (double)y[at] * product / rows) *
                        factor);
    }
}

void recurrent_norm_back(struct recurrent *r, const struct recurrent_window *w, int t)
{
    struct units u = units_of(r, w, t);
#pragma omp barrier
    for (size_t unit = u.from; unit < u.to; unit++)
        unit_back(&u, r->hidden, unit, r->normal,
                  (double)r->deviation[(size_t)t * r->hidden + unit], r->dout);
#pragma omp barrier
}
