/* SPDX-License-Identifier: Apache-2.0 */
/* Forward and the gradient of x over kernels_vector.h's register blocks.
 *
 * Both are `walks`: each output pixel is the product of the
 * taps inside the input, contiguous in NHWC along (kx, c), with packed weights. Output
 * pixels that see the same taps form a class; a class is computed in full register blocks
 * across pixels, rows and images, so borders cost exactly their taps and need no halo.
 * The gradient of x with stride s is s * s walks, one per parity of the input pixel, each
 * with the taps that reach it. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_CONV_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_CONV_H

#include "common/nn/kernels_vector.h"

enum {
    GROUP_BYTES = 192 << 10, /* input of the images walked together: stays in L2 */
    GROUP_IMAGES = 32,       /* at most */
    WALK_AHEAD = 8           /* lines fetched with every register block */
};

/* One register block: up to ROWS_MAX output pixels times a strip. Each pixel sees taps_y
 * runs of `steps` inputs. */
struct walk_block {
    const float *a[ROWS_MAX]; /* first input of each pixel */
    float *c[ROWS_MAX];       /* outputs */
    const float *b;           /* packed weights of the first tap */
    int taps_y, steps;
    ptrdiff_t a_move, b_move; /* floats between runs */
    int columns;              /* that exist */
    bool add, relu;           /* add to outputs instead of writing them */
    const float *start;       /* what sums start from: vectors as weights are packed */
};

static inline vector finish(vector sum, const struct walk_block *p)
{
    return p->relu ? keep(sum, ~(sum < 0)) : sum;
}

/* Inlined: with a call here the compiler keeps sums of other columns on the stack. */
static inline void store_part(float *at, const float *part, int step, int columns,
                              bool add)
{
    for (int i = 0; i < columns; i++)
        at[i] = add ? at[i] + part[step * i] : part[step * i];
}

static inline __attribute__((always_inline)) void
store_row(float *c, const vector *acc, int width, const struct walk_block *p)
{
    UNROLL_3
    for (int z = 0; z < width; z++) {
        int left = p->columns - z * LANES;
        float *at = c + z * LANES;
        vector v = finish(acc[z], p);
        if (left >= LANES) {
            store(at, p->add ? load(at) + v : v);
        } else {
            float part[LANES];
            store(part, v);
            store_part(at, part, 1, left, p->add);
        }
    }
}

/* Lanes 2 i and 2 i + 1 make column i. */
static inline void store_half(float *c, vector acc, int columns,
                              const struct walk_block *p)
{
    float part[LANES];
    store(part, acc);
    for (int i = 0; i < LANES; i += 2)
        part[i] += part[i + 1];
    store(part, finish(load(part), p));
    store_part(c, part, 2, columns, p->add);
}

/* rows and units are constants wherever this is inlined. A half vector of columns is
 * computed for two steps in one vector: inputs by pairs, weights packed likewise. */
static inline __attribute__((always_inline)) void
multiply_taps(int rows, int units, const struct walk_block *p)
{
    const int width = units / 2, half = units % 2;
    vector acc[ROWS_MAX][WIDTH_MAX + 1];
    const float *a[ROWS_MAX];
    UNROLL_8
    for (int m = 0; m < rows; m++) {
        a[m] = p->a[m];
        UNROLL_3
        for (int z = 0; z < width + half; z++)
            acc[m][z] = load(p->start + z * LANES);
    }
    for (int j = 0; j < p->taps_y; j++) {
        const float *b = p->b + j * p->b_move;
        ptrdiff_t at = j * p->a_move;
        for (int left = p->steps; left > 0; left -= 1 + half) {
            UNROLL_3
            for (int k = 0; k <= half; k++, at++, b += width * LANES) {
                vector row[WIDTH_MAX];
                UNROLL_3
                for (int z = 0; z < width; z++)
                    row[z] = load(b + z * LANES);
                UNROLL_8
                for (int m = 0; m < rows; m++) {
                    float scalar = a[m][at];
                    UNROLL_3
                    for (int z = 0; z < width; z++)
                        acc[m][z] += scalar * row[z];
                }
            }
            UNROLL_8
            for (int m = 0; half && m < rows; m++)
                acc[m][width] += load_pair(a[m] + at - 2) * load(b);
            b += half * LANES;
        }
    }
    UNROLL_8
    for (int m = 0; m < rows; m++) {
        store_row(p->c[m], acc[m], width, p);
        if (half)
            store_half(p->c[m] + width * LANES, acc[m][width], p->columns - width * LANES,
                       p);
    }
}
BLOCK_FUNCTIONS(walk_blocks, multiply_taps, struct walk_block);

