/* SPDX-License-Identifier: Apache-2.0 */
/* Time is passed in, so that the same master runs on a virtual clock. */
#ifndef ARCHWAY_COMMON_CLOCK_H
#define ARCHWAY_COMMON_CLOCK_H

struct clock {
    double (*monotonic)(void *context); /* seconds, never goes back */
    double (*wall)(void *context);      /* seconds since 1970 UTC */
    void *context;
};

extern const struct clock clock_system;

double clock_now(const struct clock *clock);  /* monotonic */
double clock_wall(const struct clock *clock);

#endif
