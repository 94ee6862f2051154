/* SPDX-License-Identifier: Apache-2.0 */
/* Trials on a text, spoken with the real archway-trainer: what it makes of bad tasks, and
 * states that other processes go on from. */
#include "trainer_talk.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/text.h"

#define CELL                                                 \
    "{\"nodes\":[{\"activation\":\"tanh\",\"previous\":-1}," \
    "{\"activation\":\"relu\",\"previous\":0}]}"

enum { EPOCHS = 60 };

/* 25 windows an epoch. The rate is so high that averaging begins on the way. */
static struct config text_config(void)
{
    struct config c = talk_config();
    struct error err = {0};
    static const char *const keys[] = {"task.kind=language-model",
                                       "task.data.format=generated-text",
                                       "task.data.words=2000",
                                       "task.data.symbols=12",
                                       "task.data.states=3",
                                       "trainer.builtin.epochs=60",
                                       "trainer.builtin.optimizer.momentum=0",
                                       "trainer.builtin.optimizer.nesterov=false",
                                       "trainer.builtin.optimizer.lr=30",
                                       "trainer.builtin.batch=8",
                                       "trainer.builtin.hidden=8",
                                       "trainer.builtin.recurrent.bptt=10",
                                       "trainer.builtin.recurrent.average_after=5",
                                       "trainer.builtin.recurrent.dropout.state=0.2",
                                       "reward.metric=val_perplexity",
                                       "space.name=rnn-dag",
                                       "space.nodes=2"};
    c.task.train = c.task.validation = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_assert_msg(config_set(&c, keys[i], &err) == 0, "%s", err.text);
    ck_assert_msg(config_check(&c, "test", &err) == 0, "%s", err.text);
    return c;
}

START_TEST(bad_tasks_fail_alone)
{
    static const struct {
        const char *cell, *hyperparameters, *part;
    } bad[] = {
        {"{}", "{}", "there is no list 'nodes'"},
        {"{\"nodes\":[]}", "{}", "'nodes' has 0 entries"},
        {CELL, "{\"hidden\":0}", "hidden"},
        {CELL, "{\"batch\":4000}", "too few for 4000 columns"},
        {CELL, "{\"optimizer.lr\":1000,\"optimizer.weight_decay\":1}",
         "diverged in epoch 1 of 60 at learning rate 1000: loss or gradient"},
    };
    struct talk t;
    struct config config = text_config();
    struct trial_epoch curve[EPOCHS];
    talk_start(&t, &config);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        talk_say_task(&t, i, 1, 9, bad[i].cell, bad[i].hyperparameters);
        talk_hear_failure(&t, i, bad[i].part);
    }
    talk_say_task(&t, 9, 1, 9, CELL, "{}");
    ck_assert_int_eq(talk_hear_curve(&t, 9, curve, EPOCHS), EPOCHS);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

static void same_curves(const struct trial_epoch *a, const struct trial_epoch *b)
{
    for (int i = 0; i < EPOCHS; i++)
        ck_assert_msg(memcmp(&a[i], &b[i], offsetof(struct trial_epoch, seconds)) == 0,
                      "epoch %d", i + 1);
}

/* A training that nobody disturbs; its process stays, and with it the folder. */
static void train_calmly(struct talk *calm, const struct config *config,
                         struct trial_epoch *ret)
{
    talk_start(calm, config);
    talk_say_task(calm, 1, 1, 99, CELL, "{}");
    ck_assert_int_eq(talk_hear_curve(calm, 1, ret, EPOCHS), EPOCHS);
}

static void start_at(struct talk *t, const struct config *config,
                     const struct trainer_checkpoint *c)
{
    talk_start(t, config);
    talk_say_task_at(t, 1, 1, 99, CELL, "{}", c);
}

/* Suspended in the first epoch, in a later one and again, each time continued by another
 * process: the bits of an undisturbed training, with all epochs reported. */
