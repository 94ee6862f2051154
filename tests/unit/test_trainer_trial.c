/* SPDX-License-Identifier: Apache-2.0 */
/* What the real archway-trainer makes of a task: trainings and refusals. */
#include "trainer_talk.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/text.h"

static const struct {
    const char *architecture, *part;
} bad_architectures[] = {
    {"{}", "layers"},
    {"{\"layers\":7}", "layers"},
    {"{\"layers\":[]}", "layers"},
    {"{\"layers\":[3]}", "layer 0"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":3,\"filters\":4,\"stride\":1"),
     "inputs"},
    {TALK_LAYER("\"filter_height\":0,\"filter_width\":3,\"filters\":4,\"stride\":1,"
                "\"inputs\":[-1]"),
     "filter_height"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":99,\"filters\":4,\"stride\":1,"
                "\"inputs\":[-1]"),
     "filter_width"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":3,\"filters\":1e9,\"stride\":1,"
                "\"inputs\":[-1]"),
     "filters"},
    {TALK_LAYER(
         "\"filter_height\":3,\"filter_width\":3,\"filters\":99999999,\"stride\":1,"
         "\"inputs\":[-1]"),
     "filters"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":3,\"filters\":4,\"stride\":\"2\","
                "\"inputs\":[-1]"),
     "stride"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":3,\"filters\":4,\"stride\":1,"
                "\"inputs\":[0]"),
     "inputs"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":3,\"filters\":4,\"stride\":1,"
                "\"inputs\":[-2]"),
     "inputs"},
    {TALK_LAYER("\"filter_height\":3,\"filter_width\":3,\"filters\":4,\"stride\":1,"
                "\"inputs\":[-1,-1]"),
     "inputs"},
};

static const struct {
    const char *hyperparameters, *part;
} bad_hyperparameters[] = {
    {"{\"epochz\":3}", "epochz"},
    {"{\"optimizer\":{\"learning_rate\":1}}", "learning_rate"},
    {"{\"epochs\":0}", "epochs"},
    {"{\"epochs\":\"many\"}", "epochs"},
    {"{\"batch\":1.5}", "batch"},
    {"{\"optimizer.lr\":-1}", "lr"},
    {"{\"batch\":60000}", "batch"},
    {"{\"optimizer\":{\"name\":\"magic\"}}", "magic"},
};

/* What is wrong with a task costs the task alone: the next one is trained. */
START_TEST(bad_tasks_fail_alone)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch curve[2];
    uint64_t trial = 10;
    talk_start(&t, &config);
    for (size_t i = 0; i < sizeof bad_architectures / sizeof *bad_architectures; i++) {
        talk_say_task(&t, trial, 1, 1, bad_architectures[i].architecture, "{}");
        talk_hear_failure(&t, trial++, bad_architectures[i].part);
    }
    for (size_t i = 0; i < sizeof bad_hyperparameters / sizeof *bad_hyperparameters;
         i++) {
        talk_say_task(&t, trial, 1, 1, TALK_ONE_LAYER,
                      bad_hyperparameters[i].hyperparameters);
        talk_hear_failure(&t, trial++, bad_hyperparameters[i].part);
    }
    talk_say_task(&t, trial, 1, 1, TALK_ONE_LAYER, "{}");
    ck_assert_int_eq(talk_hear_curve(&t, trial, curve, 2), 2);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(memory_limit_fails_the_task)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch curve[2];
    config.resources.memory_per_trial = 2 << 20;
    talk_start(&t, &config);
    talk_say_task(
        &t, 1, 1, 1,
        TALK_LAYER("\"filter_height\":7,\"filter_width\":7,\"filters\":2000,\"stride\":1,"
                   "\"inputs\":[-1]"),
        "{}");
    talk_hear_failure(&t, 1, "MiB");
    talk_say_task(&t, 2, 1, 1, TALK_ONE_LAYER, "{\"batch\":8}");
    ck_assert_int_eq(talk_hear_curve(&t, 2, curve, 2), 2);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(divergence_fails_with_its_epoch)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 1, TALK_TWO_LAYERS,
                  "{\"epochs\":100,\"optimizer\":{\"lr\":1000,\"weight_decay\":10}}");
    struct trainer_line line = talk_hear_until_failure(&t);
    ck_assert_msg(strstr(line.reason, "diverged in epoch"), "%s", line.reason);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(two_tasks_in_a_row)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch first[4], second[4];
    config.trainer.builtin.schedule.name = SCHEDULE_COSINE;
    talk_start(&t, &config);
    talk_say_task(&t, 7, 1, 1, TALK_ONE_LAYER, "{\"epochs\":4}");
    talk_say_task(&t, 8, 3, 1, TALK_TWO_LAYERS, "{\"optimizer\":{\"lr\":0.05}}");
    ck_assert_int_eq(talk_hear_curve(&t, 7, first, 4), 4);
    ck_assert_int_eq(talk_hear_curve(&t, 8, second, 4), 2);
    ck_assert_double_eq_tol(first[0].lr, 0.1, 1e-7);
    ck_assert_double_eq_tol(first[2].lr, 0.05, 1e-7);
    ck_assert_double_eq_tol(second[1].lr, 0.025, 1e-7);
    for (int i = 0; i < 4; i++) {
        ck_assert(isfinite(first[i].train_loss) && isfinite(first[i].val_loss));
        ck_assert(first[i].train_accuracy >= 0 && first[i].train_accuracy <= 1);
        ck_assert(first[i].val_accuracy >= 0 && first[i].val_accuracy <= 1);
        ck_assert(first[i].seconds > 0);
    }
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

