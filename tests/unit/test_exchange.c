/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that send each other lanes: a letter box stands for the wire, and the trainers'
 * memories are filled and read by the test. */
#include "worker/exchange.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rng.h"
#include "unit.h"
#include "worker/lanes.h"

enum { RANKS = 3, SAMPLES = 4, LETTERS = 256 };

/* Larger than a piece, so that lanes travel in several. */
static const struct lanes_shape shape = {.samples = SAMPLES,
                                         .ranges = 4,
                                         .state = 100,
                                         .values = (EXCHANGE_PIECE / 4) * 2 + 77};

struct letter {
    int from, to;
    struct bytes data;
};

static struct rank {
    int number;
    struct exchange *x;
    struct lanes lanes;
    int arrived;
    uint64_t round; /* of the last one that arrived */
    int part;
} ranks[RANKS];
static struct letter letters[LETTERS];
static int first, count;
static bool full; /* the wire takes no more */

static bool has_room(void *context, int to)
{
    return !full;
}

static void post(void *context, int to, const struct message *m)
{
    const struct rank *r = context;
    ck_assert_int_lt(count, LETTERS);
    struct letter *l = &letters[count++];
    *l = (struct letter){.from = r->number, .to = to};
    bytes_init(&l->data);
    message_encode(m, &l->data);
    ck_assert(!l->data.failed);
}

static void arrived(void *context, uint64_t round, int part)
{
    struct rank *r = context;
    r->arrived++;
    r->round = round;
    r->part = part;
}

static void start(struct rank *r, uint64_t round)
{
    struct error err = {0};
    ck_assert_msg(lanes_init(&r->lanes, &shape, &err) == 0, "%s", err.text);
    ck_assert_msg(
        exchange_open(r->x, dup(r->lanes.fd), r->lanes.stride, SAMPLES, round, &err) == 0,
        "%s", err.text);
}

static void setup(void)
{
    const int32_t all[RANKS] = {1, 2, 3};
    first = count = 0;
    full = false;
    for (int i = 0; i < RANKS; i++) {
        struct rank *r = &ranks[i];
        *r = (struct rank){.number = i + 1};
        const struct exchange_ops ops = {has_room, post, arrived, r};
        r->x = exchange_new(r->number, &ops);
        ck_assert_ptr_nonnull(r->x);
        exchange_set_gang(r->x, all, RANKS);
        ck_assert_int_eq(exchange_ranks(r->x), RANKS);
        start(r, 0);
    }
}

static void teardown(void)
{
    for (int i = 0; i < RANKS; i++) {
        exchange_free(ranks[i].x);
        lanes_fini(&ranks[i].lanes);
    }
    for (int i = first; i < count; i++)
        bytes_fini(&letters[i].data);
}

static void deliver(struct letter *l)
{
    struct bytes_reader in;
    struct message m;
    bytes_reader_init(&in, l->data.data, l->data.size);
    ck_assert_int_eq(message_decode(&in, &m, NULL), 1);
    struct exchange *x = ranks[l->to - 1].x;
    if (m.type == MESSAGE_LANE)
        exchange_take_piece(x, l->from, &m.lane);
    else
        exchange_take_want(x, l->from, m.want.round);
    bytes_fini(&l->data);
}

static void deliver_all(void)
{
    while (first < count)
        deliver(&letters[first++]);
    first = count = 0;
}

static void step_all(void)
{
    for (int i = 0; i < RANKS; i++)
        exchange_step(ranks[i].x);
}

/* As a trainer would make it, all numbers functions of round, part and position. */
static void make(struct rank *r, uint64_t round, int part, bool send)
{
    struct lane *lane = lanes_at(&r->lanes, round, part);
    lane_open(lane, part);
    lane->range_count = 1;
    lane->ranges[0] = (struct recurrent_range){0, shape.values};
    lane->values = shape.values;
    lane->loss = (double)round + part;
    float *state = lane_state(&r->lanes, lane);
    for (size_t i = 0; i < shape.state + shape.values; i++)
        state[i] = (float)((round * 131 + (uint64_t)part * 17 + i) % 9973);
    lane_close(&r->lanes, lane, round);
    exchange_made(r->x, round, part, send);
}

