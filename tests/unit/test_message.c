/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message.h"
#include "proto/wire.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "unit.h"

static struct trial_epoch epochs[3] = {{1.5f, 0.25f, 2.5f, 0.5f, 0.1f, 3},
                                       {1, 0.5f, 2, 0.625f, 0.1f, 3},
                                       {NAN, 0.5f, INFINITY, 0.75f, 0.01f, 3}};
static struct message_slot slots[2] = {{"0-3", "0,1", 0}, {"", "", -1}};

static int32_t gang[3] = {4, 1, 7};
static const uint8_t piece[4] = {1, 0, 255, 3};

/* One example of every type. */
static struct message example(int type)
{
    struct message m = {.type = (enum message_type)type};
    switch (m.type) {
    case MESSAGE_HELLO:
        m.hello = (struct message_hello){"node1", "0.1.0", "avx512", 4711, "0-3,8",
                                         4,       "0:0-3;1:8", "0,1",  1LL << 36};
        break;
    case MESSAGE_WELCOME:
        m.welcome = (struct message_welcome){(char *)"seed: 7\n", (char *)"/runs/a", 2,
                                             slots};
        break;
    case MESSAGE_TASK:
        m.task = (struct message_task){12,
                                       UINT64_MAX,
                                       2,
                                       1,
                                       TRIAL_TRAIN_SHARED,
                                       {1ULL << 40, 3},
                                       7200,
                                       12.5,
                                       (char *)"{\"layers\":[]}",
                                       (char *)"{}"};
        break;
    case MESSAGE_CANCEL:
        m.cancel.trial = 12;
        m.cancel.attempt = 3;
        break;
    case MESSAGE_PROGRESS:
        m.progress = (struct message_progress){12, 1, 5, 3, epochs[0]};
        break;
    case MESSAGE_RESULT:
        m.result = (struct message_result){
            12,  1, 5,      FAILURE_TRAINER,         2.5,    1e6,
            NAN, 3, epochs, (char *)"out of memory", "avx2", (char *)"{\"nodes\":[]}",
            -3.5};
        break;
    case MESSAGE_HEARTBEAT:
        m.heartbeat = (struct message_heartbeat){1, 2};
        break;
    case MESSAGE_STOP:
        m.stop.clean = 1;
        break;
    case MESSAGE_BYE:
        strcpy(m.bye.reason, "interrupted");
        break;
    case MESSAGE_CHECKPOINT:
        m.checkpoint =
            (struct message_checkpoint){12, 1, 5, CHECKPOINT_REFUSED, 3, 2.5, "torn"};
        break;
    case MESSAGE_BEHIND:
        m.behind = (struct message_behind){12, 1, 5, {1ULL << 40, 3}};
        break;
    case MESSAGE_GANG:
        m.gang = (struct message_gang){3, gang};
        break;
    case MESSAGE_LANE:
        m.lane = (struct message_lane){1ULL << 40, 3, 4096, 4100, 4, piece};
        break;
    case MESSAGE_WANT:
        m.want.round = 1ULL << 40;
        break;
    case MESSAGE_READY:
    case MESSAGE_SUSPEND:
    case MESSAGE_SUSPENDED:
        break;
    }
    return m;
}

static int decode(const struct bytes *b, struct message *ret, struct error *err)
{
    struct bytes_reader r;
    bytes_reader_init(&r, b->data, b->size);
    return message_decode(&r, ret, err);
}

/* A frame made by hand around a payload. */
static void frame(struct bytes *b, int type, const void *payload, size_t size)
{
    bytes_clear(b);
    bytes_put(b, "AWM1", 4);
    bytes_put_u16(b, MESSAGE_VERSION);
    bytes_put_u16(b, (uint16_t)type);
    bytes_put_u32(b, (uint32_t)size);
    bytes_put(b, payload, size);
}

static void expect_error(const struct bytes *b, const char *text)
{
    struct message m = {.type = MESSAGE_STOP};
    struct error err = {0};
    ck_assert_int_eq(decode(b, &m, &err), ERROR_PEER);
    ck_assert_msg(strstr(err.text, text), "'%s' is not in '%s'", text, err.text);
    ck_assert_int_eq(m.type, MESSAGE_STOP);
}

START_TEST(bad_headers_are_refused)
{
    struct bytes b;
    bytes_init(&b);
    bytes_put(&b, "AWM1\1", 5);
    expect_error(&b, "header is cut off");
    frame(&b, MESSAGE_READY, NULL, 0);
    b.data[0] = 'B';
    expect_error(&b, "magic");
    frame(&b, MESSAGE_READY, NULL, 0);
    b.data[4] = 9;
    expect_error(&b, "version 9");
    frame(&b, 0, NULL, 0);
    expect_error(&b, "unknown type 0");
    frame(&b, 18, NULL, 0);
    expect_error(&b, "unknown type 18");
    frame(&b, MESSAGE_READY, NULL, 0);
    b.data[8] = 1;
    expect_error(&b, "says 1 bytes, 0 are there");
    b.data[11] = 0xff;
    expect_error(&b, "bytes, 0 are there");
    bytes_fini(&b);
}
END_TEST

