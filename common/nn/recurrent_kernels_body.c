/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent model's inner loops, compiled once per instruction set: the build defines
 * RECURRENT_KERNELS (the table's name) and the compiler's options choose simd.h's vectors.
 *
 * The product keeps a tile of TILE rows x 2 vectors in registers, walks k in blocks whose
 * part of a panel stays in the first-level cache, and goes over all rows for each panel.
 * Between blocks of k the tile is stored and loaded again, which changes no bit. */
#include "common/nn/recurrent_kernels.h"

#include <math.h>
#include <string.h>

#include "common/nn/simd.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)

enum { PANEL = 2 * VF_WIDTH, TILE = VF_WIDTH == 16 ? 12 : VF_WIDTH == 8 ? 6 : 4 };
enum { BLOCK = 256 };

/* Without a fused operation of the processor's own, two roundings: fmaf would be a call. */
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

static void pack(size_t k, size_t n, const float *b, size_t b_row, float *packed)
{
    size_t blocks = block_count(k);
    for (size_t i = 0; i < blocks; i++)
        for (size_t column = 0; column < n; column += PANEL) {
            size_t left = n - column, width = left < PANEL ? left : PANEL;
            for (size_t l = k * i / blocks; l < k * (i + 1) / blocks; l++) {
                memcpy(packed, b + l * b_row + column, width * sizeof *packed);
                memset(packed + width, 0, (PANEL - width) * sizeof *packed);
                packed += PANEL;
            }
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

static void pack_transposed(size_t k, size_t n, const float *b, size_t b_row, float *packed)
{
    size_t blocks = block_count(k);
    for (size_t i = 0; i < blocks; i++) {
        size_t first = k * i / blocks, count = k * (i + 1) / blocks - first;
        for (size_t column = 0; column < n; column += PANEL, packed += count * PANEL) {
            size_t left = n - column;
            turn(count, left < PANEL ? left : PANEL, b + column * b_row + first, b_row,
                 packed);
        }
    }
}

/* Element (i, l) of A at i * row + l * column: constants, or nearly, where it is inlined. */
struct strides {
    size_t row, column;
};

/* `rows` x 2 vectors; rows is a constant where it is inlined. */
VF_INLINE void tile(const float *a, struct strides s, const float *b, size_t k, float *c,
                    size_t c_row, int rows, bool load)
{
    vf low[TILE], high[TILE];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        low[i] = load ? vf_load(c + (size_t)i * c_row) : vf_set(0);
        high[i] = load ? vf_load(c + (size_t)i * c_row + VF_WIDTH) : vf_set(0);
    }
    for (size_t l = 0; l < k; l++, b += PANEL) {
        vf b0 = vf_load(b), b1 = vf_load(b + VF_WIDTH);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vf x = vf_set(a[(size_t)i * s.row + l * s.column]);
            low[i] = FUSED(x, b0, low[i]);
            high[i] = FUSED(x, b1, high[i]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        vf_store(c + (size_t)i * c_row, low[i]);
        vf_store(c + (size_t)i * c_row + VF_WIDTH, high[i]);
    }
}

/* One block of k of one panel: rows of A and C, and what is read after it. */
struct part {
    size_t m, k;
    const float *a, *b;
    float *c;
    size_t c_row;
    bool load;
};

/* Rows that fill no whole tile: 8, 4, 2, 1 of them at a time. */
VF_INLINE void rest(const struct part *p, struct strides s, size_t row)
{
#define SOME(count)                                                                \
    if (TILE > (count) && p->m - row >= (count)) {                                 \
        tile(p->a + row * s.row, s, p->b, p->k, p->c + row * p->c_row, p->c_row,   \
             TILE > (count) ? (count) : 1, p->load);                               \
        row += (count);                                                            \
    }
    SOME(8)
    SOME(4)
    SOME(2)
    SOME(1)
#undef SOME
}

/* Fetch the next block a few lines a tile, while this one computes. */
VF_INLINE void panel(const struct part *p, struct strides s)
{
    size_t row = 0, lines = p->k * PANEL * sizeof(float) / 64, fetched = 0;
    const char *next = (const char *)(p->b + p->k * PANEL);
    for (; row + TILE <= p->m; row += TILE) {
        for (size_t end = lines * (row + TILE) / p->m; fetched < end; fetched++)
            __builtin_prefetch(next + 64 * fetched);
        tile(p->a + row * s.row, s, p->b, p->k, p->c + row * p->c_row, p->c_row, TILE,
             p->load);
    }
    if (row < p->m)
        rest(p, s, row);
}

/* The last panel where it is not full: through a copy, some rows at a time. */
VF_INLINE void narrow(const struct part *p, struct strides s, size_t width)
{
    float copy[TILE * PANEL] = {0};
    for (size_t row = 0; row < p->m; row += TILE) {
        struct part some = *p;
        some.m = p->m - row < TILE ? p->m - row : TILE;
        some.a = p->a + row * s.row;
        some.c = copy;
        some.c_row = PANEL;
        for (size_t i = 0; p->load && i < some.m; i++)
            memcpy(copy + i * PANEL, p->c + (row + i) * p->c_row, width * sizeof *copy);
        panel(&some, s);
        for (size_t i = 0; i < some.m; i++)
            memcpy(p->c + (row + i) * p->c_row, copy + i * PANEL, width * sizeof *copy);
    }
}

/* All panels of one block of k. */
VF_INLINE void panels(struct part part, struct strides s, size_t n)
{
    for (size_t column = 0; column < n; column += PANEL) {
        if (column + PANEL <= n)
            panel(&part, s);
        else
            narrow(&part, s, n - column);
        part.b += part.k * PANEL;
        part.c += PANEL;
    }
}

/* Columns of A that stand side by side are copied into tiles first. */
enum { COPY = 16 * TILE };

static void copy_tiles(const struct part *p, size_t a_column, float *to)
{
    for (size_t row = 0; row < p->m; row += TILE) {
        size_t rows = p->m - row < TILE ? p->m - row : TILE;
        for (size_t l = 0; l < p->k; l++, to += TILE)
            memcpy(to, p->a + row + l * a_column, rows * sizeof *to);
    }
}

static void panels_of_columns(struct part part, size_t a_column, size_t n)
{
    float tiles[COPY * BLOCK];
    struct part some = part;
    for (size_t row = 0; row < part.m; row += COPY) {
        some.m = part.m - row < COPY ? part.m - row : COPY;
        some.a = part.a + row;
        copy_tiles(&some, a_column, tiles);
        for (size_t column = 0; column < n; column += PANEL) {
            struct part one = some;
            one.b = part.b + column * part.k;
            for (size_t i = 0; i < some.m; i += TILE) {
                one.m = some.m - i < TILE ? some.m - i : TILE;
                one.a = tiles + i * part.k;
                one.c = part.c + (row + i) * part.c_row + column;
                if (column + PANEL > n)
                    narrow(&one, (struct strides){1, TILE}, n - column);
                else if (one.m == TILE)
                    tile(one.a, (struct strides){1, TILE}, one.b, one.k, one.c, one.c_row,
                         TILE, one.load);
                else
                    rest(&one, (struct strides){1, TILE}, 0);
            }
        }
    }
}

static void product(const struct recurrent_product *p)
{
    size_t blocks = block_count(p->k), panels_wide = (p->n + PANEL - 1) / PANEL;
    const float *b = p->packed;
    for (size_t i = 0; i < blocks; i++) {
        size_t first = p->k * i / blocks, k = p->k * (i + 1) / blocks - first;
        struct part part = {.m = p->m,
                            .k = k,
                            .a = p->a + first * p->a_column,
                            .b = b,
                            .c = p->c,
                            .c_row = p->c_row,
                            .load = p->add || i > 0};
        if (p->a_column == 1)
            panels(part, (struct strides){p->a_row, 1}, p->n);
        else
            panels_of_columns(part, p->a_column, p->n);
        b += panels_wide * k * PANEL;
    }
}

/* The first n floats of a vector, n possibly less than its width. */
VF_INLINE vf load_part(const float *p, size_t n)
{
    float part[VF_WIDTH] = {0};
    if (n >= VF_WIDTH)
        return vf_load(p);
    memcpy(part, p, n * sizeof *p);
    return vf_load(part);
}

VF_INLINE void store_part(float *p, vf v, size_t n)
{
    float part[VF_WIDTH];
    if (n >= VF_WIDTH) {
        vf_store(p, v);
        return;
    }
    vf_store(part, v);
    memcpy(p, part, n * sizeof *p);
}

VF_INLINE vf activate(vf a, enum recurrent_activation f)
{
    switch (f) {
    case RECURRENT_TANH:
        return vf_tanh(a);
    case RECURRENT_RELU:
        return vf_max(a, vf_set(0));
    case RECURRENT_SIGMOID:
        return vf_sigmoid(a);
    default:
        return a;
    }
}

/* f'(a), given u = f(a) alone. */
VF_INLINE vf slope(vf u, enum recurrent_activation f)
{
    const vf one = vf_set(1), huge = vf_set(0x1p126f);
    switch (f) {
    case RECURRENT_TANH:
        return one - u * u;
    case RECURRENT_RELU: /* 1 above 0, even for the smallest normal number */
        return vf_min(u * huge, one);
    case RECURRENT_SIGMOID:
        return u * (one - u);
    default:
        return one;
    }
}

VF_INLINE void highway_with(const struct recurrent_highway *s, enum recurrent_activation f)
{
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        float *a = s->a + r * 2 * n, *h = s->h + r * n;
        const float *p = s->p + r * n;
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            size_t left = n - i;
            vf g = vf_sigmoid(load_part(a + i, left));
            vf u = activate(load_part(a + n + i, left), f), x = load_part(p + i, left);
            store_part(a + i, g, left);
            store_part(a + n + i, u, left);
            store_part(h + i, FUSED(g, u - x, x), left);
        }
    }
}

static void highway(const struct recurrent_highway *s)
{
    switch (s->activation) {
    case RECURRENT_TANH:
        highway_with(s, RECURRENT_TANH);
        break;
    case RECURRENT_RELU:
        highway_with(s, RECURRENT_RELU);
        break;
    case RECURRENT_SIGMOID:
        highway_with(s, RECURRENT_SIGMOID);
        break;
    default:
        highway_with(s, RECURRENT_IDENTITY);
    }
}

VF_INLINE void highway_back_with(const struct recurrent_highway_back *s,
                                 enum recurrent_activation f)
{
    const vf one = vf_set(1);
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        float *a = s->a + r * 2 * n, *dp = s->dp + r * n;
        const float *p = s->p + r * n, *dh = s->dh + r * n;
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            size_t left = n - i;
            vf g = load_part(a + i, left), u = load_part(a + n + i, left);
            vf d = load_part(dh + i, left), x = load_part(p + i, left);
            store_part(dp + i, FUSED(d, one - g, load_part(dp + i, left)), left);
            store_part(a + i, d * (u - x) * (g * (one - g)), left);
            store_part(a + n + i, d * g * slope(u, f), left);
        }
    }
}

