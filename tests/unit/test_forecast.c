/* SPDX-License-Identifier: Apache-2.0 */
#include "master/forecast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/rng.h"
#include "unit.h"

static void add(struct forecast *f, double seconds, double work)
{
    struct trial t = {.state = TRIAL_DONE, .seconds = seconds};
    forecast_add(f, &t, work);
}

START_TEST(what_is_no_training_does_not_count)
{
    static const uint8_t states[] = {TRIAL_QUEUED,  TRIAL_RUNNING, TRIAL_WAITING,
                                     TRIAL_FAILED, TRIAL_SAVED};
    struct forecast f = {0};
    for (int i = 0; i < 5; i++) {
        struct trial t = {.state = states[i], .seconds = 1};
        for (int k = 0; k < 10; k++)
            forecast_add(&f, &t, 1e6);
    }
    for (int k = 0; k < 10; k++) {
        struct trial t = {.kind = TRIAL_TRAIN_CHILD + 1, .state = TRIAL_DONE};
        forecast_add(&f, &t, 1e6);
        add(&f, NAN, 1e6);
        add(&f, INFINITY, 1e6);
        add(&f, -1, 1e6);
    }
    ck_assert(isnan(forecast_seconds(&f, 1e6, 0.9)));
}
END_TEST

START_TEST(few_trials_say_nothing)
{
    struct forecast f = {0};
    for (int i = 0; i < FORECAST_FEWEST; i++) {
        ck_assert(isnan(forecast_seconds(&f, 1e6, 0.5)));
        ck_assert(isnan(forecast_seconds(&f, NAN, 0.5)));
        add(&f, 3, 1e6);
    }
    ck_assert_double_eq(forecast_seconds(&f, 1e6, 0.5), 3);
    ck_assert_double_eq(forecast_seconds(&f, NAN, 0.5), 3);
}
END_TEST

START_TEST(work_decides_where_it_is_known)
{
    struct forecast f = {0};
    for (int i = 1; i <= 100; i++)
        add(&f, 2 * i, i * 1e6);
    ck_assert_double_eq_tol(forecast_seconds(&f, 50e6, 0.9), 100, 1e-9);
    ck_assert_double_eq_tol(forecast_seconds(&f, 500e6, 0.9), 1000, 1e-9);
    ck_assert_double_eq(forecast_seconds(&f, 1, 0.9), 2); /* the quickest */
    ck_assert_double_eq_tol(forecast_seconds(&f, NAN, 0.9), 180, 12);
}
END_TEST

START_TEST(without_work_the_seconds_tell)
{
    struct forecast f = {0};
    for (int i = 1; i <= 20; i++)
        add(&f, i, NAN);
    ck_assert_double_eq_tol(forecast_seconds(&f, NAN, 0.9), 18, 2);
    ck_assert_double_eq_tol(forecast_seconds(&f, 1e9, 0.5), 10, 2);
}
END_TEST

START_TEST(work_that_explains_nothing_is_ignored)
{
    struct forecast f = {0};
    for (int i = 1; i <= 100; i++)
        add(&f, 5 + i % 3, i * 1e6);
    ck_assert_double_eq(forecast_seconds(&f, 50e6, 0.9), 7);
    ck_assert_double_eq(forecast_seconds(&f, 5000e6, 0.9), 7);
}
END_TEST

START_TEST(old_trials_are_forgotten)
{
    struct forecast f = {0};
    for (int i = 0; i < 1000; i++)
        add(&f, 100, 1e6);
    for (int i = 0; i < FORECAST_WINDOW; i++)
        add(&f, 1, 1e6);
    ck_assert_double_eq(forecast_seconds(&f, 1e6, 0.99), 1);
}
END_TEST

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Against sorted windows: the share below a quantile is what it says, at any time, within
 * the sixteenth that may be new. */
START_TEST(quantiles_are_those_of_the_window)
{
    static double all[3000];
    struct forecast f = {0};
    struct rng rng;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
    for (size_t n = 0; n < 3000; n++) {
        all[n] = exp(rng_normal(&rng));
        add(&f, all[n] * 1e6, 1e6);
        size_t first = n + 1 > FORECAST_WINDOW ? n + 1 - FORECAST_WINDOW : 0;
        size_t count = n + 1 - first, slack = count / 16 + 2;
        double window[FORECAST_WINDOW], q = 0.05 + 0.9 * rng_double(&rng);
        if (count < FORECAST_FEWEST)
            continue;
        for (size_t i = 0; i < count; i++)
            window[i] = all[first + i] * 1e6;
        qsort(window, count, sizeof *window, compare);
        double found = forecast_seconds(&f, 1e6, q);
        size_t at = (size_t)ceil(q * (double)count) - 1;
        size_t low = at > slack ? at - slack : 0;
        size_t high = at + slack < count ? at + slack : count - 1;
        if (low > 0)
            ck_assert_double_ge(found, window[low] * (1 - 1e-9));
        if (high < count - 1)
            ck_assert_double_le(found, window[high] * (1 + 1e-9));
    }
}
END_TEST

UNIT_MAIN("forecast", what_is_no_training_does_not_count, few_trials_say_nothing,
          work_decides_where_it_is_known, without_work_the_seconds_tell,
          work_that_explains_nothing_is_ignored, old_trials_are_forgotten, quantiles_are_those_of_the_window)
