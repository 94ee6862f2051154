/* SPDX-License-Identifier: Apache-2.0 */
/* The watch over free room: folders that do not tell, then the two thresholds. */
#include "master/disk_watch.h"

#include <sys/statvfs.h>

#include "unit.h"

/* Bytes free where the tests run; other programs write there too. */
static double free_here(void)
{
    struct statvfs fs;
    ck_assert_int_eq(statvfs(".", &fs), 0);
    return (double)fs.f_bavail * (double)fs.f_frsize;
}

START_TEST(a_folder_that_is_gone_has_room)
{
    struct disk_watch w = {.low = true};
    ck_assert_int_eq(disk_watch_step(&w, "/no/such/folder", 1, 0), DISK_ROOM);
    ck_assert_int_eq(disk_watch_step(&w, "/no/such/folder", 1, 100), DISK_SAME);
    ck_assert(!w.low);
}
END_TEST

START_TEST(no_reserve_never_pauses)
{
    struct disk_watch w = {0};
    ck_assert_int_eq(disk_watch_step(&w, ".", 0, 0), DISK_SAME);
    ck_assert(!w.low);
}
END_TEST

START_TEST(low_and_back)
{
    struct disk_watch w = {0};
    double room = free_here();
    int64_t more = (int64_t)(room * 1.5) + 1024, less = (int64_t)(room / 1.5);
    int64_t nearly = (int64_t)(room / 1.04);
    ck_assert_int_eq(disk_watch_step(&w, ".", less, 0), DISK_SAME);
    ck_assert_int_eq(disk_watch_step(&w, ".", more, 1.9), DISK_SAME); /* not yet */
    ck_assert_int_eq(disk_watch_step(&w, ".", more, 2), DISK_LOW);
    ck_assert_int_eq(disk_watch_step(&w, ".", less, 2.5), DISK_SAME);
    ck_assert_int_eq(disk_watch_step(&w, ".", nearly, 3), DISK_SAME); /* not by a tenth */
    ck_assert(w.low);
    ck_assert_int_eq(disk_watch_step(&w, ".", less, 4), DISK_ROOM);
    ck_assert(!w.low);
    ck_assert_int_eq(disk_watch_step(&w, ".", nearly, 20), DISK_SAME);
    ck_assert(!w.low);
}
END_TEST

UNIT_MAIN("disk_watch", a_folder_that_is_gone_has_room, no_reserve_never_pauses,
          low_and_back)