static void highway_back(const struct recurrent_highway_back *s)
{
    switch (s->activation) {
    case RECURRENT_TANH:
        highway_back_with(s, RECURRENT_TANH);
        break;
    case RECURRENT_RELU:
        highway_back_with(s, RECURRENT_RELU);
        break;
    case RECURRENT_SIGMOID:
        highway_back_with(s, RECURRENT_SIGMOID);
        break;
    default:
        highway_back_with(s, RECURRENT_IDENTITY);
    }
}

static void add_scaled(size_t count, float s, const float *x, float *y)
{
    for (size_t i = 0; i < count; i += VF_WIDTH) {
        size_t left = count - i;
        store_part(y + i, FUSED(vf_set(s), load_part(x + i, left), load_part(y + i, left)),
                   left);
    }
}

static void scale(size_t count, float s, const float *x, float *y)
{
    for (size_t i = 0; i < count; i += VF_WIDTH)
        store_part(y + i, vf_set(s) * load_part(x + i, count - i), count - i);
}

static void multiply(size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i += VF_WIDTH)
        store_part(y + i, load_part(x + i, count - i) * load_part(y + i, count - i),
                   count - i);
}

/* Sums and maxima are taken in 4 x VF_WIDTH lanes, then over the lanes. */
VF_INLINE float over_lanes(const vf *v, bool maximum)
{
    float part[4 * VF_WIDTH], result;
    for (int j = 0; j < 4; j++)
        vf_store(part + j * VF_WIDTH, v[j]);
    result = part[0];
    for (int j = 1; j < 4 * VF_WIDTH; j++)
        result = !maximum ? result + part[j] : part[j] > result ? part[j] : result;
    return result;
}

