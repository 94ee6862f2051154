/* SPDX-License-Identifier: Apache-2.0 */
#include "master/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct config make_config(const char *metric, int64_t trials)
{
    struct config c;
    config_defaults(&c);
    c.search.trials = trials;
    snprintf(c.reward.metric, sizeof c.reward.metric, "%s", metric);
    return c;
}

static void note(struct progress *p, uint64_t id, int arm, int state, double metric)
{
    struct trial t = {
        .id = id, .arm = (uint8_t)arm, .state = (uint8_t)state, .val_accuracy = metric};
    progress_note(p, &t);
}

START_TEST(nothing_is_claimed_before_the_first_trial)
{
    struct config c = make_config("val_accuracy", 0);
    struct progress p;
    char line[256];
    progress_init(&p, &c, 100);
    ck_assert(isnan(progress_recent_mean(&p, ARM_SEARCH)));
    ck_assert_double_eq(progress_rate(&p, 100), 0);
    ck_assert(isnan(progress_left(&p, 200)));
    progress_format(&p, 100, 0, 2, true, line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "0 trials  best -"));
    ck_assert_ptr_null(strstr(line, "nan"));
    char small[8];
    progress_format(&p, 100, 0, 2, true, small, sizeof small);
    ck_assert_uint_eq(strlen(small), 7);
}
END_TEST

START_TEST(failed_trials_count_but_have_no_metric)
{
    struct config c = make_config("val_accuracy", 4);
    struct progress p;
    progress_init(&p, &c, 0);
    note(&p, 0, ARM_SEARCH, TRIAL_FAILED, 0.9);
    note(&p, 1, ARM_SEARCH, TRIAL_DONE, NAN);
    ck_assert_uint_eq(p.over, 2);
    ck_assert_uint_eq(p.arms[ARM_SEARCH].results, 0);
    note(&p, 2, ARM_SEARCH, TRIAL_DONE, 0.5);
    note(&p, 3, ARM_CONTROL, TRIAL_SAVED, 0.7);
    ck_assert_double_eq(p.arms[ARM_SEARCH].best, 0.5);
    ck_assert_uint_eq(p.arms[ARM_CONTROL].best_id, 3);
    ck_assert_double_eq(progress_left(&p, 10), 0);
}
END_TEST

START_TEST(the_best_loss_is_the_least)
{
    struct config c = make_config("val_loss", 10);
    struct progress p;
    char line[256];
    progress_init(&p, &c, 0);
    note(&p, 0, ARM_SEARCH, TRIAL_DONE, 2);
    note(&p, 1, ARM_SEARCH, TRIAL_DONE, 1);
    note(&p, 2, ARM_SEARCH, TRIAL_DONE, 3);
    note(&p, 3, ARM_CONTROL, TRIAL_DONE, 1.5);
    ck_assert_uint_eq(p.arms[ARM_SEARCH].best_id, 1);
    progress_format(&p, 1, 1, 2, false, line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "4/10 trials  best 1.0000"));
    note(&p, 4, ARM_CONTROL, TRIAL_DONE, 0.5);
    progress_format(&p, 1, 1, 2, false, line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "best 0.5000"));
}
END_TEST

START_TEST(the_mean_forgets_what_is_older_than_fifty)
{
    struct config c = make_config("val_accuracy", 0);
    struct progress p;
    progress_init(&p, &c, 0);
    note(&p, 0, ARM_SEARCH, TRIAL_DONE, 1000);
    for (uint64_t id = 1; id <= PROGRESS_RECENT; id++)
        note(&p, id, ARM_SEARCH, TRIAL_DONE, 2);
    ck_assert_double_eq(progress_recent_mean(&p, ARM_SEARCH), 2);
}
END_TEST

START_TEST(the_rate_is_that_of_this_session)
{
    struct config c = make_config("val_accuracy", 300);
    struct progress p;
    progress_init(&p, &c, 50);
    p.over = p.over_before = 100;
    for (uint64_t id = 100; id < 120; id++)
        note(&p, id, ARM_SEARCH, TRIAL_DONE, 0.5);
    ck_assert_double_eq(progress_rate(&p, 60), 2);
    ck_assert_double_eq(progress_left(&p, 60), 90);
}
END_TEST

UNIT_MAIN("progress", nothing_is_claimed_before_the_first_trial,
          failed_trials_count_but_have_no_metric, the_best_loss_is_the_least,
          the_mean_forgets_what_is_older_than_fifty, the_rate_is_that_of_this_session)
