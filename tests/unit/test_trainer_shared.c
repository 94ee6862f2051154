/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks on shared weights, spoken with the real archway-trainer: steps in their order and
 * no other, scores with exactly the weights that were asked for, and states that a second
 * trainer finds. */
#include "trainer_talk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "temp_folder.h"

#define CELL(first, second)                                                         \
    "{\"nodes\":[{\"activation\":\"tanh\",\"previous\":-1},"                        \
    "{\"activation\":\"" first "\",\"previous\":0},{\"activation\":\"" second "\"," \
    "\"previous\":1}]}"

static struct temp_folder pool;

static struct config enas(void)
{
    struct config c = talk_config();
    struct error err = {0};
    static const char *const keys[] = {"task.kind=language-model",
                                       "task.data.format=generated-text",
                                       "task.data.words=2000",
                                       "task.data.symbols=12",
                                       "task.data.states=3",
                                       "trainer.builtin.optimizer.momentum=0",
                                       "trainer.builtin.optimizer.nesterov=false",
                                       "trainer.builtin.optimizer.lr=1",
                                       "trainer.builtin.batch=8",
                                       "trainer.builtin.hidden=8",
                                       "trainer.builtin.recurrent.bptt=10",
                                       "reward.metric=val_perplexity",
                                       "space.name=rnn-dag",
                                       "space.nodes=3",
                                       "search.strategy=enas",
                                       "search.trials=unlimited",
                                       "search.shared.steps=6",
                                       "search.shared.samples=2",
                                       "search.shared.save_every=4"};
    c.task.train = c.task.validation = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_assert_msg(config_set(&c, keys[i], &err) == 0, "%s", err.text);
    ck_assert_msg(config_check(&c, "test", &err) == 0, "%s", err.text);
    return c;
}

static void greet(struct talk *t, const struct config *c, const char *folder)
{
    talk_begin(t, NULL);
    char *line = trainer_encode_hello(c, 0, t->folder, folder);
    ck_assert_ptr_nonnull(line);
    talk_say(t, line);
    free(line);
    ck_assert_int_eq(talk_hear(t).type, TRAINER_READY);
}

static struct trainer_line ask(struct talk *t, int kind, uint64_t step, int32_t part,
                               const char *cell)
{
    char *line = trainer_encode_task(&(struct trainer_task){.trial = 7,
                                                            .attempt = 1,
                                                            .kind = (uint8_t)kind,
                                                            .shared = {step, part},
                                                            .architecture = cell});
    ck_assert_ptr_nonnull(line);
    talk_say(t, line);
    free(line);
    struct trainer_line answer = talk_hear(t);
    return answer.type == TRAINER_LANES ? talk_hear(t) : answer;
}

static const char *cell_of(uint64_t step, int part)
{
    return (step + (uint64_t)part) % 2 ? CELL("relu", "sigmoid")
                                       : CELL("sigmoid", "tanh");
}

/* Losses of all lanes of so many steps. */
static void train(struct talk *t, uint64_t first, uint64_t end, float *losses)
{
    for (uint64_t step = first; step < end; step++)
        for (int part = 0; part < 2; part++) {
            struct trainer_line line =
                ask(t, TRIAL_TRAIN_SHARED, step, part, cell_of(step, part));
            ck_assert_int_eq(line.type, TRAINER_RESULT);
            ck_assert_msg(!line.failed, "%s", line.reason);
            ck_assert(isfinite(line.values.train_loss) && isnan(line.values.val_loss));
            losses[2 * step + (uint64_t)part] = line.values.train_loss;
        }
}

static void is_behind(struct trainer_line line, uint64_t step, int part)
{
    ck_assert_int_eq(line.type, TRAINER_BEHIND);
    ck_assert_uint_eq(line.trial, 7);
    ck_assert_uint_eq(line.at.step, step);
    ck_assert_int_eq(line.at.part, part);
}

static void refuses(struct talk *t, int kind, int32_t part, const char *cell,
                    const char *words)
{
    struct trainer_line line = ask(t, kind, 0, part, cell);
    ck_assert(line.type == TRAINER_RESULT && line.failed);
    ck_assert_msg(strstr(line.reason, words), "%s", line.reason);
}