static void check_same(const struct trial_epoch *a, const struct trial_epoch *b, int n)
{
    for (int i = 0; i < n; i++) {
        ck_assert(a[i].train_loss == b[i].train_loss);
        ck_assert(a[i].train_accuracy == b[i].train_accuracy);
        ck_assert(a[i].val_loss == b[i].val_loss);
        ck_assert(a[i].val_accuracy == b[i].val_accuracy);
    }
}

/* The same bits in the same process after another task, and in another process; other
 * numbers for another seed. With one thread and with two. */
START_TEST(seed_decides)
{
    struct talk t, other;
    struct config config = talk_config();
    struct trial_epoch a[2], b[2], c[2], d[2];
    config.resources.threads_per_trial = 1 + _i;
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 99, TALK_TWO_LAYERS, "{}");
    talk_hear_curve(&t, 1, a, 2);
    talk_say_task(&t, 2, 1, 98, TALK_TWO_LAYERS, "{}");
    talk_hear_curve(&t, 2, b, 2);
    talk_say_task(&t, 3, 1, 99, TALK_TWO_LAYERS, "{}");
    talk_hear_curve(&t, 3, c, 2);
    talk_start(&other, &config);
    talk_say_task(&other, 4, 2, 99, TALK_TWO_LAYERS, "{}");
    talk_hear_curve(&other, 4, d, 2);
    check_same(a, c, 2);
    check_same(a, d, 2);
    ck_assert(a[0].train_loss != b[0].train_loss);
    ck_assert_int_eq(talk_end(&t, ""), 0);
    ck_assert_int_eq(talk_end(&other, ""), 0);
}
END_TEST

/* 300 images: batches of 32 and one of 12; of 299 and one of 1, left out; one of 300. */
START_TEST(children_learn_with_any_batch)
{
    static const char *const hyperparameters[] = {
        "{\"epochs\":15,\"batch\":32,\"augment\":{\"pad\":1,\"flip\":false}}",
        "{\"epochs\":100,\"batch\":299,\"augment\":{\"pad\":0,\"flip\":false}}",
        "{\"epochs\":100,\"batch\":300,\"augment\":{\"pad\":0,\"flip\":false}}",
        "{\"epochs\":15,\"batch\":32,\"augment\":{\"pad\":0,\"flip\":false},"
        "\"optimizer\":{\"name\":\"adam\",\"lr\":0.01}}"};
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch curve[100];
    config.resources.threads_per_trial = _i == 0 ? 2 : 1;
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 3, TALK_TWO_LAYERS, hyperparameters[_i]);
    int epochs = talk_hear_curve(&t, 1, curve, 100);
    ck_assert_msg(curve[epochs - 1].train_accuracy > 0.75, "%g",
                  (double)curve[epochs - 1].train_accuracy);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