static void expect_refused(struct message m, const char *text)
{
    struct bytes b;
    bytes_init(&b);
    message_encode(&m, &b);
    ck_assert(!b.failed);
    expect_error(&b, text);
    bytes_fini(&b);
}

START_TEST(values_out_of_range_are_refused)
{
    struct bytes b;
    bytes_init(&b);
    frame(&b, MESSAGE_READY, "x", 1);
    expect_error(&b, "1 bytes too many");
    frame(&b, MESSAGE_STOP, "\2", 1);
    expect_error(&b, "clean is 2");
    bytes_fini(&b);
    struct message m = example(MESSAGE_PROGRESS);
    m.progress.epoch = 0;
    expect_refused(m, "message PROGRESS: epoch is 0, allowed are 1 to 10000");
    m = example(MESSAGE_PROGRESS);
    m.progress.trial = UINT64_MAX;
    expect_refused(m, "trial is -1");
    m = example(MESSAGE_TASK);
    m.task.slot = MESSAGE_MAX_SLOTS;
    expect_refused(m, "slot is 1024");
    m = example(MESSAGE_TASK);
    m.task.timeout = NAN;
    expect_refused(m, "timeout is nan");
    m = example(MESSAGE_TASK);
    m.task.kind = 77;
    expect_refused(m, "kind is 77");
    m = example(MESSAGE_RESULT);
    m.result.failure = FAILURE_START + 1;
    expect_refused(m, "failure is 8");
    m = example(MESSAGE_CANCEL);
    m.cancel.attempt = -1;
    expect_refused(m, "attempt is -1");
    m = example(MESSAGE_LANE);
    m.lane.total = 4099;
    expect_refused(m, "message LANE: size is 4, allowed are 1 to 3");
    m = example(MESSAGE_LANE);
    m.lane.offset = UINT64_MAX;
    expect_refused(m, "offset is -1");
    m = example(MESSAGE_LANE);
    m.lane.size = 0;
    expect_refused(m, "size is 0");
    m = example(MESSAGE_WANT);
    m.want.round = UINT64_MAX;
    expect_refused(m, "round is -1");
}
END_TEST

START_TEST(counts_beyond_the_payload_take_no_memory)
{
    struct bytes b, payload;
    bytes_init(&b);
    bytes_init(&payload);
    bytes_put_string(&payload, "");
    bytes_put_string(&payload, "/r");
    bytes_put_u32(&payload, MESSAGE_MAX_SLOTS);
    frame(&b, MESSAGE_WELCOME, payload.data, payload.size);
    expect_error(&b, "message WELCOME: slots is cut off");
    bytes_clear(&payload);
    bytes_put_u32(&payload, MESSAGE_MAX_GANG);
    frame(&b, MESSAGE_GANG, payload.data, payload.size);
    expect_error(&b, "message GANG: ranks is cut off");
    bytes_clear(&payload);
    bytes_put_u32(&payload, UINT32_MAX);
    frame(&b, MESSAGE_BYE, payload.data, payload.size);
    expect_error(&b, "message BYE: reason is cut off or too long");
    bytes_fini(&payload);
    bytes_fini(&b);
}
END_TEST

START_TEST(what_no_receiver_takes_is_not_written)
{
    struct bytes b;
    char *large = malloc(MESSAGE_MAX_JSON + 2);
    memset(large, 'x', MESSAGE_MAX_JSON + 1);
    large[MESSAGE_MAX_JSON + 1] = '\0';
    bytes_init(&b);
    struct message m = example(MESSAGE_TASK);
    m.task.architecture = large;
    message_encode(&m, &b);
    ck_assert(b.failed);
    bytes_clear(&b);
    m = example(MESSAGE_WELCOME);
    m.welcome.slot_count = MESSAGE_MAX_SLOTS + 1;
    message_encode(&m, &b);
    ck_assert(b.failed);
    bytes_clear(&b);
    m = example(MESSAGE_RESULT);
    m.result.epoch_count = TRIAL_MAX_EPOCHS + 1;
    message_encode(&m, &b);
    ck_assert(b.failed);
    bytes_fini(&b);
    free(large);
}
END_TEST

START_TEST(a_long_reason_is_cut_between_characters)
{
    struct bytes b;
    struct message m = example(MESSAGE_RESULT), back;
    char reason[TRIAL_REASON + 8];
    memset(reason, 'a', sizeof reason);
    memcpy(reason + TRIAL_REASON - 3, "\xe2\x82\xac", 4); /* 3 bytes, 2 would fit */
    m.result.reason = reason;
    bytes_init(&b);
    message_encode(&m, &b);
    ck_assert_int_eq(decode(&b, &back, NULL), 1);
    ck_assert_uint_eq(strlen(back.result.reason), TRIAL_REASON - 3);
    message_fini(&back);
    bytes_fini(&b);
}
END_TEST

