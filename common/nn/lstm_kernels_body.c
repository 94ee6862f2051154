/* SPDX-License-Identifier: Apache-2.0 */
/* The LSTM's inner loops, compiled once per instruction set: the build defines
 * LSTM_KERNELS (the table's name) and the compiler's options choose simd.h's vectors.
 *
 * The product keeps a tile of up to 8 rows by 48 columns in registers and walks k once, so
 * B is read from the first-level cache once per 8 rows and C is touched twice. There is no
 * blocking over k: it would change nothing for the sizes of a controller and would have to
 * keep the order of the sums. Units stand in the lanes of the cell's loops; the gates of
 * one unit are `hidden` floats apart, so loads are unaligned and run into the next gate's
 * columns at the end of each, which is why buffers have slack. */
#include "common/nn/lstm_kernels.h"

#include <string.h>

#include "common/nn/simd.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)

enum { PER_BLOCK = LSTM_LANES / VF_WIDTH, ROWS_MAX = VF_WIDTH == 16 ? 8 : 2 };

/* One tile: `rows` x `blocks` * 16 elements of C; both are constants where it is inlined. */
VF_INLINE void tile(const struct lstm_product *p, size_t row, size_t column, int rows,
                    int blocks)
{
    const int vectors = blocks * PER_BLOCK;
    vf acc[ROWS_MAX][3 * PER_BLOCK];
    const float *a = p->a + row * p->a_row, *b = p->b + column;
    float *c = p->c + row * p->c_row + column;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 12
        for (int j = 0; j < vectors; j++)
            acc[i][j] = vf_load(c + (size_t)i * p->c_row + (size_t)(j * VF_WIDTH));
    for (size_t k = 0; k < p->k; k++, a += p->a_column, b += p->b_row) {
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            vf x = vf_set(a[(size_t)i * p->a_row]);
#pragma GCC unroll 12
            for (int j = 0; j < vectors; j++)
                acc[i][j] = vf_fma(x, vf_load(b + j * VF_WIDTH), acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 12
        for (int j = 0; j < vectors; j++)
            vf_store(c + (size_t)i * p->c_row + (size_t)(j * VF_WIDTH), acc[i][j]);
}

VF_INLINE void panel(const struct lstm_product *p, size_t column, int blocks)
{
    size_t row = 0;
#if defined __AVX512F__
    for (; row + 8 <= p->m; row += 8)
        tile(p, row, column, 8, blocks);
    if (row + 4 <= p->m) {
        tile(p, row, column, 4, blocks);
        row += 4;
    }
#endif
    for (; row + 2 <= p->m; row += 2)
        tile(p, row, column, 2, blocks);
    if (row < p->m)
        tile(p, row, column, 1, blocks);
}

static void product(const struct lstm_product *p)
{
    size_t column = 0;
    for (; column + 2 * LSTM_LANES < p->n; column += 3 * LSTM_LANES)
        panel(p, column, 3);
    if (column + LSTM_LANES < p->n)
        panel(p, column, 2);
    else if (column < p->n)
        panel(p, column, 1);
}

static void cell(const struct lstm_cell *p)
{
    size_t width = lstm_pad(p->hidden);
    for (size_t r = 0; r < p->rows; r++) {
        const float *gate = p->gates + r * p->gates_row, *c_prev = p->c_prev + r * width;
        float *act = p->acts + r * p->acts_row;
        float *c_out = p->c + r * width, *h_out = p->h + r * width;
        for (size_t u = 0; u < width; u += VF_WIDTH) {
            vf i = vf_sigmoid(vf_load(gate + u));
            vf f = vf_sigmoid(vf_load(gate + p->hidden + u));
            vf g = vf_tanh(vf_load(gate + 2 * p->hidden + u));
            vf o = vf_sigmoid(vf_load(gate + 3 * p->hidden + u));
            vf c = vf_fma(i, g, f * vf_load(c_prev + u));
            vf tc = vf_tanh(c);
            vf_store(act + u, i);
            vf_store(act + width + u, f);
            vf_store(act + 2 * width + u, g);
            vf_store(act + 3 * width + u, o);
            vf_store(act + 4 * width + u, tc);
            vf_store(c_out + u, c);
            vf_store(h_out + u, o * tc);
        }
    }
}

/* h = o tanh(c), c = f c_prev + i g; gradients in front of the activations. */
VF_INLINE void unit_back(const float *act, size_t width, const float *c_prev,
                         const float *dh_in, float *dc_io, float *const out[4])
{
    const vf one = vf_set(1.0f);
    vf i = vf_load(act), f = vf_load(act + width), g = vf_load(act + 2 * width);
    vf o = vf_load(act + 3 * width), tc = vf_load(act + 4 * width);
    vf dh = vf_load(dh_in);
    vf dc = vf_fma(dh * o, one - tc * tc, vf_load(dc_io));
    vf_store(out[0], dc * g * (i * (one - i)));
    vf_store(out[1], dc * vf_load(c_prev) * (f * (one - f)));
    vf_store(out[2], dc * i * (one - g * g));
    vf_store(out[3], dh * tc * (o * (one - o)));
    vf_store(dc_io, dc * f);
}

static void cell_back(const struct lstm_cell_back *p)
{
    size_t width = lstm_pad(p->hidden);
    for (size_t r = 0; r < p->rows; r++) {
        float *d = p->dgates + r * p->dgates_row;
        for (size_t u = 0; u < p->hidden; u += VF_WIDTH) {
            float part[4][VF_WIDTH], *const out[4] = {part[0], part[1], part[2], part[3]};
            size_t left = p->hidden - u, at = r * width + u;
            size_t size = (left < VF_WIDTH ? left : VF_WIDTH) * sizeof(float);
            unit_back(p->acts + r * p->acts_row + u, width, p->c_prev + at, p->dh + at,
                      p->dc + at, out);
            for (size_t gate = 0; gate < 4; gate++)
                memcpy(d + gate * p->hidden + u, part[gate], size);
        }
    }
}

static void exp_all(float *x, size_t count)
{
    for (size_t i = 0; i < count; i += VF_WIDTH)
        vf_store(x + i, vf_exp(vf_load(x + i)));
}

static void tanh_all(float *x, size_t count)
{
    for (size_t i = 0; i < count; i += VF_WIDTH)
        vf_store(x + i, vf_tanh(vf_load(x + i)));
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

const struct lstm_kernels PASTE(lstm_kernels_, LSTM_KERNELS) = {
    .name = TEXT(LSTM_KERNELS),
    .runs_here = runs_here,
    .product = product,
    .cell = cell,
    .cell_back = cell_back,
    .exp = exp_all,
    .tanh = tanh_all,
};
