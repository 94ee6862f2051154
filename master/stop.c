/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers only note the signal; the loop, which never sleeps longer than a fraction of a
 * second, does the rest. */
#include "master/stop.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "master/job_end.h"

static volatile sig_atomic_t stop_signal;

static void stop_handle(int number)
{
    if (stop_signal == SIGINT && number == SIGINT)
        _exit(130);
    stop_signal = number;
}

void stop_install(void)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = stop_handle};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full quota is an error of write, not the end */
}

bool stop_signalled(void)
{
    return stop_signal != 0;
}

void stop_init(struct stop *s, double limit, const struct clock *clock)
{
    const char *source;
    double now = clock_now(clock), left;
    *s = (struct stop){.at = INFINITY, .end = INFINITY};
    if (limit > 0) {
        s->at = now + limit;
        snprintf(s->limit, sizeof s->limit, "the time limit is reached");
    }
    if (!job_end_find(clock_wall(clock), &left, &source))
        return;
    s->end = now + left;
    double at = now + left - fmin(30, left / 10);
    if (left > 0 && at < s->at) {
        s->at = at;
        snprintf(s->limit, sizeof s->limit, "the end of the batch job is near");
    }
}

double stop_grace(const struct stop *s, double most, bool alone,
                  const struct clock *clock)
{
    double left = (s->end - clock_now(clock)) / 2;
    if (stop_signal == SIGTERM || stop_signal == SIGINT)
        most = fmin(most, alone ? 1 : 0.5);
    return fmax(0, fmin(most, left));
}

const char *stop_reason(const struct stop *s, const struct clock *clock)
{
    switch (stop_signal) {
    case SIGTERM:
        return "SIGTERM";
    case SIGINT:
        return "interrupted";
    case SIGUSR1:
        return "SIGUSR1";
    default:
        return clock_now(clock) >= s->at ? s->limit : NULL;
    }
}
