/* SPDX-License-Identifier: Apache-2.0 */
/* Running other programs for a moment: those that are missing, fail, hang and talk. */
#include "master/probe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "unit.h"

static struct probe p;

static void run(const char *script, double seconds)
{
    probe_run((const char *const[]){"sh", "-c", script, NULL}, seconds, &p);
}

START_TEST(missing_program)
{
    char path[64];
    probe_run((const char *const[]){"/no/such/program", NULL}, 1, &p);
    ck_assert(!p.started);
    ck_assert_int_eq(p.exit_status, 127);
    ck_assert(!probe_find("no-such-program", path, sizeof path));
    ck_assert(!probe_find("/no/such/program", path, sizeof path));
    ck_assert(!probe_find("sh", path, 3)); /* no room for it */
    ck_assert(probe_find("sh", path, sizeof path));
    ck_assert_int_eq(access(path, X_OK), 0);
}
END_TEST

START_TEST(ends_are_told)
{
    run("exit 3", 5);
    ck_assert_int_eq(p.exit_status, 3);
    run("kill -SEGV $$", 5);
    ck_assert_int_eq(p.exit_status, 128 + SIGSEGV);
    run("read line || exit 4", 5); /* standard input is empty */
    ck_assert_int_eq(p.exit_status, 4);
}
END_TEST

START_TEST(output_of_both_streams)
{
    char line[64];
    run("echo; echo -----; echo out; echo err >&2", 5);
    ck_assert_str_eq(p.output, "\n-----\nout\nerr\n");
    probe_first_line(&p, line, sizeof line);
    ck_assert_str_eq(line, "out");
    probe_first_line(&p, line, 3);
    ck_assert_str_eq(line, "ou");
    run("i=0; while [ $i -lt 9000 ]; do echo 0123456789; i=$((i + 1)); done; exit 5", 20);
    ck_assert_int_eq(p.exit_status, 5); /* it was not kept waiting for a reader */
    ck_assert_uint_eq(strlen(p.output), PROBE_OUTPUT - 1);
}
END_TEST

/* With what it has started. */
START_TEST(hanging_group_is_killed)
{
    int child = 0;
    double started = clock_now(&clock_system);
    run("trap '' TERM; sh -c 'trap \"\" TERM; sleep 60' & echo $!; wait; wait; sleep 60",
        0.3);
    ck_assert(p.timed_out);
    ck_assert_double_lt(clock_now(&clock_system) - started, 10);
    ck_assert_int_eq(sscanf(p.output, "%d", &child), 1);
    for (int i = 0; i < 100 && kill(child, 0) == 0; i++) {
        char path[64], state = 'Z';
        snprintf(path, sizeof path, "/proc/%d/stat", child);
        FILE *file = fopen(path, "r");
        if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z')
            i = 100; /* nobody reaps it here */
        if (file)
            fclose(file);
        usleep(20000);
        ck_assert_int_ne(i, 99);
    }
}
END_TEST

/* A child that keeps the output open does not keep us. */
START_TEST(left_child_does_not_hold_us)
{
    double started = clock_now(&clock_system);
    run("sleep 30 & exit 0", 20);
    ck_assert_int_eq(p.exit_status, 0);
    ck_assert_double_lt(clock_now(&clock_system) - started, 10);
}
END_TEST

UNIT_MAIN("probe", missing_program, ends_are_told, output_of_both_streams,
          hanging_group_is_killed, left_child_does_not_hold_us)
