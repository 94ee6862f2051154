/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bytes.h"
#include "unit.h"

START_TEST(reading_past_the_end_fails_and_yields_zero)
{
    struct bytes_reader r;
    bytes_reader_init(&r, "\1\2\3", 3);
    ck_assert_uint_eq(bytes_get_u32(&r), 0);
    ck_assert(r.failed);
    ck_assert_uint_eq(bytes_get_u8(&r), 0);
    ck_assert_uint_eq(bytes_left(&r), 0);
}
END_TEST

START_TEST(string_longer_than_its_bound_fails)
{
    struct bytes b;
    struct bytes_reader r;
    char text[4];
    bytes_init(&b);
    bytes_put_string(&b, "four");
    bytes_reader_init(&r, b.data, b.size);
    bytes_get_string(&r, text, sizeof text);
    ck_assert(r.failed);
    ck_assert_str_eq(text, "");
    bytes_reader_init(&r, b.data, b.size);
    ck_assert_ptr_null(bytes_get_string_dup(&r, 3));
    ck_assert(r.failed);
    bytes_fini(&b);
}
END_TEST

START_TEST(string_length_beyond_the_buffer_fails)
{
    struct bytes_reader r;
    bytes_reader_init(&r, "\xff\xff\xff\xffx", 5);
    ck_assert_ptr_null(bytes_get_string_dup(&r, SIZE_MAX));
    ck_assert(r.failed);
}
END_TEST

START_TEST(values_come_back)
{
    struct bytes b;
    struct bytes_reader r;
    char text[8];
    bytes_init(&b);
    bytes_put_u8(&b, 7);
    bytes_put_u16(&b, 0xabcd);
    bytes_put_u32(&b, 0xdeadbeef);
    bytes_put_u64(&b, 0x0123456789abcdefULL);
    bytes_put_f64(&b, -0.1);
    bytes_put_string(&b, "child");
    bytes_patch_u32(&b, 3, 0xfeedf00d);
    ck_assert_uint_eq(b.data[1], 0xcd);
    bytes_reader_init(&r, b.data, b.size);
    ck_assert_uint_eq(bytes_get_u8(&r), 7);
    ck_assert_uint_eq(bytes_get_u16(&r), 0xabcd);
    ck_assert_uint_eq(bytes_get_u32(&r), 0xfeedf00d);
    ck_assert_uint_eq(bytes_get_u64(&r), 0x0123456789abcdefULL);
    ck_assert_double_eq(bytes_get_f64(&r), -0.1);
    bytes_get_string(&r, text, sizeof text);
    ck_assert_str_eq(text, "child");
    ck_assert(!r.failed);
    ck_assert_uint_eq(bytes_left(&r), 0);
    bytes_fini(&b);
}
END_TEST

UNIT_MAIN("bytes", reading_past_the_end_fails_and_yields_zero,
          string_longer_than_its_bound_fails, string_length_beyond_the_buffer_fails,
          values_come_back)
