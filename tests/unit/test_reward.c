/* SPDX-License-Identifier: Apache-2.0 */
#include "master/reward.h"

#include <math.h>
#include <stdio.h>

#include "unit.h"

static struct config_reward reward(const char *metric, int last, int reduce, double power)
{
    struct config_reward r = {
        .last_epochs = last, .reduce = reduce, .power = power, .scale = 1};
    snprintf(r.metric, sizeof r.metric, "%s", metric);
    return r;
}

static const struct trial_epoch curve[] = {
    {.val_accuracy = 0.5F, .val_loss = 2, .train_loss = 3, .train_accuracy = 0.25F},
    {.val_accuracy = 0.75F, .val_loss = 0.5F, .train_loss = 2, .train_accuracy = 0.5F},
    {.val_accuracy = 0.25F, .val_loss = 1, .train_loss = 1, .train_accuracy = 1},
};

/* Zoph & Le, section 4.2: R = 80 / perplexity^2. */
START_TEST(the_scale_is_a_factor)
{
    struct config_reward r = reward("val_perplexity", 1, REDUCE_LAST, 2);
    r.scale = 80;
    ck_assert_double_eq_tol(reward_value(&r, 100), 0.008, 1e-15);
    r = reward("val_accuracy", 1, REDUCE_LAST, 1);
    r.scale = 2;
    ck_assert_double_eq(reward_value(&r, 0.25), 0.5);
}
END_TEST

START_TEST(what_is_no_number_gives_none)
{
    struct config_reward r = reward("val_accuracy", 2, REDUCE_MAX, 3);
    struct trial_epoch bad[] = {{.val_accuracy = NAN}, {.val_accuracy = 0.5F}};
    ck_assert(isnan(reward_metric(&r, NULL, 0)));
    ck_assert(isnan(reward_metric(&r, bad, 2)));
    r.last_epochs = 1; /* the bad one does not count */
    ck_assert_double_eq(reward_metric(&r, bad, 2), 0.5);
    bad[1].val_accuracy = INFINITY;
    ck_assert(isnan(reward_metric(&r, bad, 2)));
    ck_assert(isnan(reward_value(&r, NAN)));
    ck_assert(isnan(reward_value(&r, INFINITY)));
    r.power = 0.5;
    ck_assert(isnan(reward_value(&r, -1)));
    r = reward("val_loss", 0, REDUCE_MAX, 1);
    ck_assert(isnan(reward_value(&r, 0)));
}
END_TEST

START_TEST(curves_are_reduced_as_configured)
{
    struct config_reward r = reward("val_accuracy", 0, REDUCE_MAX, 3);
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.75);
    r.reduce = REDUCE_MEAN;
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.5);
    r.reduce = REDUCE_LAST;
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.25);
    r = reward("val_accuracy", 1, REDUCE_MAX, 3);
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.25);
    r.last_epochs = 9;
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.75);
    r = reward("train_accuracy", 2, REDUCE_MEAN, 1);
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.75);
}
END_TEST

START_TEST(the_best_loss_is_the_least)
{
    struct config_reward r = reward("val_loss", 0, REDUCE_MAX, 2);
    ck_assert(reward_lower_is_better(&r));
    ck_assert_double_eq(reward_metric(&r, curve, 3), 0.5);
    ck_assert_double_eq(reward_value(&r, 0.5), 4);
    r = reward("train_loss", 0, REDUCE_LAST, 1);
    ck_assert_double_eq(reward_metric(&r, curve, 3), 1);
    r = reward("val_accuracy", 0, REDUCE_MAX, 3);
    ck_assert(!reward_lower_is_better(&r));
    ck_assert_double_eq(reward_value(&r, 0.5), 0.125);
}
END_TEST

UNIT_MAIN("reward", the_scale_is_a_factor, what_is_no_number_gives_none, curves_are_reduced_as_configured,
          the_best_loss_is_the_least)
