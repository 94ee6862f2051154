/* SPDX-License-Identifier: Apache-2.0 */
#include "master/blame.h"
#include "unit.h"

START_TEST(a_node_is_guilty_when_others_succeed_where_it_fails)
{
    struct blame *b = blame_new(2);
    blame_free(NULL);
    ck_assert_ptr_null(blame_done(b, 7, "n1")); /* of a node never heard of */
    blame_failed(b, 0, "n1");
    ck_assert_ptr_null(blame_done(b, 0, "n2"));
    blame_failed(b, 1, "n1");
    ck_assert_str_eq(blame_done(b, 1, "n2"), "n1");
    blame_failed(b, 2, "n1");
    ck_assert_ptr_null(blame_done(b, 2, "n2")); /* said once */
    blame_free(b);
}
END_TEST

START_TEST(a_success_speaks_for_a_node)
{
    struct blame *b = blame_new(2);
    for (uint64_t t = 0; t < 20; t += 2) {
        blame_failed(b, t, "n1");
        ck_assert_ptr_null(blame_done(b, t, "n2"));
        ck_assert_ptr_null(blame_done(b, t + 1, "n1"));
    }
    blame_failed(b, 50, "n1");
    ck_assert_ptr_null(blame_done(b, 50, "n1")); /* it succeeded itself, later */
    blame_free(b);
}
END_TEST

START_TEST(trials_that_fail_everywhere_accuse_nobody)
{
    struct blame *b = blame_new(1);
    for (uint64_t t = 0; t < 5000; t++) {
        blame_failed(b, t, "n1");
        blame_failed(b, t, "n2");
        blame_forget(b, t);
        ck_assert_ptr_null(blame_done(b, t, "n3"));
    }
    for (uint64_t t = 0; t < 5000; t++) /* never tried again: the oldest are dropped */
        blame_failed(b, t, "n1");
    ck_assert_ptr_null(blame_done(b, 0, "n2"));
    ck_assert_str_eq(blame_done(b, 4999, "n2"), "n1");
    blame_free(b);
    b = blame_new(0);
    blame_failed(b, 1, "n1");
    ck_assert_ptr_null(blame_done(b, 1, "n2"));
    blame_free(b);
}
END_TEST

UNIT_MAIN("blame", a_node_is_guilty_when_others_succeed_where_it_fails,
          a_success_speaks_for_a_node, trials_that_fail_everywhere_accuse_nobody)
