/* SPDX-License-Identifier: Apache-2.0 */
/* Children that were there before, and those of our own process group, are others' (a
 * trainer leads a group of its own): their ends are not taken from whoever waits for
 * them. Of the rest, those that carry no mark are only reaped. The guard is a fork
 * without exec that waits for the end of a pipe: the kernel closes it however the agent
 * ends, and a byte through it says that all is in order. It uses system calls and its own
 * stack alone, since locks of the parent's other threads may be held for ever in it. */
#include "worker/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/process_tree.h"

enum { CHILDREN = 4096, GUARD_SWEEPS = 50, LAST_SWEEPS = 400, SWEEP_NS = 5000000 };

struct orphans {
    pid_t before[CHILDREN]; /* children that were there first, ascending */
    int before_count;
    pid_t guard;    /* 0: none */
    int guard_pipe; /* its end closes with us; -1: none */
    int was_subreaper;
};

void orphans_mark(pid_t agent, int slot, unsigned start, char text[ORPHANS_MARK])
{
    snprintf(text, ORPHANS_MARK, ORPHANS_VARIABLE "=%010d.%05d.%010u", (int)agent, slot,
             start);
}

/* --- marks of other processes ------------------------------------------------------- */

/* The value of the variable among the first bytes of an environment. No library calls but
 * memory ones: the guard uses it too. */
static bool read_mark(pid_t pid, char *buffer, size_t size, const char **ret)
{
    static const char name[] = ORPHANS_VARIABLE "=";
    char path[32] = "/proc/", digits[12];
    size_t length = 6, used = 0, n = 0;
    for (pid_t rest = pid; rest > 0; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n > 0)
        path[length++] = digits[--n];
    memcpy(path + length, "/environ", 9);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (ssize_t got;
         used < size - 1 && (got = read(fd, buffer + used, size - 1 - used)) > 0;)
        used += (size_t)got;
    close(fd);
    buffer[used] = '\0';
    for (size_t at = 0; at < used; at += strlen(buffer + at) + 1)
        if (strncmp(buffer + at, name, sizeof name - 1) == 0) {
            *ret = buffer + at + sizeof name - 1;
            return true;
        }
    return false;
}

/* Digits of a mark up to a dot or the end. */
static unsigned mark_number(const char **text)
{
    unsigned value = 0;
    while (**text >= '0' && **text <= '9')
        value = value * 10 + (unsigned)(*(*text)++ - '0');
    *text += **text == '.';
    return value;
}

enum { ENVIRONMENT = 1 << 17 };

/* --- the guard ---------------------------------------------------------------------- */

struct directory_entry { /* of SYS_getdents64 */
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
};

static pid_t entry_pid(const char *name)
{
    pid_t pid = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        pid = pid * 10 + (*name - '0');
    return *name ? 0 : pid;
}

/* Kill every process with a mark of `agent`; how many there were. */
static int guard_sweep(pid_t agent)
{
    char environment[ENVIRONMENT];
    char entries[1 << 15] __attribute__((aligned(8)));
    int found = 0, fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long size;
    while (fd >= 0 && (size = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0; at < size;) {
            const struct directory_entry *e = (const void *)(entries + at);
            pid_t pid = entry_pid(e->name);
            const char *mark;
            at += e->size;
            if (pid <= 0 || !read_mark(pid, environment, sizeof environment, &mark) ||
                (pid_t)mark_number(&mark) != agent)
                continue;
            kill(pid, SIGKILL);
            found++;
        }
    if (fd >= 0)
        close(fd);
    return found;
}

static _Noreturn void guard_run(int fd, pid_t agent)
{
    const struct timespec pause = {0, SWEEP_NS};
    char byte;
    ssize_t n;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    dup2(fd, 3);
    for (int i = 0; i < 3; i++)
        close(i);
    if (syscall(SYS_close_range, 4U, ~0U, 0U) != 0)
        for (int i = 4; i < 65536; i++)
            close(i);
    while ((n = read(3, &byte, 1)) < 0 && errno == EINTR)
        ;
    for (int i = 0; n == 0 && i < GUARD_SWEEPS && guard_sweep(agent) > 0; i++)
        nanosleep(&pause, NULL);
    _exit(0);
}

static void guard_start(struct orphans *o)
{
    int fds[2];
    pid_t agent = getpid();
    o->guard_pipe = -1;
    if (pipe2(fds, O_CLOEXEC))
        return;
    o->guard = fork();
    if (o->guard == 0)
        guard_run(fds[0], agent);
    close(fds[0]);
    if (o->guard > 0) {
        o->guard_pipe = fds[1];
        return;
    }
    o->guard = 0;
    close(fds[1]);
}

static void guard_stop(struct orphans *o)
{
    if (o->guard_pipe >= 0) {
        ssize_t n = write(o->guard_pipe, "q", 1);
        (void)n;
        close(o->guard_pipe);
    }
    while (o->guard > 0 && waitpid(o->guard, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* --- adopted children --------------------------------------------------------------- */

static int compare_pids(const void *a, const void *b)
{
    const pid_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

struct orphans *orphans_new(void)
{
    struct orphans *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    guard_start(o);
    o->before_count = process_children(getpid(), o->before, CHILDREN);
    qsort(o->before, (size_t)o->before_count, sizeof *o->before, compare_pids);
    prctl(PR_GET_CHILD_SUBREAPER, &o->was_subreaper);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return o;
}

/* Is one of ours still there? A dead child has no environment any more, so it is reaped
 * whatever it was; at the end (no family) one that is just dying is waited for. */
static bool sweep_one(const struct orphans_family *family, pid_t pid)
{
    const char *mark = "";
    bool ours = false;
    if (waitpid(pid, NULL, WNOHANG) == pid)
        return false;
    char *environment = calloc(1, ENVIRONMENT);
    if (environment && read_mark(pid, environment, ENVIRONMENT, &mark) &&
        (pid_t)mark_number(&mark) == getpid()) {
        int slot = (int)mark_number(&mark);
        ours = !family || !family->is_current(family->context, slot, mark_number(&mark));
        if (ours)
            kill(pid, SIGKILL);
    }
    bool dying = !family && environment && !environment[0];
    free(environment);
    return ours || dying;
}

int orphans_sweep(struct orphans *o, const struct orphans_family *family)
{
    pid_t children[CHILDREN];
    int left = 0, count = process_children(getpid(), children, CHILDREN);
    pid_t group = getpgrp();
    for (int i = 0; i < count; i++) {
        bool known = getpgid(children[i]) == group ||
                     bsearch(&children[i], o->before, (size_t)o->before_count,
                             sizeof *o->before, compare_pids);
        if (!known && !(family && family->is_trainer(family->context, children[i])))
            left += sweep_one(family, children[i]);
    }
    return left;
}

void orphans_free(struct orphans *o)
{
    const struct timespec pause = {0, SWEEP_NS};
    if (!o)
        return;
    for (int i = 0; i < LAST_SWEEPS && orphans_sweep(o, NULL) > 0; i++)
        nanosleep(&pause, NULL);
    guard_stop(o);
    if (!o->was_subreaper)
        prctl(PR_SET_CHILD_SUBREAPER, 0);
    free(o);
}
