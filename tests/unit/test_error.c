/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

START_TEST(null_error_keeps_the_status)
{
    errno = ENOENT;
    ck_assert_int_eq(error_set(NULL, ERROR_PEER, "x"), ERROR_PEER);
    ck_assert_int_eq(error_set_errno(NULL, "x"), ERROR_SYSTEM);
    ck_assert_int_eq(error_prefix(NULL, "x"), 0);
}
END_TEST

START_TEST(long_text_is_cut)
{
    struct error err;
    char text[3 * ERROR_TEXT_SIZE];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    error_set(&err, ERROR_INPUT, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_SIZE - 1);
    errno = ENOENT;
    error_set_errno(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_SIZE - 1);
    error_prefix(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_SIZE - 1);
}
END_TEST

START_TEST(text_says_who_and_why)
{
    struct error err;
    errno = ENOENT;
    ck_assert_int_eq(error_set_errno(&err, "cannot open '%s'", "x"), ERROR_SYSTEM);
    ck_assert_int_eq(error_prefix(&err, "trial %d", 17), ERROR_SYSTEM);
    ck_assert_str_eq(err.text, "trial 17: cannot open 'x': No such file or directory");
}
END_TEST

START_TEST(exit_statuses)
{
    ck_assert_int_eq(error_exit_status(0), 0);
    ck_assert_int_eq(error_exit_status(ERROR_USAGE), 2);
    ck_assert_int_eq(error_exit_status(ERROR_INPUT), 2);
    ck_assert_int_eq(error_exit_status(ERROR_SYSTEM), 1);
    ck_assert_int_eq(error_exit_status(ERROR_CORRUPT), 1);
    ck_assert_int_eq(error_exit_status(ERROR_PEER), 1);
    ck_assert_int_eq(error_exit_status(ERROR_FAILED), 1);
}
END_TEST

UNIT_MAIN("error", null_error_keeps_the_status, long_text_is_cut, text_says_who_and_why,
          exit_statuses)
