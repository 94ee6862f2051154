/* SPDX-License-Identifier: Apache-2.0 */
/* The relaxed cell as it is searched with: what a step is made of, and that scores leave
 * no trace. */
#include "worker/relaxed_pool.h"

#include <math.h>
#include <string.h>

#include "relaxed_rig.h"

START_TEST(bad_settings_are_refused)
{
    struct relaxed_pool p;
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(3);
    struct error err = {0};
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text, "relaxed cell: order 3, allowed are 1 and 2");
    s = relaxed_rig_settings(1);
    s.nodes = 0;
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    s.nodes = RELAXED_MAX_NODES + 1;
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    s = relaxed_rig_settings(1);
    s.language.eval_batch = 0;
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    s = relaxed_rig_settings(1);
    s.language.batch = 0;
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
}
END_TEST

START_TEST(short_texts_are_refused)
{
    struct relaxed_pool p;
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(1);
    struct error err = {0};
    c.parts[CORPUS_VALIDATION].count = 15;
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text,
                     "the validation text has 15 words, which are too few for 8 "
                     "columns of at least 2");
    c = text_corpus();
    c.parts[CORPUS_TRAIN].count = 15;
    ck_assert_int_eq(relaxed_pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "the training text has 15 words"));
}
END_TEST

/* The first step by hand, from the parts that have tests of their own. */
START_TEST(a_step_moves_alpha_and_then_the_weights)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(1);
    struct relaxed_pool p, hand;
    float state[8 * 8] = {0}, valid_state[8 * 8] = {0};
    double valid;
    relaxed_rig_init(&p, &s, &c);
    relaxed_rig_init(&hand, &s, &c);
    double loss = relaxed_pool_step(&p, 0.5, &valid);
    struct text_columns texts[] = {text_columns_make(&c.parts[CORPUS_VALIDATION], 8),
                                   text_columns_make(&c.parts[CORPUS_TRAIN], 8)};
    struct recurrent_window w = {
        .batch = 8, .inputs = hand.inputs, .targets = hand.targets, .state = valid_state};
    w.steps = text_columns_window(&texts[0], 10, 0, hand.inputs, hand.targets);
    memset(hand.alpha_gradient, 0, relaxed_pool_alphas(&p) * sizeof(float));
    ck_assert(valid == relaxed_gradient(hand.model, hand.parameters, hand.alpha, &w, 1,
                                        NULL, hand.alpha_gradient));
    struct optimizer_adam adam = {3e-3f, 0.9f, 0.999f, 1e-8f, 1e-3f};
    optimizer_adam_step(&hand.adam, &adam, hand.alpha, hand.alpha_gradient);
    w.state = state;
    w.steps = text_columns_window(&texts[1], 10, 0, hand.inputs, hand.targets);
    relaxed_clear(hand.model, hand.gradient);
    ck_assert(loss == relaxed_gradient(hand.model, hand.parameters, hand.alpha, &w, 1,
                                       hand.gradient, NULL));
    struct recurrent_descent d = {.lr = 0.5, .clip = 0.5, .decay = 1e-3};
    relaxed_descend(hand.model, &d, hand.gradient, hand.parameters);
    memcpy(hand.train_state, state, sizeof state);
    memcpy(hand.valid_state, valid_state, sizeof valid_state);
    hand.step = 1;
    ck_assert(relaxed_rig_equal(&p, &hand));
    relaxed_pool_fini(&p);
    relaxed_pool_fini(&hand);
}
END_TEST

START_TEST(the_second_order_is_another_gradient)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings first = relaxed_rig_settings(1);
    struct relaxed_pool_settings second = relaxed_rig_settings(2);
    struct relaxed_pool p, q;
    double valid[2];
    relaxed_rig_init(&p, &first, &c);
    relaxed_rig_init(&q, &second, &c);
    ck_assert_mem_eq(p.alpha, q.alpha, relaxed_pool_alphas(&p) * sizeof(float));
    relaxed_pool_step(&p, 1, &valid[0]);
    relaxed_pool_step(&q, 1, &valid[1]);
    ck_assert(memcmp(p.alpha_gradient, q.alpha_gradient,
                     relaxed_pool_alphas(&p) * sizeof(float)) != 0);
    ck_assert_double_lt(valid[1], valid[0]); /* one step ahead it is better */
    relaxed_pool_fini(&p);
    relaxed_pool_fini(&q);
}
END_TEST

static void check_bits(int order)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(order), more;
    struct relaxed_pool p, q;
    s.language.dropout = (struct recurrent_dropout){.input = 0.3, .output = 0.2};
    more = s;
    more.language.threads = 3;
    relaxed_rig_init(&p, &s, &c);
    relaxed_rig_init(&q, &more, &c);
    relaxed_rig_train(&p, 40, 1);
    relaxed_rig_train(&q, 40, 1);
    ck_assert(relaxed_rig_equal(&p, &q));
    relaxed_pool_restart(&q);
    ck_assert_uint_eq(q.step, 0);
    relaxed_rig_train(&q, 40, 1);
    ck_assert(relaxed_rig_equal(&p, &q));
    relaxed_pool_fini(&p);
    relaxed_pool_fini(&q);
}

START_TEST(the_same_steps_give_the_same_bits_for_any_threads)
{
    check_bits(1);
    check_bits(2);
}
END_TEST

