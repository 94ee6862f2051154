/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/process.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/process_tree.h"

static const char *const plain[] = {"PATH=/usr/bin:/bin", NULL};

static struct process start_shell(const char *script, const char *cpus, int64_t memory)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct process_spec spec = {argv, plain, cpus, memory, 0};
    struct process p;
    struct error err = {0};
    ck_assert_msg(process_start(&spec, &p, &err) == 0, "%s", err.text);
    return p;
}

/* Everything it writes to a stream until it closes it, NUL-terminated. */
static void read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    for (;;) {
        struct pollfd ready = {fd, POLLIN, 0};
        ck_assert_int_eq(poll(&ready, 1, 20000), 1);
        ssize_t n = read(fd, text + used, size - 1 - used);
        ck_assert_int_ge(n, 0);
        if (n == 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
}

static int wait_end(struct process *p)
{
    const struct timespec pause = {0, 2000000};
    int status = -1;
    for (int i = 0; i < 10000; i++) {
        if (process_reap(p, &status))
            return status;
        nanosleep(&pause, NULL);
    }
    ck_abort_msg("the process did not end");
    return -1;
}

static void expect_output(const char *script, const char *cpus, const char *expected)
{
    char text[4096];
    struct process p = start_shell(script, cpus, 0);
    read_all(p.out, text, sizeof text);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(wait_end(&p), 0);
    process_close(&p);
}

static void expect_failure(const char *program, const char *cpus, const char *part)
{
    const char *argv[] = {program, NULL};
    struct process_spec spec = {argv, plain, cpus, 0, 0};
    struct process p;
    struct error err = {0};
    int before = dup(0), after;
    close(before);
    ck_assert_int_eq(process_start(&spec, &p, &err), ERROR_SYSTEM);
    ck_assert_msg(strstr(err.text, part) && strstr(err.text, program), "%s", err.text);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    after = dup(0);
    close(after);
    ck_assert_int_eq(before, after); /* no descriptor was left open */
}

START_TEST(what_cannot_start_is_said)
{
    expect_failure("/nonexistent/trainer", "", "No such file");
    expect_failure("no-such-trainer", "", "No such file");
    expect_failure("/etc/passwd", "", "Permission denied");
    expect_failure("sh", "1-", "no list of cores");
    expect_failure("sh", "8191", "pin it to its cores");
}
END_TEST

START_TEST(streams_are_three_pipes)
{
    char text[64];
    struct process p = start_shell("read x; echo \"<$x>\"; echo oops >&2; exit 3", "", 0);
    ck_assert_int_eq(write(p.in, "hello\n", 6), 6);
    read_all(p.out, text, sizeof text);
    ck_assert_str_eq(text, "<hello>\n");
    read_all(p.err, text, sizeof text);
    ck_assert_str_eq(text, "oops\n");
    int status = wait_end(&p);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    ck_assert_int_eq(p.pid, 0);
    process_close(&p);
    ck_assert(p.in == -1 && p.out == -1 && p.err == -1);
}
END_TEST

START_TEST(our_ends_do_not_block)
{
    char big[4096] = {0};
    struct process p = start_shell("sleep 100", "", 0);
    ck_assert_int_eq(read(p.out, big, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(read(p.err, big, 1), -1);
    while (write(p.in, big, sizeof big) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
    process_destroy(&p);
}
END_TEST

START_TEST(it_inherits_nothing_else)
{
    int fd = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, 57);
    ck_assert_int_ge(fd, 57);
    expect_output("for f in /proc/$$/fd/*; do n=${f##*/}; [ $n -lt 50 ] || echo $n; done",
                  "", "");
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    expect_output("grep -E '^Sig(Blk|Ign)' /proc/$$/status | grep -v 0000000000000000 "
                  "|| true",
                  "", "");
}
END_TEST

START_TEST(it_is_tied_and_first_to_go)
{
    char text[64], expected[64];
    struct process p =
        start_shell("cat /proc/$$/oom_score_adj; ps -o pgid= -p $$ | tr -d ' '", "", 0);
    snprintf(expected, sizeof expected, "1000\n%d\n", (int)p.pid);
    read_all(p.out, text, sizeof text);
    ck_assert_str_eq(text, expected);
    wait_end(&p);
    process_close(&p);
}
END_TEST

START_TEST(it_is_pinned)
{
    cpu_set_t mine;
    char cpu[16], expected[64];
    int last = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &mine))
            last = i;
    snprintf(cpu, sizeof cpu, "%d", last);
    snprintf(expected, sizeof expected, "Cpus_allowed_list:\t%d\n", last);
    expect_output("grep Cpus_allowed_list /proc/self/status", cpu, expected);
}
END_TEST

START_TEST(its_memory_is_limited)
{
#if defined(__SANITIZE_ADDRESS__)
    return; /* limits cannot be set there, see limit_memory */
#endif
    char text[64];
    struct process p = start_shell("ulimit -d", "", 64 << 20);
    read_all(p.out, text, sizeof text);
    ck_assert_str_eq(text, "65536\n");
    wait_end(&p);
    process_close(&p);
}
END_TEST

START_TEST(its_memory_is_measured)
{
    char text[8];
    struct process p =
        start_shell("x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo; read y", "", 0);
    struct pollfd ready = {p.out, POLLIN, 0};
    ck_assert_int_eq(poll(&ready, 1, 20000), 1);
    ck_assert_int_eq(read(p.out, text, sizeof text), 1);
    ck_assert_int_eq(process_tree_memory(0), -1);
    ck_assert_int_gt(process_tree_memory(p.pid), 19 << 20);
    ck_assert_int_lt(process_tree_memory(p.pid), 100 << 20);
    ck_assert_int_gt(process_tree_memory_exact(p.pid), 19 << 20);
    ck_assert_int_lt(process_tree_memory_exact(p.pid), 100 << 20);
    pid_t pid = p.pid;
    process_destroy(&p);
    ck_assert_int_eq(process_tree_memory(pid), -1);
    ck_assert_int_eq(process_tree_memory_exact(pid), -1);
}
END_TEST

static bool gone(pid_t pid)
{
    const struct timespec pause = {0, 2000000};
    char path[64], state = 'Z';
    for (int i = 0; i < 2500; i++) {
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "r");
        if (!f)
            return true;
        if (fscanf(f, "%*d %*s %c", &state) != 1)
            state = '?';
        fclose(f);
        if (state == 'Z')
            return true; /* dead, its new parent has not looked yet */
        nanosleep(&pause, NULL);
    }
    return false;
}