/* One axis of a walk: output o sees inputs [o * step + first, + taps), cut to [0, in). */
struct axis {
    int in, taps, count;
    int step, first;
    int place, stride; /* output o lies at place + o * stride */
};

struct walk {
    struct axis y, x;
    int in_c, out_h, out_w, columns;
    const float *packed; /* strips of (taps y, taps x, in_c, units * HALF) */
    bool add, relu;
    const float *bias; /* one a column, or NULL */
    struct nn_ahead *ahead;
};

/* A run of outputs of one axis that see the same taps. */
struct run {
    int from, to;
    int tap, taps; /* first tap and number of taps inside; taps may be 0 */
};

static struct run run_of(const struct axis *a, int o)
{
    int first = o * a->step + a->first;
    int tap = first < 0 ? -first : 0;
    int end = first + a->taps > a->in ? a->in - first : a->taps;
    return (struct run){o, o + 1, end > tap ? tap : 0, end > tap ? end - tap : 0};
}

static struct run run_at(const struct axis *a, int from)
{
    struct run run = run_of(a, from);
    for (; run.to < a->count; run.to++) {
        struct run next = run_of(a, run.to);
        if (next.tap != run.tap || next.taps != run.taps)
            break;
    }
    return run;
}

static bool walk_halves(int in_c)
{
    return in_c % 2 == 0; /* steps come in pairs */
}

/* Half a vector of columns is in every second lane. */
static void spread_bias(const struct walk *w, struct strip strip, float *to)
{
    int whole = strip.units / 2 * LANES;
    memset(to, 0, WIDTH_MAX * LANES * sizeof *to);
    for (int i = 0; w->bias && i < strip.columns; i++)
        to[i < whole ? i : whole + 2 * (i - whole)] = w->bias[strip.column + i];
}

/* The next pixels of a row, x in [from, to), in full blocks; returns the block's rows. */
static int walk_row(const struct walk *w, struct strip strip, struct walk_block *block,
                    int rows, const float *a, ptrdiff_t a_step, float *c, int count)
{
    ptrdiff_t c_step = (ptrdiff_t)w->x.stride * w->columns;
    int most = block_rows(strip.units);
    for (; count > 0; count--, a += a_step, c += c_step) {
        block->a[rows] = a;
        block->c[rows] = c;
        if (++rows == most) {
            fetch_ahead(w->ahead, WALK_AHEAD);
            walk_blocks[strip.units](rows, block);
            rows = 0;
        }
    }
    return rows;
}