static bool has(const struct rank *r, uint64_t round, int part)
{
    struct lane *lane = lanes_at(&r->lanes, round, part);
    if (!lane_fits(&r->lanes, lane, round, part, shape.values, 1, shape.values))
        return false;
    const float *state = lane_state(&r->lanes, lane);
    size_t right = 0;
    while (right < shape.state + shape.values &&
           state[right] == (float)((round * 131 + (uint64_t)part * 17 + right) % 9973))
        right++;
    ck_assert_uint_eq(right, shape.state + shape.values);
    ck_assert(lane->loss == (double)round + part);
    return true;
}

START_TEST(what_one_makes_all_get)
{
    setup();
    for (uint64_t round = 0; round < 5; round++) {
        for (int part = 0; part < SAMPLES; part++)
            make(&ranks[part % RANKS], round, part, true);
        ck_assert(exchange_is_busy(ranks[0].x));
        step_all();
        ck_assert_int_gt(count, 2 * SAMPLES * 2); /* several pieces each */
        deliver_all();
        for (int i = 0; i < RANKS; i++) {
            for (int part = 0; part < SAMPLES; part++)
                ck_assert(has(&ranks[i], round, part));
            ck_assert(!exchange_is_busy(ranks[i].x));
        }
    }
    ck_assert_int_eq(ranks[2].arrived, 5 * 3);
    teardown();
}
END_TEST

START_TEST(nothing_is_whole_before_its_last_piece)
{
    setup();
    make(&ranks[0], 0, 0, true);
    step_all();
    while (count - first > 2) {
        deliver(&letters[first++]);
        ck_assert(!lane_is_whole(lanes_at(&ranks[1].lanes, 0, 0), 0));
        ck_assert(exchange_is_busy(ranks[1].x));
    }
    deliver_all();
    ck_assert(has(&ranks[1], 0, 0) && has(&ranks[2], 0, 0));
    ck_assert_uint_eq(ranks[1].round, 0);
    ck_assert_int_eq(ranks[1].part, 0);
    teardown();
}
END_TEST

START_TEST(a_full_wire_is_waited_for)
{
    setup();
    full = true;
    make(&ranks[0], 0, 1, true);
    step_all();
    ck_assert_int_eq(count, 0);
    ck_assert(exchange_is_busy(ranks[0].x));
    full = false;
    step_all();
    deliver_all();
    ck_assert(has(&ranks[1], 0, 1));
    teardown();
}
END_TEST

/* A lane that a trainer has missed, because it was started anew, comes when it is asked
 * for, but only from the one that made it. */
START_TEST(what_got_lost_comes_again)
{
    setup();
    make(&ranks[0], 0, 0, true);
    make(&ranks[1], 0, 1, false); /* made again for itself */
    step_all();
    deliver_all();
    ck_assert(!has(&ranks[2], 0, 1));
    exchange_close(ranks[2].x);
    lanes_fini(&ranks[2].lanes);
    start(&ranks[2], 0);
    ck_assert(!has(&ranks[2], 0, 0));
    exchange_ask(ranks[2].x, 0);
    ck_assert_int_eq(count, 2);
    deliver_all();
    step_all();
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(letters[i].from, i < count / 2 ? 1 : 2);
    deliver_all();
    ck_assert(has(&ranks[2], 0, 0) && has(&ranks[2], 0, 1));
    teardown();
}
END_TEST

/* Those of rounds behind the trainer or too far ahead would only overwrite what it needs,
 * and who is no member has nothing to say. */
START_TEST(what_is_of_no_use_is_dropped)
{
    const int32_t two[2] = {1, 2};
    setup();
    exchange_reach(ranks[1].x, 7);
    make(&ranks[0], 6, 0, true);
    step_all();
    deliver_all();
    make(&ranks[0], 9, 0, true);
    step_all();
    deliver_all();
    ck_assert_int_eq(ranks[1].arrived, 0);
    make(&ranks[0], 8, 0, true);
    step_all();
    deliver_all();
    ck_assert_int_eq(ranks[1].arrived, 1);
    exchange_set_gang(ranks[1].x, two, 2);
    ck_assert_int_eq(exchange_ranks(ranks[1].x), 2);
    make(&ranks[2], 8, 2, true);
    step_all();
    deliver_all();
    ck_assert_int_eq(ranks[1].arrived, 1);
    exchange_set_gang(ranks[2].x, two, 2);
    ck_assert_int_eq(exchange_ranks(ranks[2].x), 1);
    teardown();
}
END_TEST

