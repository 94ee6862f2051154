/* SPDX-License-Identifier: Apache-2.0 */
/* Shared weights: what a step is made of, and that scores leave no trace. */
#include "worker/pool.h"

#include <math.h>
#include <string.h>

#include "pool_rig.h"

START_TEST(short_texts_are_refused)
{
    struct pool p;
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(1);
    struct error err = {0};
    c.parts[CORPUS_VALIDATION].count = 15;
    ck_assert_int_eq(pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text,
                     "the validation text has 15 words, which are too few for 8 "
                     "columns of at least 2");
    c = text_corpus();
    c.parts[CORPUS_TRAIN].count = 15;
    ck_assert_int_eq(pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
    s.language.hidden = 0;
    c = text_corpus();
    ck_assert_int_eq(pool_init(&p, &s, &c, 1, &err), ERROR_INPUT);
}
END_TEST

/* One pair a possible edge, the two input matrices, the embedding: nothing else. */
START_TEST(the_pool_holds_one_pair_an_edge)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(1);
    struct pool p;
    pool_rig_init(&p, &s, &c);
    size_t pairs = 2 + POOL_NODES * (POOL_NODES - 1) / 2;
    ck_assert_uint_eq(recurrent_count(p.language.model),
                      TEXT_WORDS * 8 + pairs * 2 * 8 * 8);
    ck_assert_uint_ge(pool_bytes(&s, TEXT_WORDS),
                      2 * sizeof(float) * recurrent_count(p.language.model));
    pool_fini(&p);
}
END_TEST

/* The mean of the lanes' gradients on the same window, and one step along it: made by
 * hand from the same weights. */
START_TEST(a_step_is_the_mean_over_its_lanes)
{
    enum { LANES = 3 };
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(LANES);
    struct pool p, hand;
    s.language.clip = 0;
    s.language.decay = 0;
    pool_rig_init(&p, &s, &c);
    pool_rig_init(&hand, &s, &c);
    size_t count = recurrent_count(p.language.model);
    struct recurrent_window w = {.steps = 10,
                                 .batch = 8,
                                 .inputs = hand.language.inputs,
                                 .targets = hand.language.targets};
    struct text_columns columns = text_columns_make(&c.parts[CORPUS_TRAIN], 8);
    text_columns_window(&columns, 10, 0, hand.language.inputs, hand.language.targets);
    float *gradient = hand.language.gradient, state[8 * 8];
    memset(gradient, 0, count * sizeof *gradient);
    for (uint64_t lane = 0; lane < LANES; lane++) {
        struct recurrent_cell cell = pool_rig_cell(lane);
        memset(state, 0, sizeof state);
        w.state = state;
        recurrent_gradient(hand.language.model, hand.language.parameters, &cell, &w,
                           1.0f / LANES, gradient);
    }
    pool_rig_train(&p, LANES, 0.5);
    ck_assert_uint_eq(p.step, 1);
    for (size_t i = 0; i < count; i++)
        ck_assert_float_eq_tol(p.language.parameters[i],
                               hand.language.parameters[i] - 0.5f * gradient[i], 1e-6f);
    pool_fini(&p);
    pool_fini(&hand);
}
END_TEST

/* Edges that no lane takes stay as they are, without decay. */
START_TEST(what_a_step_does_not_use_it_does_not_change)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(1);
    struct pool p, before;
    pool_rig_init(&p, &s, &c);
    pool_rig_init(&before, &s, &c);
    struct recurrent_cell cell = pool_rig_cell(0);
    cell.previous[4] = 3;
    pool_rig_lane(&p, 0, &cell, 1);
    const float *now = p.language.parameters, *then = before.language.parameters;
    size_t unused = recurrent_edge(p.language.model, 0, 4);
    size_t used = recurrent_edge(p.language.model, 3, 4);
    ck_assert_mem_eq(now + unused, then + unused, 2 * 8 * 8 * sizeof *now);
    ck_assert(memcmp(now + used, then + used, 2 * 8 * 8 * sizeof *now) != 0);
    pool_fini(&p);
    pool_fini(&before);
}
END_TEST

