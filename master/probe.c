/* SPDX-License-Identifier: Apache-2.0 */
/* A program in its own process group, so that what it starts goes with it. Its end is
 * seen by waitpid and not by the end of its output, which a left-over child could hold
 * open. */
#include "master/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

static int start(const char *const *argv, int output, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    int failed =
        posix_spawnp(ret, argv[0], &files, &attributes, (char **)(size_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

/* What is there now; what does not fit is dropped. */
static void take_output(int fd, struct probe *p, size_t *size)
{
    char chunk[4096];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        size_t room = sizeof p->output - 1 - *size;
        size_t take = (size_t)n < room ? (size_t)n : room;
        memcpy(p->output + *size, chunk, take);
        *size += take;
        p->output[*size] = '\0';
    }
}

/* TERM first, so that a launcher takes its own with it; KILL for the rest. */
static void end_group(pid_t pid, int *ret_status)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    kill(-pid, SIGTERM);
    for (int i = 0; i < 200; i++) {
        if (waitpid(pid, ret_status, WNOHANG) != 0)
            return;
        nanosleep(&nap, NULL);
    }
    kill(-pid, SIGKILL);
    waitpid(pid, ret_status, 0);
}

static void watch(pid_t pid, int fd, double seconds, struct probe *p)
{
    const struct timespec nap = {.tv_nsec = 2000000};
    double until = clock_now(&clock_system) + seconds;
    size_t size = 0;
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        take_output(fd, p, &size);
        if (clock_now(&clock_system) >= until) {
            p->timed_out = true;
            end_group(pid, &status);
            break;
        }
        nanosleep(&nap, NULL);
    }
    kill(-pid, SIGKILL);
    take_output(fd, p, &size);
    p->exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void probe_run(const char *const *argv, double seconds, struct probe *ret)
{
    int pipes[2];
    pid_t pid = 0;
    *ret = (struct probe){.exit_status = 127};
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return;
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    ret->started = start(argv, pipes[1], &pid) == 0;
    close(pipes[1]);
    if (ret->started)
        watch(pid, pipes[0], seconds, ret);
    close(pipes[0]);
}

void probe_first_line(const struct probe *p, char *ret, size_t size)
{
    const char *at = p->output;
    ret[0] = '\0';
    while (*at) {
        size_t length = strcspn(at, "\n");
        if (strspn(at, "- \t\r") < length) {
            snprintf(ret, size, "%.*s", (int)length, at);
            return;
        }
        at += length + (at[length] == '\n');
    }
}

bool probe_find(const char *name, char *ret, size_t size)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 && snprintf(ret, size, "%s", name) < (int)size;
    while (path && *path) {
        size_t length = strcspn(path, ":");
        int n = snprintf(ret, size, "%.*s/%s", (int)length, path, name);
        if (length > 0 && n > 0 && (size_t)n < size && access(ret, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}
