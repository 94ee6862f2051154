/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_rig.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct rng rng;

void rig_start(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
}

struct rng *rig_rng(void)
{
    return &rng;
}

size_t draw(size_t from, size_t to)
{
    return from + rng_below(&rng, (uint32_t)(to - from + 1));
}

float *random_floats(size_t count)
{
    float *x = malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

float *copy_of(const float *x, size_t count)
{
    float *y = malloc(count * sizeof *y);
    memcpy(y, x, count * sizeof *y);
    return y;
}

float *result(size_t count, bool add)
{
    float *x = random_floats(count);
    for (size_t i = 0; i < count && !add; i++)
        x[i] = NAN;
    return x;
}

void free_all(float *const *owned, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(owned[i]);
}

size_t floats(size_t rows, size_t row, size_t columns)
{
    return (rows - 1) * row + columns;
}

void assert_near(double value, double exact, double scale)
{
    ck_assert_msg(fabs(value - exact) <= 2e-6 * (1 + scale), "%.9g instead of %.9g",
                  value, exact);
}

void assert_same(const float *a, const float *b, size_t count)
{
    ck_assert_msg(memcmp(a, b, count * sizeof *a) == 0, "other bits");
}

double activate(double a, int f)
{
    switch (f) {
    case RECURRENT_TANH:
        return tanh(a);
    case RECURRENT_RELU:
        return a > 0 ? a : 0;
    case RECURRENT_SIGMOID:
        return 1 / (1 + exp(-a));
    default:
        return a;
    }
}

double slope(double a, int f)
{
    double u = activate(a, f);
    return f == RECURRENT_TANH      ? 1 - u * u
           : f == RECURRENT_SIGMOID ? u * (1 - u)
           : f == RECURRENT_RELU    ? a > 0
                                    : 1;
}