/* --- states ------------------------------------------------------------------------- */

static const char long_one[] = "{\"epochs\":60,\"augment\":{\"pad\":1,\"flip\":true}}";

/* Suspended twice, in the first epoch and in a later one, and continued by other
 * processes: the bits of an undisturbed training, with all epochs reported. */
START_TEST(continued_training_gives_the_same_bits)
{
    struct talk calm, first, second, third;
    struct config config = talk_config();
    struct trial_epoch a[60], b[60];
    config.resources.threads_per_trial = 1 + _i;
    talk_start(&calm, &config);
    talk_say_task(&calm, 1, 1, 99, TALK_TWO_LAYERS, long_one);
    ck_assert_int_eq(talk_hear_curve(&calm, 1, a, 60), 60);
    talk_start(&first, &config);
    const struct trainer_checkpoint c = {talk_state_path(&calm), 0};
    talk_say_task_at(&first, 1, 1, 99, TALK_TWO_LAYERS, long_one, &c);
    talk_suspend_after(&first, 0);
    ck_assert_int_eq(talk_end(&first, ""), 0);
    talk_start(&second, &config);
    talk_say_task_at(&second, 1, 1, 99, TALK_TWO_LAYERS, long_one, &c);
    talk_hear_checkpoint(&second, CHECKPOINT_CONTINUED);
    struct trainer_line line = talk_suspend_after(&second, 7);
    ck_assert_int_lt((int)line.epoch, 60);
    ck_assert_int_eq(talk_end(&second, ""), 0);
    talk_start(&third, &config);
    talk_say_task_at(&third, 1, 1, 99, TALK_TWO_LAYERS, long_one, &c);
    ck_assert_uint_eq(talk_hear_checkpoint(&third, CHECKPOINT_CONTINUED).epoch,
                      line.epoch);
    ck_assert_int_eq(talk_hear_curve(&third, 1, b, 60), 60);
    check_same(a, b, 60);
    ck_assert_int_eq(talk_end(&third, ""), 0);
    ck_assert_int_eq(talk_end(&calm, ""), 0);
}
END_TEST

/* Killed with SIGKILL, it goes on from what it saved on its own. */
START_TEST(saves_on_its_own)
{
    struct talk calm, killed, next;
    struct config config = talk_config();
    struct trial_epoch a[60], b[60];
    struct trainer_line line;
    talk_start(&calm, &config);
    talk_say_task(&calm, 1, 1, 99, TALK_TWO_LAYERS, long_one);
    ck_assert_int_eq(talk_hear_curve(&calm, 1, a, 60), 60);
    const struct trainer_checkpoint c = {talk_state_path(&calm), 1e-3};
    talk_start(&killed, &config);
    talk_say_task_at(&killed, 1, 1, 99, TALK_TWO_LAYERS, long_one, &c);
    do
        line = talk_hear(&killed);
    while (line.type != TRAINER_CHECKPOINT || line.epoch < 3);
    ck_assert_int_eq(line.checkpoint, CHECKPOINT_SAVED);
    kill(killed.pid, SIGKILL);
    talk_start(&next, &config);
    talk_say_task_at(&next, 1, 2, 99, TALK_TWO_LAYERS, long_one,
                     &(struct trainer_checkpoint){c.path, 0});
    ck_assert_uint_ge(talk_hear_checkpoint(&next, CHECKPOINT_CONTINUED).epoch,
                      line.epoch);
    ck_assert_int_eq(talk_hear_curve(&next, 1, b, 60), 60);
    check_same(a, b, 60);
    waitpid(killed.pid, NULL, 0);
    talk_clear(&killed);
    ck_assert_int_eq(talk_end(&next, ""), 0);
    ck_assert_int_eq(talk_end(&calm, ""), 0);
}
END_TEST

