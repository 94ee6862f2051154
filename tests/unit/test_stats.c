/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stats.h"
#include "unit.h"

#include <math.h>

#include "common/rng.h"
#include "tests/golden/stats_golden.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void ck_relative(double found, double expected, double tolerance)
{
    ck_assert_msg(fabs(found - expected) <= tolerance * fabs(expected) + 1e-300,
                  "%.17g is not %.17g", found, expected);
}

START_TEST(too_little_has_no_answer)
{
    static const double v[] = {1, 2, 3}, same[] = {5, 5, 5}, bad[] = {1, NAN, 3};
    struct stats_interval interval = {7, 7, 7};
    struct stats_mann_whitney test = {7, 7, 7, false};
    ck_assert(isnan(stats_mean(v, 0)));
    ck_assert(isnan(stats_variance(v, 1)));
    ck_assert(isnan(stats_quantile(v, 0, 0.5)));
    ck_assert(isnan(stats_quantile(v, 3, -0.1)));
    ck_assert(isnan(stats_quantile(v, 3, 1.1)));
    ck_assert(isnan(stats_quantile(bad, 3, 0.5)));
    ck_assert(isnan(stats_expected_best(v, 3, 0)));
    ck_assert(isnan(stats_expected_best(v, 3, 4)));
    ck_assert(isnan(stats_expected_best(bad, 3, 2)));
    ck_assert(isnan(stats_student_quantile(0, 5)) && isnan(stats_student_quantile(1, 5)));
    ck_assert(isnan(stats_student_quantile(NAN, 5)));
    ck_assert(isnan(stats_student_quantile(0.9, 2.9)));
    ck_assert(isnan(stats_spearman(v, same, 3)));
    ck_assert(isnan(stats_spearman(v, bad, 3)));
    ck_assert(isnan(stats_spearman(v, v, 2)));
    ck_assert(!stats_mann_whitney(v, 0, v, 3, &test));
    ck_assert(!stats_mann_whitney(v, 3, v, 0, &test));
    ck_assert(!stats_mann_whitney(same, 3, same, 2, &test));
    ck_assert(!stats_mann_whitney(v, 3, bad, 3, &test));
    ck_assert(!stats_bootstrap_difference(v, 1, v, 3, 0.95, 100, 1, &interval));
    ck_assert(!stats_bootstrap_difference(v, 3, v, 1, 0.95, 100, 1, &interval));
    ck_assert(!stats_bootstrap_difference(v, 3, v, 3, 1, 100, 1, &interval));
    ck_assert(!stats_bootstrap_difference(v, 3, v, 3, 0.95, 0, 1, &interval));
    ck_assert(!stats_bootstrap_difference(v, 3, bad, 3, 0.95, 100, 1, &interval));
    ck_assert(interval.low == 7 && test.p == 7);
}
END_TEST

START_TEST(mann_whitney_agrees_with_scipy)
{
    for (size_t i = 0; i < COUNT(golden_mann_whitney); i++) {
        struct stats_mann_whitney test;
        double na = (double)golden_mann_whitney[i].na,
               nb = (double)golden_mann_whitney[i].nb;
        ck_assert(stats_mann_whitney(golden_mann_whitney[i].a, golden_mann_whitney[i].na,
                                     golden_mann_whitney[i].b, golden_mann_whitney[i].nb,
                                     &test));
        ck_assert_double_eq(test.u, golden_mann_whitney[i].u);
        ck_assert_int_eq(test.exact, golden_mann_whitney[i].exact);
        ck_relative(test.p, golden_mann_whitney[i].p, 1e-11);
        ck_relative(test.effect, golden_mann_whitney[i].u / (na * nb), 1e-15);
    }
}
END_TEST

START_TEST(mann_whitney_is_symmetric)
{
    for (size_t i = 0; i < COUNT(golden_mann_whitney); i++) {
        struct stats_mann_whitney test, swapped;
        const double *a = golden_mann_whitney[i].a, *b = golden_mann_whitney[i].b;
        size_t na = golden_mann_whitney[i].na, nb = golden_mann_whitney[i].nb;
        ck_assert(stats_mann_whitney(a, na, b, nb, &test));
        ck_assert(stats_mann_whitney(b, nb, a, na, &swapped));
        ck_assert_double_eq(test.p, swapped.p);
        ck_relative(test.effect, 1 - swapped.effect, 1e-12);
    }
}
END_TEST

START_TEST(spearman_agrees_with_scipy)
{
    static const double up[] = {1, 2, 30, 31}, down[] = {9, 8, -5, -6};
    for (size_t i = 0; i < COUNT(golden_spearman); i++) {
        double rho = stats_spearman(golden_spearman[i].a, golden_spearman[i].b,
                                    golden_spearman[i].n);
        ck_assert_double_eq_tol(rho, golden_spearman[i].rho, 1e-13);
    }
    ck_assert_double_eq_tol(stats_spearman(up, up, 4), 1, 1e-15);
    ck_assert_double_eq_tol(stats_spearman(up, down, 4), -1, 1e-15);
}
END_TEST

