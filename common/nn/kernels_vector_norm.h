/* SPDX-License-Identifier: Apache-2.0 */
/* Batch norm over vectors. The channels of neighbouring pixels are one flat array; the
 * pattern of channels over vectors repeats after c / gcd(c, LANES) vectors, so
 * coefficients are laid out once for that period and no pixel needs a tail. Sums are
 * taken in float over short stretches and gathered in double. Very wide or awkward maps
 * go to the plain code. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_NORM_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_NORM_H

#include "common/nn/kernels_vector.h"

enum {
    PERIOD_MAX = 1024, /* floats */
    STRETCH = 64       /* periods summed in float */
};

/* A pattern of channels: `floats` = a multiple of c and of LANES; 0: too long. */
static size_t period_of(int c)
{
    size_t floats = (size_t)c;
    while (floats % LANES)
        floats += (size_t)c;
    return floats <= PERIOD_MAX ? floats : 0;
}

static void spread(float *to, const float *from, int c, size_t floats)
{
    for (size_t i = 0; i < floats; i += (size_t)c)
        memcpy(to + i, from, (size_t)c * sizeof *to);
}

/* Add what lies in a period to its channels, in double, and clear it. */
static void gather(float *sums, size_t floats, int c, double *to)
{
    for (size_t i = 0; i < floats; i += (size_t)c)
        for (int j = 0; j < c; j++)
            to[j] += sums[i + (size_t)j];
    memset(sums, 0, floats * sizeof *sums);
}

static void norm_sums(size_t pixels, int c, const float *x, const float *shift,
                      double *sums, double *squares)
{
    float about[PERIOD_MAX], sum[PERIOD_MAX], square[PERIOD_MAX];
    size_t floats = period_of(c), count = floats ? pixels * (size_t)c / floats : 0;
    if (floats) {
        spread(about, shift, c, floats);
        memset(sum, 0, floats * sizeof *sum);
        memset(square, 0, floats * sizeof *square);
    }
    for (size_t i = 0; i < count; i++, x += floats) {
        for (size_t j = 0; j < floats; j += LANES) {
            vector d = load(x + j) - load(about + j);
            store(sum + j, load(sum + j) + d);
            store(square + j, load(square + j) + d * d);
        }
        if (i % STRETCH == STRETCH - 1 || i + 1 == count) {
            gather(sum, floats, c, sums);
            gather(square, floats, c, squares);
        }
    }
    pixels -= count * floats / (size_t)c;
    nn_kernels_plain.norm_sums(pixels, c, x, shift, sums, squares);
}

static void norm_forward(const struct nn_norm *s, size_t pixels, const float *x, float *y)
{
    float a[PERIOD_MAX], b[PERIOD_MAX];
    size_t floats = period_of(s->c), count = floats ? pixels * (size_t)s->c / floats : 0;
    if (floats) {
        spread(a, s->a, s->c, floats);
        spread(b, s->b, s->c, floats);
    }
    for (size_t i = 0; i < count; i++, x += floats, y += floats)
        for (size_t j = 0; j < floats; j += LANES) {
            vector v = load(a + j) * load(x + j) + load(b + j);
            store(y + j, s->relu ? keep(v, ~(v < 0)) : v);
        }
    nn_kernels_plain.norm_forward(s, pixels - count * floats / (size_t)s->c, x, y);
}

static void norm_backward_sums(const struct nn_norm *s, size_t pixels, const float *x,
                               const float *dy, double *sum_g, double *sum_gx)
{
    float a[PERIOD_MAX], b[PERIOD_MAX], mean[PERIOD_MAX], sum[PERIOD_MAX],
        dot[PERIOD_MAX];
    size_t floats = period_of(s->c), count = floats ? pixels * (size_t)s->c / floats : 0;
    if (floats) {
        spread(a, s->a, s->c, floats);
        spread(b, s->b, s->c, floats);
        spread(mean, s->mean, s->c, floats);
        memset(sum, 0, floats * sizeof *sum);
        memset(dot, 0, floats * sizeof *dot);
    }
    for (size_t i = 0; i < count; i++, x += floats, dy += floats) {
        for (size_t j = 0; j < floats; j += LANES) {
            vector v = load(x + j), g = load(dy + j);
            if (s->relu)
                g = keep(g, load(a + j) * v + load(b + j) > 0);
            store(sum + j, load(sum + j) + g);
            store(dot + j, load(dot + j) + g * (v - load(mean + j)));
        }
        if (i % STRETCH == STRETCH - 1 || i + 1 == count) {
            gather(sum, floats, s->c, sum_g);
            gather(dot, floats, s->c, sum_gx);
        }
    }
    pixels -= count * floats / (size_t)s->c;
    nn_kernels_plain.norm_backward_sums(s, pixels, x, dy, sum_g, sum_gx);
}

static void norm_backward(const struct nn_norm *s, size_t pixels, const float *x,
                          const float *dy, bool add, float *dx)
{
    float a[PERIOD_MAX], b[PERIOD_MAX], p[PERIOD_MAX], q[PERIOD_MAX], r[PERIOD_MAX];
    size_t floats = period_of(s->c), count = floats ? pixels * (size_t)s->c / floats : 0;
    if (floats) {
        spread(a, s->a, s->c, floats);
        spread(b, s->b, s->c, floats);
        spread(p, s->p, s->c, floats);
        spread(q, s->q, s->c, floats);
        spread(r, s->r, s->c, floats);
    }
    for (size_t i = 0; i < count; i++, x += floats, dy += floats, dx += floats)
        for (size_t j = 0; j < floats; j += LANES) {
            vector v = load(x + j), g = load(dy + j);
            if (s->relu)
                g = keep(g, load(a + j) * v + load(b + j) > 0);
            v = load(p + j) * g + load(q + j) * v + load(r + j);
            store(dx + j, add ? load(dx + j) + v : v);
        }
    pixels -= count * floats / (size_t)s->c;
    nn_kernels_plain.norm_backward(s, pixels, x, dy, add, dx);
}

#endif
