/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of two samples. References: Mann & Whitney, Ann. Math. Stat. 18 (1947), for
 * the U test and the recurrence of its exact distribution,
 *     f(m, n, u) = f(m - 1, n, u - n) + f(m, n - 1, u);
 * Efron & Tibshirani (1993), chapter 13, for the percentile interval. Whatever is added
 * up is positive or centred first, so nothing here cancels. Values that are not numbers
 * have no order: they make every answer NAN or false. */
#include "common/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "common/sort.h"

enum {
    EXACT_SMALLER = 20,   /* exact up to this many values on the smaller side, */
    EXACT_PRODUCT = 4000, /* and this product of both sides */
    ROUNDS_MAX = 10000000
};

struct ranked {
    double value, rank; /* rank from 1, equal values share the mean of theirs */
    size_t index;       /* in the input */
};

static bool has_nan(const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(v[i]))
            return true;
    }
    return false;
}

double stats_mean(const double *v, size_t n)
{
    double sum = 0, rest = 0;
    if (n == 0)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    double mean = sum / (double)n;
    if (!isfinite(mean))
        return mean;
    for (size_t i = 0; i < n; i++)
        rest += v[i] - mean;
    return mean + rest / (double)n;
}

double stats_variance(const double *v, size_t n)
{
    double mean = stats_mean(v, n), sum = 0;
    if (n < 2)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sum / (double)(n - 1);
}

/* A sorted copy; NULL without values, with NAN among them, or without memory. */
static double *sorted_copy(const double *v, size_t n)
{
    if (n == 0 || n > SIZE_MAX / sizeof *v || has_nan(v, n))
        return NULL;
    double *copy = malloc(n * sizeof *copy);
    if (!copy)
        return NULL;
    memcpy(copy, v, n * sizeof *copy);
    if (sort_doubles(copy, n) == 0)
        return copy;
    free(copy);
    return NULL;
}

static double sorted_quantile(const double *sorted, size_t n, double p)
{
    double at = (double)(n - 1) * p;
    size_t low = (size_t)at;
    if (low + 1 >= n)
        return sorted[n - 1];
    if (at == (double)low)
        return sorted[low]; /* infinite neighbours must not count */
    return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

double stats_quantile(const double *v, size_t n, double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    double *sorted = sorted_copy(v, n);
    double result = sorted ? sorted_quantile(sorted, n, p) : (double)NAN;
    free(sorted);
    return result;
}

static double resampled_mean(struct rng *rng, const double *v, size_t n, double centre)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[rng_below(rng, (uint32_t)n)] - centre;
    return sum / (double)n;
}

bool stats_bootstrap_difference(const double *a, size_t na, const double *b, size_t nb,
                                double level, int rounds, uint64_t seed,
                                struct stats_interval *ret)
{
    if (na < 2 || nb < 2 || na > UINT32_MAX || nb > UINT32_MAX || rounds < 1 ||
        rounds > ROUNDS_MAX || !(level > 0 && level < 1) || has_nan(a, na) ||
        has_nan(b, nb))
        return false;
    double *differences = malloc((size_t)rounds * sizeof *differences);
    if (!differences)
        return false;
    double mean_a = stats_mean(a, na), mean_b = stats_mean(b, nb);
    for (int i = 0; i < rounds; i++) {
        struct rng rng;
        rng_init(&rng, seed, RNG_BOOTSTRAP, (uint64_t)i);
        double da = resampled_mean(&rng, a, na, mean_a);
        differences[i] = da - resampled_mean(&rng, b, nb, mean_b);
    }
    if (sort_doubles(differences, (size_t)rounds) != 0) {
        free(differences);
        return false;
    }
    double tail = (1 - level) / 2, estimate = mean_a - mean_b;
    ret->estimate = estimate;
    ret->low = estimate + sorted_quantile(differences, (size_t)rounds, tail);
    ret->high = estimate + sorted_quantile(differences, (size_t)rounds, 1 - tail);
    free(differences);
    return true;
}

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Give sorted values their mid-ranks. */
static void assign_ranks(struct ranked *r, size_t n)
{
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && r[j].value == r[i].value;)
            j++;
        for (size_t k = i; k < j; k++)
            r[k].rank = ((double)i + (double)j + 1) / 2;
    }
}

static void put_values(struct ranked *r, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){.value = v[i], .index = i};
}

/* P(U <= u) without ties, counting arrangements: table row i holds f(i, n, .) for the n
 * reached so far. NAN when memory is gone. */
static double exact_tail(size_t m, size_t n, size_t u)
{
    size_t width = u + 1;
    double *f = calloc((m + 1) * width, sizeof *f);
    if (!f)
        return NAN;
    for (size_t i = 0; i <= m; i++)
        f[i * width] = 1; /* n = 0: U is 0 */
    for (size_t j = 1; j <= n; j++) {
        for (size_t i = 1; i <= m; i++) {
            for (size_t k = j; k < width; k++)
                f[i * width + k] += f[(i - 1) * width + k - j];
        }
    }
    double tail = 0, all = 1;
    for (size_t k = 0; k < width; k++)
        tail += f[m * width + k];
    for (size_t i = 1; i <= m; i++)
        all *= (double)(n + i) / (double)i;
    free(f);
    return tail / all;
}

