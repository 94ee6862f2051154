/* SPDX-License-Identifier: Apache-2.0 */
/* Training on a text whose entropy is known. */
#include "worker/language.h"

#include <math.h>
#include <string.h>

#include "text_rig.h"
#include "unit.h"

static struct language_settings settings(void)
{
    return (struct language_settings){.hidden = 12,
                                      .batch = 8,
                                      .steps = 10,
                                      .eval_batch = 5,
                                      .init = 0.1,
                                      .clip = 0.5,
                                      .threads = 1};
}

static const struct language_cell chain = {
    .graph = {.nodes = 2, .activation = {RECURRENT_TANH, RECURRENT_RELU}}};

/* An input gate times a value, to which the memory is added: it has to be carried. */
static const struct language_cell tree = {
    .is_tree = true,
    .tree = {.leaves = 2,
             .nodes = {{RECURRENT_ADD, RECURRENT_TANH},
                       {RECURRENT_ADD, RECURRENT_SIGMOID},
                       {RECURRENT_MULTIPLY, RECURRENT_TANH}},
             .inject = {RECURRENT_ADD, RECURRENT_TANH},
             .memory = 2,
             .injected = 0}};

static void init_cell(struct language *l, const struct language_settings *s,
                      const struct corpus *c, const struct language_cell *cell)
{
    struct error err = {0};
    ck_assert_msg(language_init(l, s, c, cell, 3, &err) == 0, "%s", err.text);
}

static void init(struct language *l, const struct language_settings *s,
                 const struct corpus *c)
{
    init_cell(l, s, c, &chain);
}

START_TEST(short_texts_are_refused)
{
    struct language l;
    struct corpus c = text_corpus();
    struct language_settings s = settings();
    struct error err = {0};
    c.parts[CORPUS_TRAIN].count = 15;
    ck_assert_int_eq(language_init(&l, &s, &c, &chain, 1, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text, "the training text has 15 words, which are too few for 8 "
                               "columns of at least 2");
    c = text_corpus();
    s.patience = -1;
    ck_assert_int_eq(language_init(&l, &s, &c, &chain, 1, &err), ERROR_INPUT);
    s.patience = 0;
    s.hidden = 0;
    ck_assert_int_eq(language_init(&l, &s, &c, &chain, 1, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "hidden is 0"));
    language_fini(&l);
}
END_TEST

START_TEST(columns_are_cut_as_published)
{
    int32_t text[11], inputs[6], targets[6];
    struct corpus_part part = {text, 11};
    for (int32_t i = 0; i < 11; i++)
        text[i] = i;
    struct text_columns c = text_columns_make(&part, 2); /* 0 ... 4 and 5 ... 9 */
    ck_assert_uint_eq(c.rows, 4);
    ck_assert_uint_eq(text_columns_windows(&c, 3), 2);
    ck_assert_int_eq(text_columns_window(&c, 3, 0, inputs, targets), 3);
    const int32_t first[] = {0, 5, 1, 6, 2, 7}, next[] = {1, 6, 2, 7, 3, 8};
    ck_assert_mem_eq(inputs, first, sizeof first);
    ck_assert_mem_eq(targets, next, sizeof next);
    ck_assert_int_eq(text_columns_window(&c, 3, 1, inputs, targets), 1);
    ck_assert_int_eq(inputs[0], 3);
    ck_assert_int_eq(targets[1], 9);
    ck_assert_int_eq(text_columns_window(&c, 3, 2, inputs, targets), 0);
    part.count = 1;
    c = text_columns_make(&part, 2);
    ck_assert_uint_eq(c.rows, 0);
    ck_assert_int_eq(text_columns_window(&c, 3, 0, inputs, targets), 0);
}
END_TEST

static void check_learning(const struct language_cell *cell)
{
    struct corpus c = text_corpus();
    struct language_settings s = settings();
    struct trial_epoch epoch = {0};
    struct language l;
    init_cell(&l, &s, &c, cell);
    double untrained = language_evaluate(&l, CORPUS_VALIDATION, 1, NULL, NULL);
    ck_assert_double_eq_tol(untrained, log(TEXT_WORDS), 0.1);
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(language_epoch(&l, i < 8 ? 2 : 0.5, NULL, &epoch), TRAINING_DONE);
        ck_assert_int_eq(l.position.epoch, i + 1);
    }
    ck_assert_double_lt((double)epoch.val_loss, text_entropy * 1.05);
    ck_assert_double_gt((double)epoch.val_loss, text_entropy * 0.93);
    ck_assert_double_eq_tol((double)epoch.val_loss,
                            language_evaluate(&l, CORPUS_VALIDATION, 5, NULL, NULL), 1e-6);
    ck_assert(isnan(language_evaluate(&l, CORPUS_TEST, 1, NULL, NULL)));
    language_fini(&l);
}

/* Close to the entropy, and from below no closer than chance allows. */
START_TEST(it_learns_what_there_is_to_learn)
{
    check_learning(&chain);
    check_learning(&tree);
}
END_TEST

