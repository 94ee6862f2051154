/* SPDX-License-Identifier: Apache-2.0 */
#include "master/snapshot_child.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_sample.h"
#include "temp_folder.h"
#include "unit.h"

static struct temp_folder folder;
static char dir[600];
static struct snapshot_child child;

static void setup(void)
{
    static int number;
    char name[32];
    snprintf(name, sizeof name, "run%d-%d", getpid(), number++);
    snprintf(dir, sizeof dir, "%s", temp_folder_file(&folder, name));
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    child = (struct snapshot_child){0};
}

static uint64_t trials_read(void)
{
    struct snapshot s;
    ck_assert_int_eq(store_read(dir, &s, NULL, NULL), 0);
    uint64_t count = ledger_count(s.ledger);
    snapshot_fini(&s);
    return count;
}

START_TEST(none_is_done)
{
    ck_assert_int_eq(snapshot_child_poll(&child, false, NULL), 0);
    ck_assert_int_eq(snapshot_child_poll(&child, true, NULL), 0);
    snapshot_child_kill(&child);
}
END_TEST

START_TEST(a_failure_comes_back_in_words)
{
    struct snapshot s = sample_snapshot(1, 5, 2);
    struct error err;
    strcat(dir, "/nowhere");
    ck_assert_int_eq(snapshot_child_start(&child, dir, &s, -1, &err), 0);
    ck_assert_int_eq(snapshot_child_poll(&child, true, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere/snapshot.h5"));
    ck_assert_int_eq(child.pid, 0);
    snapshot_fini(&s);
}
END_TEST

START_TEST(the_state_is_that_of_the_beginning)
{
    struct snapshot s = sample_snapshot(2, 500, 3);
    ck_assert_int_eq(snapshot_child_start(&child, dir, &s, -1, NULL), 0);
    ledger_free(s.ledger); /* what the parent does now is not in the file */
    ck_assert_int_eq(ledger_new(&s.ledger, NULL), 0);
    while (snapshot_child_poll(&child, false, NULL) == 1)
        usleep(1000);
    ck_assert_int_eq(child.pid, 0);
    ck_assert_uint_eq(trials_read(), 500);
    snapshot_fini(&s);
}
END_TEST

START_TEST(a_dead_child_is_said_and_leaves_the_last_one)
{
    struct snapshot few = sample_snapshot(3, 5, 2), many = sample_snapshot(4, 30000, 3);
    struct error err;
    ck_assert_int_eq(store_write(dir, &few, NULL), 0);
    ck_assert_int_eq(snapshot_child_start(&child, dir, &many, -1, NULL), 0);
    ck_assert_int_eq(kill(child.pid, SIGSEGV), 0);
    ck_assert_int_eq(snapshot_child_poll(&child, true, &err), ERROR_FAILED);
    ck_assert_uint_eq(trials_read(), 5);
    ck_assert_int_eq(snapshot_child_start(&child, dir, &many, -1, NULL), 0);
    snapshot_child_kill(&child);
    ck_assert_int_eq(child.pid, 0);
    ck_assert_uint_eq(trials_read(), 5);
    snapshot_fini(&few);
    snapshot_fini(&many);
}
END_TEST

/* A lock that is given to the child to release is free once the parent gives it up. */
START_TEST(the_child_holds_no_lock)
{
    struct snapshot s = sample_snapshot(5, 30000, 3);
    char path[700];
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600), other = open(path, O_RDWR);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    ck_assert_int_eq(snapshot_child_start(&child, dir, &s, fd, NULL), 0);
    usleep(20000);
    ck_assert_int_eq(snapshot_child_poll(&child, false, NULL), 1);
    close(fd);
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
    snapshot_child_kill(&child);
    snapshot_fini(&s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {none_is_done,
                                  a_failure_comes_back_in_words,
                                  the_state_is_that_of_the_beginning,
                                  a_dead_child_is_said_and_leaves_the_last_one,
                                  the_child_holds_no_lock,
                                  NULL};
    return temp_folder_main("snapshot_child", tests, &folder, setup);
}