/* Two-sided p by the normal approximation; NAN when all values are equal. */
static double normal_p(double na, double nb, double u_larger, double ties)
{
    double n = na + nb;
    double variance = na * nb / 12 * (n + 1 - ties / (n * (n - 1)));
    if (!(variance > 1e-9 * na * nb))
        return NAN;
    double z = (u_larger - na * nb / 2 - 0.5) / sqrt(variance);
    return fmin(1, erfc(z / sqrt(2)));
}

static bool is_small(size_t na, size_t nb)
{
    size_t smaller = na < nb ? na : nb, larger = na < nb ? nb : na;
    return smaller <= EXACT_SMALLER && larger <= EXACT_PRODUCT / smaller;
}

/* The ranks of a, summed, in the union of two sorted samples, where equal values share
 * the mean of theirs. Ranks are half integers, so no order of adding them rounds. *ret_ties:
 * the sum of t^3 - t over groups of t equal values, 0 when all differ. */
static double rank_sum(const double *a, size_t na, const double *b, size_t nb,
                       double *ret_ties)
{
    size_t i = 0, j = 0;
    double sum = 0;
    *ret_ties = 0;
    while (i < na || j < nb) {
        double value = j == nb || (i < na && a[i] < b[j]) ? a[i] : b[j];
        size_t before = i + j, first = i;
        while (i < na && a[i] == value)
            i++;
        while (j < nb && b[j] == value)
            j++;
        double count = (double)(i + j - before);
        *ret_ties += count * count * count - count;
        sum += (double)(i - first) * ((double)before + (double)(i + j) + 1) / 2;
    }
    return sum;
}

static bool sorted_mann_whitney(const double *a, size_t na, const double *b, size_t nb,
                                struct stats_mann_whitney *ret)
{
    struct stats_mann_whitney test = {.p = (double)NAN};
    double ties, da = (double)na, db = (double)nb;
    test.u = rank_sum(a, na, b, nb, &ties) - da * (da + 1) / 2;
    test.effect = test.u / (da * db);
    double larger = fmax(test.u, da * db - test.u);
    if (ties == 0 && is_small(na, nb)) {
        test.p = fmin(1, 2 * exact_tail(na < nb ? na : nb, na < nb ? nb : na,
                                        (size_t)(da * db - larger)));
        test.exact = !isnan(test.p);
    }
    if (!test.exact)
        test.p = normal_p(da, db, larger, ties);
    if (isnan(test.p))
        return false;
    *ret = test;
    return true;
}

bool stats_mann_whitney(const double *a, size_t na, const double *b, size_t nb,
                        struct stats_mann_whitney *ret)
{
    double *x = sorted_copy(a, na), *y = sorted_copy(b, nb);
    bool good = x && y && sorted_mann_whitney(x, na, y, nb, ret);
    free(x);
    free(y);
    return good;
}

/* The value of rank i of n (from 1) is the largest of k in C(i-1, k-1) of C(n, k) draws.
 * From the top down each weight is a factor below 1 times the last: nothing overflows. */
double stats_expected_best(const double *v, size_t n, size_t k)
{
    if (k == 0 || k > n)
        return NAN;
    double *sorted = sorted_copy(v, n);
    if (!sorted)
        return NAN;
    double weight = (double)k / (double)n, sum = 0;
    for (size_t i = n; i >= k && weight > 0; i--) {
        sum += weight * sorted[i - 1];
        weight *= i > 1 ? (double)(i - k) / (double)(i - 1) : 0;
    }
    free(sorted);
    return sum;
}

/* Mid-ranks of v in the order of the input, centred; false when all are equal. */
static bool centred_ranks(const double *v, size_t n, struct ranked *work, double *ret)
{
    put_values(work, v, n);
    qsort(work, n, sizeof *work, compare_ranked);
    assign_ranks(work, n);
    for (size_t i = 0; i < n; i++)
        ret[work[i].index] = work[i].rank - ((double)n + 1) / 2;
    return work[0].value != work[n - 1].value;
}

double stats_spearman(const double *a, const double *b, size_t n)
{
    double result = NAN, ab = 0, aa = 0, bb = 0;
    if (n < 3 || n > SIZE_MAX / 4 / sizeof(struct ranked) || has_nan(a, n) ||
        has_nan(b, n))
        return NAN;
    struct ranked *work = malloc(n * sizeof *work);
    double *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    if (!work || !x || !y || !centred_ranks(a, n, work, x) ||
        !centred_ranks(b, n, work, y))
        goto out;
    for (size_t i = 0; i < n; i++) {
        ab += x[i] * y[i];
        aa += x[i] * x[i];
        bb += y[i] * y[i];
    }
    result = fmax(-1, fmin(1, ab / (sqrt(aa) * sqrt(bb))));
out:
    free(work);
    free(x);
    free(y);
    return result;
}

/* By halving: the tails are as good as erfc. */
static double normal_quantile(double p)
{
    double low = -40, high = 40;
    for (int i = 0; i < 64; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < p)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Expansion in 1 / freedom around the normal quantile (Abramowitz and Stegun, 26.7.5). */
double stats_student_quantile(double p, double freedom)
{
    if (!(p > 0 && p < 1 && freedom >= 3))
        return NAN;
    double z = normal_quantile(p), s = z * z, v = freedom;
    double a = (s + 1) / 4, b = ((5 * s + 16) * s + 3) / 96;
    double c = (((3 * s + 19) * s + 17) * s - 15) / 384;
    double d = ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160;
    return z * (1 + (a + (b + (c + d / v) / v) / v) / v);
}
