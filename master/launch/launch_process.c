/* SPDX-License-Identifier: Apache-2.0 */
/* USR1 reaches every rank within milliseconds; TERM makes mpirun itself end the ranks,
 * and only a second later; KILL is for an mpirun that waits for a node that is no more.
 */
#include "master/launch/launch_process.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double stop_patience = 60; /* seconds from a request to the end of mpirun */
static const double term_patience = 10; /* from TERM to KILL; mpirun itself takes 6 */
static const double pause_s = 0.2;

static void make_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGCHLD);
}

void launch_process_prepare(void)
{
    sigset_t set;
    make_set(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int launch_process_start(const char *const *argv, const struct clock *clock,
                         struct launch_process *ret, struct error *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    struct launch_process p = {.clock = clock, .term_at = INFINITY, .kill_at = INFINITY};
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    int failed = posix_spawnp(&p.pid, argv[0], &files, &attributes, (char **)(size_t)argv,
                              environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return error_set(err, ERROR_SYSTEM, "cannot start %s: %s", argv[0],
                         strerror(failed));
    *ret = p;
    return 0;
}

void launch_process_stop(struct launch_process *p)
{
    kill(p->pid, SIGUSR1);
    launch_process_expect_end(p, stop_patience);
}

void launch_process_expect_end(struct launch_process *p, double grace)
{
    double at = clock_now(p->clock) + grace;
    if (at < p->term_at && isinf(p->kill_at))
        p->term_at = at;
}

bool launch_process_wait(struct launch_process *p)
{
    const struct timespec pause = {.tv_nsec = (long)(1e9 * pause_s)};
    sigset_t set;
    make_set(&set);
    int signal = sigtimedwait(&set, NULL, &pause);
    if (signal != SIGTERM && signal != SIGINT && signal != SIGUSR1)
        return false;
    if (++p->requests > 1 && signal == SIGINT) /* whoever presses it twice means it */
        launch_process_expect_end(p, 0);
    else
        launch_process_stop(p);
    return true;
}

static void press(struct launch_process *p)
{
    double now = clock_now(p->clock);
    if (now >= p->term_at) {
        kill(p->pid, SIGTERM);
        p->term_at = INFINITY;
        p->kill_at = now + term_patience;
    } else if (now >= p->kill_at) {
        kill(-p->pid, SIGKILL);
    }
}

bool launch_process_ended(struct launch_process *p, int *ret_status)
{
    int status;
    if (waitpid(p->pid, &status, WNOHANG) != p->pid) {
        press(p);
        return false;
    }
    *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}
