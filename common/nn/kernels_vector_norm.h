/* SPDX-License-Identifier: Apache-2.0 */
/* Batch norm over vectors. The channels of neighbouring pixels are one flat array; the
 * pattern of channels over vectors repeats after c / gcd(c, LANES) vectors, so
 * coefficients are laid out once for that period and no pixel needs a tail. A stretch of
 * periods that stays in the first-level cache is walked in strips of a few vectors, whose
 * sums or coefficients stay in registers. Sums are taken in float over a stretch and
 * gathered in double. Very wide or awkward maps go to the plain code. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_NORM_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_NORM_H

#include "common/nn/kernels_vector.h"

enum {
    PERIOD_MAX = 1024, /* floats */
    STRETCH = 4096,    /* floats, at least one period */
    SUM_WIDTH = 4,     /* vectors of a strip that keeps sums in registers */
    LINE_WIDTH = 4,    /* two coefficients */
    CURVE_WIDTH = 2    /* five coefficients */
};

/* A pattern of channels: `floats` = a multiple of c and of LANES; 0: too long. */
static size_t period_of(int c)
{
    size_t floats = (size_t)c;
    while (floats % LANES)
        floats += (size_t)c;
    return floats <= PERIOD_MAX ? floats : 0;
}

/* Coefficients and sums of one period, and where a stretch of periods lies. */
struct periods {
    size_t floats; /* of a period */
    size_t count;  /* periods of the stretch */
    const float *x, *dy;
    float *out;
    bool relu, add;
    float a[PERIOD_MAX], b[PERIOD_MAX]; /* b: what sums are taken about */
    float mean[PERIOD_MAX], p[PERIOD_MAX], q[PERIOD_MAX], r[PERIOD_MAX];
    float sum[PERIOD_MAX], dot[PERIOD_MAX];
};

static void spread(float *to, const float *from, int c, size_t floats)
{
    for (size_t i = 0; i < floats; i += (size_t)c)
        memcpy(to + i, from, (size_t)c * sizeof *to);
}

/* Add what lies in a period to its channels, in double. */
static void gather(const float *sums, size_t floats, int c, double *to)
{
    for (size_t i = 0; i < floats; i += (size_t)c)
        for (int j = 0; j < c; j++)
            to[j] += sums[i + (size_t)j];
}

/* dy where the ReLU let y through. */
static inline vector masked(const struct periods *t, size_t j, vector x, vector dy)
{
    return t->relu ? keep(dy, load(t->a + j) * x + load(t->b + j) > 0) : dy;
}

/* A strip is `width` vectors of every period, from float j on. */
static inline __attribute__((always_inline)) void sums_strip(int width, struct periods *t,
                                                             size_t j)
{
    vector sum[SUM_WIDTH], square[SUM_WIDTH];
    const float *x = t->x + j;
    for (int z = 0; z < width; z++)
        sum[z] = square[z] = (vector){0};
    for (size_t i = t->count; i > 0; i--, x += t->floats)
        for (int z = 0; z < width; z++) {
            vector d = load(x + z * LANES) - load(t->b + j + z * LANES);
            sum[z] += d;
            square[z] += d * d;
        }
    for (int z = 0; z < width; z++) {
        store(t->sum + j + z * LANES, sum[z]);
        store(t->dot + j + z * LANES, square[z]);
    }
}

static inline __attribute__((always_inline)) void
backward_sums_strip(int width, struct periods *t, size_t j)
{
    vector sum[SUM_WIDTH], dot[SUM_WIDTH];
    const float *x = t->x + j, *dy = t->dy + j;
    for (int z = 0; z < width; z++)
        sum[z] = dot[z] = (vector){0};
    for (size_t i = t->count; i > 0; i--, x += t->floats, dy += t->floats)
        for (int z = 0; z < width; z++) {
            vector v = load(x + z * LANES);
            vector g = masked(t, j + z * LANES, v, load(dy + z * LANES));
            sum[z] += g;
            dot[z] += g * (v - load(t->mean + j + z * LANES));
        }
    for (int z = 0; z < width; z++) {
        store(t->sum + j + z * LANES, sum[z]);
        store(t->dot + j + z * LANES, dot[z]);
    }
}

static inline __attribute__((always_inline)) void
forward_strip(int width, struct periods *t, size_t j)
{
    vector a[LINE_WIDTH], b[LINE_WIDTH];
    const float *x = t->x + j;
    float *y = t->out + j;
    for (int z = 0; z < width; z++) {
        a[z] = load(t->a + j + z * LANES);
        b[z] = load(t->b + j + z * LANES);
    }
    for (size_t i = t->count; i > 0; i--, x += t->floats, y += t->floats)
        for (int z = 0; z < width; z++) {
            vector v = a[z] * load(x + z * LANES) + b[z];
            store(y + z * LANES, t->relu ? keep(v, ~(v < 0)) : v);
        }
}

