/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient of the weights over kernels_vector.h's register blocks.
 *
 * For every tap, dw (C, K) is a sum over output pixels of x (C) times dy (K). A tile of
 * pixels is taken at a time: a strip of its dy is packed unless it is whole vectors, a
 * list of the pixels for which a tap lies inside x is made, and every block of dw runs
 * once through the list. With few
 * channels a tap has too few rows for a block: there a padded copy of x lets all taps of
 * all pixels be done at once. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_WEIGHT_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_WEIGHT_H

#include "common/nn/kernels_vector.h"

enum {
    TILE_PIXELS = 112, /* their strip of dy stays in L1 */
    WEIGHT_AHEAD = 4,  /* lines fetched with every register block */
    TILE_CHANNELS = 24,
    MERGE_CHANNELS = 4,  /* below, all taps are done at once */
    PADDED_FLOATS = 2048 /* of x for that */
};

/* Where a pixel lies, in floats: in x without its tap's shift, and in dy. */
struct pixel {
    int x, dy;
};

/* One register block: neighbouring rows of dw, += over `count` pixels. */
struct weight_block {
    const float *x, *dy; /* of the tile */
    const struct pixel *at;
    int count;
    ptrdiff_t shift[ROWS_MAX]; /* row m reads x[shift[m] + at->x] */
    float *dw;
    ptrdiff_t dw_step; /* floats between rows */
    int columns;       /* that exist */
};

static inline __attribute__((always_inline)) void add_row(float *dw, const vector *acc,
                                                          int width, int columns)
{
    UNROLL_3
    for (int z = 0; z < width; z++) {
        int left = columns - z * LANES;
        float *at = dw + z * LANES;
        if (left >= LANES) {
            store(at, load(at) + acc[z]);
        } else {
            float part[LANES];
            store(part, acc[z]);
            for (int i = 0; i < left; i++)
                at[i] += part[i];
        }
    }
}

/* Halves of two rows: lanes 0, 2, ... are the first's. */
static inline void add_half_rows(float *dw, ptrdiff_t dw_step, vector acc, int columns)
{
    float part[LANES];
    store(part, acc);
    for (int i = 0; i < columns; i++) {
        dw[i] += part[2 * i];
        dw[dw_step + i] += part[2 * i + 1];
    }
}

/* x of row m at a pixel; `first`: that of row 0. */
static inline __attribute__((always_inline)) const float *
row_at(const struct weight_block *p, const float *first, int pixel, int m, bool scattered)
{
    return scattered ? p->x + (p->shift[m] + pixel) : first + m;
}

/* rows, units and scattered are constants wherever this is inlined. Unless `scattered`,
 * rows are neighbours in x. A half vector of columns is computed for two rows in one
 * vector: x by pairs of rows, dy packed with every column twice. */
static inline __attribute__((always_inline)) void
multiply_pixels(int rows, int units, bool scattered, const struct weight_block *p)
{
    const int width = units / 2, half = units % 2;
    vector acc[ROWS_MAX][WIDTH_MAX], halves[ROWS_MAX / 2];
    UNROLL_8
    for (int m = 0; m < rows; m++) {
        halves[m / 2] = (vector){0};
        UNROLL_3
        for (int z = 0; z < width; z++)
            acc[m][z] = (vector){0};
    }
    const struct pixel *at = p->at, *end = at + p->count;
    for (; at < end; at++) {
        const float *x = p->x + (p->shift[0] + at->x), *dy = p->dy + at->dy;
        vector row[WIDTH_MAX];
        UNROLL_3
        for (int z = 0; z < width; z++)
            row[z] = load(dy + z * LANES);
        UNROLL_8
        for (int m = 0; m < rows; m++) {
            float scalar = *row_at(p, x, at->x, m, scattered);
            UNROLL_3
            for (int z = 0; z < width; z++)
                acc[m][z] += scalar * row[z];
        }
        UNROLL_8
        for (int m = 0; half && m < rows; m += 2)
            halves[m / 2] +=
                load_pair(row_at(p, x, at->x, m, scattered)) * load(dy + width * LANES);
    }
    UNROLL_8
    for (int m = 0; m < rows; m++)
        add_row(p->dw + m * p->dw_step, acc[m], width, p->columns);
    UNROLL_8
    for (int m = 0; half && m < rows; m += 2)
        add_half_rows(p->dw + m * p->dw_step + width * LANES, p->dw_step, halves[m / 2],
                      p->columns - width * LANES);
}

