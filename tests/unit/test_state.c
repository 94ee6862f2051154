/* SPDX-License-Identifier: Apache-2.0 */
#include "common/state.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

START_TEST(bad_descriptions_are_refused)
{
    struct state s;
    struct error err;
    size_t dims[5] = {1, 1, 1, 1, 1}, huge[2] = {SIZE_MAX / 2, 3}, large[1] = {SIZE_MAX};
    char name[STATE_NAME + 1];
    memset(name, 'n', STATE_NAME);
    name[STATE_NAME] = '\0';
    state_init(&s);
    ck_assert_int_eq(state_put(&s, "x", STATE_F32, 5, dims, "", &err), ERROR_CORRUPT);
    ck_assert_str_eq(err.text, "state array 'x' has a name, type or shape out of bounds");
    ck_assert_int_eq(state_put(&s, "x", STATE_F32, -1, dims, "", &err), ERROR_CORRUPT);
    ck_assert_int_eq(state_put(&s, "x", (enum state_type)9, 1, dims, "", &err),
                     ERROR_CORRUPT);
    ck_assert_int_eq(state_put(&s, "x", STATE_U8, 2, huge, "", &err), ERROR_CORRUPT);
    ck_assert_int_eq(state_put(&s, "x", STATE_F64, 1, large, "", &err), ERROR_CORRUPT);
    ck_assert_int_eq(state_put(&s, "", STATE_F32, 1, dims, "", &err), ERROR_CORRUPT);
    ck_assert_int_eq(state_put(&s, name, STATE_F32, 1, dims, "", &err), ERROR_CORRUPT);
    ck_assert_uint_eq(s.count, 0);
    ck_assert_uint_eq(state_type_size((enum state_type)9), 0);
    state_fini(&s);
}
END_TEST

START_TEST(a_name_can_be_used_once)
{
    struct state s;
    struct error err;
    double v = 0;
    state_init(&s);
    ck_assert_int_eq(state_put_f64(&s, "baseline", 0.5, &err), 0);
    ck_assert_int_eq(state_put_i64(&s, "baseline", 1, &err), ERROR_CORRUPT);
    ck_assert_str_eq(err.text, "state array 'baseline' is there twice");
    ck_assert_int_eq(state_get_f64(&s, "baseline", &v, &err), 0);
    ck_assert_double_eq(v, 0.5);
    state_fini(&s);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    struct state s;
    struct error err;
    size_t dims[1] = {3};
    float three[3] = {1, 2, 3}, out[4] = {7, 7, 7, 7};
    double d = 7;
    state_init(&s);
    ck_assert_int_eq(state_put(&s, "w", STATE_F32, 1, dims, three, &err), 0);
    ck_assert_int_eq(state_get(&s, "v", STATE_F32, 3, out, &err), ERROR_CORRUPT);
    ck_assert_str_eq(err.text, "state array 'v' is missing");
    ck_assert_int_eq(state_get(&s, "w", STATE_F32, 4, out, &err), ERROR_CORRUPT);
    ck_assert_str_eq(err.text, "state array 'w' holds 3 x f32, expected 4 x f32");
    ck_assert_int_eq(state_get_f64(&s, "w", &d, NULL), ERROR_CORRUPT);
    ck_assert(out[0] == 7 && d == 7);
    state_fini(&s);
}
END_TEST

START_TEST(arrays_are_copies_in_order)
{
    struct state s;
    size_t dims[4] = {2, 1, 3, 1}, none[1] = {0};
    uint16_t tokens[6] = {1, 2, 3, 4, 5, 65535}, back[6];
    char name[32];
    int64_t v;
    state_init(&s);
    ck_assert_int_eq(state_put(&s, "memory/tokens", STATE_U16, 4, dims, tokens, NULL), 0);
    ck_assert_int_eq(state_put(&s, "empty", STATE_F32, 1, none, NULL, NULL), 0);
    tokens[0] = 99;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "scalar/%d", i);
        ck_assert_int_eq(state_put_i64(&s, name, i * 1000000000000LL, NULL), 0);
    }
    ck_assert_int_eq(state_get(&s, "memory/tokens", STATE_U16, 6, back, NULL), 0);
    ck_assert_uint_eq(back[0], 1);
    ck_assert_uint_eq(back[5], 65535);
    ck_assert_int_eq(state_get(&s, "empty", STATE_F32, 0, NULL, NULL), 0);
    ck_assert_int_eq(state_get_i64(&s, "scalar/99", &v, NULL), 0);
    ck_assert_int_eq(v, 99000000000000LL);
    ck_assert_str_eq(s.arrays[1].name, "empty");
    ck_assert_uint_eq(s.arrays[0].dims[2], 3);
    ck_assert_uint_eq(state_array_count(&s.arrays[2]), 1);
    state_fini(&s);
    ck_assert_uint_eq(s.count, 0);
}
END_TEST

UNIT_MAIN("state", bad_descriptions_are_refused, a_name_can_be_used_once,
          what_does_not_fit_is_named, arrays_are_copies_in_order)