static inline __attribute__((always_inline)) void
backward_strip(int width, struct periods *t, size_t j)
{
    vector p[CURVE_WIDTH], q[CURVE_WIDTH], r[CURVE_WIDTH];
    const float *x = t->x + j, *dy = t->dy + j;
    float *dx = t->out + j;
    for (int z = 0; z < width; z++) {
        p[z] = load(t->p + j + z * LANES);
        q[z] = load(t->q + j + z * LANES);
        r[z] = load(t->r + j + z * LANES);
    }
    for (size_t i = t->count; i > 0;
         i--, x += t->floats, dy += t->floats, dx += t->floats)
        for (int z = 0; z < width; z++) {
            vector v = load(x + z * LANES);
            vector g = masked(t, j + z * LANES, v, load(dy + z * LANES));
            v = p[z] * g + (q[z] * v + r[z]);
            store(dx + z * LANES, t->add ? load(dx + z * LANES) + v : v);
        }
}

/* All strips of a stretch, each width as its own code. */
#define STRIPS(NAME, MOST)                                             \
    static void NAME##_strips(struct periods *t)                       \
    {                                                                  \
        size_t j = 0;                                                  \
        for (; t->floats - j >= MOST * LANES; j += MOST * LANES)       \
            NAME##_strip(MOST, t, j);                                  \
        for (; t->floats - j >= 2 * LANES && MOST > 2; j += 2 * LANES) \
            NAME##_strip(2, t, j);                                     \
        for (; j < t->floats; j += LANES)                              \
            NAME##_strip(1, t, j);                                     \
    }
STRIPS(sums, SUM_WIDTH)
STRIPS(backward_sums, SUM_WIDTH)
STRIPS(forward, LINE_WIDTH)
STRIPS(backward, CURVE_WIDTH)

/* Returns how many whole periods there are. Fields that are not named here and arrays are
 * the caller's; nothing is cleared. */
static size_t periods_init(struct periods *t, int c, size_t pixels, const float *x,
                           const float *dy, float *out)
{
    t->floats = period_of(c);
    t->x = x;
    t->dy = dy;
    t->out = out;
    return t->floats ? pixels * (size_t)c / t->floats : 0;
}

/* All periods, a stretch at a time; ret_sum and ret_dot: added to, NULL: no sums. */
static void walk_periods(struct periods *t, size_t left, int c,
                         void (*strips)(struct periods *t), double *ret_sum,
                         double *ret_dot)
{
    for (; left > 0; left -= t->count) {
        size_t most = STRETCH / t->floats;
        t->count = left < most ? left : most;
        strips(t);
        if (ret_sum) {
            gather(t->sum, t->floats, c, ret_sum);
            gather(t->dot, t->floats, c, ret_dot);
        }
        t->x += t->count * t->floats;
        t->dy = t->dy ? t->dy + t->count * t->floats : NULL;
        t->out = t->out ? t->out + t->count * t->floats : NULL;
    }
}

static void norm_sums(size_t pixels, int c, const float *x, const float *shift,
                      double *sums, double *squares)
{
    struct periods t;
    size_t count = periods_init(&t, c, pixels, x, NULL, NULL);
    if (count) {
        spread(t.b, shift, c, t.floats);
        walk_periods(&t, count, c, sums_strips, sums, squares);
    }
    pixels -= count * t.floats / (size_t)c;
    nn_kernels_plain.norm_sums(pixels, c, t.x, shift, sums, squares);
}

static void norm_forward(const struct nn_norm *s, size_t pixels, const float *x, float *y)
{
    struct periods t;
    size_t count = periods_init(&t, s->c, pixels, x, NULL, y);
    if (count) {
        t.relu = s->relu;
        spread(t.a, s->a, s->c, t.floats);
        spread(t.b, s->b, s->c, t.floats);
        walk_periods(&t, count, s->c, forward_strips, NULL, NULL);
    }
    pixels -= count * t.floats / (size_t)s->c;
    nn_kernels_plain.norm_forward(s, pixels, t.x, t.out);
}

static void norm_backward_sums(const struct nn_norm *s, size_t pixels, const float *x,
                               const float *dy, double *sum_g, double *sum_gx)
{
    struct periods t;
    size_t count = periods_init(&t, s->c, pixels, x, dy, NULL);
    if (count) {
        t.relu = s->relu;
        spread(t.a, s->a, s->c, t.floats);
        spread(t.b, s->b, s->c, t.floats);
        spread(t.mean, s->mean, s->c, t.floats);
        walk_periods(&t, count, s->c, backward_sums_strips, sum_g, sum_gx);
    }
    pixels -= count * t.floats / (size_t)s->c;
    nn_kernels_plain.norm_backward_sums(s, pixels, t.x, t.dy, sum_g, sum_gx);
}

static void norm_backward(const struct nn_norm *s, size_t pixels, const float *x,
                          const float *dy, bool add, float *dx)
{
    struct periods t;
    size_t count = periods_init(&t, s->c, pixels, x, dy, dx);
    if (count) {
        t.relu = s->relu;
        t.add = add;
        spread(t.a, s->a, s->c, t.floats);
        spread(t.b, s->b, s->c, t.floats);
        spread(t.p, s->p, s->c, t.floats);
        spread(t.q, s->q, s->c, t.floats);
        spread(t.r, s->r, s->c, t.floats);
        walk_periods(&t, count, s->c, backward_strips, NULL, NULL);
    }
    pixels -= count * t.floats / (size_t)s->c;
    nn_kernels_plain.norm_backward(s, pixels, t.x, t.dy, add, t.out);
}

#endif
