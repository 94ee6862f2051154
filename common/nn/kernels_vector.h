/* SPDX-License-Identifier: Apache-2.0 */
/* Vector kernels, written once for any vector width; kernels_avx2.c and the like define
 *
 *   VECTOR_LANES          floats in a vector
 *   VECTOR_ROWS_1, _2, _3 rows of a register block that is 1, 2, 3 vectors wide
 *
 * and include this file. All three passes of a convolution are one product of matrices,
 * C (rows x columns) = A * B, whose operands are read where they lie: A by scalars that
 * are broadcast, B by vectors. There is no im2col and no halo; see kernels_vector_conv.h.
 */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/nn/kernels.h"

enum { LANES = VECTOR_LANES, ROWS_MAX = 8, WIDTH_MAX = 3 };
typedef float vector __attribute__((vector_size(VECTOR_LANES * 4)));
typedef int mask __attribute__((vector_size(VECTOR_LANES * 4)));
/* As it lies in memory: not aligned. */
typedef float vector_at
    __attribute__((vector_size(VECTOR_LANES * 4), aligned(4), may_alias));

static inline vector load(const float *at)
{
    return *(const vector_at *)at;
}

static inline void store(float *at, vector v)
{
    *(vector_at *)at = v;
}

/* Zero where the condition does not hold. */
static inline vector keep(vector v, mask condition)
{
    return (vector)((mask)v & condition);
}

/* Blocks live in registers only when their loops are unrolled. Instrumented for a
 * sanitizer that takes minutes to compile, so there they stay loops. */
#ifdef __SANITIZE_ADDRESS__
#define UNROLL_3
#define UNROLL_8
#else
#define UNROLL_3 _Pragma("GCC unroll 3")
#define UNROLL_8 _Pragma("GCC unroll 8")
#endif

/* One register block: up to ROWS_MAX rows times `width` vectors. The inner dimension of
 * the product is three nested loops over count[0] x count[1] x count[2] steps. */
struct block {
    const float *a[ROWS_MAX]; /* first element of each row of A */
    float *c[ROWS_MAX];       /* each row of C */
    const float *b;           /* first row of B */
    int count[3];
    ptrdiff_t a_move[2], b_move[2]; /* floats between steps of the two outer loops */
    ptrdiff_t a_step, b_step;       /* of the innermost; see multiply */
    int columns;                    /* of C that exist, at most width * LANES */
    bool add;                       /* to C, instead of writing it */
    const float *bias;              /* width * LANES floats to start from; NULL: zeros */
    bool relu;
};

static inline __attribute__((always_inline)) void
store_row(float *c, const vector *acc, int width, const struct block *p)
{
    UNROLL_3
    for (int z = 0; z < width; z++) {
        int left = p->columns - z * LANES;
        float *at = c + z * LANES;
        vector v = p->relu ? keep(acc[z], ~(acc[z] < 0)) : acc[z];
        if (left >= LANES) {
            store(at, p->add ? load(at) + v : v);
        } else {
            float part[LANES];
            store(part, v);
            for (int i = 0; i < left; i++)
                at[i] = p->add ? at[i] + part[i] : part[i];
        }
    }
}

/* rows, width, packed are constants wherever this is inlined. `packed`: A's rows are
 * anywhere, contiguous in the inner dimension, and B was packed with rows of `width`
 * vectors. Otherwise A's rows are neighbours in memory, and a_step, b_step apply. */
static inline __attribute__((always_inline)) void
multiply(int rows, int width, bool packed, const struct block *p)
{
    vector acc[ROWS_MAX][WIDTH_MAX];
    const ptrdiff_t a_step = packed ? 1 : p->a_step;
    const ptrdiff_t b_step = packed ? width * LANES : p->b_step;
    const float *a[ROWS_MAX];
    UNROLL_8
    for (int m = 0; m < rows; m++) {
        a[m] = packed ? p->a[m] : p->a[0] + m;
        UNROLL_3
        for (int z = 0; z < width; z++)
            acc[m][z] = p->bias ? load(p->bias + z * LANES) : (vector){0};
    }
    for (int i = 0; i < p->count[0]; i++) {
        for (int j = 0; j < p->count[1]; j++) {
            const float *b = p->b + i * p->b_move[0] + j * p->b_move[1];
            ptrdiff_t at = i * p->a_move[0] + j * p->a_move[1];
            for (int k = p->count[2]; k > 0; k--) {
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
                at += a_step;
                b += b_step;
            }
        }
    }
    UNROLL_8
    for (int m = 0; m < rows; m++)
        store_row(p->c[m], acc[m], width, p);
}

/* The most rows that the registers hold at a width. */
static inline int block_rows(int width)
{
    return width == 1 ? VECTOR_ROWS_1 : width == 2 ? VECTOR_ROWS_2 : VECTOR_ROWS_3;
}

#ifndef __SANITIZE_ADDRESS__
/* One function per width with every number of rows up to block_rows as its own code. */
#define BLOCK_CASE(ROWS, WIDTH, PACKED)       \
    case ROWS:                                \
        if (ROWS <= VECTOR_ROWS_##WIDTH)      \
            multiply(ROWS, WIDTH, PACKED, p); \
        break;
#define BLOCK_FUNCTION(NAME, WIDTH, PACKED)                     \
    static void NAME##_##WIDTH(int rows, const struct block *p) \
    {                                                           \
        switch (rows) {                                         \
            BLOCK_CASE(1, WIDTH, PACKED)                        \
            BLOCK_CASE(2, WIDTH, PACKED)                        \
            BLOCK_CASE(3, WIDTH, PACKED)                        \
            BLOCK_CASE(4, WIDTH, PACKED)                        \
            BLOCK_CASE(5, WIDTH, PACKED)                        \
            BLOCK_CASE(6, WIDTH, PACKED)                        \
            BLOCK_CASE(7, WIDTH, PACKED)                        \
            BLOCK_CASE(8, WIDTH, PACKED)                        \
        default:                                                \
            break;                                              \
        }                                                       \
    }
#else
#define BLOCK_FUNCTION(NAME, WIDTH, PACKED)                     \
    static void NAME##_##WIDTH(int rows, const struct block *p) \
    {                                                           \
        multiply(rows, WIDTH, PACKED, p);                       \
    }
#endif
BLOCK_FUNCTION(packed, 1, true)
BLOCK_FUNCTION(packed, 2, true)
BLOCK_FUNCTION(packed, 3, true)
BLOCK_FUNCTION(plain, 1, false)
BLOCK_FUNCTION(plain, 2, false)
BLOCK_FUNCTION(plain, 3, false)

typedef void (*block_function)(int rows, const struct block *p);
static const block_function packed_blocks[] = {NULL, packed_1, packed_2, packed_3};
static const block_function plain_blocks[] = {NULL, plain_1, plain_2, plain_3};

/* Columns are cut into strips of 3, 2 or 1 vectors; 4 vectors make two strips of 2. */
struct strip {
    int column;  /* first */
    int width;   /* vectors; 0 after the last strip */
    int columns; /* that exist */
};

static inline int vectors_of(int columns)
{
    return (columns + LANES - 1) / LANES;
}

static inline struct strip strip_at(int columns, int column)
{
    int left = vectors_of(columns - column);
    int width = left == 4 ? 2 : left > 3 ? 3 : left;
    int exist = columns - column < width * LANES ? columns - column : width * LANES;
    return (struct strip){column, width, exist};
}

static inline struct strip strip_next(int columns, struct strip s)
{
    int column = s.column + s.width * LANES;
    return column < columns ? strip_at(columns, column) : (struct strip){columns, 0, 0};
}

#endif
