/* SPDX-License-Identifier: Apache-2.0 */
#include "master/analysis/comparison.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/rng.h"
#include "unit.h"

static struct config config;
static struct ledger *ledger;

static void setup_run(const char *metric, double share)
{
    config_defaults(&config);
    config.control.share = share;
    snprintf(config.reward.metric, sizeof config.reward.metric, "%s", metric);
    ck_assert_int_eq(ledger_new(&ledger, NULL), 0);
}

static void add(int arm, int state, double metric)
{
    struct trial t = {.id = ledger_count(ledger),
                      .arm = (uint8_t)arm,
                      .state = (uint8_t)state,
                      .same_as = state == TRIAL_SAVED ? 0 : -1,
                      .hash = {ledger_count(ledger) + 1, 5},
                      .val_accuracy = metric,
                      .reward = metric,
                      .worker = -1,
                      .slot = -1};
    t.architecture = calloc(1, sizeof *t.architecture);
    ck_assert_int_eq(ledger_add(ledger, &t, NULL), 0);
}

/* `count` values around `middle`, none twice. */
static void add_many(int arm, int count, double middle)
{
    for (int i = 0; i < count; i++) {
        uint32_t r[4];
        rng_block(3, RNG_TEST, (uint64_t)arm, (uint64_t)i, r);
        add(arm, TRIAL_DONE, middle + (double)r[0] / 4294967296.0 * 0.2);
    }
}

static struct comparison finish(const char *words)
{
    struct comparison c;
    struct text t;
    ck_assert_int_eq(comparison_make(ledger, &config, &c, NULL), 0);
    text_init(&t);
    comparison_format(&c, &t);
    ck_assert_msg(t.data && strstr(t.data, words), "'%s' lacks '%s'", t.data, words);
    ck_assert_ptr_null(strstr(t.data, "nan"));
    text_fini(&t);
    ledger_free(ledger);
    return c;
}

START_TEST(an_empty_run_cannot_tell)
{
    setup_run("val_accuracy", 0.1);
    struct comparison c = finish("Cannot tell yet: 0 trained");
    ck_assert_int_eq(c.verdict, COMPARISON_CANNOT_TELL);
    ck_assert(isnan(c.best_of[ARM_SEARCH]));
    setup_run("val_accuracy", 0.1); /* one arm alone */
    add_many(ARM_SEARCH, 30, 0.5);
    ck_assert_int_eq(finish("0 trained trials").verdict, COMPARISON_CANNOT_TELL);
}
END_TEST

START_TEST(without_control_nothing_is_said)
{
    setup_run("val_accuracy", 0);
    add_many(ARM_SEARCH, 30, 0.5);
    struct comparison c = finish("No random control arm");
    ck_assert_int_eq(c.verdict, COMPARISON_NO_CONTROL);
    ck_assert_uint_eq(c.arms[ARM_SEARCH].trained, 30);
}
END_TEST

START_TEST(too_few_or_alike_is_no_evidence)
{
    setup_run("val_accuracy", 0.1);
    add_many(ARM_SEARCH, 30, 0.9);
    add_many(ARM_CONTROL, COMPARISON_LEAST - 1, 0.1);
    ck_assert_int_eq(finish("7 trained trials").verdict, COMPARISON_CANNOT_TELL);
    setup_run("val_accuracy", 0.1);
    add_many(ARM_SEARCH, 30, 0.5);
    add_many(ARM_CONTROL, 30, 0.5);
    ck_assert_int_eq(finish("may be chance").verdict, COMPARISON_CANNOT_TELL);
    setup_run("val_accuracy", 0.1);
    for (int i = 0; i < 20; i++)
        add(i % 2, TRIAL_DONE, 0.5);
    ck_assert_int_eq(finish("all trials gave the same value").verdict,
                     COMPARISON_CANNOT_TELL);
}
END_TEST

START_TEST(a_clear_difference_is_told_either_way)
{
    setup_run("val_accuracy", 0.1);
    add_many(ARM_SEARCH, 30, 0.7);
    add_many(ARM_CONTROL, 10, 0.5);
    struct comparison c = finish("Yes: the search");
    ck_assert_int_eq(c.verdict, COMPARISON_BETTER);
    ck_assert_uint_eq(c.equal, 10);
    ck_assert_double_gt(c.best_of[ARM_SEARCH], c.best_of[ARM_CONTROL]);
    ck_assert_double_gt(c.difference.low, 0.1);
    setup_run("val_accuracy", 0.1);
    add_many(ARM_SEARCH, 30, 0.5);
    add_many(ARM_CONTROL, 10, 0.7);
    ck_assert_int_eq(finish("No: random").verdict, COMPARISON_WORSE);
}
END_TEST

