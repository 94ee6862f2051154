/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sort.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "unit.h"

enum { MANY = 3000 };

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Few different ones when `few`, of both signs and many magnitudes otherwise. */
static void fill(double *v, size_t n, uint64_t seed, bool few)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, n);
    for (size_t i = 0; i < n; i++)
        v[i] = few ? rng_below(&rng, 5) - 2.0
                   : (rng_double(&rng) - 0.5) * exp(40 * (rng_double(&rng) - 0.5));
}

START_TEST(nothing_and_one_are_sorted)
{
    double one = 3;
    size_t order = 7;
    ck_assert_int_eq(sort_doubles(NULL, 0), 0);
    ck_assert_int_eq(sort_order(NULL, 0, NULL), 0);
    ck_assert_int_eq(sort_doubles(&one, 1), 0);
    ck_assert_double_eq(one, 3);
    ck_assert_int_eq(sort_order(&one, 1, &order), 0);
    ck_assert_uint_eq(order, 0);
}
END_TEST

START_TEST(more_than_memory_can_hold_is_refused)
{
    double v[2] = {2, 1};
    ck_assert_int_eq(sort_order(v, SIZE_MAX / 4, NULL), -1);
    ck_assert_double_eq(v[0], 2);
}
END_TEST

START_TEST(numbers_ascend_as_a_comparison_sorts_them)
{
    double v[MANY], expected[MANY];
    for (size_t n = 2; n <= MANY; n = n * 3 / 2 + 1) {
        for (int few = 0; few < 2; few++) {
            fill(v, n, 11, few);
            memcpy(expected, v, n * sizeof *v);
            qsort(expected, n, sizeof *v, ascending);
            ck_assert_int_eq(sort_doubles(v, n), 0);
            ck_assert_mem_eq(v, expected, n * sizeof *v);
        }
    }
}
END_TEST

START_TEST(infinities_and_zeros_have_their_places)
{
    double v[] = {INFINITY, 0.0, -1, -0.0, -INFINITY, 5e-324, -5e-324};
    ck_assert_int_eq(sort_doubles(v, 7), 0);
    ck_assert(isinf(v[0]) && v[0] < 0 && isinf(v[6]) && v[6] > 0);
    ck_assert_double_eq(v[1], -1);
    ck_assert_double_eq(v[2], -5e-324);
    ck_assert(v[3] == 0 && v[4] == 0);
    ck_assert_double_eq(v[5], 5e-324);
}
END_TEST

START_TEST(equal_keys_keep_their_order)
{
    static double keys[MANY];
    static size_t order[MANY];
    fill(keys, MANY, 12, true);
    ck_assert_int_eq(sort_order(keys, MANY, order), 0);
    for (size_t i = 1; i < MANY; i++) {
        double a = keys[order[i - 1]], b = keys[order[i]];
        ck_assert(a < b || (a == b && order[i - 1] < order[i]));
    }
}
END_TEST

UNIT_MAIN("sort", nothing_and_one_are_sorted, more_than_memory_can_hold_is_refused,
          numbers_ascend_as_a_comparison_sorts_them,
          infinities_and_zeros_have_their_places, equal_keys_keep_their_order)