#define MULTIPLY_NEAR(ROWS, UNITS, P) multiply_pixels(ROWS, UNITS, false, P)
#define MULTIPLY_SCATTERED(ROWS, UNITS, P) multiply_pixels(ROWS, UNITS, true, P)
BLOCK_FUNCTIONS(near_rows, MULTIPLY_NEAR, struct weight_block);
BLOCK_FUNCTIONS(scattered_rows, MULTIPLY_SCATTERED, struct weight_block);

struct range {
    int from, to;
};

static struct range common_range(struct range a, struct range b)
{
    int from = a.from > b.from ? a.from : b.from, to = a.to < b.to ? a.to : b.to;
    return (struct range){from, to > from ? to : from};
}

/* Part of a batch: output pixels y, x of n images. */
struct tile {
    int n;
    struct range y, x;
};

struct weight_pass {
    const struct nn_conv *s;
    struct nn_ahead *ahead;
    struct tile tile;
    struct strip strip;
    const float *x; /* of the tile's first image */
    float *dw;      /* the strip's first column */
    int count;
    struct pixel at[TILE_PIXELS];
    const float *dy; /* the strip's first column, or `packed` */
    float packed[TILE_PIXELS * WIDTH_MAX * LANES] /* (y, image, x, vectors) */
        __attribute__((aligned(64)));
};

/* Floats of a packed pixel. */
static int packed_step(struct strip strip)
{
    return (strip.units + 1) / 2 * LANES;
}

/* Whole vectors that do not straddle cache lines are read where they lie; so are those
 * that are read too few times to pay for a copy. */
static bool is_packed(const struct weight_pass *p)
{
    return p->strip.columns < packed_step(p->strip) ||
           (p->s->c >= MERGE_CHANNELS && p->s->k % LANES);
}

static void pack_pixel(float *to, const float *dy, struct strip strip)
{
    int whole = strip.units / 2 * LANES, i = 0;
    for (; i + LANES <= whole && i + LANES <= strip.columns; i += LANES)
        store(to + i, load(dy + i));
    for (; i < whole; i++)
        to[i] = i < strip.columns ? dy[i] : 0;
    for (; i < whole + HALF && strip.units % 2; i++, to++)
        to[i] = to[i + 1] = i < strip.columns ? dy[i] : 0;
}

static void pack_dy(struct weight_pass *p)
{
    const struct nn_conv *s = p->s;
    const struct tile *t = &p->tile;
    float *to = p->packed;
    for (int y = t->y.from; y < t->y.to; y++)
        for (int i = 0; i < t->n; i++) {
            const float *from =
                p->dy + (((size_t)i * s->oh + y) * s->ow + t->x.from) * s->k;
            for (int x = t->x.from; x < t->x.to; x++, from += s->k) {
                pack_pixel(to, from, p->strip);
                to += packed_step(p->strip);
            }
        }
    p->dy = p->packed;
}

/* List pixels of the tile. */
static void list_pixels(struct weight_pass *p, struct range y, struct range x)
{
    const struct nn_conv *s = p->s;
    const struct tile *t = &p->tile;
    bool packed = is_packed(p);
    int width = t->x.to - t->x.from, count = x.to - x.from;
    int in_step = s->stride * s->c, out_step = packed ? packed_step(p->strip) : s->k;
    struct pixel *list = p->at;
    for (int oy = y.from; oy < y.to; oy++)
        for (int i = 0; i < t->n; i++, list += count) {
            int in = (i * s->h + oy * s->stride) * s->w * s->c + x.from * in_step;
            int out = packed ? ((oy - t->y.from) * t->n + i) * width - t->x.from
                             : (i * s->oh + oy) * s->ow;
            out = (out + x.from) * out_step;
            for (int ox = 0; ox < count; ox++)
                list[ox] = (struct pixel){in + ox * in_step, out + ox * out_step};
        }
    p->count = (int)(list - p->at);
}