static float maximum_of(size_t count, const float *z)
{
    vf top[4];
    size_t i = 0;
    float best = z[0];
    for (int j = 0; j < 4; j++)
        top[j] = vf_set(z[0]);
    for (; i + 4 * VF_WIDTH <= count; i += 4 * VF_WIDTH)
        for (size_t j = 0; j < 4; j++)
            top[j] = vf_max(top[j], vf_load(z + i + j * VF_WIDTH));
    best = over_lanes(top, true);
    for (; i < count; i++)
        best = z[i] > best ? z[i] : best;
    return best;
}

/* z becomes e^(z - top) where it is kept; returns the sum of these. */
VF_INLINE float exponentials(size_t count, float *z, float top, bool keep)
{
    vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)}, shift = vf_set(top);
    size_t i = 0;
    for (; i + 4 * VF_WIDTH <= count; i += 4 * VF_WIDTH)
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            vf e = vf_exp(vf_load(z + i + j * VF_WIDTH) - shift);
            sum[j] = sum[j] + e;
            if (keep)
                vf_store(z + i + j * VF_WIDTH, e);
        }
    float total = over_lanes(sum, false);
    for (; i < count; i += VF_WIDTH) {
        float part[VF_WIDTH];
        size_t left = count - i < VF_WIDTH ? count - i : VF_WIDTH;
        vf_store(part, vf_exp(load_part(z + i, left) - shift));
        for (size_t j = 0; j < left; j++)
            total += part[j];
        if (keep)
            memcpy(z + i, part, left * sizeof *z);
    }
    return total;
}

