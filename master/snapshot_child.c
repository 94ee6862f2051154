/* SPDX-License-Identifier: Apache-2.0 */
/* The child is a copy of a process with threads (the journal's, MPI's), so it calls
 * nothing that could wait for one of them: only the store, which takes memory (the C
 * library keeps that usable after a fork) and writes files. Where it dies all the same,
 * as on a network whose driver keeps pages from children, the caller writes the snapshot
 * itself.
 *
 * Its end is told through a pipe rather than by its exit status: somebody else in the
 * process may reap all children. */
#include "master/snapshot_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_run(const char *dir, const struct snapshot *s, int release,
                      pid_t parent, int fd)
{
    struct error err = {0};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    if (release >= 0)
        close(release);
    err.status = store_write(dir, s, &err);
    ssize_t n = write(fd, &err, sizeof err); /* less than a pipe holds */
    _exit(n == (ssize_t)sizeof err ? 0 : 1);
}

int snapshot_child_start(struct snapshot_child *c, const char *dir,
                         const struct snapshot *s, int release, struct error *err)
{
    int fds[2];
    pid_t parent = getpid();
    if (pipe2(fds, O_CLOEXEC) != 0)
        return error_set_errno(err, "cannot make a pipe for a snapshot");
    pid_t pid = fork();
    if (pid == 0)
        child_run(dir, s, release, parent, fds[1]);
    int saved = errno;
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        errno = saved;
        return error_set_errno(err, "cannot start a process for a snapshot");
    }
    *c = (struct snapshot_child){pid, fds[0]};
    return 0;
}

static void reap(struct snapshot_child *c)
{
    close(c->fd);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *c = (struct snapshot_child){0};
}

int snapshot_child_poll(struct snapshot_child *c, bool wait, struct error *err)
{
    struct error result;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    ssize_t n;
    if (c->pid == 0)
        return 0;
    if (!wait && poll(&p, 1, 0) <= 0)
        return 1;
    do
        n = read(c->fd, &result, sizeof result);
    while (n < 0 && errno == EINTR);
    reap(c);
    if (n != (ssize_t)sizeof result)
        return error_set(err, ERROR_FAILED, "the process that wrote a snapshot died");
    if (result.status != 0 && err)
        *err = result;
    return result.status;
}

void snapshot_child_kill(struct snapshot_child *c)
{
    if (c->pid == 0)
        return;
    kill(c->pid, SIGKILL);
    reap(c);
}
