/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "worker/data/data_format.h"

#include <string.h>

static void refused(int train, int validation, int available, const char *says)
{
    struct config_task task = {.train = train, .validation = validation};
    struct error err = {0};
    int a = -7, b = -7;
    ck_assert_int_eq(data_split_sizes(&task, available, &a, &b, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_int_eq(a, -7);
    ck_assert_int_eq(b, -7);
}

START_TEST(sizes_that_do_not_fit_are_refused)
{
    refused(50, 11, 60, "task.train (50) and task.validation (11) do not fit");
    refused(60, 0, 60, "hold 60 images");
    refused(0, 60, 60, "hold 60 images");
    refused(2147483647, 2147483647, 60, "do not fit");
    refused(-1, 5, 60, "neither may be negative");
    refused(5, -1, 60, "neither may be negative");
    refused(0, 0, 5, "each part needs one or more");
}
END_TEST

START_TEST(sizes_are_worked_out)
{
    static const int cases[][5] = {
        /* train, validation, available -> train, validation */
        {0, 0, 60000, 50000, 10000},    {54000, 6000, 60000, 54000, 6000},
        {100, 50, 60000, 100, 50},      {1000, 0, 60000, 1000, 10000},
        {55000, 0, 60000, 55000, 5000}, {0, 20000, 60000, 40000, 20000},
        {0, 100, 60000, 50000, 100}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_task task = {.train = cases[i][0], .validation = cases[i][1]};
        int a, b;
        ck_assert_int_eq(data_split_sizes(&task, cases[i][2], &a, &b, NULL), 0);
        ck_assert_int_eq(a, cases[i][3]);
        ck_assert_int_eq(b, cases[i][4]);
    }
}
END_TEST

START_TEST(order_is_a_permutation_of_the_seed)
{
    enum { N = 1000 };
    uint32_t a[N], b[N], c[N];
    bool seen[N] = {false};
    int in_place = 0, same = 0;
    data_split_order(7, N, a);
    data_split_order(7, N, b);
    data_split_order(8, N, c);
    ck_assert_mem_eq(a, b, sizeof a);
    for (int i = 0; i < N; i++) {
        ck_assert_uint_lt(a[i], N);
        ck_assert(!seen[a[i]]);
        seen[a[i]] = true;
        in_place += a[i] == (uint32_t)i;
        same += a[i] == c[i];
    }
    ck_assert_int_lt(in_place, 10);
    ck_assert_int_lt(same, 10);
}
END_TEST

UNIT_MAIN("data_split", sizes_that_do_not_fit_are_refused, sizes_are_worked_out,
          order_is_a_permutation_of_the_seed)