START_TEST(of_a_loss_less_is_better)
{
    setup_run("val_loss", 0.1);
    add_many(ARM_SEARCH, 30, 0.5);
    add_many(ARM_CONTROL, 10, 0.7);
    struct comparison c = finish("difference of means -0.");
    ck_assert_int_eq(c.verdict, COMPARISON_BETTER);
    ck_assert(c.lower_is_better);
    ck_assert_double_lt(c.arms[ARM_SEARCH].best, 0.55);
    ck_assert_double_lt(c.best_of[ARM_SEARCH], c.best_of[ARM_CONTROL]);
    ck_assert_double_gt(c.best_of[ARM_SEARCH], 0);
}
END_TEST

START_TEST(failed_and_saved_trials_are_no_evidence)
{
    setup_run("val_accuracy", 0.1);
    add_many(ARM_SEARCH, 10, 0.5);
    add_many(ARM_CONTROL, 10, 0.5);
    for (int i = 0; i < 50; i++)
        add(ARM_SEARCH, i % 2 ? TRIAL_SAVED : TRIAL_FAILED, 0.99);
    struct comparison c = finish("may be chance");
    ck_assert_uint_eq(c.arms[ARM_SEARCH].trained, 10);
    ck_assert_uint_eq(c.arms[ARM_SEARCH].saved, 25);
    ck_assert_uint_eq(c.arms[ARM_SEARCH].failed, 25);
    ck_assert_double_lt(c.arms[ARM_SEARCH].best, 0.8);
}
END_TEST

START_TEST(the_difference_is_that_of_the_newest_of_both)
{
    setup_run("val_accuracy", 0.5);
    add_many(ARM_SEARCH, 100, 0.1);
    add_many(ARM_CONTROL, 100, 0.1);
    add_many(ARM_SEARCH, COMPARISON_SAMPLE, 0.7);
    add_many(ARM_CONTROL, COMPARISON_SAMPLE, 0.5);
    struct comparison c = finish("Yes: the search");
    ck_assert_double_eq_tol(c.difference.estimate, 0.2, 0.004);
    ck_assert_uint_eq(c.equal, 100 + COMPARISON_SAMPLE);
    ck_assert_double_lt(c.arms[ARM_CONTROL].mean, 0.598);
}
END_TEST

static void add_shared(int kind, uint64_t step, int32_t part, int arm, double metric)
{
    struct trial t = {.id = ledger_count(ledger),
                      .kind = (uint8_t)kind,
                      .shared = {step, part},
                      .arm = (uint8_t)arm,
                      .state = TRIAL_DONE,
                      .same_as = -1,
                      .val_accuracy = metric,
                      .worker = -1,
                      .slot = -1};
    t.architecture = calloc(1, sizeof *t.architecture);
    ck_assert_int_eq(ledger_add(ledger, &t, NULL), 0);
}

/* Scores after earlier steps, of the policy's rewards and of chosen finalists are no
 * sample; before there are candidates, the newest probes are it. */
START_TEST(shared_weights_are_compared_at_one_step)
{
    setup_run("val_perplexity", 0.5);
    config.search.strategy = STRATEGY_ENAS;
    for (int i = 0; i < 10; i++) {
        add_shared(TRIAL_TRAIN_SHARED, (uint64_t)i, 0, ARM_SEARCH, NAN);
        add_shared(TRIAL_EVAL_SHARED, 10, -1, i % 2, 900 + i); /* an earlier epoch */
        add_shared(TRIAL_EVAL_SHARED, 20, 1 + i, ARM_SEARCH, 1 + i); /* rewards */
    }
    for (int i = 0; i < 20; i++)
        add_shared(TRIAL_EVAL_SHARED, 20, -1, i % 2, 100 + 50 * (i % 2) + i);
    struct ledger *kept = ledger;
    struct comparison c;
    ck_assert_int_eq(comparison_make(ledger, &config, &c, NULL), 0);
    ck_assert_uint_eq(c.arms[ARM_SEARCH].trained, 10);
    ck_assert_double_eq(c.arms[ARM_SEARCH].best, 100);
    ck_assert_int_eq(c.verdict, COMPARISON_BETTER);
    for (int i = 0; i < 18; i++)
        add_shared(TRIAL_EVAL_SHARED, 20, 0, i % 2, 70 + i);
    add_shared(TRIAL_EVAL_SHARED, 20, -1, ARM_CONTROL, 50); /* a finalist */
    c = finish("may be chance");
    ck_assert_ptr_eq(kept, ledger);
    ck_assert_uint_eq(c.arms[ARM_SEARCH].trained, 9);
    ck_assert_double_eq(c.arms[ARM_CONTROL].best, 71);
}
END_TEST

UNIT_MAIN("comparison", shared_weights_are_compared_at_one_step, an_empty_run_cannot_tell,
          without_control_nothing_is_said, too_few_or_alike_is_no_evidence,
          a_clear_difference_is_told_either_way, of_a_loss_less_is_better,
          failed_and_saved_trials_are_no_evidence,
          the_difference_is_that_of_the_newest_of_both)
