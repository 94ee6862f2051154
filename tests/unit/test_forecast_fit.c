/* SPDX-License-Identifier: Apache-2.0 */
/* On trials that are made up: seconds = scale (start + rate work) times noise, some of
 * them hit by a mishap that makes them many times as long. */
#include "master/forecast_fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/rng.h"
#include "unit.h"

static struct rng rng;

static void setup(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
}

/* About two seconds each. */
struct world {
    const char *name;
    double sizes;   /* standard deviation of log work */
    double start;   /* share of the seconds of a usual trial that are not work */
    double noise;   /* standard deviation of log seconds */
    double mishaps; /* share of the trials */
};

static double truth(const struct world *w, double work)
{
    return 2 * (w->start + (1 - w->start) * work);
}

static struct forecast_point draw(const struct world *w)
{
    double work = exp(w->sizes * rng_normal(&rng));
    double seconds = truth(w, work) * exp(w->noise * rng_normal(&rng));
    if (rng_double(&rng) < w->mishaps)
        seconds *= 3 + 27 * rng_double(&rng);
    return (struct forecast_point){seconds, 1e6 * work};
}

static void fit_some(const struct world *w, size_t count, struct forecast_fit *ret)
{
    struct forecast_point points[FORECAST_WINDOW];
    for (size_t i = 0; i < count; i++)
        points[i] = draw(w);
    forecast_fit_make(ret, points, count);
}

static const size_t counts[] = {5, 8, 12, 20, 60, 256};
enum { COUNTS = sizeof counts / sizeof *counts };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Share of further trials that take no longer than the bound. */
static double coverage(const struct world *w, size_t count, double q, int rounds)
{
    int covered = 0;
    for (int i = 0; i < rounds; i++) {
        struct forecast_fit f;
        fit_some(w, count, &f);
        struct forecast_point next = draw(w);
        covered += next.seconds <= forecast_fit_seconds(&f, next.work, q);
    }
    return (double)covered / rounds;
}

/* A bound of 90 percent holds for at least 86, and of those that are in proportion for
 * 88, less four standard deviations of chance: whatever the sizes, from five trials on.
 * With mishaps, of which five trials mostly show none, one in twenty more may be missed.
 */
START_TEST(bounds_hold_as_often_as_they_say)
{
    static const struct {
        struct world world;
        double least;
    } worlds[] = {
        {{"in proportion", 1, 0, 0.2, 0}, 0.88},
        {{"of one size", 0, 0, 0.2, 0}, 0.88},
        {{"of nearly one size", 0.2, 0, 0.5, 0}, 0.88},
        {{"with a long start", 1, 0.7, 0.2, 0}, 0.86},
        {{"without regard to work", 1, 1, 0.2, 0}, 0.86},
        {{"with mishaps", 1, 0.7, 0.2, 0.05}, 0.83},
        {{"of one size with mishaps", 0, 0, 0.2, 0.05}, 0.83},
    };
    enum { ROUNDS = 1500 };
    for (size_t k = 0; k < sizeof worlds / sizeof *worlds; k++)
        for (size_t i = 0; i < COUNTS; i++) {
            double least = worlds[k].least;
            double found = coverage(&worlds[k].world, counts[i], 0.9, ROUNDS);
            ck_assert_msg(found >= least - 4 * sqrt(least * (1 - least) / ROUNDS),
                          "%s, %zu trials: %g", worlds[k].world.name, counts[i], found);
        }
}
END_TEST

/* The bound of 90 percent for a trial of usual work, as a multiple of what it takes, that
 * in 19 of 20 histories is not exceeded. */
static double usual_multiple(const struct world *w, size_t count)
{
    enum { HISTORIES = 1000 };
    static double multiples[HISTORIES];
    for (int i = 0; i < HISTORIES; i++) {
        struct forecast_fit f;
        fit_some(w, count, &f);
        multiples[i] = forecast_fit_seconds(&f, 1e6, 0.9) / truth(w, 1);
    }
    qsort(multiples, HISTORIES, sizeof *multiples, compare);
    return multiples[HISTORIES * 19 / 20];
}

