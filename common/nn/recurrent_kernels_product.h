/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of the recurrent model: part of recurrent_kernels_body.c, compiled once
 * per instruction set.
 *
 * A tile of up to TILE rows x 2 vectors of C stays in registers while k runs over a
 * block; the block's part of a panel of B stays in the first-level cache while tile after
 * tile uses it, and meanwhile the next panel is fetched. Rows are shared out evenly among
 * tiles, because one of a row or two cannot keep the multipliers busy. Between blocks of
 * k the tile is stored and loaded again, which changes no bit.
 *
 * Where A comes by columns, rows of it are first copied into the order in which tiles
 * read them, and each panel of B just before it is used: no more than that is read from
 * it. */
#ifndef ARCHWAY_COMMON_NN_RECURRENT_KERNELS_PRODUCT_H
#define ARCHWAY_COMMON_NN_RECURRENT_KERNELS_PRODUCT_H

#include <string.h>

#include "common/nn/recurrent_kernels.h"
#include "common/nn/simd.h"

enum { PANEL = 2 * VF_WIDTH, TILE = VF_WIDTH == 16 ? 12 : VF_WIDTH == 8 ? 6 : 4 };
enum { BLOCK = 256, LONG_BLOCK = 320, COPY = 192 /* rows of A at once */ };

/* Without a fused operation of the processor's own, two roundings: fmaf would be a call.
 */
#ifdef __FMA__
#define FUSED(a, b, c) vf_fma(a, b, c)
#else
#define FUSED(a, b, c) ((a) * (b) + (c))
#endif

/* B in the order in which the product reads it: blocks of k, in each all panels. */
VF_INLINE size_t block_count(size_t k)
{
    return (k + BLOCK - 1) / BLOCK;
}

/* Some rows of one panel, its first columns only; zeros behind them. */
VF_INLINE void gather(size_t k, size_t width, const float *b, size_t b_row, float *panel)
{
    for (size_t l = 0; l < k && width == PANEL; l++, b += b_row, panel += PANEL) {
        vf_store(panel, vf_load(b));
        vf_store(panel + VF_WIDTH, vf_load(b + VF_WIDTH));
    }
    for (size_t l = 0; l < k && width < PANEL; l++, b += b_row, panel += PANEL) {
        memcpy(panel, b, width * sizeof *panel);
        memset(panel + width, 0, (PANEL - width) * sizeof *panel);
    }
}

VF_INLINE size_t panel_width(size_t n, size_t column)
{
    return n - column < PANEL ? n - column : PANEL;
}

static void pack(size_t k, size_t n, const float *b, size_t b_row, float *packed)
{
    size_t blocks = block_count(k);
    for (size_t i = 0; i < blocks; i++) {
        size_t first = k * i / blocks, count = k * (i + 1) / blocks - first;
        for (size_t column = 0; column < n; column += PANEL, packed += count * PANEL)
            gather(count, panel_width(n, column), b + first * b_row + column, b_row,
                   packed);
    }
}

/* One panel over one block of the transposed matrix. */
static void turn(size_t k, size_t width, const float *b, size_t b_row, float *packed)
{
    for (size_t j = 0; j < width; j++)
        for (size_t l = 0; l < k; l++)
            packed[l * PANEL + j] = b[j * b_row + l];
    for (size_t l = 0; l < k && width < PANEL; l++)
        memset(packed + l * PANEL + width, 0, (PANEL - width) * sizeof *packed);
}

static void pack_transposed(size_t k, size_t n, const float *b, size_t b_row,
                            float *packed)
{
    size_t blocks = block_count(k);
    for (size_t i = 0; i < blocks; i++) {
        size_t first = k * i / blocks, count = k * (i + 1) / blocks - first;
        for (size_t column = 0; column < n; column += PANEL, packed += count * PANEL)
            turn(count, panel_width(n, column), b + column * b_row + first, b_row,
                 packed);
    }
}

/* A tile of C. Element (i, l) of A at i * a_row + l, or at l * TILE + i where copied. */
struct tile {
    size_t k;
    const float *a;
    size_t a_row;
    const float *b; /* rows PANEL apart */
    float *c;
    size_t c_row;
    bool load; /* add to C */
};