/* All pixels of one class: n images x rows x columns of pixels, in register blocks. */
static void walk_class(const struct walk *w, struct strip strip, const float *start,
                       struct run ry, struct run rx, int n, const float *in, float *out)
{
    size_t row = (size_t)w->x.in * w->in_c, b_tap = (size_t)w->in_c * strip.units * HALF;
    bool sees = ry.taps && rx.taps; /* else pixels get the bias alone */
    struct walk_block block = {
        .b = w->packed + (size_t)w->y.taps * w->x.taps * w->in_c * (size_t)strip.column +
             ((size_t)ry.tap * w->x.taps + rx.tap) * b_tap,
        .taps_y = sees ? ry.taps : 0,
        .steps = rx.taps * w->in_c,
        .a_move = (ptrdiff_t)row,
        .b_move = (ptrdiff_t)(b_tap * (size_t)w->x.taps),
        .columns = strip.columns,
        .add = w->add,
        .relu = w->relu,
        .start = start,
    };
    ptrdiff_t a_step = sees ? (ptrdiff_t)w->x.step * w->in_c : 0;
    int rows = 0, ix = sees ? rx.from * w->x.step + w->x.first + rx.tap : 0;
    for (int i = 0; i < n; i++)
        for (int y = ry.from; y < ry.to; y++) {
            int iy = sees ? y * w->y.step + w->y.first + ry.tap : 0;
            const float *a = in + ((size_t)i * w->y.in + (size_t)iy) * row;
            size_t oy = (size_t)i * w->out_h + w->y.place + (size_t)y * w->y.stride;
            size_t ox = (size_t)w->x.place + (size_t)rx.from * w->x.stride;
            float *c = out + (oy * w->out_w + ox) * w->columns + strip.column;
            rows = walk_row(w, strip, &block, rows, a + (size_t)ix * w->in_c, a_step, c,
                            rx.to - rx.from);
        }
    if (rows)
        walk_blocks[strip.units](rows, &block);
}

static void walk_images(const struct walk *w, int n, const float *in, float *out)
{
    bool halves = walk_halves(w->in_c);
    float start[WIDTH_MAX * LANES];
    for (struct strip s = strip_at(w->columns, 0, halves); s.units;
         s = strip_next(w->columns, s, halves)) {
        spread_bias(w, s, start);
        for (int y = 0; y < w->y.count;) {
            struct run ry = run_at(&w->y, y);
            for (int x = 0; x < w->x.count;) {
                struct run rx = run_at(&w->x, x);
                walk_class(w, s, start, ry, rx, n, in, out);
                x = rx.to;
            }
            y = ry.to;
        }
    }
}

/* Images in groups that fit the cache: borders of several images fill blocks together. */
static int group_images(size_t image_floats)
{
    size_t images = GROUP_BYTES / (image_floats * sizeof(float));
    return images < 1 ? 1 : images > GROUP_IMAGES ? GROUP_IMAGES : (int)images;
}

static void walk_all(const struct walk *w, int n, const float *in, float *out)
{
    size_t in_image = (size_t)w->y.in * w->x.in * w->in_c;
    size_t out_image = (size_t)w->out_h * w->out_w * w->columns;
    int group = group_images(in_image);
    for (int i = 0; i < n; i += group)
        walk_images(w, n - i < group ? n - i : group, in + (size_t)i * in_image,
                    out + (size_t)i * out_image);
}

/* Taps of one axis that reach inputs of one parity, in rising order of output: filter
 * index last, last - stride, ..., and the output that tap 0 of input `parity` has. */
struct reach {
    int last, taps, first;
};

static struct reach reach_of(int parity, int before, int filter, int stride)
{
    int rest = (parity + before) % stride; /* filter indices are rest modulo stride */
    if (rest >= filter)
        return (struct reach){0, 0, 0};
    int taps = (filter - 1 - rest) / stride + 1, last = rest + (taps - 1) * stride;
    return (struct reach){last, taps, (parity + before - last) / stride};
}

static size_t forward_floats(const struct nn_conv *s)
{
    return (size_t)s->kh * s->kw * s->c * strip_floats(s->k, walk_halves(s->c));
}

static size_t conv_pack_count(const struct nn_conv *s)
{
    return forward_floats(s) +
           (size_t)s->kh * s->kw * s->k * strip_floats(s->c, walk_halves(s->k));
}

/* One step's weights, `row_step` from those of the next, for one strip: whole vectors,
 * and for two steps half a vector each, lane by lane in turn. Zero where no column
 * exists. */
static void pack_step(float *to, const float *weight, struct strip strip, int step,
                      ptrdiff_t column_step)
{
    int whole = strip.units / 2 * LANES;
    float *half = to + (step % 2 ? whole : 2 * whole) + step % 2;
    for (int i = 0; i < strip.units * HALF; i++) {
        float *at = i < whole ? to + i : half + 2 * (i - whole);
        *at = i < strip.columns ? weight[i * column_step] : 0;
    }
}

