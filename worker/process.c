/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, watching and ending one child process.
 *
 * vfork rather than posix_spawn, since the child has to set things between fork and exec
 * that posix_spawn cannot (cores, limits, death with the parent), and rather than fork,
 * since copying the page tables of a rank with much memory takes long and is not safe
 * beside some MPI libraries. All that the child needs is prepared before; between vfork
 * and exec it makes system calls only. Its failure comes back through memory that both
 * share. */
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "worker/cpu_list.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* All that the child uses, and what it says when it fails. */
struct launch {
    const struct process_spec *spec;
    pid_t parent;
    int streams[3]; /* the child's ends, all above 2 */
    int fd_limit;
    bool pinned;
    struct cpu_list cpus;
    volatile int failed_errno; /* 0: exec succeeded */
    const char *volatile failed_step;
};

static _Noreturn void launch_fail(struct launch *l, const char *step)
{
    l->failed_step = step;
    l->failed_errno = errno ? errno : EINVAL;
    _exit(127);
}

static void hide_descriptors(int limit)
{
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (int fd = 3; fd < limit; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* The kernel shall take the trainer, never the agent or the master. */
static void volunteer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = write(fd, "1000", 4);
    (void)n;
    close(fd);
}

/* RLIMIT_DATA counts private writable memory, not mapped files; so a shared data set is
 * free. Not under AddressSanitizer, whose shadow is terabytes of private memory. */
static int limit_memory(int64_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    (void)bytes;
    return 0;
#else
    struct rlimit limit = {(rlim_t)bytes, (rlim_t)bytes};
    return bytes > 0 ? setrlimit(RLIMIT_DATA, &limit) : 0;
#endif
}

/* Where it is refused, the process stays in its agent's group: less to kill it with. */
static void enter_group(int procs)
{
    ssize_t n = procs > 2 ? write(procs, "0", 1) : 0;
    (void)n;
}

static _Noreturn void launch_child(struct launch *l)
{
    sigset_t none;
    setpgid(0, 0);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL))
        launch_fail(l, "tie it to its agent");
    if (getppid() != l->parent)
        _exit(127); /* nobody is there any more to hear of it */
    for (int i = 0; i < 3; i++)
        if (dup2(l->streams[i], i) < 0)
            launch_fail(l, "connect its standard streams");
    enter_group(l->spec->group);
    hide_descriptors(l->fd_limit);
    if (l->pinned && sched_setaffinity(0, sizeof l->cpus, (const cpu_set_t *)&l->cpus))
        launch_fail(l, "pin it to its cores");
    if (limit_memory(l->spec->memory))
        launch_fail(l, "limit its memory");
    volunteer_for_oom();
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(l->spec->argv[0], (char *const *)l->spec->argv,
            (char *const *)l->spec->environment);
    launch_fail(l, "run it");
}

/* Signals stay blocked around it, so that no handler runs on the shared stack. */
static __attribute__((noinline)) pid_t launch_fork(struct launch *l)
{
    pid_t pid = vfork();
    if (pid == 0)
        launch_child(l);
    return pid;
}

/* A pipe whose descriptors are above the standard ones; `ours` is made non-blocking. */
static int open_pipe(int fds[2], int ours)
{
    if (pipe2(fds, O_CLOEXEC)) {
        fds[0] = fds[1] = -1;
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (fds[i] > 2)
            continue;
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return -1;
        close(fds[i]);
        fds[i] = fd;
    }
    return fcntl(fds[ours], F_SETFL, fcntl(fds[ours], F_GETFL) | O_NONBLOCK);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 65536)
        return 65536;
    return (int)limit.rlim_cur;
}

/* vfork with all signals blocked; reaps a child that failed before exec. */
static pid_t launch_start(struct launch *l)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = launch_fork(l);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pid < 0) {
        l->failed_step = "fork";
        l->failed_errno = saved;
    } else if (l->failed_errno) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return pid;
}

int process_start(const struct process_spec *spec, struct process *ret, struct error *err)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    struct launch l = {.spec = spec, .parent = getpid(), .fd_limit = descriptor_limit()};
    struct process p = {0, -1, -1, -1};
    int status = 0;

    l.pinned = spec->cpus[0] != '\0';
    if (l.pinned && !cpu_list_parse(spec->cpus, &l.cpus)) {
        status =
            error_set(err, ERROR_SYSTEM, "cannot start '%s': '%s' is no list of cores",
                      spec->argv[0], spec->cpus);
        goto out;
    }
    for (int i = 0; i < 3; i++) {
        if (open_pipe(pipes[i], i == 0)) {
            status = error_set_errno(err, "cannot start '%s': no pipe", spec->argv[0]);
            goto out;
        }
        l.streams[i] = pipes[i][i == 0 ? 0 : 1];
    }
    p.pid = launch_start(&l);
    if (l.failed_errno) {
        errno = l.failed_errno;
        status = error_set_errno(err, "cannot start '%s': cannot %s", spec->argv[0],
                                 l.failed_step);
        goto out;
    }
    p.in = pipes[0][1];
    p.out = pipes[1][0];
    p.err = pipes[2][0];
    pipes[0][1] = pipes[1][0] = pipes[2][0] = -1;
    *ret = p;
out:
    for (int i = 0; i < 6; i++)
        close_fd(&pipes[i / 2][i % 2]);
    return status;
}

void process_signal(const struct process *p, int signal)
{
    if (p->pid > 0)
        kill(-p->pid, signal);
}

bool process_reap(struct process *p, int *ret_status)
{
    siginfo_t info;
    int status = 0;
    info.si_pid = 0;
    if (p->pid <= 0)
        return false;
    /* Look first: the group must be killed while the process still holds its number. */
    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid != p->pid)
        return false;
    process_signal(p, SIGKILL);
    if (waitpid(p->pid, &status, WNOHANG) < 0 && errno == EINTR)
        return false;
    p->pid = 0;
    *ret_status = status;
    return true;
}

void process_close(struct process *p)
{
    close_fd(&p->in);
    close_fd(&p->out);
    close_fd(&p->err);
}

void process_destroy(struct process *p)
{
    const struct timespec pause = {0, 1000 * 1000};
    int status;
    process_close(p);
    process_signal(p, SIGKILL);
    /* A process that is stuck in the kernel is left to it after five seconds. */
    for (int i = 0; i < 5000 && p->pid > 0 && !process_reap(p, &status); i++)
        nanosleep(&pause, NULL);
    p->pid = 0;
}

void process_describe(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)),
                 WTERMSIG(status) == SIGKILL ? ", likely out of memory" : "");
    else
        snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}
