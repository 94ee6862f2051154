/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over the flat vectors, by blocks: a block is small enough to be shared out, and
 * sums are taken over the blocks in their order. */
#include "common/nn/recurrent_private.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { BLOCK = 1 << 14 };

/* The k-th block of a list of parts. */
struct block {
    size_t first, count;
};

static size_t count_blocks(const struct recurrent_range *ranges, int count)
{
    size_t blocks = 0;
    for (int i = 0; i < count; i++)
        blocks += (ranges[i].count + BLOCK - 1) / BLOCK;
    return blocks;
}

static struct block block_at(const struct recurrent_range *ranges, size_t k)
{
    for (;; ranges++) {
        size_t blocks = (ranges->count + BLOCK - 1) / BLOCK;
        if (k >= blocks) {
            k -= blocks;
            continue;
        }
        size_t at = k * BLOCK, left = ranges->count - at;
        return (struct block){ranges->first + at, left < BLOCK ? left : BLOCK};
    }
}

/* Blocks are summed in groups of GROUP, so that few sums wait for their turn. */
enum { GROUP = 1024 };

double recurrent_norm_of(const struct recurrent *r, const struct recurrent_range *ranges,
                         int count, const float *gradient)
{
    size_t blocks = count_blocks(ranges, count);
    double sums[GROUP], total = 0;
    for (size_t first = 0; first < blocks; first += GROUP) {
        size_t n = blocks - first < GROUP ? blocks - first : GROUP;
#pragma omp parallel for schedule(static) num_threads(r->options.threads)
        for (size_t i = 0; i < n; i++) {
            struct block b = block_at(ranges, first + i);
            sums[i] = r->kernels->sum_of_squares(b.count, gradient + b.first);
        }
        for (size_t i = 0; i < n; i++)
            total += sums[i];
    }
    return sqrt(total);
}

double recurrent_clip_factor(const struct recurrent_descent *d, double norm)
{
    return d->clip > 0 ? fmin(1, d->clip / (norm + 1e-6)) : 1;
}

double recurrent_descend(const struct recurrent *r, const struct recurrent_descent *d,
                         const struct recurrent_range *ranges, int count,
                         const float *gradient, float *parameters)
{
    size_t blocks = count_blocks(ranges, count);
    double norm = recurrent_norm_of(r, ranges, count, gradient);
    double factor = recurrent_clip_factor(d, norm);
    float step = (float)(-d->lr * factor), keep = (float)(1 - d->lr * d->decay);
    if (!isfinite(norm))
        return norm;
#pragma omp parallel for schedule(static) num_threads(r->options.threads)
    for (size_t i = 0; i < blocks; i++) {
        struct block b = block_at(ranges, i);
        if (d->decay > 0)
            r->kernels->scale(b.count, keep, parameters + b.first, parameters + b.first);
        r->kernels->add_scaled(b.count, step, gradient + b.first, parameters + b.first);
    }
    return norm;
}

void recurrent_clear(const struct recurrent *r, const struct recurrent_range *ranges,
                     int count, float *vector)
{
    size_t blocks = count_blocks(ranges, count);
#pragma omp parallel for schedule(static) num_threads(r->options.threads)
    for (size_t i = 0; i < blocks; i++) {
        struct block b = block_at(ranges, i);
        memset(vector + b.first, 0, b.count * sizeof *vector);
    }
}

void recurrent_add(const struct recurrent *r, size_t count, float share,
                   const float *values, float *to)
{
    const struct recurrent_range all = {0, count};
    size_t blocks = count_blocks(&all, 1);
#pragma omp parallel for schedule(static) num_threads(r->options.threads)
    for (size_t i = 0; i < blocks; i++) {
        struct block b = block_at(&all, i);
        r->kernels->add_scaled(b.count, share, values + b.first, to + b.first);
    }
}

void recurrent_average(const struct recurrent *r, uint64_t n, const float *parameters,
                       float *mean)
{
    const struct recurrent_range all = {0, r->count};
    float share = 1 / (float)n;
    size_t blocks = count_blocks(&all, 1);
#pragma omp parallel for schedule(static) num_threads(r->options.threads)
    for (size_t i = 0; i < blocks; i++) {
        struct block b = block_at(&all, i);
        r->kernels->scale(b.count, 1 - share, mean + b.first, mean + b.first);
        r->kernels->add_scaled(b.count, share, parameters + b.first, mean + b.first);
    }
}