/* What is no parameter of the tile is a constant where it is inlined. */
VF_INLINE void tile(const struct tile *p, size_t a_row, size_t a_column, int rows,
                    int vectors)
{
    vf sum[TILE * 2];
    const float *a = p->a, *b = p->b;
    float *c = p->c;
    size_t k = p->k, c_row = p->c_row;
    bool load = p->load;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            sum[i * vectors + j] =
                load ? vf_load(c + (size_t)i * c_row + j * VF_WIDTH) : vf_set(0);
#pragma GCC unroll 4
    for (size_t l = 0; l < k; l++) {
        vf y[2];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            y[j] = vf_load(b + l * PANEL + j * VF_WIDTH);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vf x = vf_set(a[(size_t)i * a_row + l * a_column]);
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++)
                sum[i * vectors + j] = FUSED(x, y[j], sum[i * vectors + j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            vf_store(c + (size_t)i * c_row + j * VF_WIDTH, sum[i * vectors + j]);
}

/* Of 1 to TILE rows, each number of them compiled on its own. */
#define TILE_CASE(rows, a_row, a_column, vectors)                      \
    case rows:                                                         \
        tile(p, a_row, a_column, rows <= TILE ? rows : TILE, vectors); \
        break;
#define TILES(name, a_row, a_column, vectors)           \
    static void name(const struct tile *p, size_t rows) \
    {                                                   \
        switch (rows) {                                 \
            TILE_CASE(1, a_row, a_column, vectors)      \
            TILE_CASE(2, a_row, a_column, vectors)      \
            TILE_CASE(3, a_row, a_column, vectors)      \
            TILE_CASE(4, a_row, a_column, vectors)      \
            TILE_CASE(5, a_row, a_column, vectors)      \
            TILE_CASE(6, a_row, a_column, vectors)      \
            TILE_CASE(7, a_row, a_column, vectors)      \
            TILE_CASE(8, a_row, a_column, vectors)      \
            TILE_CASE(9, a_row, a_column, vectors)      \
            TILE_CASE(10, a_row, a_column, vectors)     \
            TILE_CASE(11, a_row, a_column, vectors)     \
            TILE_CASE(12, a_row, a_column, vectors)     \
        }                                               \
    }
TILES(wide_tile, p->a_row, 1, 2)
TILES(slim_tile, p->a_row, 1, 1)
TILES(wide_copied, 1, TILE, 2)
TILES(slim_copied, 1, TILE, 1)

/* A panel over a block of k, with all rows of A or those that are copied. */
struct panel {
    struct tile first;
    size_t m, width; /* rows, columns of C */
    bool copied;
    const float *next; /* the panel after it: */
    size_t next_row;   /* what stands where row l of it does, or in its place */
    size_t next_rows;  /* to fetch */
};

/* The tile, through a copy where its columns are no whole vectors. */
VF_INLINE void run_tile(const struct panel *p, struct tile *t, size_t rows)
{
    bool slim = p->width <= VF_WIDTH, whole = p->width % VF_WIDTH == 0;
    float copy[TILE * PANEL], *c = t->c;
    size_t c_row = t->c_row, size = p->width * sizeof *copy;
    if (!whole) {
        memset(copy, 0, sizeof copy);
        for (size_t i = 0; t->load && i < rows; i++)
            memcpy(copy + i * PANEL, c + i * c_row, size);
        t->c = copy;
        t->c_row = PANEL;
    }
    if (p->copied)
        (slim ? slim_copied : wide_copied)(t, rows);
    else
        (slim ? slim_tile : wide_tile)(t, rows);
    for (size_t i = 0; !whole && i < rows; i++)
        memcpy(c + i * c_row, copy + i * PANEL, size);
    t->c = c;
    t->c_row = c_row;
}

/* Fetch rows [from, to) of the next panel. */
VF_INLINE void fetch(const struct panel *p, size_t from, size_t to)
{
    const char *at = (const char *)(p->next + from * p->next_row);
    for (; from < to; from++, at += p->next_row * sizeof(float))
        for (size_t line = 0; line < PANEL * sizeof(float); line += 64)
            __builtin_prefetch(at + line);
}

static void run_panel(const struct panel *p)
{
    struct tile t = p->first;
    size_t tiles = (p->m + TILE - 1) / TILE;
    size_t rows = p->copied ? TILE : p->m / tiles, more = p->copied ? 0 : p->m % tiles;
    size_t each = (p->next_rows + tiles - 1) / tiles, fetched = 0, left = p->m;
    for (size_t i = 0; i < tiles; i++) {
        size_t count = rows + (i < more), end = fetched + each;
        count = count < left ? count : left;
        end = end < p->next_rows ? end : p->next_rows;
        fetch(p, fetched, end);
        fetched = end;
        for (size_t j = 0; j < count && t.load; j++)
            __builtin_prefetch(t.c + (count + j) * t.c_row, 1);
        run_tile(p, &t, count);
        t.a += p->copied ? TILE * t.k : count * t.a_row;
        t.c += count * t.c_row;
        left -= count;
    }
}

/* All of C from one panel. */
VF_INLINE void run_panels(const struct recurrent_product *p, struct panel *panel)
{
    size_t k = panel->next_rows;
    for (size_t i = 0; i <= p->more; i++) {
        panel->next_rows = i == p->more ? k : 0;
        run_panel(panel);
        panel->first.a += p->a_next;
        panel->first.c += p->c_next;
    }
}

/* Panel by panel, each with all A's. */
static void product_stacked(const struct recurrent_product *p)
{
    size_t blocks = block_count(p->k);
    const float *b = p->packed;
    for (size_t i = 0; i < blocks && p->m > 0; i++) {
        size_t first = p->k * i / blocks, k = p->k * (i + 1) / blocks - first;
        for (size_t column = 0; column < p->n; column += PANEL, b += k * PANEL) {
            struct panel panel = {.first = {.k = k,
                                            .a = p->a + first,
                                            .a_row = p->a_row,
                                            .b = b,
                                            .c = p->c + column,
                                            .c_row = p->c_row,
                                            .load = p->add || i > 0},
                                  .m = p->m,
                                  .width = panel_width(p->n, column),
                                  .next = b + k * PANEL,
                                  .next_row = PANEL,
                                  .next_rows = k};
            run_panels(p, &panel);
        }
    }
}

/* A panel that has few rows to go with is better used for several A's at once. With more
 * rows C is what counts: it should not be visited in too many places between two panels.
 */
static void product(const struct recurrent_product *p)
{
    struct recurrent_product one = *p;
    if (p->m < 2 * TILE) {
        product_stacked(p);
        return;
    }
    one.more = 0;
    for (size_t i = 0; i <= p->more; i++) {
        product_stacked(&one);
        one.a += p->a_next;
        one.c += p->c_next;
    }
}

/* Rows [0, k) of `rows` columns of A, in the order of tiles. */
static void copy_tiles(size_t k, size_t rows, const float *a, size_t a_row, float *to)
{
    size_t whole = rows / TILE * TILE;
    for (size_t l = 0; l < k; l++, a += a_row) {
        float *at = to + l * TILE;
        for (size_t i = 0; i < whole; i += TILE, at += k * TILE)
            memcpy(at, a + i, TILE * sizeof *at);
        if (whole < rows)
            memcpy(at, a + whole, (rows - whole) * sizeof *at);
    }
}

/* Some rows of C over a block of k. */
static void transposed_rows(const struct recurrent_transposed *p, size_t from,
                            size_t rows, size_t first, size_t k)
{
    float tiles[COPY * LONG_BLOCK], packed[LONG_BLOCK * PANEL];
    const float *b = p->b + first * p->b_row;
    copy_tiles(k, rows, p->a + first * p->a_row + from, p->a_row, tiles);
    for (size_t column = 0; column < p->n; column += PANEL) {
        struct panel panel = {.first = {.k = k,
                                        .a = tiles,
                                        .b = packed,
                                        .c = p->c + from * p->c_row + column,
                                        .c_row = p->c_row,
                                        .load = p->add || first > 0},
                              .m = rows,
                              .width = panel_width(p->n, column),
                              .copied = true,
                              .next = b + column + PANEL,
                              .next_row = p->b_row,
                              .next_rows = k};
        gather(k, panel.width, b + column, p->b_row, packed);
        run_panel(&panel);
    }
}

static void product_transposed(const struct recurrent_transposed *p)
{
    size_t blocks = (p->k + LONG_BLOCK - 1) / LONG_BLOCK,
           parts = (p->m + COPY - 1) / COPY;
    size_t each = parts ? ((p->m + parts - 1) / parts + TILE - 1) / TILE * TILE : 0;
    for (size_t i = 0; i < blocks; i++) {
        size_t first = p->k * i / blocks, k = p->k * (i + 1) / blocks - first;
        for (size_t from = 0; from < p->m; from += each)
            transposed_rows(p, from, p->m - from < each ? p->m - from : each, first, k);
    }
}

#undef TILE_CASE
#undef TILES

#endif