START_TEST(every_message_comes_back)
{
    struct bytes b, again;
    bytes_init(&b);
    bytes_init(&again);
    for (int type = MESSAGE_HELLO; type <= MESSAGE_WANT; type++) {
        struct message m = example(type);
        message_encode(&m, &b);
    }
    struct bytes_reader r;
    bytes_reader_init(&r, b.data, b.size);
    for (int type = MESSAGE_HELLO; type <= MESSAGE_WANT; type++) {
        struct message m;
        struct error err = {0};
        ck_assert_msg(message_decode(&r, &m, &err) == 1, "%s", err.text);
        ck_assert_int_eq(m.type, type);
        message_encode(&m, &again);
        message_fini(&m);
    }
    struct message none;
    ck_assert_int_eq(message_decode(&r, &none, NULL), 0);
    ck_assert_uint_eq(again.size, b.size);
    ck_assert_mem_eq(again.data, b.data, b.size);
    bytes_fini(&b);
    bytes_fini(&again);
}
END_TEST

START_TEST(fields_come_back)
{
    struct bytes b;
    struct message m = example(MESSAGE_RESULT), back;
    bytes_init(&b);
    message_encode(&m, &b);
    ck_assert_int_eq(decode(&b, &back, NULL), 1);
    ck_assert_uint_eq(back.result.trial, 12);
    ck_assert_int_eq(back.result.attempt, 1);
    ck_assert_int_eq(back.result.slot, 5);
    ck_assert_double_eq(back.result.params, 1e6);
    ck_assert(isnan(back.result.flops));
    ck_assert_uint_eq(back.result.epoch_count, 3);
    ck_assert_mem_eq(back.result.epochs, epochs, sizeof epochs);
    ck_assert_str_eq(back.result.reason, "out of memory");
    message_fini(&back);
    bytes_clear(&b);
    m = example(MESSAGE_WELCOME);
    message_encode(&m, &b);
    ck_assert_int_eq(decode(&b, &back, NULL), 1);
    ck_assert_str_eq(back.welcome.config, "seed: 7\n");
    ck_assert_int_eq(back.welcome.slot_count, 2);
    ck_assert_str_eq(back.welcome.slots[0].devices, "0,1");
    ck_assert_int_eq(back.welcome.slots[1].numa, -1);
    message_fini(&back);
    bytes_fini(&b);
}
END_TEST

START_TEST(names_of_types)
{
    ck_assert_str_eq(message_name(MESSAGE_HEARTBEAT), "HEARTBEAT");
    ck_assert_str_eq(message_name(0), "unknown");
    ck_assert_str_eq(message_name(99), "unknown");
}
END_TEST

/* The header says which bytes belong to which frame; everything else may be damaged. */
static void damage(struct rng *rng, struct bytes *b)
{
    uint32_t changes = 1 + rng_below(rng, 4);
    while (changes-- > 0 && b->size > 0) {
        size_t at = rng_below(rng, (uint32_t)b->size);
        switch (rng_below(rng, 4)) {
        case 0:
            b->data[at] = (uint8_t)rng_u32(rng);
            break;
        case 1:
            b->data[at] ^= (uint8_t)(1u << rng_below(rng, 8));
            break;
        case 2:
            b->size = at;
            break;
        default:
            bytes_patch_u32(b, at, rng_below(rng, 2) ? UINT32_MAX : rng_below(rng, 70000));
        }
    }
}

START_TEST(arbitrary_bytes_are_survived)
{
    uint64_t seed = (uint64_t)time(NULL);
    const char *given = getenv("ARCHWAY_TEST_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    printf("arbitrary_bytes_are_survived: ARCHWAY_TEST_SEED=%llu\n",
           (unsigned long long)seed);
    int good = 0, bad = 0;
    for (uint64_t round = 0; round < 60000; round++) {
        struct rng rng;
        struct bytes b;
        struct message m = example(1 + (int)(round % MESSAGE_WANT)), back;
        struct error err = {0};
        rng_init(&rng, seed, RNG_TEST, round);
        bytes_init(&b);
        message_encode(&m, &b);
        damage(&rng, &b);
        /* an exact copy, so that a checker sees any read past the end */
        uint8_t *exact = malloc(b.size ? b.size : 1);
        memcpy(exact, b.data, b.size);
        struct bytes_reader r;
        bytes_reader_init(&r, exact, b.size);
        int rc = message_decode(&r, &back, &err);
        if (rc == 1) {
            good++;
            message_fini(&back);
        } else if (rc < 0) {
            bad++;
            ck_assert_int_eq(rc, ERROR_PEER);
            ck_assert(err.text[0] != '\0');
        }
        free(exact);
        bytes_fini(&b);
    }
    ck_assert_int_gt(good, 100);
    ck_assert_int_gt(bad, 1000);
}
END_TEST

UNIT_MAIN("message", bad_headers_are_refused, values_out_of_range_are_refused,
          counts_beyond_the_payload_take_no_memory, what_no_receiver_takes_is_not_written,
          a_long_reason_is_cut_between_characters, every_message_comes_back,
          fields_come_back, names_of_types, arbitrary_bytes_are_survived)
