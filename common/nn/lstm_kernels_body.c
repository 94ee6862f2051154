/* SPDX-License-Identifier: Apache-2.0 */
/* The LSTM's inner loops, compiled once per instruction set: the build defines
 * LSTM_KERNELS (the table's name) and the compiler's options choose simd.h's vectors.
 *
 * The product keeps a tile of rows and columns in registers and walks k in blocks, so
 * that the part of B at hand stays in the first-level cache. Units stand in the lanes of
 * the cell's loops; the gates of one unit are `hidden` floats apart, so loads are
 * unaligned and run into the next gate's columns at the end of each, which is why buffers
 * have slack. */
#include "common/nn/lstm_kernels.h"

#include <string.h>

#include "common/nn/simd.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)

/* A tile is ROWS x 3 vectors, which with its operands fills the registers; a single row
 * is 9 vectors wide instead, so that enough sums are on their way at once. */
enum { ROWS = VF_WIDTH == 16 ? 8 : 4, WIDE = 9, TILE_MAX = 3 * ROWS, BLOCK = 96 };

/* `rows` x `vectors` of C; both are constants where it is inlined. */
VF_INLINE void tile(const struct lstm_product *p, size_t row, size_t column, int rows,
                    int vectors)
{
    vf acc[TILE_MAX];
    const float *a = p->a + row * p->a_row, *b = p->b + column;
    float *c = p->c + row * p->c_row + column;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 9
        for (int j = 0; j < vectors; j++)
            acc[i * vectors + j] = vf_load(c + (size_t)i * p->c_row + j * VF_WIDTH);
    for (size_t k = 0; k < p->k; k++, a += p->a_column, b += p->b_row) {
        vf y[WIDE];
#pragma GCC unroll 9
        for (int j = 0; j < vectors; j++)
            y[j] = vf_load(b + j * VF_WIDTH);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            vf x = vf_set(a[(size_t)i * p->a_row]);
#pragma GCC unroll 9
            for (int j = 0; j < vectors; j++)
                acc[i * vectors + j] = vf_fma(x, y[j], acc[i * vectors + j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 9
        for (int j = 0; j < vectors; j++)
            vf_store(c + (size_t)i * p->c_row + j * VF_WIDTH, acc[i * vectors + j]);
}

/* All rows of `vectors` vectors of columns. */
VF_INLINE void panel(const struct lstm_product *p, size_t column, int vectors)
{
    size_t row = 0;
    for (; row + ROWS <= p->m; row += ROWS)
        tile(p, row, column, ROWS, vectors);
    if (ROWS == 8 && row + 4 <= p->m) {
        tile(p, row, column, 4, vectors);
        row += 4;
    }
    if (row + 3 == p->m)
        tile(p, row, column, 3, vectors);
    else if (row + 2 == p->m)
        tile(p, row, column, 2, vectors);
    else if (row < p->m)
        tile(p, row, column, 1, vectors);
}

/* The product over one block of k. */
static void product_block(const struct lstm_product *p)
{
    size_t column = 0, end = (p->n + VF_WIDTH - 1) / VF_WIDTH * VF_WIDTH;
    for (; p->m == 1 && column + WIDE * VF_WIDTH <= end; column += WIDE * VF_WIDTH)
        tile(p, 0, column, 1, WIDE);
    for (; column + 3 * VF_WIDTH <= end; column += 3 * VF_WIDTH)
        panel(p, column, 3);
    if (column + 2 * VF_WIDTH <= end)
        panel(p, column, 2);
    else if (column < end)
        panel(p, column, 1);
}

/* Blocks of k are added to C one after the other, which changes no sum's order. */
static void product(const struct lstm_product *p)
{
    struct lstm_product block = *p;
    size_t blocks = (p->k + BLOCK - 1) / BLOCK;
    for (size_t i = 0; i < blocks; i++) {
        size_t first = p->k * i / blocks;
        block.k = p->k * (i + 1) / blocks - first;
        block.a = p->a + first * p->a_column;
        block.b = p->b + first * p->b_row;
        product_block(&block);
    }
}

/* Gates and c of one row; then h. Two loops, because tanh(c) waits for all of the first
 * one's operations and few of them fit into the processor's window at once. */
VF_INLINE void cell_row(const float *gate, size_t hidden, const float *c_prev, float *act,
                        float *c_out, float *h_out)
{
    size_t width = lstm_pad(hidden);
    for (size_t u = 0; u < hidden; u += VF_WIDTH) {
        vf i = vf_sigmoid(vf_load(gate + u));
        vf f = vf_sigmoid(vf_load(gate + hidden + u));
        vf g = vf_tanh(vf_load(gate + 2 * hidden + u));
        vf o = vf_sigmoid(vf_load(gate + 3 * hidden + u));
        vf_store(act + u, i);
        vf_store(act + width + u, f);
        vf_store(act + 2 * width + u, g);
        vf_store(act + 3 * width + u, o);
        vf_store(c_out + u, vf_fma(i, g, f * vf_load(c_prev + u)));
    }
    for (size_t u = 0; u < hidden; u += VF_WIDTH) {
        vf tc = vf_tanh(vf_load(c_out + u));
        vf_store(act + 4 * width + u, tc);
        vf_store(h_out + u, vf_load(act + 3 * width + u) * tc);
    }
}

static void cell(const struct lstm_cell *p)
{
    size_t width = lstm_pad(p->hidden);
    for (size_t r = 0; r < p->rows; r++)
        cell_row(p->gates + r * p->gates_row, p->hidden, p->c_prev + r * width,
                 p->acts + r * p->acts_row, p->c + r * width, p->h + r * width);
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

const struct lstm_kernels PASTE(lstm_kernels_, LSTM_KERNELS) = {
    .name = TEXT(LSTM_KERNELS),
    .runs_here = vf_runs_here,
    .product = product,
    .cell = cell,
    .cell_back = cell_back,
    .exp = exp_all,
    .tanh = tanh_all,
};
