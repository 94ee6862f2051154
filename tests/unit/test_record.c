/* SPDX-License-Identifier: Apache-2.0 */
#include "master/record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "unit.h"

static uint64_t bits(double v)
{
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static double from_bits(uint64_t b)
{
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static void encode_proposed(struct bytes *out)
{
    static struct architecture a = {.depth = 6, .count = 3, .tokens = {1, 2, 65535}};
    struct trial t = {.id = 1ULL << 40,
                      .arm = ARM_CONTROL,
                      .state = TRIAL_WAITING,
                      .arm_index = 17,
                      .seed = UINT64_MAX,
                      .policy_version = 9,
                      .same_as = 4,
                      .architecture = &a,
                      .hash = {11, 12},
                      .log_probability = from_bits(0x7ff8000000001234ULL),
                      .proposed_at = 1.5};
    record_encode_proposed(&t, out);
    ck_assert(!out->failed);
}

static void encode_finished(struct bytes *out)
{
    static const struct trial_epoch curve[3] = {
        {1, 2, 3, 4, 5, 6}, {.lr = NAN}, {.lr = 7}};
    struct record_finished f = {.id = 3,
                                .attempt = 2,
                                .worker = -1,
                                .slot = 5,
                                .reward = NAN,
                                .result = {.failure = FAILURE_NAN,
                                           .val_accuracy = 0.5,
                                           .seconds = 1,
                                           .params = 2,
                                           .flops = 3,
                                           .finished_at = 4,
                                           .epoch_count = 3,
                                           .epochs = curve,
                                           .reason = "val_accuracy is NaN",
                                           .kernels = "avx2"}};
    record_encode_finished(&f, out);
    ck_assert(!out->failed);
}

static void encode_session(struct bytes *out)
{
    struct record_session s = {.pid = 77, .time = 2.5, .workers = 3};
    strcpy(s.version, "0.1.0");
    strcpy(s.host, "n3");
    record_encode_session(&s, out);
}

static void encode_started(struct bytes *out)
{
    struct record_started s = {5, 1, -2, 3, 4.5};
    record_encode_started(&s, out);
}

static void encode_told(struct bytes *out)
{
    record_encode_told(123456789012ULL, out);
}

static void encode_hours(struct bytes *out)
{
    struct ledger_hours h = {1, 2, 3, 4, 5, 6, 7};
    record_encode_hours(&h, out);
}

static int decode_proposed(struct bytes_reader *in, struct error *err)
{
    struct trial t;
    int status = record_decode_proposed(in, &t, err);
    if (status == 0)
        free(t.architecture);
    return status;
}

static void encode_checkpoint(struct bytes *out)
{
    const struct record_checkpoint r = {.id = 5,
                                        .attempt = 2,
                                        .worker = 3,
                                        .slot = 1,
                                        .what = CHECKPOINT_SUSPENDED,
                                        .epochs = 7,
                                        .seconds = 12.5,
                                        .time = 99};
    record_encode_checkpoint(&r, out);
}

static int decode_checkpoint(struct bytes_reader *in, struct error *err)
{
    struct record_checkpoint r;
    return record_decode_checkpoint(in, &r, err);
}

static int decode_finished(struct bytes_reader *in, struct error *err)
{
    struct record_finished f;
    int status = record_decode_finished(in, &f, err);
    if (status == 0)
        record_finished_fini(&f);
    return status;
}

static int decode_session(struct bytes_reader *in, struct error *err)
{
    struct record_session s;
    return record_decode_session(in, &s, err);
}

static int decode_started(struct bytes_reader *in, struct error *err)
{
    struct record_started s;
    return record_decode_started(in, &s, err);
}

static int decode_told(struct bytes_reader *in, struct error *err)
{
    uint64_t id;
    return record_decode_told(in, &id, err);
}

static int decode_hours(struct bytes_reader *in, struct error *err)
{
    struct ledger_hours h;
    return record_decode_hours(in, &h, err);
}

static const struct {
    void (*encode)(struct bytes *out);
    int (*decode)(struct bytes_reader *in, struct error *err);
    size_t appended; /* bytes that older records lack */
} records[] = {{encode_proposed, decode_proposed, 0},
               {encode_finished, decode_finished, 4 + 4}, /* "avx2" */
               {encode_session, decode_session, 0},
               {encode_started, decode_started, 0},
               {encode_told, decode_told, 0},
               {encode_hours, decode_hours, 0},
               {encode_checkpoint, decode_checkpoint, 0}};
enum { RECORDS = sizeof records / sizeof records[0] };

START_TEST(every_cut_record_is_refused)
{
    for (int i = 0; i < RECORDS; i++) {
        struct bytes b;
        bytes_init(&b);
        records[i].encode(&b);
        for (size_t size = 0; size <= b.size; size++) {
            struct bytes_reader in;
            struct error err = {0};
            uint8_t *copy = malloc(size ? size : 1); /* so that an overrun is seen */
            memcpy(copy, b.data, size);
            bytes_reader_init(&in, copy, size);
            bool whole = size == b.size || size == b.size - records[i].appended;
            ck_assert_int_eq(records[i].decode(&in, &err), whole ? 0 : ERROR_CORRUPT);
            if (!whole)
                ck_assert_ptr_nonnull(strstr(err.text, "record is cut short"));
            free(copy);
        }
        bytes_fini(&b);
    }
}
END_TEST

START_TEST(random_damage_never_harms)
{
    uint64_t seed = (uint64_t)time(NULL);
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0);
    printf("record: seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 6000; round++) {
        struct bytes b;
        struct bytes_reader in;
        bytes_init(&b);
        records[round % RECORDS].encode(&b);
        for (int i = 0; i < 3; i++)
            b.data[rng_below(&rng, (uint32_t)b.size)] = (uint8_t)rng_u32(&rng);
        bytes_reader_init(&in, b.data, b.size);
        int status = records[round % RECORDS].decode(&in, NULL);
        ck_assert(status == 0 || status == ERROR_CORRUPT);
        bytes_fini(&b);
    }
}
END_TEST

START_TEST(checkpoints_come_back_and_are_checked)
{
    struct record_checkpoint r, wrong;
    struct bytes b;
    struct bytes_reader in;
    bytes_init(&b);
    encode_checkpoint(&b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_checkpoint(&in, &r, NULL), 0);
    ck_assert(r.id == 5 && r.attempt == 2 && r.worker == 3 && r.slot == 1);
    ck_assert(r.what == CHECKPOINT_SUSPENDED && r.epochs == 7 && r.seconds == 12.5);
    for (int i = 0; i < 4; i++) {
        wrong = r;
        wrong.what = i == 0 ? CHECKPOINT_REFUSED + 1 : r.what;
        wrong.epochs = i == 1 ? TRIAL_MAX_EPOCHS + 1 : r.epochs;
        wrong.seconds = i == 2 ? -1 : i == 3 ? INFINITY : r.seconds;
        bytes_clear(&b);
        record_encode_checkpoint(&wrong, &b);
        bytes_reader_init(&in, b.data, b.size);
        ck_assert_int_eq(record_decode_checkpoint(&in, &r, NULL), ERROR_CORRUPT);
    }
    bytes_fini(&b);
}
END_TEST

/* Steps and parts, which records of children of their own lack as they always did. */
START_TEST(shared_weights_come_back)
{
    struct architecture a = {.depth = 2, .count = 1, .tokens = {3}};
    struct trial t = {.id = 5, .same_as = -1, .architecture = &a}, back;
    struct bytes b;
    struct bytes_reader in;
    size_t size[TRIAL_KIND_COUNT];
    for (int kind = 0; kind < TRIAL_KIND_COUNT; kind++) {
        t.kind = (uint8_t)kind;
        t.shared = (struct trial_shared){1ULL << 50, kind == TRIAL_EVAL_SHARED ? -1 : 7};
        bytes_init(&b);
        record_encode_proposed(&t, &b);
        size[kind] = b.size;
        bytes_reader_init(&in, b.data, b.size);
        ck_assert_int_eq(record_decode_proposed(&in, &back, NULL), 0);
        ck_assert_int_eq(back.kind, kind);
        ck_assert(back.shared.step == (kind ? t.shared.step : 0));
        ck_assert(back.shared.part == (kind ? t.shared.part : 0));
        free(back.architecture);
        bytes_fini(&b);
    }
    ck_assert_uint_eq(size[TRIAL_TRAIN_SHARED], size[TRIAL_TRAIN_CHILD] + 12);
    ck_assert_uint_eq(size[TRIAL_EVAL_SHARED], size[TRIAL_TRAIN_CHILD] + 12);
}
END_TEST

START_TEST(unknown_enumerations_are_refused)
{
    struct bytes b;
    struct bytes_reader in;
    for (size_t at = 8; at <= 10; at++) { /* kind, arm, state */
        bytes_init(&b);
        encode_proposed(&b);
        b.data[at] = 6;
        bytes_reader_init(&in, b.data, b.size);
        ck_assert_int_eq(decode_proposed(&in, NULL), ERROR_CORRUPT);
        bytes_fini(&b);
    }
    bytes_init(&b);
    encode_finished(&b);
    b.data[28] = FAILURE_START + 1;
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(decode_finished(&in, NULL), ERROR_CORRUPT);
    bytes_fini(&b);
}
END_TEST

START_TEST(a_hostile_curve_allocates_nothing)
{
    struct bytes b;
    struct bytes_reader in;
    struct record_finished f = {.result = {.failure = FAILURE_NONE}};
    bytes_init(&b);
    record_encode_finished(&f, &b);
    bytes_patch_u32(&b, b.size - 8, UINT32_MAX); /* behind it: kernels, "" */
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(decode_finished(&in, NULL), ERROR_CORRUPT);
    bytes_fini(&b);
}
END_TEST

START_TEST(proposals_come_back)
{
    struct bytes b;
    struct bytes_reader in;
    struct trial t;
    bytes_init(&b);
    encode_proposed(&b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_proposed(&in, &t, NULL), 0);
    ck_assert_uint_eq(t.id, 1ULL << 40);
    ck_assert_int_eq(t.arm, ARM_CONTROL);
    ck_assert_int_eq(t.state, TRIAL_WAITING);
    ck_assert_uint_eq(t.arm_index, 17);
    ck_assert_uint_eq(t.seed, UINT64_MAX);
    ck_assert_uint_eq(t.policy_version, 9);
    ck_assert_int_eq(t.same_as, 4);
    ck_assert_uint_eq(t.hash.low, 11);
    ck_assert_uint_eq(t.hash.high, 12);
    ck_assert_uint_eq(bits(t.log_probability), 0x7ff8000000001234ULL);
    ck_assert_double_eq(t.proposed_at, 1.5);
    ck_assert_uint_eq(t.architecture->depth, 6);
    ck_assert_uint_eq(t.architecture->count, 3);
    ck_assert_uint_eq(t.architecture->tokens[2], 65535);
    ck_assert(isnan(t.reward) && isnan(t.val_accuracy));
    ck_assert_int_eq(t.worker, -1);
    ck_assert_ptr_null(t.epochs);
    free(t.architecture);
    bytes_fini(&b);
}
END_TEST

START_TEST(results_come_back)
{
    struct bytes b;
    struct bytes_reader in;
    struct record_finished f;
    bytes_init(&b);
    encode_finished(&b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_finished(&in, &f, NULL), 0);
    ck_assert_uint_eq(f.id, 3);
    ck_assert_int_eq(f.attempt, 2);
    ck_assert_int_eq(f.worker, -1);
    ck_assert_int_eq(f.slot, 5);
    ck_assert(isnan(f.reward));
    ck_assert_int_eq(f.result.failure, FAILURE_NAN);
    ck_assert_double_eq(f.result.flops, 3);
    ck_assert_double_eq(f.result.finished_at, 4);
    ck_assert_str_eq(f.result.reason, "val_accuracy is NaN");
    ck_assert_uint_eq(f.result.epoch_count, 3);
    ck_assert_float_eq(f.result.epochs[0].seconds, 6);
    ck_assert(isnan(f.result.epochs[1].lr));
    ck_assert_float_eq(f.result.epochs[2].lr, 7);
    ck_assert_str_eq(f.result.kernels, "avx2");
    record_finished_fini(&f);
    ck_assert_ptr_null(f.result.reason);
    bytes_fini(&b);
}
END_TEST

/* Behind everything else: what older programs wrote ends before it. */
START_TEST(derived_cells_come_back)
{
    struct architecture a = {.depth = 2, .count = 3, .tokens = {3, 0, 65535}};
    struct record_finished f = {.id = 3,
                                .result = {.derived = &a, .log_probability = -2.5}},
                           back;
    struct bytes b;
    struct bytes_reader in;
    bytes_init(&b);
    record_encode_finished(&f, &b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_finished(&in, &back, NULL), 0);
    ck_assert(architecture_equal(back.result.derived, &a));
    ck_assert_double_eq(back.result.log_probability, -2.5);
    record_finished_fini(&back);
    ck_assert_ptr_null(back.result.derived);
    for (size_t cut = 1; cut < 18; cut++) {
        bytes_reader_init(&in, b.data, b.size - cut);
        int status = record_decode_finished(&in, &back, NULL);
        ck_assert_int_eq(status, ERROR_CORRUPT);
    }
    bytes_clear(&b);
    encode_finished(&b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_finished(&in, &back, NULL), 0);
    ck_assert_ptr_null(back.result.derived);
    record_finished_fini(&back);
    bytes_fini(&b);
}
END_TEST

START_TEST(long_reasons_are_cut_so_that_they_read_back)
{
    char reason[TRIAL_REASON * 2];
    struct bytes b;
    struct bytes_reader in;
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    struct record_finished f = {.result = {.reason = reason}};
    bytes_init(&b);
    record_encode_finished(&f, &b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_finished(&in, &f, NULL), 0);
    ck_assert_uint_eq(strlen(f.result.reason), TRIAL_REASON - 1);
    record_finished_fini(&f);
    bytes_fini(&b);
}
END_TEST

START_TEST(the_small_records_come_back)
{
    struct bytes b;
    struct bytes_reader in;
    struct record_session session;
    struct record_started started;
    struct ledger_hours hours;
    uint64_t told;
    bytes_init(&b);
    encode_session(&b);
    encode_started(&b);
    encode_told(&b);
    encode_hours(&b);
    bytes_reader_init(&in, b.data, b.size);
    ck_assert_int_eq(record_decode_session(&in, &session, NULL), 0);
    ck_assert_int_eq(record_decode_started(&in, &started, NULL), 0);
    ck_assert_int_eq(record_decode_told(&in, &told, NULL), 0);
    ck_assert_int_eq(record_decode_hours(&in, &hours, NULL), 0);
    ck_assert_uint_eq(bytes_left(&in), 0);
    ck_assert_str_eq(session.version, "0.1.0");
    ck_assert_str_eq(session.host, "n3");
    ck_assert_int_eq(session.pid, 77);
    ck_assert_int_eq(session.workers, 3);
    ck_assert_int_eq(started.worker, -2);
    ck_assert_int_eq(started.slot, 3);
    ck_assert_double_eq(started.time, 4.5);
    ck_assert_uint_eq(told, 123456789012ULL);
    ck_assert_double_eq(hours.trained, 1);
    ck_assert_double_eq(hours.idle_tail, 6);
    ck_assert_uint_eq(hours.duplicates, 7);
    bytes_fini(&b);
}
END_TEST

UNIT_MAIN("record", shared_weights_come_back, every_cut_record_is_refused,
          random_damage_never_harms, unknown_enumerations_are_refused,
          checkpoints_come_back_and_are_checked, a_hostile_curve_allocates_nothing,
          proposals_come_back, results_come_back, derived_cells_come_back,
          long_reasons_are_cut_so_that_they_read_back, the_small_records_come_back)