static bool every_third(void *context)
{
    int *calls = context;
    return ++*calls % 3 == 0;
}

static void check_bits(const struct language_cell *cell)
{
    struct corpus c = text_corpus();
    struct language_settings s = settings();
    struct trial_epoch epoch[2][3];
    struct language l[2];
    int calls = 0;
    struct training_watch watch = {every_third, &calls};
    s.dropout = (struct recurrent_dropout){.input = 0.2, .output = 0.2, .weight = 0.3};
    init_cell(&l[0], &s, &c, cell);
    s.threads = 3;
    init_cell(&l[1], &s, &c, cell);
    for (int i = 0; i < 3; i++) {
        enum training_outcome outcome;
        ck_assert_int_eq(language_epoch(&l[0], 1, NULL, &epoch[0][i]), TRAINING_DONE);
        do
            outcome = language_epoch(&l[1], 1, calls < 1000 ? &watch : NULL, &epoch[1][i]);
        while (outcome == TRAINING_STOPPED && calls < 2000);
        ck_assert_int_eq(outcome, TRAINING_DONE);
        ck_assert(epoch[0][i].train_loss == epoch[1][i].train_loss);
        ck_assert(epoch[0][i].val_loss == epoch[1][i].val_loss);
    }
    ck_assert_int_gt(calls, 20);
    ck_assert_mem_eq(l[0].parameters, l[1].parameters,
                     recurrent_count(l[0].model) * sizeof(float));
    language_fini(&l[0]);
    language_fini(&l[1]);
}

/* Stopped again and again, and with other numbers of threads: the same bits. */
START_TEST(stops_and_threads_change_no_bit)
{
    check_bits(&chain);
    check_bits(&tree);
}
END_TEST

/* A text in windows of any length: h and c go on, from 0 in every evaluation. */
START_TEST(memories_are_carried)
{
    struct corpus c = text_corpus();
    struct language_settings s = settings();
    struct language l;
    double losses[2];
    s.init = 2;
    for (int k = 0; k < 2; k++) {
        s.steps = k ? 1000 : 3;
        init_cell(&l, &s, &c, &tree);
        losses[k] = language_evaluate(&l, CORPUS_VALIDATION, 2, NULL, NULL);
        ck_assert(losses[k] == language_evaluate(&l, CORPUS_VALIDATION, 2, NULL, NULL));
        language_fini(&l);
    }
    ck_assert_double_eq_tol(losses[0], losses[1], 1e-9);
}
END_TEST

/* With a rate that is too high for the end, averaging takes over and helps. A higher one
 * leads to chaos, in which kernels that round otherwise part. */
START_TEST(averaging_begins_when_nothing_improves)
{
    struct corpus c = text_corpus();
    struct language_settings s = settings();
    struct trial_epoch plain = {0}, averaged = {0};
    struct language a, b;
    init(&a, &s, &c);
    s.patience = 2;
    init(&b, &s, &c);
    for (int i = 0; i < 50; i++) {
        language_epoch(&a, 12, NULL, &plain);
        language_epoch(&b, 12, NULL, &averaged);
    }
    ck_assert_uint_eq(a.position.averaged, 0);
    ck_assert_uint_gt(b.position.averaged, 75);
    ck_assert_double_lt((double)averaged.val_loss, (double)plain.val_loss - 0.01);
    ck_assert_mem_eq(a.parameters, b.parameters,
                     recurrent_count(a.model) * sizeof(float));
    language_fini(&a);
    language_fini(&b);
}
END_TEST

START_TEST(divergence_is_told)
{
    struct corpus c = text_corpus();
    struct language_settings s = settings();
    struct trial_epoch epoch = {0};
    struct language l;
    enum training_outcome outcome = TRAINING_DONE;
    s.clip = 0;
    init(&l, &s, &c);
    for (int i = 0; i < 5 && outcome == TRAINING_DONE; i++)
        outcome = language_epoch(&l, 1e30, NULL, &epoch);
    ck_assert_int_eq(outcome, TRAINING_DIVERGED);
    ck_assert(isnan(epoch.train_loss) && isnan(epoch.val_loss));
    language_fini(&l);
}
END_TEST

START_TEST(memory_is_what_was_said)
{
    struct language_settings s = settings();
    size_t small = language_bytes(&s, 1000, &chain);
    ck_assert_uint_gt(small, 1000 * 12 * 4 * 4);
    s.patience = 5;
    ck_assert_uint_eq(language_bytes(&s, 1000, &chain) - small,
                      4 * (1000 * 12 + 2 * 12 * 12 * 3));
    size_t averaged = language_bytes(&s, 1000, &tree);
    s.patience = 0;
    ck_assert_uint_eq(averaged - language_bytes(&s, 1000, &tree),
                      4 * (1000 * 12 + 4 * 12 * 12));
}
END_TEST

UNIT_MAIN("language", short_texts_are_refused, columns_are_cut_as_published,
          it_learns_what_there_is_to_learn, stops_and_threads_change_no_bit,
          memories_are_carried, averaging_begins_when_nothing_improves,
          divergence_is_told, memory_is_what_was_said)
