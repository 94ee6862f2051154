/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chaos.h"
#include "unit.h"

#include <string.h>

static void refuse(const char *text, const char *part)
{
    struct chaos c = {{7}};
    struct error err = {0};
    ck_assert_int_eq(chaos_parse(text, &c, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, part) != NULL, "%s: %s", text, err.text);
    ck_assert_double_eq(c.share[0], 7);
}

START_TEST(what_is_no_chaos_is_refused)
{
    char lengthy[300];
    memset(lengthy, ',', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    refuse("kil=0.1", "'kil' is no fault; there are kill, hang");
    refuse("kill", "'kill' needs a share");
    refuse("kill=", "'kill' needs a share");
    refuse("kill=1.5", "from 0 to 1");
    refuse("kill=-0.1", "from 0 to 1");
    refuse("kill=nan", "from 0 to 1");
    refuse("kill=0.6,hang=0.6", "sum to 1.2");
    refuse(lengthy, "too long");
}
END_TEST

START_TEST(chaos_is_read)
{
    struct chaos c;
    ck_assert_int_eq(chaos_parse("", &c, NULL), 0);
    ck_assert_int_eq(chaos_parse("none", &c, NULL), 0);
    ck_assert_int_eq(chaos_draw(&c, 1, 1, 1).kind, CHAOS_COUNT);
    ck_assert_int_eq(chaos_parse("stop-rank=0.25,kill=1e-2", &c, NULL), 0);
    ck_assert_double_eq(c.share[CHAOS_STOP_RANK], 0.25);
    ck_assert_double_eq(c.share[CHAOS_KILL], 0.01);
    ck_assert_double_eq(c.share[CHAOS_HANG], 0);
    ck_assert_str_eq(chaos_name(CHAOS_KILL_RANK), "kill-rank");
}
END_TEST

START_TEST(fates_come_in_their_shares_and_again)
{
    struct chaos c;
    int counts[CHAOS_COUNT + 1] = {0}, at_once = 0;
    ck_assert_int_eq(chaos_parse("kill=0.1,garbage=0.2,kill-rank=0.05", &c, NULL), 0);
    for (uint64_t trial = 0; trial < 20000; trial++) {
        struct chaos_fate a = chaos_draw(&c, 5, trial, 1),
                          b = chaos_draw(&c, 5, trial, 1);
        ck_assert_int_eq(a.kind, b.kind);
        ck_assert_double_eq(a.after, b.after);
        ck_assert(a.after >= 0 && a.after < 0.5);
        counts[a.kind]++;
        at_once += a.after == 0;
    }
    /* five standard deviations */
    ck_assert_int_lt(abs(counts[CHAOS_KILL] - 2000), 220);
    ck_assert_int_lt(abs(counts[CHAOS_GARBAGE] - 4000), 290);
    ck_assert_int_lt(abs(counts[CHAOS_KILL_RANK] - 1000), 160);
    ck_assert_int_eq(counts[CHAOS_HANG] + counts[CHAOS_STOP_RANK], 0);
    ck_assert_int_lt(abs(at_once - 10000), 360);
    int same = 0;
    for (uint64_t trial = 0; trial < 1000; trial++)
        same += chaos_draw(&c, 5, trial, 1).after == chaos_draw(&c, 5, trial, 2).after &&
                chaos_draw(&c, 5, trial, 1).after > 0;
    ck_assert_int_eq(same, 0);
}
END_TEST

UNIT_MAIN("chaos", what_is_no_chaos_is_refused, chaos_is_read,
          fates_come_in_their_shares_and_again)