static struct range tap_range_y(const struct weight_pass *p, int ky)
{
    const struct nn_conv *s = p->s;
    struct range r;
    nn_conv_tap_range(s->h, s->oh, s->stride, s->top, ky, &r.from, &r.to);
    return common_range(r, p->tile.y);
}

static struct range tap_range_x(const struct weight_pass *p, int kx)
{
    const struct nn_conv *s = p->s;
    struct range r;
    nn_conv_tap_range(s->w, s->ow, s->stride, s->left, kx, &r.from, &r.to);
    return common_range(r, p->tile.x);
}

/* `all` in equal parts of at most `most`, or of 1. */
static int even_part(int all, int most)
{
    int parts = most < 1 ? all : (all + most - 1) / most;
    return (all + parts - 1) / parts;
}

/* Filter tap and channel of a row of dw. */
struct row {
    int ky, kx, c;
};

static ptrdiff_t shift_of(const struct nn_conv *s, struct row r)
{
    return ((ptrdiff_t)(r.ky - s->top) * s->w + r.kx - s->left) * s->c + r.c;
}

static struct row row_next(const struct nn_conv *s, struct row r)
{
    if (++r.c < s->c)
        return r;
    r.c = 0;
    if (++r.kx < s->kw)
        return r;
    r.kx = 0;
    r.ky++;
    return r;
}

/* `all` rows of dw from `at` over listed pixels: rows of one tap or, scattered, of any.
 */
static void weight_rows(const struct weight_pass *p, struct row at, int all,
                        const struct pixel *pixels, int count, bool scattered)
{
    const struct nn_conv *s = p->s;
    struct weight_block block = {.x = p->x,
                                 .dy = p->dy,
                                 .at = pixels,
                                 .count = count,
                                 .dw_step = s->k,
                                 .columns = p->strip.columns};
    int group = p->strip.units % 2 ? 2 : 1; /* halves need pairs */
    int size = even_part(all / group, block_rows(p->strip.units) / group) * group;
    block.dw = p->dw + (((size_t)at.ky * s->kw + at.kx) * s->c + at.c) * s->k;
    block.shift[0] = shift_of(s, at);
    for (int row = 0; row < all && count; row += size) {
        int rows = all - row < size ? all - row : size;
        for (int m = 0; scattered && m < rows; m++, at = row_next(s, at))
            block.shift[m] = shift_of(s, at);
        fetch_ahead(p->ahead, WEIGHT_AHEAD);
        (scattered ? scattered_rows : near_rows)[p->strip.units](rows, &block);
        block.dw += (size_t)size * s->k;
        block.shift[0] += size;
    }
}

/* A column of taps shares a list: rows outside one tap's reach are at its ends. Some
 * channels at a time, so that their part of x stays in L1 for the whole column. */
static void weight_column(struct weight_pass *p, int kx)
{
    const struct nn_conv *s = p->s;
    struct range x = tap_range_x(p, kx);
    int line = p->tile.n * (x.to - x.from);
    list_pixels(p, p->tile.y, x);
    for (int c = 0; c < s->c; c += TILE_CHANNELS)
        for (int ky = 0; ky < s->kh; ky++) {
            struct range y = tap_range_y(p, ky);
            weight_rows(p, (struct row){ky, kx, c},
                        s->c - c < TILE_CHANNELS ? s->c - c : TILE_CHANNELS,
                        p->at + (y.from - p->tile.y.from) * line, (y.to - y.from) * line,
                        false);
        }
}