static double cross_entropy(size_t count, float *z, size_t target, float weight)
{
    float top = maximum_of(count, z), hit = z[target] - top;
    float sum = weight > 0 ? exponentials(count, z, top, true)
                           : exponentials(count, z, top, false);
    if (weight > 0) {
        scale(count, weight / sum, z, z);
        z[target] -= weight;
    }
    return log((double)sum) - (double)hit;
}

static double sum_of_squares(size_t count, const float *x)
{
    double total = 0;
    for (size_t i = 0; i < count;) {
        vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
        size_t end = count - i < 4096 ? count : i + 4096;
        for (; i + 4 * VF_WIDTH <= end; i += 4 * VF_WIDTH)
            for (size_t j = 0; j < 4; j++) {
                vf v = vf_load(x + i + j * VF_WIDTH);
                sum[j] = FUSED(v, v, sum[j]);
            }
        total += (double)over_lanes(sum, false);
        for (; i < end; i++)
            total += (double)x[i] * (double)x[i];
    }
    return total;
}

static bool runs_here(void)
{
#if defined __AVX512F__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
#elif defined __AVX2__ && defined __FMA__
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

const struct recurrent_kernels PASTE(recurrent_kernels_, RECURRENT_KERNELS) = {
    .name = TEXT(RECURRENT_KERNELS),
    .runs_here = runs_here,
    .panel = PANEL,
    .pack = pack,
    .pack_transposed = pack_transposed,
    .product = product,
    .highway = highway,
    .highway_back = highway_back,
    .add_scaled = add_scaled,
    .scale = scale,
    .multiply = multiply,
    .cross_entropy = cross_entropy,
    .sum_of_squares = sum_of_squares,
};
