/* SPDX-License-Identifier: Apache-2.0 */
/* The three passes of a convolution over kernels_vector.h's register blocks.
 *
 * Forward and the gradient of x are both `walks`: each output pixel is the product of the
 * taps inside the input, contiguous in NHWC along (kx, c), with packed weights. Output
 * pixels that see the same taps form a class; a class is computed in full register blocks
 * across pixels, rows and images, so borders cost exactly their taps and need no halo.
 * The gradient of x with stride s is s * s walks, one per parity of the input pixel, each
 * with the taps that reach it. The gradient of w reads x by scalars and dy by vectors,
 * one tap at a time. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_CONV_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_CONV_H

#include "common/nn/kernels_vector.h"

enum {
    GROUP_BYTES = 192 << 10, /* input of the images walked together: stays in L2 */
    GROUP_IMAGES = 32,       /* at most */
    TILE_BYTES = 24 << 10,   /* x and dy of one step of the weights' gradient: L1 */
    MERGE_CHANNELS = 4       /* below, taps of a row are merged to fill register blocks */
};

/* One axis of a walk: output o sees inputs [o * step + first, + taps), cut to [0, in). */
struct axis {
    int in, taps, count;
    int step, first;
    int place, stride; /* output o lies at place + o * stride */
};

struct walk {
    struct axis y, x;
    int in_c, out_h, out_w, columns;
    const float *packed; /* strips of (taps y, taps x, in_c, width * LANES) */
    bool add, relu;
    const float *bias; /* one a column, or NULL */
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

/* All pixels of one class: n images x rows x columns of pixels, in register blocks. */
static void walk_class(const struct walk *w, struct strip strip, struct run ry,
                       struct run rx, int n, const float *in, float *out)
{
    size_t row = (size_t)w->x.in * w->in_c, b_tap = (size_t)w->in_c * strip.width * LANES;
    float bias[WIDTH_MAX * LANES] = {0};
    struct block block = {
        .b = w->packed + (size_t)w->y.taps * w->x.taps * w->in_c * (size_t)strip.column +
             ((size_t)ry.tap * w->x.taps + rx.tap) * b_tap,
        .count = {1, ry.taps, rx.taps * w->in_c},
        .a_move = {0, (ptrdiff_t)row},
        .b_move = {0, (ptrdiff_t)(b_tap * (size_t)w->x.taps)},
        .columns = strip.columns,
        .add = w->add,
        .bias = w->bias ? bias : NULL,
        .relu = w->relu,
    };
    int rows = 0, most = block_rows(strip.width);
    if (w->bias)
        memcpy(bias, w->bias + strip.column, (size_t)strip.columns * sizeof *bias);
    if (!ry.taps || !rx.taps)
        block.count[1] = 0; /* pixels that see nothing become zero */
    for (int i = 0; i < n; i++)
        for (int y = ry.from; y < ry.to; y++) {
            int iy = block.count[1] ? y * w->y.step + w->y.first + ry.tap : 0;
            const float *a = in + ((size_t)i * w->y.in + (size_t)iy) * row;
            float *c = out +
                       ((size_t)i * w->out_h + w->y.place + (size_t)y * w->y.stride) *
                           w->out_w * w->columns +
                       strip.column;
            for (int x = rx.from; x < rx.to; x++) {
                int ix = block.count[1] ? x * w->x.step + w->x.first + rx.tap : 0;
                block.a[rows] = a + (size_t)ix * w->in_c;
                block.c[rows] = c + (size_t)(w->x.place + x * w->x.stride) * w->columns;
                if (++rows == most) {
                    packed_blocks[strip.width](rows, &block);
                    rows = 0;
                }
            }
        }
    if (rows)
        packed_blocks[strip.width](rows, &block);
}

static void walk_images(const struct walk *w, int n, const float *in, float *out)
{
    for (struct strip s = strip_at(w->columns, 0); s.width; s = strip_next(w->columns, s))
        for (int y = 0; y < w->y.count;) {
            struct run ry = run_at(&w->y, y);
            for (int x = 0; x < w->x.count;) {
                struct run rx = run_at(&w->x, x);
                walk_class(w, s, ry, rx, n, in, out);
                x = rx.to;
            }
            y = ry.to;
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

static size_t conv_pack_count(const struct nn_conv *s)
{
    size_t taps = (size_t)s->kh * s->kw;
    return taps * LANES *
           ((size_t)s->c * vectors_of(s->k) + (size_t)s->k * vectors_of(s->c));
}

/* One tap's (rows, columns) matrix into one strip, zero where no column exists. */
static void pack_tap(float *to, const float *weight, struct strip strip, int rows,
                     ptrdiff_t row_step, ptrdiff_t column_step)
{
    for (int r = 0; r < rows; r++, to += strip.width * LANES) {
        const float *from = weight + r * row_step + strip.column * column_step;
        for (int i = 0; i < strip.columns; i++)
            to[i] = from[i * column_step];
        for (int i = strip.columns; i < strip.width * LANES; i++)
            to[i] = 0;
    }
}

static float *pack_forward(const struct nn_conv *s, const float *weight, float *to)
{
    for (struct strip strip = strip_at(s->k, 0); strip.width;
         strip = strip_next(s->k, strip))
        for (int tap = 0; tap < s->kh * s->kw; tap++) {
            pack_tap(to, weight + (size_t)tap * s->c * s->k, strip, s->c, s->k, 1);
            to += (size_t)s->c * strip.width * LANES;
        }
    return to;
}

static float *pack_parity(const struct nn_conv *s, struct reach y, struct reach x,
                          const float *weight, float *to)
{
    for (struct strip strip = strip_at(s->c, 0); strip.width;
         strip = strip_next(s->c, strip))
        for (int ty = 0; ty < y.taps; ty++)
            for (int tx = 0; tx < x.taps; tx++) {
                int ky = y.last - ty * s->stride, kx = x.last - tx * s->stride;
                pack_tap(to, weight + ((size_t)ky * s->kw + kx) * s->c * s->k, strip,
                         s->k, 1, s->k);
                to += (size_t)s->k * strip.width * LANES;
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
                         const float *packed, const float *bias, bool relu, float *y)
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
    };
    walk_all(&w, n, x, y);
}

static struct axis parity_axis(int in, int out, int parity, int stride, struct reach r)
{
    int count = parity < in ? (in - parity + stride - 1) / stride : 0;
    return (struct axis){out, r.taps, count, 1, r.first, parity, stride};
}

static void conv_backward_data(const struct nn_conv *s, int n, const float *dy,
                               const float *packed, bool add, float *dx)
{
    packed += (size_t)s->kh * s->kw * s->c * vectors_of(s->k) * LANES;
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
            };
            if (w.y.count && w.x.count)
                walk_all(&w, n, dy, dx);
            packed += (size_t)ry.taps * rx.taps * s->k * vectors_of(s->c) * LANES;
        }
}