/* One tap's (rows, columns) matrix into one strip; returns the strip's next tap. */
static float *pack_tap(float *to, const float *weight, struct strip strip, int rows,
                       ptrdiff_t row_step, ptrdiff_t column_step)
{
    int whole = strip.units / 2 * LANES, floats = strip.units * HALF;
    weight += strip.column * column_step;
    for (int r = 0; r < rows; r++) {
        int pair = strip.units % 2 ? r % 2 : 0;
        pack_step(to + (ptrdiff_t)(r - pair) * floats + pair * whole, weight, strip, pair,
                  column_step);
        weight += row_step;
    }
    return to + (size_t)rows * floats;
}

static float *pack_forward(const struct nn_conv *s, const float *weight, float *to)
{
    bool halves = walk_halves(s->c);
    for (struct strip strip = strip_at(s->k, 0, halves); strip.units;
         strip = strip_next(s->k, strip, halves))
        for (int tap = 0; tap < s->kh * s->kw; tap++)
            to = pack_tap(to, weight + (size_t)tap * s->c * s->k, strip, s->c, s->k, 1);
    return to;
}

static float *pack_parity(const struct nn_conv *s, struct reach y, struct reach x,
                          const float *weight, float *to)
{
    bool halves = walk_halves(s->k);
    for (struct strip strip = strip_at(s->c, 0, halves); strip.units;
         strip = strip_next(s->c, strip, halves))
        for (int ty = 0; ty < y.taps; ty++)
            for (int tx = 0; tx < x.taps; tx++) {
                int ky = y.last - ty * s->stride, kx = x.last - tx * s->stride;
                to = pack_tap(to, weight + ((size_t)ky * s->kw + kx) * s->c * s->k, strip,
                              s->k, 1, s->k);
            }
    return to;
}

static void conv_pack(const struct nn_conv *s, const float *weight, float *packed)
{
    packed = pack_forward(s, weight, packed);
    for (int a = 0; a < s->stride; a++)
        for (int b = 0; b < s->stride; b++)
            packed = pack_parity(s, reach_of(a, s->top, s->kh, s->stride),
                                 reach_of(b, s->left, s->kw, s->stride), weight, packed);
}

static void conv_forward(const struct nn_conv *s, int n, const float *x,
                         const float *packed, const float *bias, bool relu, float *y,
                         struct nn_ahead *ahead)
{
    struct walk w = {
        .y = {s->h, s->kh, s->oh, s->stride, -s->top, 0, 1},
        .x = {s->w, s->kw, s->ow, s->stride, -s->left, 0, 1},
        .in_c = s->c,
        .out_h = s->oh,
        .out_w = s->ow,
        .columns = s->k,
        .packed = packed,
        .bias = bias,
        .relu = relu,
        .ahead = ahead,
    };
    walk_all(&w, n, x, y);
}

static struct axis parity_axis(int in, int out, int parity, int stride, struct reach r)
{
    int count = parity < in ? (in - parity + stride - 1) / stride : 0;
    return (struct axis){out, r.taps, count, 1, r.first, parity, stride};
}

static void conv_backward_data(const struct nn_conv *s, int n, const float *dy,
                               const float *packed, bool add, float *dx,
                               struct nn_ahead *ahead)
{
    packed += forward_floats(s);
    for (int a = 0; a < s->stride; a++)
        for (int b = 0; b < s->stride; b++) {
            struct reach ry = reach_of(a, s->top, s->kh, s->stride);
            struct reach rx = reach_of(b, s->left, s->kw, s->stride);
            struct walk w = {
                .y = parity_axis(s->h, s->oh, a, s->stride, ry),
                .x = parity_axis(s->w, s->ow, b, s->stride, rx),
                .in_c = s->k,
                .out_h = s->h,
                .out_w = s->w,
                .columns = s->c,
                .packed = packed,
                .add = add,
                .ahead = ahead,
            };
            if (w.y.count && w.x.count)
                walk_all(&w, n, dy, dx);
            packed +=
                (size_t)ry.taps * rx.taps * s->k * strip_floats(s->c, walk_halves(s->k));
        }
}

#endif