START_TEST(the_same_steps_give_the_same_bits_for_any_threads)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(2), more = s;
    struct pool p, q;
    s.language.dropout = (struct recurrent_dropout){.input = 0.3, .output = 0.2};
    more = s;
    more.language.threads = 3;
    pool_rig_init(&p, &s, &c);
    pool_rig_init(&q, &more, &c);
    pool_rig_train(&p, 60, 1);
    pool_rig_train(&q, 60, 1);
    ck_assert(pool_rig_equal(&p, &q));
    pool_restart(&q);
    ck_assert_uint_eq(q.step, 0);
    pool_rig_train(&q, 60, 1);
    ck_assert(pool_rig_equal(&p, &q));
    pool_fini(&p);
    pool_fini(&q);
}
END_TEST

/* What the exchange between ranks does. */
static void carry(struct pool *from, struct pool *to, int part)
{
    uint64_t round = pool_round(from);
    struct lane *lane = lanes_at(&from->lanes, round, part);
    ck_assert_uint_eq(from->lanes.stride, to->lanes.stride);
    ck_assert(lane_is_whole(lane, round));
    memcpy(lanes_at(&to->lanes, round, part), lane, lane->bytes);
    if (pool_round(to) == round)
        ck_assert(pool_accept(to, part));
}

/* Lanes made by several, in any order: each of them has the same bits as one alone. */
static void made_apart(int sync)
{
    enum { LANES = 5, MAKERS = 3, ROUNDS = 25 };
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(LANES);
    struct pool alone, maker[MAKERS];
    struct rng rng;
    s.sync = sync;
    s.language.dropout = (struct recurrent_dropout){.input = 0.2, .output = 0.1};
    rng_init(&rng, 8, RNG_TEST, (uint64_t)sync);
    pool_rig_init(&alone, &s, &c);
    for (int i = 0; i < MAKERS; i++)
        pool_rig_init(&maker[i], &s, &c);
    for (int round = 0; round < ROUNDS; round++) {
        int of[LANES], order[LANES] = {0, 1, 2, 3, 4};
        for (uint32_t i = LANES; i > 0; i--) {
            uint32_t k = rng_below(&rng, i);
            int part = order[k];
            order[k] = order[i - 1];
            struct pool *p = &maker[of[part] = (int)rng_below(&rng, MAKERS)];
            for (int step = 0; step < sync; step++) {
                uint64_t number = (p->step + (uint64_t)step) * LANES + (uint64_t)part;
                struct recurrent_cell cell = pool_rig_cell(number);
                ck_assert(pool_train(p, part, &cell, 0.7) > 0);
            }
        }
        pool_rig_train(&alone, LANES * sync, 0.7);
        for (int part = 0; part < LANES; part++)
            for (int i = 0; i < MAKERS; i++)
                if (i != of[part])
                    carry(&maker[of[part]], &maker[i], part);
        for (int i = 0; i < MAKERS; i++) {
            ck_assert_int_eq(pool_next(&maker[i]), -1);
            pool_take(&maker[i], 0.7);
            ck_assert(pool_rig_equal(&alone, &maker[i]));
        }
    }
    ck_assert_uint_eq(alone.step, (uint64_t)(ROUNDS * sync));
    pool_fini(&alone);
    for (int i = 0; i < MAKERS; i++)
        pool_fini(&maker[i]);
}

START_TEST(lanes_made_apart_give_the_same_bits)
{
    made_apart(1);
}
END_TEST

START_TEST(lanes_with_weights_of_their_own_give_the_same_bits)
{
    made_apart(4);
}
END_TEST

/* A round of lanes with weights of their own: single pools that train by themselves from
 * the same weights, and the mean of what they come to. */