START_TEST(the_whole_group_is_killed)
{
    char text[64];
    struct process p =
        start_shell("trap '' TERM; sh -c 'trap \"\" TERM; sleep 300 & echo $!; "
                    "wait' & wait",
                    "", 0);
    struct pollfd ready = {p.out, POLLIN, 0};
    ck_assert_int_eq(poll(&ready, 1, 20000), 1);
    ssize_t n = read(p.out, text, sizeof text - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    pid_t grandchild = atoi(text), leader = p.pid;
    process_signal(&p, SIGTERM);
    ck_assert_int_eq(kill(grandchild, 0), 0);
    process_signal(&p, SIGKILL);
    int status = wait_end(&p);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    process_close(&p);
    ck_assert(gone(leader) && gone(grandchild));
}
END_TEST

START_TEST(what_it_leaves_behind_is_killed)
{
    char text[64];
    struct process p = start_shell("sleep 300 >/dev/null 2>&1 & echo $!", "", 0);
    read_all(p.out, text, sizeof text);
    ck_assert_int_eq(wait_end(&p), 0);
    process_close(&p);
    ck_assert(gone(atoi(text)));
}
END_TEST

START_TEST(children_count_as_its_memory)
{
    /* Three that share what their parent had: it counts once, what each has made thrice.
     */
    char text[8];
    struct process p =
        start_shell("x=$(head -c 30000000 /dev/zero | tr '\\0' x); for i in 1 2 3; do"
                    " (y=$(head -c 10000000 /dev/zero | tr '\\0' y); echo; sleep 300; :) "
                    "& done; wait",
                    "", 0);
    for (int i = 0; i < 3; i++) {
        struct pollfd ready = {p.out, POLLIN, 0};
        ck_assert_int_eq(poll(&ready, 1, 20000), 1);
        ck_assert_int_eq(read(p.out, text, 1), 1);
    }
    int64_t once = process_tree_memory_exact(p.pid), each = process_tree_memory(p.pid);
    ck_assert_int_gt(once, 56 << 20);
    ck_assert_int_lt(once, 110 << 20);
    ck_assert_int_gt(each, once + (40 << 20));
    process_destroy(&p);
}
END_TEST

START_TEST(it_dies_with_its_agent)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t agent = fork();
    if (agent == 0) {
        struct process p = start_shell("sleep 300", "", 0);
        ssize_t n = write(fds[1], &p.pid, sizeof p.pid);
        raise(n == sizeof p.pid ? SIGKILL : SIGABRT);
    }
    pid_t trainer;
    ck_assert_int_eq(read(fds[0], &trainer, sizeof trainer), sizeof trainer);
    waitpid(agent, NULL, 0);
    ck_assert(gone(trainer));
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(ends_are_described)
{
    char text[128];
    process_describe(3 << 8, text, sizeof text);
    ck_assert_str_eq(text, "exit status 3");
    process_describe(SIGSEGV, text, sizeof text);
    ck_assert_str_eq(text, "signal 11 (Segmentation fault)");
    process_describe(SIGKILL, text, sizeof text);
    ck_assert_str_eq(text, "signal 9 (Killed), likely out of memory");
}
END_TEST

static bool has(char **list, const char *variable)
{
    int count = 0;
    for (; *list; list++)
        count += strcmp(*list, variable) == 0;
    ck_assert_int_le(count, 1);
    return count;
}

static bool names(char **list, const char *name)
{
    for (size_t n = strlen(name); *list; list++)
        if (strncmp(*list, name, n) == 0 && (*list)[n] == '=')
            return true;
    return false;
}

START_TEST(environment_sets_threads_and_devices)
{
    static const char *const base[] = {"HOME=/root", "OMP_NUM_THREADS=64",
                                       "CUDA_VISIBLE_DEVICES=0,1,2,3", NULL};
    char **e = process_environment(base, &(struct process_settings){2, "3", false, NULL});
    ck_assert_ptr_nonnull(e);
    ck_assert(has(e, "HOME=/root"));
    ck_assert(has(e, "OMP_NUM_THREADS=2") && !has(e, "OMP_NUM_THREADS=64"));
    ck_assert(has(e, "OPENBLAS_NUM_THREADS=2") && has(e, "MKL_NUM_THREADS=2"));
    ck_assert(has(e, "CUDA_VISIBLE_DEVICES=3") && has(e, "ROCR_VISIBLE_DEVICES=3"));
    process_environment_free(e);

    e = process_environment(base, &(struct process_settings){1, "", false, NULL});
    ck_assert(has(e, "CUDA_VISIBLE_DEVICES="));
    process_environment_free(e);
    e = process_environment(base, &(struct process_settings){1, "2", true, NULL});
    ck_assert(has(e, "ROCR_VISIBLE_DEVICES=2") && !names(e, "CUDA_VISIBLE_DEVICES"));
    process_environment_free(e);
    e = process_environment(base, &(struct process_settings){1, "", true, NULL});
    ck_assert(has(e, "HIP_VISIBLE_DEVICES=-1"));
    process_environment_free(e);
    static const char *const marked[] = {"A=1", "MARK=old", "MARKET=x", NULL};
    e = process_environment(marked, &(struct process_settings){1, "", false, "MARK=new"});
    ck_assert_str_eq(e[0], "MARK=new");
    ck_assert(has(e, "A=1") && has(e, "MARKET=x") && !has(e, "MARK=old"));
    process_environment_free(e);
    process_environment_free(NULL);
}
END_TEST

START_TEST(environment_forgets_the_launcher)
{
    static const char *const base[] = {"OMPI_COMM_WORLD_RANK=2",
                                       "PMIX_RANK=2",
                                       "PMI_FD=7",
                                       "PMI2_RANK=1",
                                       "SLURM_PROCID=4",
                                       "SLURM_NTASKS=8",
                                       "SLURM_JOB_ID=77",
                                       "OMPI_ALLOW_RUN_AS_ROOT=1",
                                       "KMP_AFFINITY=x",
                                       "PMIXTURE=kept",
                                       NULL};
    static const char *const lost[] = {
        "OMPI_COMM_WORLD_RANK", "PMIX_RANK",    "PMI_FD",       "PMI2_RANK",
        "SLURM_PROCID",         "SLURM_NTASKS", "KMP_AFFINITY", NULL};
    char **e = process_environment(base, &(struct process_settings){1, "", false, NULL});
    for (int i = 0; lost[i]; i++)
        ck_assert_msg(!names(e, lost[i]), "%s was kept", lost[i]);
    ck_assert(has(e, "SLURM_JOB_ID=77") && has(e, "OMPI_ALLOW_RUN_AS_ROOT=1"));
    ck_assert(has(e, "PMIXTURE=kept"));
    process_environment_free(e);
}
END_TEST

UNIT_MAIN("process", what_cannot_start_is_said, streams_are_three_pipes,
          our_ends_do_not_block, it_inherits_nothing_else, it_is_tied_and_first_to_go,
          it_is_pinned, its_memory_is_limited, its_memory_is_measured,
          the_whole_group_is_killed, what_it_leaves_behind_is_killed,
          children_count_as_its_memory, it_dies_with_its_agent, ends_are_described,
          environment_sets_threads_and_devices, environment_forgets_the_launcher)
