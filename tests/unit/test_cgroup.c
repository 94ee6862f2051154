/* SPDX-License-Identifier: Apache-2.0 */
/* Which folder is ours is tried on trees made up for it; groups of the kernel's where this
 * machine hands some down. */
#include "worker/cgroup.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "temp_folder.h"
#include "unit.h"
#include "worker/process.h"

static struct temp_folder folder;

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
}

static void put(const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    for (char *at = path + strlen(folder.path) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0777);
        *at = '/';
    }
    ck_assert_int_eq(text_write_file(path, text, strlen(text), NULL), 0);
}

static const char mounts[] = "24 1 0:22 / /proc rw - proc proc rw\n"
                             "30 24 0:26 / /cg/old rw - cgroup cgroup rw,memory\n"
                             "31 24 0:27 / /cg/new rw - cgroup2 cgroup2 rw\n";

START_TEST(where_nothing_is_handed_down_there_is_none)
{
    char found[PATH_MAX] = "untouched";
    ck_assert(!cgroup_find(folder.path, found, sizeof found));
    put("proc/self/cgroup", "3:memory:/a\n");
    put("proc/self/mountinfo", mounts);
    ck_assert(!cgroup_find(folder.path, found, sizeof found)); /* version 1 only */
    put("proc/self/cgroup", "3:memory:/a\n0::/\n");
    ck_assert(!cgroup_find(folder.path, found, sizeof found)); /* no such folder */
    put("proc/self/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n");
    ck_assert(!cgroup_find(folder.path, found, sizeof found)); /* not mounted */
    ck_assert_str_eq(found, "untouched");
    put("proc/self/mountinfo", mounts);
    put("cg/new/user/job/cgroup.procs", "");
    put("proc/self/cgroup", "0::/user/job\n");
    if (geteuid() == 0) /* of somebody else's service manager */
        ck_assert(!cgroup_find(folder.path, found, sizeof found));
}
END_TEST

START_TEST(the_own_group_is_found)
{
    char found[PATH_MAX], wanted[PATH_MAX], small[8];
    put("proc/self/cgroup", "3:memory:/a\n0::/\n");
    put("proc/self/mountinfo", mounts);
    put("cg/new/cgroup.procs", "");
    snprintf(wanted, sizeof wanted, "%s/cg/new", folder.path);
    ck_assert(cgroup_find(folder.path, found, sizeof found));
    ck_assert_str_eq(found, wanted);
    ck_assert(!cgroup_find(folder.path, small, sizeof small));
}
END_TEST

START_TEST(a_folder_that_is_no_group_is_of_no_use)
{
    struct cgroup g = {.folder = 5, .procs = 6, .kill = 7};
    char path[PATH_MAX];
    ck_assert(!cgroup_make(folder.path, "archway-1-0", 0, &g));
    ck_assert(g.folder == -1 && g.procs == -1 && g.kill == -1);
    snprintf(path, sizeof path, "%s/archway-1-0", folder.path);
    ck_assert_int_ne(access(path, F_OK), 0);
    cgroup_kill(&g);
    cgroup_remove(&g);
}
END_TEST

/* Groups of the dead go, those of the living and of others stay. */
START_TEST(stale_groups_are_swept)
{
    char path[PATH_MAX], mine[64];
    const char *names[] = {"archway-2000000000-1", mine, "archway-x", "other-2000000000-1"};
    snprintf(mine, sizeof mine, "archway-%d-0", (int)getpid());
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.path, names[i]);
        ck_assert_int_eq(mkdir(path, 0777), 0);
    }
    cgroup_sweep(folder.path);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.path, names[i]);
        ck_assert_int_eq(access(path, F_OK) == 0, i > 0);
    }
    cgroup_sweep("/nonexistent");
}
END_TEST

static int members(const char *parent, const struct cgroup *g)
{
    char path[2 * PATH_MAX], line[64];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s/cgroup.procs", parent, g->name);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        count++;
    if (file)
        fclose(file);
    return count;
}

static void nap(void)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    nanosleep(&pause, NULL);
}

/* A process with a child in a session of its own, which no process group reaches. */
START_TEST(nobody_escapes_from_a_group)
{
    const char *const argv[] = {"/bin/sh", "-c", "setsid sleep 1000 & sleep 1000", NULL};
    const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    char parent[PATH_MAX], name[64];
    struct cgroup g;
    struct process p;
    struct error err = {0};
    int status;
    snprintf(name, sizeof name, "archway-%d-7", (int)getpid());
    if (!cgroup_find("", parent, sizeof parent) || !cgroup_make(parent, name, 0, &g)) {
        printf("not tried: no control groups are handed down here\n");
        return;
    }
    struct process_spec spec = {.argv = argv,
                                .environment = environment,
                                .cpus = "",
                                .group = g.procs};
    ck_assert_msg(process_start(&spec, &p, &err) == 0, "%s", err.text);
    for (int i = 0; i < 500 && members(parent, &g) < 3; i++)
        nap();
    ck_assert_int_eq(members(parent, &g), 3);
    ck_assert(!cgroup_is_empty(&g));
    cgroup_kill(&g);
    for (int i = 0; i < 500 && !process_reap(&p, &status); i++)
        nap();
    ck_assert_int_eq(p.pid, 0);
    process_close(&p);
    cgroup_remove(&g);
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", parent, name);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {where_nothing_is_handed_down_there_is_none,
                                  the_own_group_is_found,
                                  a_folder_that_is_no_group_is_of_no_use,
                                  stale_groups_are_swept,
                                  nobody_escapes_from_a_group,
                                  NULL};
    return temp_folder_main("cgroup", tests, &folder, setup);
}