static void weight_strips(struct weight_pass *p, const float *dy, float *dw, bool merged)
{
    const struct nn_conv *s = p->s;
    bool halves = s->c % 2 == 0; /* rows come in pairs */
    for (p->strip = strip_at(s->k, 0, halves); p->strip.units;
         p->strip = strip_next(s->k, p->strip, halves)) {
        p->dw = dw + p->strip.column;
        p->dy = dy + p->strip.column;
        if (is_packed(p))
            pack_dy(p);
        if (merged) {
            list_pixels(p, p->tile.y, p->tile.x);
            weight_rows(p, (struct row){0, 0, 0}, s->kh * s->kw * s->c, p->at, p->count,
                        true);
        } else {
            for (int kx = 0; kx < s->kw; kx++)
                weight_column(p, kx);
        }
    }
}

/* The tile's part of x with zeros around it, where every pixel sees every tap. */
static void pad_tile(const struct nn_conv *s, const struct nn_conv *padded,
                     struct tile tile, const float *x, float *to)
{
    int top = tile.y.from * s->stride - s->top, left = tile.x.from * s->stride - s->left;
    memset(to, 0, (size_t)tile.n * padded->h * padded->w * s->c * sizeof *to);
    for (int i = 0; i < tile.n; i++)
        for (int y = 0; y < padded->h; y++) {
            int from = left < 0 ? -left : 0, end = s->w - left;
            end = end < padded->w ? end : padded->w;
            if (top + y >= 0 && top + y < s->h && from < end)
                memcpy(to + (((size_t)i * padded->h + y) * padded->w + from) * s->c,
                       x + (((size_t)i * s->h + top + y) * s->w + left + from) * s->c,
                       (size_t)(end - from) * s->c * sizeof *to);
        }
}

static void weight_tile(const struct nn_conv *s, struct tile tile, const float *x,
                        const float *dy, float *dw, struct nn_ahead *ahead)
{
    struct weight_pass p; /* large: not cleared */
    p.s = s;
    p.ahead = ahead;
    p.tile = tile;
    p.x = x;
    struct nn_conv padded = *s;
    float copy[PADDED_FLOATS];
    padded.top = padded.left = 0;
    padded.h = (tile.y.to - tile.y.from - 1) * s->stride + s->kh;
    padded.w = (tile.x.to - tile.x.from - 1) * s->stride + s->kw;
    if (s->c >= MERGE_CHANNELS ||
        (size_t)tile.n * padded.h * padded.w * s->c > PADDED_FLOATS) {
        weight_strips(&p, dy, dw, false);
        return;
    }
    pad_tile(s, &padded, tile, x, copy);
    dy += ((size_t)tile.y.from * s->ow + tile.x.from) * s->k;
    p.s = &padded;
    p.x = copy;
    p.tile.y = (struct range){0, tile.y.to - tile.y.from};
    p.tile.x = (struct range){0, tile.x.to - tile.x.from};
    weight_strips(&p, dy, dw, true);
}

static void conv_backward_weight(const struct nn_conv *s, int n, const float *x,
                                 const float *dy, float *dw, struct nn_ahead *ahead)
{
    int width = even_part(s->ow, TILE_PIXELS);
    int height = even_part(s->oh, TILE_PIXELS / width);
    int images = TILE_PIXELS / (width * height);
    images = height < s->oh || width < s->ow ? 1 : even_part(n, images);
    for (int i = 0; i < n; i += images)
        for (int oy = 0; oy < s->oh; oy += height)
            for (int ox = 0; ox < s->ow; ox += width) {
                struct tile tile = {n - i < images ? n - i : images,
                                    {oy, s->oh - oy < height ? s->oh : oy + height},
                                    {ox, s->ow - ox < width ? s->ow : ox + width}};
                weight_tile(s, tile, x + (size_t)i * s->h * s->w * s->c,
                            dy + (size_t)i * s->oh * s->ow * s->k, dw, ahead);
            }
}

#endif