START_TEST(a_round_ends_with_the_mean)
{
    enum { LANES = 2, SYNC = 3 };
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(LANES), single = pool_rig_settings(1);
    struct pool p, alone[LANES];
    s.sync = SYNC;
    pool_rig_init(&p, &s, &c);
    size_t count = recurrent_count(p.language.model);
    for (int part = 0; part < LANES; part++) {
        pool_rig_init(&alone[part], &single, &c);
        for (uint64_t step = 0; step < SYNC; step++) {
            struct recurrent_cell cell = pool_rig_cell(step * LANES + (uint64_t)part);
            pool_rig_lane(&alone[part], 0, &cell, 0.5);
        }
    }
    pool_rig_train(&p, LANES * SYNC, 0.5);
    ck_assert_uint_eq(p.step, SYNC);
    for (size_t i = 0; i < count; i++)
        ck_assert_float_eq_tol(
            p.language.parameters[i],
            (alone[0].language.parameters[i] + alone[1].language.parameters[i]) / 2,
            1e-6f);
    for (int part = 0; part < LANES; part++)
        ck_assert_mem_eq(p.states + part * 64, alone[part].states, 64 * sizeof(float));
    pool_fini(&p);
    for (int part = 0; part < LANES; part++)
        pool_fini(&alone[part]);
}
END_TEST

/* A lane that another process wrote is looked at before it counts. */
START_TEST(a_lane_that_makes_no_sense_is_not_accepted)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(2);
    struct pool p, q;
    pool_rig_init(&p, &s, &c);
    pool_rig_init(&q, &s, &c);
    struct recurrent_cell cell = pool_rig_cell(1);
    pool_train(&p, 1, &cell, 1);
    struct lane *good = lanes_at(&p.lanes, 0, 1), *lane = lanes_at(&q.lanes, 0, 1);
    for (int wrong = 0; wrong < 8; wrong++) {
        memcpy(lane, good, good->bytes);
        lane->mark += wrong == 0;
        lane->part -= wrong == 1;
        lane->range_count += wrong == 2 ? 100000 : 0;
        lane->values += wrong == 3;
        lane->ranges[1].first += wrong == 4;
        lane->ranges[good->range_count - 1].count += wrong == 5;
        lane->ranges[0].first = wrong == 6 ? SIZE_MAX - 10 : lane->ranges[0].first;
        lane->bytes += wrong == 7;
        ck_assert_msg(!pool_accept(&q, 1), "%d", wrong);
    }
    memcpy(lane, good, good->bytes);
    ck_assert(!pool_accept(&q, 0));
    ck_assert(pool_accept(&q, 1));
    ck_assert_int_eq(pool_next(&q), 0);
    double a, b;
    ck_assert(pool_recall(&q, 0, 1, &a) && pool_recall(&p, 0, 1, &b) && a == b);
    ck_assert(!pool_recall(&q, 0, 0, &a) && !pool_recall(&q, 2, 1, &a));
    pool_fini(&p);
    pool_fini(&q);
}
END_TEST

START_TEST(a_step_without_a_loss_is_left_out)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(2);
    struct pool p;
    pool_rig_init(&p, &s, &c);
    struct recurrent_cell bad = pool_rig_cell(0), good = pool_rig_cell(1);
    bad.previous[4] = 3;
    bad.activation[4] = RECURRENT_IDENTITY;
    good.previous[4] = 1;
    size_t at = recurrent_edge(p.language.model, 3, 4);
    size_t count = recurrent_count(p.language.model);
    p.language.parameters[at + 8] = INFINITY; /* of the candidate's columns */
    float *before = malloc(count * sizeof *before);
    memcpy(before, p.language.parameters, count * sizeof *before);
    ck_assert(!isfinite(pool_rig_lane(&p, 0, &bad, 1)));
    ck_assert(isfinite(pool_rig_lane(&p, 1, &good, 1)));
    ck_assert_uint_eq(p.step, 1);
    ck_assert_mem_eq(before, p.language.parameters, count * sizeof *before);
    /* The next one counts again, and no state is poisoned. */
    ck_assert(isfinite(pool_rig_lane(&p, 0, &good, 1)));
    ck_assert(isfinite(pool_rig_lane(&p, 1, &good, 1)));
    ck_assert(memcmp(before, p.language.parameters, count * sizeof *before) != 0);
    free(before);
    pool_fini(&p);
}
END_TEST

