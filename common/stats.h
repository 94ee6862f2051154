/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics for comparing samples of rewards and for forecasts. Functions that have no
 * answer (too few values, all equal) return NAN or false rather than a number that looks
 * like one. */
#ifndef ARCHWAY_COMMON_STATS_H
#define ARCHWAY_COMMON_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double stats_mean(const double *v, size_t n);     /* NAN for n = 0 */
double stats_variance(const double *v, size_t n); /* unbiased; NAN for n < 2 */
/* Quantile by linear interpolation of the sorted sample (type 7); v need not be sorted. */
double stats_quantile(const double *v, size_t n, double p);

/* Quantile p of (0, 1) of Student's t distribution; NAN for other p and for fewer than 3
 * degrees of freedom, which need not be whole. Within 3 % (1e-3 for p up to 0.99). */
double stats_student_quantile(double p, double freedom);

struct stats_interval {
    double estimate, low, high;
};

/* mean(a) - mean(b) with a percentile bootstrap interval at `level` (0.95), `rounds`
 * resamples, numbers from (seed, RNG_BOOTSTRAP, round). False for fewer than 2 values a
 * side, a value that is not a number, or a level outside (0, 1). */
bool stats_bootstrap_difference(const double *a, size_t na, const double *b, size_t nb,
                                double level, int rounds, uint64_t seed,
                                struct stats_interval *ret);

/* Mann-Whitney U test, two-sided, with u of side a: the exact distribution without ties
 * for small samples (smaller side <= 20, na * nb <= 4000), else the normal approximation
 * with tie and continuity correction; the figures of scipy.stats.mannwhitneyu with method
 * 'exact' and 'asymptotic'. effect is P(a > b) + P(a = b)/2.
 * False when a side is empty, all values are equal, or one is not a number. */
struct stats_mann_whitney {
    double u, p, effect;
    bool exact;
};
bool stats_mann_whitney(const double *a, size_t na, const double *b, size_t nb,
                        struct stats_mann_whitney *ret);

/* Expected maximum of k values drawn without replacement from the sample of n >= k: what
 * "the best of k random trials" is worth, without the luck of one order. NAN for k = 0 or
 * k > n. */
double stats_expected_best(const double *v, size_t n, size_t k);
/* Spearman rank correlation with mid-ranks; NAN for n < 3 or a constant side. */
double stats_spearman(const double *a, const double *b, size_t n);

#endif