/* The trainer begins another lane in the place of one that is being sent. */
START_TEST(half_a_lane_is_never_taken_for_a_whole_one)
{
    setup();
    make(&ranks[0], 0, 0, true);
    full = false;
    step_all();
    int last = count;
    for (int i = 0; i < last; i++) /* all but the last piece for rank 2 */
        if (letters[i].to == 2 && letters[i].data.size < EXCHANGE_PIECE)
            letters[i].to = 1;
    deliver_all();
    ck_assert(!has(&ranks[1], 0, 0));
    make(&ranks[0], 1, 0, true);
    lane_open(lanes_at(&ranks[0].lanes, 1, 0), 0);
    step_all();
    ck_assert_int_eq(count, 0);
    ck_assert(!exchange_is_busy(ranks[0].x));
    teardown();
}
END_TEST

/* Whatever comes: nothing outside the memory is touched, and afterwards lanes arrive. */
START_TEST(pieces_may_be_anything)
{
    struct rng rng;
    uint8_t data[1000];
    rng_init(&rng, 5, RNG_TEST, 0);
    setup();
    for (int i = 0; i < 20000; i++) {
        struct message_lane m = {.round = rng_below(&rng, 4),
                                 .part = (int32_t)rng_below(&rng, SAMPLES + 2),
                                 .size = 1 + rng_below(&rng, sizeof data),
                                 .data = data};
        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (uint8_t)rng_u32(&rng);
        m.total = rng_below(&rng, 3) ? m.size : rng_u32(&rng);
        m.offset = rng_below(&rng, 2) ? 0 : rng_below(&rng, 3000);
        if (m.offset + m.size > m.total)
            m.total = m.offset + m.size;
        exchange_take_piece(ranks[1].x, 1 + (int)rng_below(&rng, 4), &m);
        if (rng_below(&rng, 50) == 0)
            exchange_take_want(ranks[1].x, 1 + (int)rng_below(&rng, 4),
                               rng_below(&rng, 4));
        exchange_step(ranks[1].x);
    }
    ck_assert_int_eq(count, 0); /* it has made nothing */
    make(&ranks[0], 1, 3, true);
    step_all();
    deliver_all();
    ck_assert(has(&ranks[1], 1, 3));
    teardown();
}
END_TEST

START_TEST(memory_of_another_kind_is_refused)
{
    struct error err = {0};
    setup();
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(exchange_open(ranks[0].x, zero, 4096, SAMPLES, 0, &err), ERROR_PEER);
    ck_assert_ptr_nonnull(strstr(err.text, "not shared memory of 2 x 4 lanes"));
    ck_assert_int_eq(exchange_open(ranks[0].x, -1, 4096, SAMPLES, 0, &err), ERROR_PEER);
    ck_assert_int_eq(
        exchange_open(ranks[0].x, dup(ranks[0].lanes.fd), 4096, SAMPLES, 0, &err),
        ERROR_PEER);
    ck_assert(!exchange_is_open(ranks[0].x));
    /* Without memory nothing is done, and nothing goes wrong. */
    exchange_made(ranks[0].x, 0, 0, true);
    exchange_take_want(ranks[0].x, 2, 0);
    make(&ranks[1], 0, 1, true);
    step_all();
    deliver_all();
    ck_assert_int_eq(ranks[0].arrived, 0);
    teardown();
}
END_TEST

UNIT_MAIN("exchange", what_one_makes_all_get, nothing_is_whole_before_its_last_piece,
          a_full_wire_is_waited_for, what_got_lost_comes_again,
          what_is_of_no_use_is_dropped, half_a_lane_is_never_taken_for_a_whole_one,
          pieces_may_be_anything, memory_of_another_kind_is_refused)