START_TEST(bounds_are_tight)
{
    static const struct {
        struct world world;
        size_t count;
        double most;
    } cases[] = {
        {{"in proportion", 1, 0, 0.15, 0}, 5, 1.8},
        {{"in proportion", 1, 0, 0.15, 0}, 20, 1.4},
        {{"with a long start", 1, 0.7, 0.15, 0}, 5, 2.2},
        {{"with a long start", 1, 0.7, 0.15, 0}, 20, 1.8},
        {{"of one size", 0, 0, 0.15, 0}, 5, 1.7},
        {{"of one size", 0, 0, 0.15, 0}, 20, 1.4},
        {{"with mishaps", 1, 0.7, 0.15, 0.02}, 20, 2.2},
        {{"with mishaps", 1, 0.7, 0.15, 0.03}, 60, 2},
        {{"of one size with mishaps", 0, 0, 0.15, 0.03}, 60, 1.8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double found = usual_multiple(&cases[i].world, cases[i].count);
        ck_assert_msg(found < cases[i].most && found > 1, "%s, %zu trials: %g",
                      cases[i].world.name, cases[i].count, found);
    }
}
END_TEST

/* Small children with a long start, then one of a hundred times the work: no more than in
 * proportion, whatever five trials look like, and hardly ever less than they took; nor is
 * a small one longer than the others. */
START_TEST(far_away_it_stays_within_proportion)
{
    int low = 0;
    const struct world worlds[] = {{"", 0.3, 0.7, 0.15, 0}, {"", 0, 0, 0.15, 0}};
    for (size_t k = 0; k < 2; k++)
        for (int i = 0; i < 1000; i++) {
            struct forecast_fit f;
            fit_some(&worlds[k], counts[i % COUNTS], &f);
            double usual = forecast_fit_seconds(&f, 1e6 * exp(f.log_work), 0.9);
            double far = forecast_fit_seconds(&f, 1e8, 0.9);
            double slope = fmax(1, f.slope);
            ck_assert_double_lt(far, 2 * exp(0.15 * 8) * pow(100, slope) * 1.5);
            low += far < truth(&worlds[k], 1);
            ck_assert_double_lt(forecast_fit_seconds(&f, 1e4, 0.9), 4 * usual);
        }
    ck_assert_int_lt(low, 20);
}
END_TEST

/* One of so many took 50 times as long: the bound for the others hardly moves. */
START_TEST(a_single_mishap_hardly_counts)
{
    const struct world w = {"", 1, 0.5, 0.1, 0};
    static const struct {
        size_t count;
        double most;
    } cases[] = {{8, 4}, {12, 2}, {20, 1.6}, {60, 1.5}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        enum { HISTORIES = 400 };
        double multiples[HISTORIES];
        for (int i = 0; i < HISTORIES; i++) {
            struct forecast_point points[FORECAST_WINDOW];
            struct forecast_fit f;
            for (size_t j = 0; j < cases[k].count; j++)
                points[j] = draw(&w);
            points[rng_below(&rng, (uint32_t)cases[k].count)].seconds *= 50;
            forecast_fit_make(&f, points, cases[k].count);
            multiples[i] = forecast_fit_seconds(&f, 1e6, 0.9) / truth(&w, 1);
        }
        qsort(multiples, HISTORIES, sizeof *multiples, compare);
        double found = multiples[HISTORIES / 2];
        ck_assert_msg(found < cases[k].most, "%zu trials: %g", cases[k].count, found);
    }
}
END_TEST

START_TEST(exact_trials_have_exact_bounds)
{
    struct forecast_point points[FORECAST_WINDOW];
    for (size_t i = 0; i < COUNTS; i++) {
        struct forecast_fit f;
        for (size_t j = 0; j < counts[i]; j++)
            points[j] = (struct forecast_point){0.3 * (double)(j + 1), (double)(j + 1)};
        forecast_fit_make(&f, points, counts[i]);
        ck_assert_double_eq_tol(forecast_fit_seconds(&f, 10, 0.99), 3, 1e-9);
        ck_assert_double_eq_tol(forecast_fit_seconds(&f, 1000, 0.6), 300, 1e-7);
        for (size_t j = 0; j < counts[i]; j++)
            points[j] = (struct forecast_point){7, 3};
        forecast_fit_make(&f, points, counts[i]);
        ck_assert_double_eq(forecast_fit_seconds(&f, 3, 0.9), 7);
        ck_assert_double_eq_tol(forecast_fit_seconds(&f, 30, 0.9), 70, 1e-9);
        for (size_t j = 0; j < counts[i]; j++)
            points[j].work = (double)(1 + j % 7);
        forecast_fit_make(&f, points, counts[i]);
        ck_assert_double_eq(forecast_fit_seconds(&f, 30, 0.9), 7);
    }
}
END_TEST

START_TEST(larger_quantiles_are_larger)
{
    const struct world w = {"", 0.7, 0.4, 0.3, 0.05};
    for (int i = 0; i < 500; i++) {
        struct forecast_fit f;
        double before = 0, work = 1e6 * exp(2 * rng_normal(&rng));
        fit_some(&w, counts[i % COUNTS], &f);
        for (double q = 0.5; q < 0.999; q += 0.0357) {
            double seconds = forecast_fit_seconds(&f, work, q);
            ck_assert(isfinite(seconds) && seconds >= before * (1 - 1e-12));
            before = seconds;
        }
    }
}
END_TEST

/* No trial, however strange, makes a bound that is no number. */
START_TEST(strange_trials_have_finite_bounds)
{
    for (int i = 0; i < 2000; i++) {
        struct forecast_point points[FORECAST_WINDOW];
        struct forecast_fit f;
        size_t count = counts[i % COUNTS];
        for (size_t j = 0; j < count; j++) {
            uint32_t kind = rng_below(&rng, 4);
            points[j].seconds = kind == 0 ? 0 : kind == 1 ? 1e9 : rng_double(&rng);
            points[j].work = kind == 2 ? 1e-3 : kind == 3 ? 1e18 : 1;
        }
        forecast_fit_make(&f, points, count);
        double seconds = forecast_fit_seconds(&f, 1e3, 0.1 + 0.8 * rng_double(&rng));
        ck_assert(isfinite(seconds) && seconds > 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        bounds_hold_as_often_as_they_say,    bounds_are_tight,
        far_away_it_stays_within_proportion, a_single_mishap_hardly_counts,
        exact_trials_have_exact_bounds,      larger_quantiles_are_larger,
        strange_trials_have_finite_bounds};
    Suite *suite = suite_create("forecast_fit");
    TCase *tc = tcase_create("forecast_fit");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