START_TEST(what_makes_no_sense_is_refused)
{
    struct talk t;
    struct config c = enas();
    greet(&t, &c, temp_folder_file(&pool, "refused"));
    refuses(&t, TRIAL_TRAIN_SHARED, 2, CELL("relu", "tanh"), "part 2 of a step of 2");
    refuses(&t, TRIAL_EVAL_SHARED, 0, "{\"nodes\":[]}", "nodes");
    refuses(&t, TRIAL_EVAL_SHARED, 0,
            "{\"nodes\":[{\"activation\":\"tanh\",\"previous\":-1},"
            "{\"activation\":\"tanh\",\"previous\":0},{\"activation\":\"tanh\","
            "\"previous\":0},{\"activation\":\"tanh\",\"previous\":0}]}",
            "nodes");
    ck_assert_int_eq(talk_end(&t, ""), 0);
    greet(&t, &c, NULL);
    refuses(&t, TRIAL_TRAIN_SHARED, 0, CELL("relu", "tanh"), "without shared weights");
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(steps_are_made_in_their_order_alone)
{
    struct talk t, other;
    struct config c = enas();
    float losses[40] = {0}, again[40] = {0};
    char folder[600];
    snprintf(folder, sizeof folder, "%s", temp_folder_file(&pool, "order"));
    greet(&t, &c, folder);
    is_behind(ask(&t, TRIAL_TRAIN_SHARED, 3, 0, cell_of(3, 0)), 0, 0);
    is_behind(ask(&t, TRIAL_EVAL_SHARED, 6, -1, cell_of(0, 0)), 0, 0);
    train(&t, 0, 5, losses);
    is_behind(ask(&t, TRIAL_TRAIN_SHARED, 6, 1, cell_of(6, 1)), 5, 0);
    struct trainer_line line = ask(&t, TRIAL_TRAIN_SHARED, 5, 0, cell_of(5, 0));
    losses[10] = line.values.train_loss;
    is_behind(ask(&t, TRIAL_EVAL_SHARED, 6, -1, cell_of(0, 0)), 5, 1);
    losses[11] = ask(&t, TRIAL_TRAIN_SHARED, 5, 1, cell_of(5, 1)).values.train_loss;
    train(&t, 6, 7, losses);

    /* Another one finds the states after 4 and 6 steps. */
    greet(&other, &c, folder);
    is_behind(ask(&other, TRIAL_TRAIN_SHARED, 5, 0, cell_of(5, 0)), 4, 0);
    train(&other, 4, 7, again);
    ck_assert_mem_eq(again + 8, losses + 8, 6 * sizeof *losses);
    for (int part = -1; part < 3; part++) {
        float score = ask(&t, TRIAL_EVAL_SHARED, 6, part, cell_of(1, 0)).values.val_loss;
        ck_assert(isfinite(score));
        ck_assert(score ==
                  ask(&other, TRIAL_EVAL_SHARED, 6, part, cell_of(1, 0)).values.val_loss);
    }
    ck_assert_int_eq(talk_end(&t, ""), 0);
    ck_assert_int_eq(talk_end(&other, ""), 0);
}
END_TEST

/* A trainer that is told to end keeps what it has made since the last state. */
START_TEST(the_last_steps_are_kept_at_the_end)
{
    struct talk t;
    struct config c = enas();
    float losses[40] = {0};
    char folder[600];
    snprintf(folder, sizeof folder, "%s", temp_folder_file(&pool, "end"));
    greet(&t, &c, folder);
    train(&t, 0, 3, losses);
    ck_assert_int_eq(talk_end(&t, ""), 0);
    greet(&t, &c, folder);
    train(&t, 3, 4, losses);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

/* One without a place for states trains on, and says so. */
START_TEST(a_folder_that_cannot_be_written_is_no_end)
{
    struct talk t;
    struct config c = enas();
    float losses[40] = {0};
    greet(&t, &c, "/proc/nowhere/pool");
    train(&t, 0, 6, losses);
    ck_assert(isfinite(ask(&t, TRIAL_EVAL_SHARED, 6, -1, cell_of(0, 0)).values.val_loss));
    ck_assert_int_eq(talk_end(&t, "cannot make the folder"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_shared");
    TCase *tc = tcase_create("trainer_shared");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_makes_no_sense_is_refused);
    tcase_add_test(tc, steps_are_made_in_their_order_alone);
    tcase_add_test(tc, the_last_steps_are_kept_at_the_end);
    tcase_add_test(tc, a_folder_that_cannot_be_written_is_no_end);
    suite_add_tcase(suite, tc);
    temp_folder_init(&pool);
    int status = talk_main(suite);
    temp_folder_fini(&pool);
    return status;
}