START_TEST(continued_training_gives_the_same_bits)
{
    struct talk calm, t;
    struct config config = text_config();
    struct trial_epoch a[EPOCHS], b[EPOCHS];
    train_calmly(&calm, &config, a);
    const struct trainer_checkpoint c = {talk_state_path(&calm), 0};
    unsigned epoch = 0;
    for (int session = 0; session < 3; session++) {
        start_at(&t, &config, &c);
        if (session > 0)
            ck_assert_uint_eq(talk_hear_checkpoint(&t, CHECKPOINT_CONTINUED).epoch,
                              epoch);
        epoch = talk_suspend_after(&t, (int)epoch + 7 * session).epoch;
        ck_assert_int_eq(talk_end(&t, ""), 0);
    }
    ck_assert_uint_lt(epoch, EPOCHS);
    config.resources.threads_per_trial = 2; /* the bits of a text are the same */
    start_at(&t, &config, &c);
    ck_assert_uint_eq(talk_hear_checkpoint(&t, CHECKPOINT_CONTINUED).epoch, epoch);
    ck_assert_int_eq(talk_hear_curve(&t, 1, b, EPOCHS), EPOCHS);
    same_curves(a, b);
    ck_assert_int_eq(talk_end(&t, ""), 0);
    ck_assert_int_eq(talk_end(&calm, ""), 0);
}
END_TEST

/* Killed with SIGKILL, it goes on from what it saved on its own. */
START_TEST(saves_on_its_own)
{
    struct talk calm, killed, next;
    struct config config = text_config();
    struct trial_epoch a[EPOCHS], b[EPOCHS];
    struct trainer_line line;
    train_calmly(&calm, &config, a);
    const struct trainer_checkpoint c = {talk_state_path(&calm), 1e-3};
    start_at(&killed, &config, &c);
    do
        line = talk_hear(&killed);
    while (line.type != TRAINER_CHECKPOINT || line.epoch < 3);
    ck_assert_int_eq(line.checkpoint, CHECKPOINT_SAVED);
    kill(killed.pid, SIGKILL);
    start_at(&next, &config, &(struct trainer_checkpoint){c.path, 0});
    ck_assert_uint_ge(talk_hear_checkpoint(&next, CHECKPOINT_CONTINUED).epoch,
                      line.epoch);
    ck_assert_int_eq(talk_hear_curve(&next, 1, b, EPOCHS), EPOCHS);
    same_curves(a, b);
    waitpid(killed.pid, NULL, 0);
    talk_clear(&killed);
    ck_assert_int_eq(talk_end(&next, ""), 0);
    ck_assert_int_eq(talk_end(&calm, ""), 0);
}
END_TEST

/* Cut off, and of another seed: reported, and the trial begins anew. */
START_TEST(states_that_cannot_be_used_are_reported)
{
    struct talk calm, t;
    struct config config = text_config();
    struct trial_epoch a[EPOCHS], b[EPOCHS];
    char *text;
    size_t size;
    train_calmly(&calm, &config, a);
    const struct trainer_checkpoint c = {talk_state_path(&calm), 0};
    start_at(&t, &config, &c);
    talk_suspend_after(&t, 2);
    talk_say_task_at(&t, 2, 1, 98, CELL, "{\"epochs\":60}", &c);
    struct trainer_line line = talk_hear_checkpoint(&t, CHECKPOINT_REFUSED);
    ck_assert_msg(strstr(line.reason, "\"trial seed: 99\" there"), "%s", line.reason);
    ck_assert_int_eq(talk_hear_curve(&t, 2, b, EPOCHS), EPOCHS);
    ck_assert_int_eq(text_read_file(c.path, 1 << 20, &text, &size, NULL), 0);
    ck_assert_int_eq(text_write_file(c.path, text, size - 9, NULL), 0);
    free(text);
    talk_say_task_at(&t, 1, 2, 99, CELL, "{}", &c);
    line = talk_hear_checkpoint(&t, CHECKPOINT_REFUSED);
    ck_assert_msg(strstr(line.reason, "is cut off"), "%s", line.reason);
    ck_assert_int_eq(talk_hear_curve(&t, 1, b, EPOCHS), EPOCHS);
    same_curves(a, b);
    ck_assert_int_eq(talk_end(&t, "begins anew"), 0);
    ck_assert_int_eq(talk_end(&calm, ""), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_language");
    TCase *tc = tcase_create("trainer_language");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, bad_tasks_fail_alone);
    tcase_add_test(tc, continued_training_gives_the_same_bits);
    tcase_add_test(tc, saves_on_its_own);
    tcase_add_test(tc, states_that_cannot_be_used_are_reported);
    suite_add_tcase(suite, tc);
    return talk_main(suite);
}
