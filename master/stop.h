/* SPDX-License-Identifier: Apache-2.0 */
/* When to stop: signals (SIGTERM, SIGINT, SIGUSR1), the time limit of this session, and the
 * end of the batch job as the scheduler announced it. */
#ifndef ARCHWAY_MASTER_STOP_H
#define ARCHWAY_MASTER_STOP_H

#include <stdbool.h>

#include "common/clock.h"

struct stop {
    double at; /* monotonic time of the limit; INFINITY: none */
    double end;     /* of the batch job, likewise */
    char limit[64]; /* which limit that is, for people */
};

/* Install the signal handlers (once a process). A second SIGINT ends the process at once. */
void stop_install(void);
/* `limit`: seconds of this session, 0: none. The end of a SLURM job (job_end.h) is heeded
 * too, with a margin of 30 s, or of a tenth of what is left when that is less. */
void stop_init(struct stop *s, double limit, const struct clock *clock);
/* Why to stop now, or NULL. Borrowed, static. */
const char *stop_reason(const struct stop *s, const struct clock *clock);
bool stop_signalled(void);
/* Seconds that may be spent on saving states now, of `most`: what a signal that is soon
 * followed by SIGKILL leaves (SIGTERM and SIGINT: half a second, under mpirun, or one),
 * and, when the end of the job is known, at most half of what is left. */
double stop_grace(const struct stop *s, double most, bool alone,
                  const struct clock *clock);

#endif
