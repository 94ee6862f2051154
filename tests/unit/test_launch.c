/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher reads of a run: logs and placements that are missing, torn or odd,
 * then the hosts that it would go on with. */
#include "master/launch/launch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/launch/launch_shared.h"

#include "temp_folder.h"

static struct temp_folder folder;
static struct launch_log log_read;
static struct launch_hosts hosts;
static char text[256];
static int ranks;

static void clear(void)
{
    log_read = (struct launch_log){0};
    hosts.count = hosts.workers = 0;
    text[0] = '\0';
    ranks = -1;
}

static const char *write_file(const char *name, const char *mode, const char *body)
{
    const char *path = temp_folder_file(&folder, name);
    FILE *file = fopen(path, mode);
    ck_assert_ptr_nonnull(file);
    fputs(body, file);
    fclose(file);
    return path;
}

#define LOST(rank) \
    "{\"time\":1.5,\"event\":\"rank_lost\",\"rank\":" rank ",\"text\":\"x\"}\n"

/* A folder in the test's own. */
static const char *make_folder(const char *name)
{
    const char *path = temp_folder_file(&folder, name);
    mkdir(path, 0700);
    return path;
}

static void write_process(const char *pid, const char *stat, const char *environment,
                          size_t size)
{
    char name[64];
    snprintf(name, sizeof name, "proc/%s", pid);
    make_folder(name);
    snprintf(name, sizeof name, "proc/%s/stat", pid);
    write_file(name, "w", stat);
    snprintf(name, sizeof name, "proc/%s/environ", pid);
    FILE *file = fopen(temp_folder_file(&folder, name), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(environment, 1, size, file), size);
    fclose(file);
}

START_TEST(the_job_is_that_of_the_children_of_mpirun)
{
    char proc[600];
    uint32_t job = 5;
    int size = 9;
    snprintf(proc, sizeof proc, "%s", make_folder("proc"));
    ck_assert_int_eq(launch_shared_ranks("/no/such", 7, &job, &size), 0);
    ck_assert_int_eq(launch_shared_ranks(proc, 7, &job, &size), 0);
#define PUT(pid, stat, environment) \
    write_process(pid, stat, environment, sizeof(environment) - 1)
    PUT("20", "20 (a) b 7 7) S 8 7", "PMIX_NAMESPACE=1\0"); /* of another */
    PUT("21", "garbage", "PMIX_NAMESPACE=2\0");
    PUT("22", "22 (orted) S 7 7", "A=1\0B=2");
    PUT("23", "23 (x) S 7 7", "PMIX_NAMESPACE=no\0");
    PUT("24", "24 (x) S 7 7", "PMIX_NAMESPACE=99999999999\0");
    ck_assert_int_eq(launch_shared_ranks(proc, 7, &job, &size), 0);
    ck_assert_uint_eq(job, 5);
    PUT("25", "25 (arch) S 1 (y) R 7 25", "OMPI_COMM_WORLD_LOCAL_SIZE=3\0PMIX_NAMESPACE=606601217\0B=");
    PUT("26", "26 (b) S 7 7", "PMIX_NAMESPACE=606601217\0OMPI_COMM_WORLD_LOCAL_SIZE=3\0");
    PUT("27", "27 (b) Z 7 7", "");
    ck_assert_int_eq(launch_shared_ranks(proc, 7, &job, &size), 2);
    ck_assert_uint_eq(job, 606601217);
    ck_assert_int_eq(size, 3);
#undef PUT
}
END_TEST

START_TEST(only_the_segments_of_the_job_are_removed)
{
    static const char *const format[] = {
        "vader_segment.vm.%u.24280001.0",   "vader_segment.a.b.c.%u.24280001.17",
        "vader_segment.vm.%u.24280002.0",   "vader_segment.vm.%u.24280001.x",
        "vader_segment.vm.9%u1.24280001.0", "vader_segment.%u.24280001.",
        "vader_segment.",                   "other.vm.%u.24280001.0"};
    char names[8][48], shared[600], path[64];
    snprintf(shared, sizeof shared, "%s", make_folder("shm"));
    for (int i = 0; i < 8; i++) {
        const char *at = strstr(format[i], "%u");
        int before = at ? (int)(at - format[i]) : (int)strlen(format[i]);
        memcpy(names[i], format[i], (size_t)before);
        names[i][before] = '\0';
        if (at)
            snprintf(names[i] + before, sizeof names[i] - (size_t)before, "%u%s", geteuid(),
                     at + 2);
        snprintf(path, sizeof path, "shm/%.47s", names[i]);
        write_file(path, "w", "x");
    }
    ck_assert_int_eq(launch_shared_remove("/no/such", 0x24280001), 0);
    ck_assert_int_eq(launch_shared_remove(shared, 0), 0);
    ck_assert_int_eq(launch_shared_remove(shared, 0x24280001), 2);
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "shm/%.47s", names[i]);
        ck_assert_int_eq(access(temp_folder_file(&folder, path), F_OK) == 0, i >= 2);
    }
}
END_TEST

