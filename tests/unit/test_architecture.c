/* SPDX-License-Identifier: Apache-2.0 */
#include "common/architecture.h"

#include "unit.h"

#include <malloc.h>
#include <string.h>

#include "common/trial.h"

static struct architecture make(int depth, int count)
{
    struct architecture a;
    memset(&a, 0xee, sizeof a); /* what lies beyond count must not matter */
    a.depth = (uint16_t)depth;
    a.count = (uint16_t)count;
    for (int i = 0; i < count; i++)
        a.tokens[i] = (uint16_t)(i * 7 % 5);
    return a;
}

START_TEST(decoding_bad_bytes_fails)
{
    struct architecture a;
    struct bytes b;
    struct bytes_reader r;
    bytes_init(&b);
    bytes_put_u16(&b, 6);
    bytes_put_u16(&b, ARCHITECTURE_MAX_TOKENS + 1);
    for (int i = 0; i <= ARCHITECTURE_MAX_TOKENS; i++)
        bytes_put_u16(&b, 1);
    bytes_reader_init(&r, b.data, b.size);
    architecture_decode(&r, &a);
    ck_assert(r.failed);
    ck_assert_uint_eq(a.count, 0);
    bytes_clear(&b);
    struct architecture good = make(3, 12);
    architecture_encode(&good, &b);
    for (size_t size = 0; size < b.size; size++) {
        bytes_reader_init(&r, b.data, size);
        architecture_decode(&r, &a);
        ck_assert_msg(r.failed && a.count == 0, "%zu bytes were enough", size);
    }
    bytes_fini(&b);
}
END_TEST

START_TEST(encoding_comes_back)
{
    static const int counts[] = {0, 1, 24, ARCHITECTURE_MAX_TOKENS};
    for (int i = 0; i < 4; i++) {
        struct architecture a = make(counts[i] / 4, counts[i]), back;
        struct bytes b;
        struct bytes_reader r;
        bytes_init(&b);
        architecture_encode(&a, &b);
        bytes_reader_init(&r, b.data, b.size);
        architecture_decode(&r, &back);
        ck_assert(!r.failed && bytes_left(&r) == 0);
        ck_assert(architecture_equal(&a, &back));
        bytes_fini(&b);
    }
}
END_TEST

START_TEST(equality_looks_at_depth_count_and_tokens)
{
    struct architecture a = make(6, 24), b = make(6, 24);
    b.tokens[24] = 1;
    ck_assert(architecture_equal(&a, &b));
    b.tokens[23] ^= 1;
    ck_assert(!architecture_equal(&a, &b));
    b = make(7, 24);
    ck_assert(!architecture_equal(&a, &b));
    b = make(6, 23);
    ck_assert(!architecture_equal(&a, &b));
}
END_TEST

/* The value is part of the file format: records are matched by it across versions. */
START_TEST(hash_is_xxh3_of_the_bytes)
{
    struct bytes b;
    bytes_init(&b);
    struct architecture_hash none = architecture_hash_bytes(&b);
    ck_assert_uint_eq(none.low, 0x6001c324468d497fULL);
    ck_assert_uint_eq(none.high, 0x99aa06d3014798d8ULL);
    bytes_put(&b, "chain", 5);
    struct architecture_hash one = architecture_hash_bytes(&b);
    b.data[4] = 'm';
    struct architecture_hash two = architecture_hash_bytes(&b);
    ck_assert(architecture_hash_equal(one, one));
    ck_assert(!architecture_hash_equal(one, two));
    ck_assert(
        !architecture_hash_equal(one, (struct architecture_hash){one.low, two.high}));
    bytes_fini(&b);
}
END_TEST

START_TEST(format_never_writes_past_its_size)
{
    struct architecture a = make(6, ARCHITECTURE_MAX_TOKENS), small = make(2, 3);
    char text[64];
    architecture_format(&small, text, sizeof text);
    ck_assert_str_eq(text, "2: 0 2 4");
    for (unsigned size = 0; size < 50; size++) {
        memset(text, '#', sizeof text);
        architecture_format(&a, text, size);
        ck_assert_int_eq(text[size], '#');
        if (size)
            ck_assert_uint_eq(strlen(text), size - 1);
    }
}
END_TEST

/* Under the address sanitizer this also sees whoever reads behind the tokens. */
START_TEST(packed_ones_take_what_their_tokens_take)
{
    const int counts[] = {0, 1, 24, ARCHITECTURE_MAX_TOKENS};
    for (int i = 0; i < 4; i++) {
        struct architecture a = make(6, counts[i]), back = make(9, 9);
        struct architecture *packed = architecture_pack(&a);
        ck_assert_ptr_nonnull(packed);
        ck_assert_uint_le(malloc_usable_size(packed), 4 + 2 * (size_t)counts[i] + 32);
        ck_assert(architecture_equal(packed, &a));
        architecture_copy(packed, &back);
        ck_assert(architecture_equal(&back, &a));
        free(packed);
    }
}
END_TEST

START_TEST(names_of_trial_values)
{
    ck_assert_str_eq(trial_state_name(TRIAL_QUEUED), "queued");
    ck_assert_str_eq(trial_state_name(TRIAL_SAVED), "saved");
    ck_assert_str_eq(trial_arm_name(ARM_CONTROL), "control");
    ck_assert_str_eq(trial_failure_name(FAILURE_TIMEOUT), "timeout");
    ck_assert_str_eq(trial_failure_name(FAILURE_START), "start");
    ck_assert_str_eq(trial_state_name(6), "unknown");
    ck_assert_str_eq(trial_arm_name(ARM_COUNT), "unknown");
    ck_assert_str_eq(trial_failure_name(-1), "unknown");
}
END_TEST

UNIT_MAIN("architecture", decoding_bad_bytes_fails, encoding_comes_back,
          equality_looks_at_depth_count_and_tokens, hash_is_xxh3_of_the_bytes,
          format_never_writes_past_its_size, packed_ones_take_what_their_tokens_take,
          names_of_trial_values)