/* Garbage, a folder, the state of another seed: reported, and the trial begins anew. */
START_TEST(states_that_cannot_be_used_are_reported)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch a[2], b[2];
    talk_start(&t, &config);
    const struct trainer_checkpoint c = {talk_state_path(&t), 1e-9};
    talk_say_task(&t, 1, 1, 5, TALK_ONE_LAYER, "{}");
    talk_hear_curve(&t, 1, a, 2);
    ck_assert_int_eq(text_write_file(c.path, "no state", 8, NULL), 0);
    talk_say_task_at(&t, 2, 1, 5, TALK_ONE_LAYER, "{}",
                     &(struct trainer_checkpoint){c.path, 0});
    struct trainer_line line = talk_hear_checkpoint(&t, CHECKPOINT_REFUSED);
    ck_assert_msg(strstr(line.reason, "holds no state"), "%s", line.reason);
    ck_assert_int_eq(talk_hear_curve(&t, 2, b, 2), 2);
    check_same(a, b, 2);
    talk_say_task_at(&t, 3, 1, 6, TALK_ONE_LAYER, "{}", &c);
    talk_hear_checkpoint(&t, CHECKPOINT_REFUSED);
    ck_assert_int_eq(talk_hear(&t).type, TRAINER_PROGRESS);
    talk_hear_checkpoint(&t, CHECKPOINT_SAVED);
    ck_assert_int_eq(talk_hear(&t).type, TRAINER_PROGRESS);
    ck_assert_int_eq(talk_hear(&t).type, TRAINER_RESULT);
    talk_say_task_at(&t, 4, 1, 5, TALK_ONE_LAYER, "{}",
                     &(struct trainer_checkpoint){c.path, 0});
    line = talk_hear_checkpoint(&t, CHECKPOINT_REFUSED);
    ck_assert_msg(strstr(line.reason, "\"trial seed: 6\" there, \"trial seed: 5\" here"),
                  "%s", line.reason);
    ck_assert_int_eq(talk_hear_curve(&t, 4, b, 2), 2);
    check_same(a, b, 2);
    ck_assert_int_eq(talk_end(&t, "begins anew"), 0);
}
END_TEST

/* Nowhere to write: it says so and trains to the end. */
START_TEST(what_cannot_be_saved_goes_on)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch curve[60];
    talk_start(&t, &config);
    talk_say_task_at(&t, 1, 1, 5, TALK_TWO_LAYERS, long_one,
                     &(struct trainer_checkpoint){"/nowhere/state", 1e-9});
    talk_hear(&t);
    talk_say(&t, "{\"type\":\"checkpoint\",\"trial\":1,\"attempt\":1}");
    talk_say(&t, "{\"type\":\"checkpoint\",\"trial\":8,\"attempt\":1}"); /* unknown */
    for (int i = 1; i < 60; i++)
        ck_assert_int_eq(talk_hear(&t).type, TRAINER_PROGRESS);
    ck_assert_int_eq(talk_hear_curve(&t, 1, curve, 60), 0);
    ck_assert_int_eq(talk_end(&t, "'/nowhere/state'"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_trial");
    TCase *tc = tcase_create("trainer_trial");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, bad_tasks_fail_alone);
    tcase_add_test(tc, memory_limit_fails_the_task);
    tcase_add_test(tc, divergence_fails_with_its_epoch);
    tcase_add_test(tc, two_tasks_in_a_row);
    tcase_add_loop_test(tc, seed_decides, 0, 2);
    tcase_add_loop_test(tc, children_learn_with_any_batch, 0, 4);
    tcase_add_loop_test(tc, continued_training_gives_the_same_bits, 0, 2);
    tcase_add_test(tc, saves_on_its_own);
    tcase_add_test(tc, states_that_cannot_be_used_are_reported);
    tcase_add_test(tc, what_cannot_be_saved_goes_on);
    suite_add_tcase(suite, tc);
    return talk_main(suite);
}