/* Part of a batch whose x and dy fit L1: some rows of one image or some whole images. */
struct tile {
    int n;        /* images */
    int from, to; /* output rows */
};

/* `taps` neighbouring taps of one filter row, from kx, over output columns [from, to):
 * a (taps * c, k) part of dw. */
static void weight_taps(const struct nn_conv *s, struct strip strip, struct tile tile,
                        const float *x, const float *dy, float *dw, int ky, int kx,
                        int taps, int from, int to)
{
    int low, high;
    nn_conv_tap_range(s->h, s->oh, s->stride, s->top, ky, &low, &high);
    low = low > tile.from ? low : tile.from;
    high = high < tile.to ? high : tile.to;
    if (low >= high || from >= to)
        return;
    struct block block = {
        .b = dy + ((size_t)low * s->ow + (size_t)from) * s->k + strip.column,
        .count = {tile.n, high - low, to - from},
        .a_move = {(ptrdiff_t)s->h * s->w * s->c, (ptrdiff_t)s->stride * s->w * s->c},
        .b_move = {(ptrdiff_t)s->oh * s->ow * s->k, (ptrdiff_t)s->ow * s->k},
        .a_step = (ptrdiff_t)s->stride * s->c,
        .b_step = s->k,
        .columns = strip.columns,
        .add = true,
    };
    int all = taps * s->c, most = block_rows(strip.width);
    x += ((size_t)(low * s->stride + ky - s->top) * s->w +
          (size_t)(from * s->stride + kx - s->left)) *
         s->c;
    dw += ((size_t)ky * s->kw + (size_t)kx) * s->c * s->k + strip.column;
    for (int m = 0; m < all; m += most) {
        int rows = all - m < most ? all - m : most;
        block.a[0] = x + m;
        for (int i = 0; i < rows; i++)
            block.c[i] = dw + (size_t)(m + i) * s->k;
        plain_blocks[strip.width](rows, &block);
    }
}

/* One filter row. With few channels, the columns that see every tap are done at once. */
static void weight_row(const struct nn_conv *s, struct strip strip, struct tile tile,
                       const float *x, const float *dy, float *dw, int ky)
{
    int low = 0, high = 0, from, to;
    if (s->c < MERGE_CHANNELS) {
        nn_conv_tap_range(s->w, s->ow, s->stride, s->left, 0, &low, &to);
        nn_conv_tap_range(s->w, s->ow, s->stride, s->left, s->kw - 1, &from, &high);
        if (low < high)
            weight_taps(s, strip, tile, x, dy, dw, ky, 0, s->kw, low, high);
        else
            low = high = 0;
    }
    for (int kx = 0; kx < s->kw; kx++) {
        nn_conv_tap_range(s->w, s->ow, s->stride, s->left, kx, &from, &to);
        if (low < high) {
            weight_taps(s, strip, tile, x, dy, dw, ky, kx, 1, from, low < to ? low : to);
            from = high > from ? high : from;
        }
        weight_taps(s, strip, tile, x, dy, dw, ky, kx, 1, from, to);
    }
}

static void weight_tile(const struct nn_conv *s, struct tile tile, const float *x,
                        const float *dy, float *dw)
{
    for (struct strip strip = strip_at(s->k, 0); strip.width;
         strip = strip_next(s->k, strip))
        for (int ky = 0; ky < s->kh; ky++)
            weight_row(s, strip, tile, x, dy, dw, ky);
}

static void conv_backward_weight(const struct nn_conv *s, int n, const float *x,
                                 const float *dy, float *dw)
{
    size_t row = ((size_t)s->stride * s->w * s->c + (size_t)s->ow * s->k) * sizeof(float);
    size_t fit = TILE_BYTES / row, oh = (size_t)s->oh;
    int rows = fit < 1 ? 1 : fit > oh ? s->oh : (int)fit;
    int images = fit < 2 * oh ? 1 : (int)(fit / oh);
    for (int i = 0; i < n; i += images)
        for (int y = 0; y < s->oh; y += rows) {
            struct tile tile = {n - i < images ? n - i : images, y,
                                s->oh - y < rows ? s->oh : y + rows};
            weight_tile(s, tile, x + (size_t)i * s->h * s->w * s->c,
                        dy + (size_t)i * s->oh * s->ow * s->k, dw);
        }
}

#endif
