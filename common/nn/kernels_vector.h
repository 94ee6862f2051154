/* SPDX-License-Identifier: Apache-2.0 */
/* Vector kernels, written once for any vector width; kernels_avx2.c and the like define
 *
 *   VECTOR_LANES          floats in a vector
 *   VECTOR_ROWS_1, _2, _3 rows of a register block that is 1, 2, 3 vectors wide
 *
 * and include this file, then those with the passes. All three passes of a convolution
 * are a product of matrices, C (rows x columns) = A * B: A is read where it lies, by
 * scalars that are broadcast; B was packed and is read by vectors. There is no im2col and
 * no halo.
 *
 * Columns are cut into strips of up to 3 vectors. A strip may end in half a vector, which
 * shares a register with another half instead of wasting it: see load_pair. */
#ifndef ARCHWAY_COMMON_NN_KERNELS_VECTOR_H
#define ARCHWAY_COMMON_NN_KERNELS_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/nn/kernels.h"

enum {
    LANES = VECTOR_LANES,
    HALF = LANES / 2,
    ROWS_MAX = 8,
    WIDTH_MAX = 3,            /* vectors */
    UNITS_MAX = 2 * WIDTH_MAX /* halves */
};
typedef float vector __attribute__((vector_size(VECTOR_LANES * 4)));
typedef int mask __attribute__((vector_size(VECTOR_LANES * 4)));
typedef long long pairs __attribute__((vector_size(VECTOR_LANES * 4)));
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

/* at[0], at[1], at[0], at[1], ... */
static inline vector load_pair(const float *at)
{
    long long pair;
    memcpy(&pair, at, sizeof pair);
    return (vector)((pairs){0} | pair);
}

/* The next lines of what the caller reads next. */
static inline void fetch_ahead(struct nn_ahead *ahead, int lines)
{
    enum { LINE = 64 };
    while (ahead && lines > 0 && ahead->count > 0) {
        const char *at = ahead->ranges[ahead->count - 1].at;
        const char *end = ahead->ranges[ahead->count - 1].end;
        for (; lines > 0 && at < end; lines--, at += LINE)
            __builtin_prefetch(at, 0, 2);
        ahead->ranges[ahead->count - 1].at = at;
        ahead->count -= at >= end;
    }
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

/* The most rows that the registers hold. */
static inline __attribute__((always_inline)) int block_rows(int units)
{
    return units > 4 ? VECTOR_ROWS_3 : units > 2 ? VECTOR_ROWS_2 : VECTOR_ROWS_1;
}

/* BLOCK_FUNCTIONS(NAME, MULTIPLY, BLOCK): NAME[units](rows, block) calls
 * MULTIPLY(rows, units, block), which must be inlined, with constants. */
#ifndef __SANITIZE_ADDRESS__
#define BLOCK_CASE(ROWS, UNITS, MULTIPLY) \
    case ROWS:                            \
        if (ROWS <= block_rows(UNITS))    \
            MULTIPLY(ROWS, UNITS, p);     \
        break;
#define BLOCK_FUNCTION(NAME, UNITS, MULTIPLY, BLOCK)     \
    static void NAME##_##UNITS(int rows, const BLOCK *p) \
    {                                                    \
        switch (rows) {                                  \
            BLOCK_CASE(1, UNITS, MULTIPLY)               \
            BLOCK_CASE(2, UNITS, MULTIPLY)               \
            BLOCK_CASE(3, UNITS, MULTIPLY)               \
            BLOCK_CASE(4, UNITS, MULTIPLY)               \
            BLOCK_CASE(5, UNITS, MULTIPLY)               \
            BLOCK_CASE(6, UNITS, MULTIPLY)               \
            BLOCK_CASE(7, UNITS, MULTIPLY)               \
            BLOCK_CASE(8, UNITS, MULTIPLY)               \
        default:                                         \
            break;                                       \
        }                                                \
    }
#else
#define BLOCK_FUNCTION(NAME, UNITS, MULTIPLY, BLOCK)     \
    static void NAME##_##UNITS(int rows, const BLOCK *p) \
    {                                                    \
        MULTIPLY(rows, UNITS, p);                        \
    }
#endif
#define BLOCK_FUNCTIONS(NAME, MULTIPLY, BLOCK)                \
    BLOCK_FUNCTION(NAME, 1, MULTIPLY, BLOCK)                  \
    BLOCK_FUNCTION(NAME, 2, MULTIPLY, BLOCK)                  \
    BLOCK_FUNCTION(NAME, 3, MULTIPLY, BLOCK)                  \
    BLOCK_FUNCTION(NAME, 4, MULTIPLY, BLOCK)                  \
    BLOCK_FUNCTION(NAME, 5, MULTIPLY, BLOCK)                  \
    BLOCK_FUNCTION(NAME, 6, MULTIPLY, BLOCK)                  \
    static void (*const NAME[])(int rows, const BLOCK *p) = { \
        NULL, NAME##_1, NAME##_2, NAME##_3, NAME##_4, NAME##_5, NAME##_6}

struct strip {
    int column;  /* first */
    int units;   /* half vectors; 0 after the last strip */
    int columns; /* that exist */
};

/* 4 vectors make two strips of 2; a strip with a half is as wide as it can be, since
 * narrow ones load more than they compute. */
static inline int strip_units(int left)
{
    if (left % 2) {
        if (left <= 5)
            return left;
        left = left == 7 ? 4 : left - 5;
    }
    return left == 8 ? 4 : left > 6 ? 6 : left;
}

static inline struct strip strip_at(int columns, int column, bool halves)
{
    int left = columns - column;
    int units =
        strip_units(halves ? (left + HALF - 1) / HALF : 2 * ((left + LANES - 1) / LANES));
    int exist = left < units * HALF ? left : units * HALF;
    return (struct strip){column, units, exist};
}

static inline struct strip strip_next(int columns, struct strip s, bool halves)
{
    int column = s.column + s.units * HALF;
    return column < columns ? strip_at(columns, column, halves)
                            : (struct strip){columns, 0, 0};
}

/* Floats of all strips in a row of B. */
static inline int strip_floats(int columns, bool halves)
{
    int unit = halves ? HALF : LANES;
    return (columns + unit - 1) / unit * unit;
}

#endif
