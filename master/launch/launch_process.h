/* SPDX-License-Identifier: Apache-2.0 */
/* mpirun as a process that is stopped by steps. Private to master/launch/. */
#ifndef ARCHWAY_MASTER_LAUNCH_LAUNCH_PROCESS_H
#define ARCHWAY_MASTER_LAUNCH_LAUNCH_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/clock.h"
#include "common/error.h"

struct launch_process {
    pid_t pid; /* and its group */
    const struct clock *clock;
    double term_at, kill_at; /* INFINITY: not decided */
    int requests;            /* to stop, of others */
};

/* From now on TERM, INT, USR1 and CHLD are taken by launch_process_wait only. */
void launch_process_prepare(void);
int launch_process_start(const char *const *argv, const struct clock *clock,
                         struct launch_process *ret, struct error *err);
/* Sleep a moment; true when a signal asked us to stop, which was then passed on. */
bool launch_process_wait(struct launch_process *p);
/* Ask the ranks to stop in order. */
void launch_process_stop(struct launch_process *p);
/* It has so many seconds from the first call. */
void launch_process_expect_end(struct launch_process *p, double grace);
/* Reaped? *ret_status: as a shell tells it. Sends TERM and KILL when they are due. */
bool launch_process_ended(struct launch_process *p, int *ret_status);

#endif