static void check_left_out(int order)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(order);
    struct relaxed_pool p;
    double valid;
    relaxed_rig_init(&p, &s, &c);
    relaxed_rig_train(&p, 3, 1);
    size_t alphas = relaxed_pool_alphas(&p), count = relaxed_count(p.model);
    size_t at = relaxed_matrix(p.model, 2) + 8;
    float sound = p.parameters[at], *before = malloc((count + alphas) * sizeof *before);
    p.parameters[at] = INFINITY; /* of the candidate's columns */
    memcpy(before, p.parameters, count * sizeof *before);
    memcpy(before + count, p.alpha, alphas * sizeof *before);
    ck_assert(!isfinite(relaxed_pool_step(&p, 1, &valid)));
    ck_assert_uint_eq(p.step, 4);
    ck_assert_uint_eq(p.adam.step, 3);
    ck_assert_mem_eq(before, p.parameters, count * sizeof *before);
    ck_assert_mem_eq(before + count, p.alpha, alphas * sizeof *before);
    p.parameters[at] = sound; /* no state is poisoned */
    relaxed_rig_train(&p, 2, 1);
    ck_assert_uint_eq(p.adam.step, 5);
    free(before);
    relaxed_pool_fini(&p);
}

START_TEST(a_step_without_a_loss_is_left_out)
{
    check_left_out(1);
    check_left_out(2);
}
END_TEST

/* Alpha has been stepped when the weights' side fails: it goes back. */
START_TEST(half_a_step_is_none)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(1);
    struct relaxed_pool p, before;
    double valid;
    relaxed_rig_init(&p, &s, &c);
    relaxed_rig_init(&before, &s, &c);
    relaxed_rig_train(&p, 3, 1);
    relaxed_rig_train(&before, 3, 1);
    p.train_state[5] = NAN;
    ck_assert(!isfinite(relaxed_pool_step(&p, 1, &valid)));
    ck_assert(isfinite(valid));
    before.step = 4;
    memset(before.train_state, 0, 8 * 8 * sizeof(float));
    memset(before.valid_state, 0, 8 * 8 * sizeof(float));
    ck_assert(relaxed_rig_equal(&p, &before));
    relaxed_pool_fini(&p);
    relaxed_pool_fini(&before);
}
END_TEST

static bool stop(void *context)
{
    return ++*(int *)context > 2;
}

START_TEST(a_score_leaves_no_trace)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(1);
    struct relaxed_pool p, other;
    int asked = 0;
    const struct training_watch watch = {stop, &asked};
    bool stopped;
    relaxed_rig_init(&p, &s, &c);
    relaxed_rig_init(&other, &s, &c);
    relaxed_rig_train(&p, 5, 1);
    relaxed_rig_train(&other, 5, 1);
    double score = relaxed_pool_score(&p, NULL, &stopped);
    ck_assert(!stopped && score > 0);
    ck_assert(score == relaxed_pool_score(&p, NULL, &stopped));
    ck_assert(isnan(relaxed_pool_score(&p, &watch, &stopped)) && stopped);
    relaxed_rig_train(&p, 5, 1);
    relaxed_rig_train(&other, 5, 1);
    ck_assert(relaxed_rig_equal(&p, &other));
    relaxed_pool_fini(&p);
    relaxed_pool_fini(&other);
}
END_TEST

/* Many passes over the texts: the mixture comes near the entropy, and alpha turns away
 * from where it was. */
START_TEST(the_mixture_learns)
{
    struct corpus c = text_corpus();
    struct relaxed_pool_settings s = relaxed_rig_settings(2);
    struct relaxed_pool p;
    struct recurrent_cell cell;
    bool stopped;
    float farthest = 0;
    s.language.decay = 0;
    s.language.norm = false; /* which knows five columns alone when it scores */
    relaxed_rig_init(&p, &s, &c);
    double before = relaxed_pool_score(&p, NULL, &stopped);
    relaxed_rig_train(&p, 800, 2);
    double after = relaxed_pool_score(&p, NULL, &stopped);
    ck_assert_double_gt(before, 2.3); /* log 11 is 2.4 */
    ck_assert_double_lt(after, 1.3 * text_entropy);
    for (size_t i = 0; i < relaxed_pool_alphas(&p); i++)
        farthest = fmaxf(farthest, fabsf(p.alpha[i]));
    ck_assert_float_gt(farthest, 0.05f);
    ck_assert_int_eq(relaxed_derive(p.alpha, s.nodes, &cell, NULL), 0);
    ck_assert_int_eq(recurrent_cell_check(&cell, s.nodes + 1, NULL), 0);
    relaxed_pool_fini(&p);
}
END_TEST

START_TEST(what_it_takes_is_known)
{
    struct relaxed_pool_settings first = relaxed_rig_settings(1);
    struct relaxed_pool_settings second = relaxed_rig_settings(2);
    size_t weights = TEXT_WORDS * 8 + (RELAXED_RIG_NODES + 2) * 2 * 8 * 8;
    ck_assert_uint_ge(relaxed_pool_bytes(&first, TEXT_WORDS), 2 * weights * 4);
    ck_assert_uint_ge(relaxed_pool_bytes(&second, TEXT_WORDS),
                      relaxed_pool_bytes(&first, TEXT_WORDS) + 2 * weights * 4);
}
END_TEST

UNIT_MAIN("relaxed_pool", bad_settings_are_refused, short_texts_are_refused,
          a_step_moves_alpha_and_then_the_weights, the_second_order_is_another_gradient,
          the_same_steps_give_the_same_bits_for_any_threads,
          a_step_without_a_loss_is_left_out, half_a_step_is_none, a_score_leaves_no_trace,
          the_mixture_learns, what_it_takes_is_known)