START_TEST(moments_and_quantiles_agree_with_numpy)
{
    static const double shifted[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
    static const double infinite[] = {1, 2, INFINITY};
    ck_relative(stats_mean(sample, COUNT(sample)), golden_mean, 1e-15);
    ck_relative(stats_variance(sample, COUNT(sample)), golden_variance, 1e-13);
    ck_assert_double_eq(stats_variance(shifted, 4), 30);
    for (size_t i = 0; i < COUNT(golden_quantiles); i++)
        ck_relative(stats_quantile(sample, COUNT(sample), golden_quantiles[i].p),
                    golden_quantiles[i].quantile, 1e-15);
    ck_assert_double_eq(stats_quantile(infinite, 3, 0.5), 2);
    ck_assert_double_eq(stats_quantile(sample, 1, 0.3), sample[0]);
}
END_TEST

START_TEST(expected_best_agrees_with_exact_fractions)
{
    for (size_t i = 0; i < COUNT(golden_expected_best); i++)
        ck_relative(stats_expected_best(sample, golden_expected_best[i].n,
                                        golden_expected_best[i].k),
                    golden_expected_best[i].best, 1e-13);
}
END_TEST

/* The weights are a distribution: the expected best of equal values is the value, also
 * where binomials are far beyond the range of a double. */
START_TEST(expected_best_is_stable_for_large_samples)
{
    enum { N = 100000 };
    static const size_t draws[] = {1, 2, 100, 5000, N / 2, N - 1, N};
    double *v = malloc(N * sizeof *v);
    for (size_t i = 0; i < N; i++)
        v[i] = 0.7;
    for (size_t i = 0; i < COUNT(draws); i++)
        ck_relative(stats_expected_best(v, N, draws[i]), 0.7, 1e-9);
    for (size_t i = 0; i < N; i++)
        v[i] = (double)i;
    for (size_t i = 0; i < COUNT(draws); i++) /* E max = k (n + 1) / (k + 1) of 1..n */
        ck_relative(stats_expected_best(v, N, draws[i]) + 1,
                    (double)draws[i] * (N + 1) / ((double)draws[i] + 1), 1e-9);
    free(v);
}
END_TEST

START_TEST(bootstrap_repeats_with_its_seed)
{
    struct stats_interval x, y, z;
    const double *a = sample, *b = sample + 30;
    ck_assert(stats_bootstrap_difference(a, 30, b, 50, 0.95, 2000, 7, &x));
    ck_assert(stats_bootstrap_difference(a, 30, b, 50, 0.95, 2000, 7, &y));
    ck_assert(stats_bootstrap_difference(a, 30, b, 50, 0.95, 2000, 8, &z));
    ck_assert_double_eq(x.low, y.low);
    ck_assert_double_eq(x.high, y.high);
    ck_assert(x.low != z.low || x.high != z.high);
    ck_assert_double_eq_tol(x.estimate, stats_mean(a, 30) - stats_mean(b, 50), 1e-15);
    ck_assert(x.low < x.estimate && x.estimate < x.high);
    double width =
        2 * 1.96 * sqrt(stats_variance(a, 30) / 30 + stats_variance(b, 50) / 50);
    ck_assert_double_eq_tol((x.high - x.low) / width, 1, 0.1);
    ck_assert(stats_bootstrap_difference(a, 30, b, 50, 0.5, 2000, 7, &y));
    ck_assert_double_lt(y.high - y.low, 0.5 * (x.high - x.low));
}
END_TEST

/* A 90 % interval holds the true difference in about 90 % of experiments; the percentile
 * interval of 25 values a side is known to be a little short. */
START_TEST(bootstrap_covers_the_truth)
{
    int covered = 0;
    enum { EXPERIMENTS = 400 };
    for (uint64_t i = 0; i < EXPERIMENTS; i++) {
        struct stats_interval interval;
        struct rng rng;
        double a[25], b[25];
        rng_init(&rng, 3, RNG_TEST, i);
        for (int j = 0; j < 25; j++) {
            a[j] = 0.5 + rng_normal(&rng);
            b[j] = rng_normal(&rng);
        }
        ck_assert(stats_bootstrap_difference(a, 25, b, 25, 0.9, 500, i, &interval));
        covered += interval.low <= 0.5 && 0.5 <= interval.high;
    }
    ck_assert_double_eq_tol((double)covered / EXPERIMENTS, 0.885, 0.045);
}
END_TEST

/* Of printed tables; they have three decimals. */
START_TEST(student_agrees_with_tables)
{
    static const struct {
        double p, freedom, t, within;
    } table[] = {
        {0.9, 3, 1.638, 1e-3},    {0.9, 10, 1.372, 1e-3},  {0.95, 4, 2.132, 1e-3},
        {0.975, 5, 2.571, 1e-3},  {0.99, 3, 4.541, 1e-2},  {0.99, 20, 2.528, 1e-3},
        {0.999, 3, 10.215, 0.03}, {0.999, 8, 4.501, 1e-3}, {0.9, 1e9, 1.282, 1e-3}};
    for (size_t i = 0; i < COUNT(table); i++) {
        double p = table[i].p, freedom = table[i].freedom;
        ck_relative(stats_student_quantile(p, freedom), table[i].t, table[i].within);
        ck_relative(stats_student_quantile(1 - p, freedom), -table[i].t, table[i].within);
    }
    ck_assert_double_eq_tol(stats_student_quantile(0.5, 3), 0, 1e-12);
}
END_TEST

UNIT_MAIN("stats", too_little_has_no_answer, mann_whitney_agrees_with_scipy,
          mann_whitney_is_symmetric, spearman_agrees_with_scipy,
          moments_and_quantiles_agree_with_numpy,
          expected_best_agrees_with_exact_fractions,
          expected_best_is_stable_for_large_samples, bootstrap_repeats_with_its_seed,
          bootstrap_covers_the_truth, student_agrees_with_tables)