/* With batch norm too: shared weights have no running statistics that one architecture's
 * activations could leave for another's score. */
START_TEST(a_score_depends_on_weights_and_cell_alone)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(1);
    struct pool p, fresh;
    bool stopped;
    s.language.norm = true;
    pool_rig_init(&p, &s, &c);
    pool_rig_init(&fresh, &s, &c);
    pool_rig_train(&p, 40, 0.5);
    memcpy(fresh.language.parameters, p.language.parameters,
           recurrent_count(p.language.model) * sizeof(float));
    for (uint64_t i = 0; i < 6; i++) {
        struct recurrent_cell cell = pool_rig_cell(100 + i);
        double window = pool_score(&p, &cell, (int32_t)i, NULL, &stopped);
        double all = pool_score(&p, &cell, -1, NULL, &stopped);
        ck_assert(window == pool_score(&fresh, &cell, (int32_t)i, NULL, &stopped));
        ck_assert(all == pool_score(&fresh, &cell, -1, NULL, &stopped));
        ck_assert(window != all);
    }
    pool_rig_train(&p, 5, 0.5);
    fresh.step = 40;
    ck_assert_uint_eq(p.step, 45);
    pool_fini(&p);
    pool_fini(&fresh);
}
END_TEST

START_TEST(windows_are_counted_on_from_the_last_to_the_first)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(1);
    struct pool p;
    bool stopped;
    pool_rig_init(&p, &s, &c);
    struct text_columns columns = text_columns_make(&c.parts[CORPUS_VALIDATION], 8);
    int32_t windows = (int32_t)text_columns_windows(&columns, 10);
    struct recurrent_cell cell = pool_rig_cell(0);
    double first = pool_score(&p, &cell, 0, NULL, &stopped);
    ck_assert(first != pool_score(&p, &cell, 1, NULL, &stopped));
    ck_assert(first == pool_score(&p, &cell, windows, NULL, &stopped));
    pool_fini(&p);
}
END_TEST

/* Many passes over the text, a different cell every step: the weights serve them all. */
START_TEST(the_pool_learns)
{
    struct corpus c = text_corpus();
    struct pool_settings s = pool_rig_settings(1);
    struct pool p;
    bool stopped;
    s.language.decay = 0;
    pool_rig_init(&p, &s, &c);
    struct recurrent_cell cell = pool_rig_cell(7);
    double before = pool_score(&p, &cell, -1, NULL, &stopped);
    pool_rig_train(&p, 1500, 2);
    double after = pool_score(&p, &cell, -1, NULL, &stopped);
    ck_assert_double_gt(before, 2.3); /* log 11 is 2.4 */
    ck_assert_double_lt(after, 1.3 * text_entropy);
    pool_fini(&p);
}
END_TEST

UNIT_MAIN("pool", short_texts_are_refused, the_pool_holds_one_pair_an_edge,
          a_step_is_the_mean_over_its_lanes, what_a_step_does_not_use_it_does_not_change,
          the_same_steps_give_the_same_bits_for_any_threads,
          lanes_made_apart_give_the_same_bits,
          lanes_with_weights_of_their_own_give_the_same_bits, a_round_ends_with_the_mean,
          a_lane_that_makes_no_sense_is_not_accepted, a_step_without_a_loss_is_left_out,
          a_score_depends_on_weights_and_cell_alone,
          windows_are_counted_on_from_the_last_to_the_first, the_pool_learns)