START_TEST(odd_logs)
{
    launch_log_read(temp_folder_file(&folder, "nothing"), &log_read);
    ck_assert_int_eq(log_read.lost, 0);
    launch_log_read(write_file("log", "w",
                               "garbage\n{\"event\":\"rank_lost\"}\n"
                               "{\"time\":1,\"event\":\"rank_lost\",\"rank\":x}\n"),
                    &log_read);
    ck_assert_int_eq(log_read.lost, 0);
    ck_assert_int_eq(log_read.trials, 0);
}
END_TEST

#define STATE(status, seconds, before)                                        \
    "{\"time\":1.5,\"event\":\"checkpoint\",\"trial\":3,\"status\":\"" status \
    "\",\"epoch\":2,\"seconds\":" seconds ",\"before\":" before ",\"worker\":1}\n"

/* A trial that only ever begins anew is no progress; one that goes on is. */
START_TEST(states_that_come_further_count)
{
    clear();
    launch_log_read(write_file("log", "w",
                               STATE("suspended", "5.000", "0.000")
                                   STATE("continued", "9.000", "5.000")
                                       STATE("suspended", "5.000", "5.000")
                                           STATE("suspended", "x", "5.000")),
                    &log_read);
    ck_assert_int_eq(log_read.trials, 0);
    launch_log_read(write_file("log", "a", STATE("suspended", "9.000", "5.000")),
                    &log_read);
    ck_assert_int_eq(log_read.trials, 1);
}
END_TEST

/* A line that is only half there is read when all of it is. */
START_TEST(a_log_that_grows)
{
    const char *path = write_file("log", "w", LOST("3") "{\"time\":2,\"event\":\"tri");
    launch_log_read(path, &log_read);
    ck_assert_int_eq(log_read.lost, 1);
    ck_assert_int_eq(log_read.ranks[0], 3);
    ck_assert_int_eq(log_read.trials, 0);
    path = write_file("log", "a", "al\",\"trial\":0}\n" LOST("5"));
    launch_log_read(path, &log_read);
    launch_log_read(path, &log_read);
    ck_assert_int_eq(log_read.trials, 1);
    ck_assert_int_eq(log_read.lost, 2);
    ck_assert_int_eq(log_read.ranks[1], 5);
}
END_TEST

START_TEST(odd_placements)
{
    const char *const bodies[] = {"",
                                  "{}",
                                  "[]",
                                  "[1, 2]",
                                  "[{\"host\": 3, \"rank\": 1}]",
                                  "[{\"host\": \"a,b\", \"rank\": 1}]",
                                  "[{\"host\": \"-x\", \"rank\": 1}]",
                                  "[{\"host\": \"a:9\", \"rank\": 1}]"};
    ck_assert(
        !launch_hosts_read(temp_folder_file(&folder, "nothing"), &log_read, &hosts));
    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ck_assert_msg(
            !launch_hosts_read(write_file("p", "w", bodies[i]), &log_read, &hosts),
            "'%s' was taken", bodies[i]);
}
END_TEST

static const char placement[] = "[{\"host\":\"n1\",\"rank\":1,\"slot\":0},"
                                "{\"host\":\"n1\",\"rank\":1,\"slot\":1},"
                                "{\"host\":\"n2\",\"rank\":2,\"slot\":0},"
                                "{\"host\":\"n2\",\"rank\":3,\"slot\":0},"
                                "{\"host\":\"n3\",\"rank\":4,\"slot\":0}]";

static bool narrow(const char *lost, const char *here)
{
    log_read = (struct launch_log){0};
    for (; *lost; lost++)
        log_read.ranks[log_read.lost++] = *lost - '0';
    ck_assert(launch_hosts_read(write_file("p", "w", placement), &log_read, &hosts));
    ck_assert_int_eq(hosts.workers, 4);
    return launch_hosts_format(&hosts, here, text, sizeof text, &ranks);
}

START_TEST(nothing_to_narrow)
{
    ck_assert(!narrow("", "n1"));
    ck_assert(!narrow("2", "n1"));    /* the other rank of n2 lives */
    ck_assert(!narrow("1234", "n1")); /* nobody is left */
    ck_assert(narrow("4", "n1"));
    ck_assert(!launch_hosts_format(&hosts, "n1", text, 8, &ranks)); /* no room */
}
END_TEST

START_TEST(hosts_that_are_left)
{
    ck_assert(narrow("4", "n1"));
    ck_assert_str_eq(text, "n1:2,n2:2");
    ck_assert_int_eq(ranks, 4);
    ck_assert(narrow("23", "n1"));
    ck_assert_str_eq(text, "n1:2,n3:1");
    ck_assert_int_eq(ranks, 3);
    ck_assert(narrow("1", "n1")); /* its worker is gone, the master is here */
    ck_assert_str_eq(text, "n1:1,n2:2,n3:1");
    ck_assert(narrow("234", "n9")); /* a master on a host of its own */
    ck_assert_str_eq(text, "n9:1,n1:1");
    ck_assert_int_eq(ranks, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {odd_logs,
                                  states_that_come_further_count,
                                  a_log_that_grows,
                                  odd_placements,
                                  nothing_to_narrow,
                                  hosts_that_are_left,
                                  the_job_is_that_of_the_children_of_mpirun,
                                  only_the_segments_of_the_job_are_removed,
                                  NULL};
    return temp_folder_main("launch", tests, &folder, clear);
}
