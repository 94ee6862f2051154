/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks on a relaxed cell, spoken with the real archway-trainer: steps in their order and
 * no other, scores after exactly the steps that were asked for, a derived cell with every
 * step, and states that a second trainer finds. */
#include "trainer_talk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/space/rnn_dag.h"
#include "temp_folder.h"

static struct temp_folder pool;

static struct config darts(const char *order)
{
    struct config c = talk_config();
    struct error err = {0};
    const char *const keys[] = {"task.kind=language-model",
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
                                "trainer.builtin.recurrent.output=all-but-first",
                                "reward.metric=val_loss",
                                "space.name=rnn-dag",
                                "space.nodes=4",
                                "search.strategy=darts",
                                "search.trials=unlimited",
                                "search.shared.steps=6",
                                "search.shared.save_every=4",
                                order};
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

static struct trainer_line ask(struct talk *t, int kind, uint64_t step, int32_t part)
{
    char *line = trainer_encode_task(&(struct trainer_task){.trial = 7,
                                                            .attempt = 1,
                                                            .kind = (uint8_t)kind,
                                                            .shared = {step, part},
                                                            .architecture = "{}"});
    ck_assert_ptr_nonnull(line);
    talk_say(t, line);
    free(line);
    return talk_hear(t);
}

/* A cell of four nodes whose first is tanh. */
static void check_cell(const struct trainer_line *line)
{
    struct rnn_dag dag;
    struct error err = {0};
    ck_assert_ptr_nonnull(line->architecture);
    json_t *json = json_loadb(line->architecture, line->architecture_size, 0, NULL);
    ck_assert_msg(rnn_dag_from_json(json, &dag, &err) == 0, "%s", err.text);
    ck_assert_int_eq(dag.node_count, 4);
    ck_assert_int_eq(dag.nodes[0].activation, RNN_TANH);
    json_decref(json);
    ck_assert(line->log_probability < 0 && line->log_probability > 3 * log(0.2));
}

/* Losses of so many steps: of training and of validation. */
static void train(struct talk *t, uint64_t first, uint64_t end, float *losses)
{
    for (uint64_t step = first; step < end; step++) {
        struct trainer_line line = ask(t, TRIAL_RELAX, step, 0);
        ck_assert_int_eq(line.type, TRAINER_RESULT);
        ck_assert_msg(!line.failed, "%s", line.reason);
        check_cell(&line);
        losses[2 * step] = line.values.train_loss;
        losses[2 * step + 1] = line.values.val_loss;
        ck_assert(isfinite(losses[2 * step]) && isfinite(losses[2 * step + 1]));
    }
}

static void is_behind(struct trainer_line line, uint64_t step)
{
    ck_assert_int_eq(line.type, TRAINER_BEHIND);
    ck_assert_uint_eq(line.trial, 7);
    ck_assert_uint_eq(line.at.step, step);
    ck_assert_int_eq(line.at.part, 0);
}

static void refuses(struct talk *t, int kind, int32_t part, const char *words)
{
    struct trainer_line line = ask(t, kind, 0, part);
    ck_assert(line.type == TRAINER_RESULT && line.failed);
    ck_assert_msg(strstr(line.reason, words), "%s", line.reason);
    ck_assert_ptr_null(line.architecture);
}

START_TEST(what_makes_no_sense_is_refused)
{
    struct talk t;
    struct config c = darts("search.shared.order=1");
    greet(&t, &c, temp_folder_file(&pool, "refused"));
    refuses(&t, TRIAL_RELAX, 1, "part 1 of a step of a relaxed cell");
    refuses(&t, TRIAL_TRAIN_SHARED, 0, "without shared weights");
    ck_assert_int_eq(talk_end(&t, ""), 0);
    greet(&t, &c, NULL);
    refuses(&t, TRIAL_RELAX, 0, "without a relaxed cell");
    refuses(&t, TRIAL_EVAL_RELAX, -1, "without a relaxed cell");
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

static void check_order(const char *key, const char *name)
{
    struct talk t, other;
    struct config c = darts(key);
    float losses[20] = {0}, again[20] = {0};
    char folder[600];
    snprintf(folder, sizeof folder, "%s", temp_folder_file(&pool, name));
    greet(&t, &c, folder);
    is_behind(ask(&t, TRIAL_RELAX, 3, 0), 0);
    is_behind(ask(&t, TRIAL_EVAL_RELAX, 6, -1), 0);
    train(&t, 0, 5, losses);
    is_behind(ask(&t, TRIAL_EVAL_RELAX, 6, -1), 5);
    train(&t, 5, 7, losses);

    /* Another one finds the states after 4 and 6 steps. */
    greet(&other, &c, folder);
    is_behind(ask(&other, TRIAL_RELAX, 5, 0), 4);
    train(&other, 4, 7, again);
    ck_assert_mem_eq(again + 8, losses + 8, 6 * sizeof *losses);
    struct trainer_line score = ask(&t, TRIAL_EVAL_RELAX, 6, -1);
    ck_assert(isfinite(score.values.val_loss) && isnan(score.values.train_loss));
    ck_assert_ptr_null(score.architecture);
    float second = ask(&other, TRIAL_EVAL_RELAX, 6, -1).values.val_loss;
    ck_assert(score.values.val_loss == second);
    ck_assert_int_eq(talk_end(&t, ""), 0);
    ck_assert_int_eq(talk_end(&other, ""), 0);
}

START_TEST(steps_are_made_in_their_order_alone)
{
    check_order("search.shared.order=1", "first");
    check_order("search.shared.order=2", "second");
}
END_TEST

/* A trainer that is told to end keeps what it has made since the last state. */
START_TEST(the_last_steps_are_kept_at_the_end)
{
    struct talk t;
    struct config c = darts("search.shared.order=1");
    float losses[20] = {0};
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

/* Which also gives the memory back that the child may need. */
START_TEST(a_child_in_between_changes_nothing)
{
    struct talk t;
    struct config c = darts("search.shared.order=1");
    float losses[20] = {0}, through[20] = {0};
    char folder[600];
    struct trial_epoch curve[1];
    c.trainer.builtin.epochs = 1;
    snprintf(folder, sizeof folder, "%s", temp_folder_file(&pool, "calm"));
    greet(&t, &c, folder);
    train(&t, 0, 6, losses);
    ck_assert_int_eq(talk_end(&t, ""), 0);
    snprintf(folder, sizeof folder, "%s", temp_folder_file(&pool, "between"));
    greet(&t, &c, folder);
    train(&t, 0, 3, through);
    char *line = trainer_encode_task(&(struct trainer_task){
        .trial = 8,
        .attempt = 1,
        .architecture = "{\"nodes\":[{\"activation\":\"tanh\",\"previous\":-1}]}"});
    talk_say(&t, line);
    free(line);
    ck_assert_int_eq(talk_hear_curve(&t, 8, curve, 1), 1);
    ck_assert(isfinite(curve[0].val_loss));
    train(&t, 3, 6, through);
    ck_assert_mem_eq(through, losses, 12 * sizeof *losses);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

/* One without a place for states trains on, and says so. */
START_TEST(a_folder_that_cannot_be_written_is_no_end)
{
    struct talk t;
    struct config c = darts("search.shared.order=1");
    float losses[20] = {0};
    greet(&t, &c, "/proc/nowhere/pool");
    train(&t, 0, 6, losses);
    ck_assert(isfinite(ask(&t, TRIAL_EVAL_RELAX, 6, -1).values.val_loss));
    ck_assert_int_eq(talk_end(&t, "cannot make the folder"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_relaxed");
    TCase *tc = tcase_create("trainer_relaxed");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_makes_no_sense_is_refused);
    tcase_add_test(tc, steps_are_made_in_their_order_alone);
    tcase_add_test(tc, the_last_steps_are_kept_at_the_end);
    tcase_add_test(tc, a_child_in_between_changes_nothing);
    tcase_add_test(tc, a_folder_that_cannot_be_written_is_no_end);
    suite_add_tcase(suite, tc);
    temp_folder_init(&pool);
    int status = talk_main(suite);
    temp_folder_fini(&pool);
    return status;
}
