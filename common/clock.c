/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own clocks behind the interface that a simulation replaces. */
#include "common/clock.h"

#include <stddef.h>
#include <time.h>

static double clock_read(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double system_monotonic(void *context)
{
    (void)context;
    return clock_read(CLOCK_MONOTONIC);
}

static double system_wall(void *context)
{
    (void)context;
    return clock_read(CLOCK_REALTIME);
}

const struct clock clock_system = {system_monotonic, system_wall, NULL};

double clock_now(const struct clock *clock)
{
    return clock->monotonic(clock->context);
}

double clock_wall(const struct clock *clock)
{
    return clock->wall(clock->context);
}
