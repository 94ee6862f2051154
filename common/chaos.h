/* SPDX-License-Identifier: Apache-2.0 */
/* A rehearsal of faults (run.chaos): with which probability an attempt meets which one.
 * What an attempt meets follows from seed, trial and attempt number alone, so a rehearsal
 * can be repeated, and every retry takes its chance anew. */
#ifndef ARCHWAY_COMMON_CHAOS_H
#define ARCHWAY_COMMON_CHAOS_H

#include <stdint.h>

#include "common/error.h"

enum chaos_kind {
    CHAOS_KILL,      /* the trainer is killed */
    CHAOS_HANG,      /* the trainer is stopped, as one that hangs */
    CHAOS_GARBAGE,   /* a line of the trainer makes no sense */
    CHAOS_KILL_RANK, /* the rank is killed; not without mpirun */
    CHAOS_STOP_RANK, /* the rank is silent for longer than run.silent_after; likewise */
    CHAOS_COUNT
};

struct chaos {
    double share[CHAOS_COUNT]; /* of the attempts, [0, 1]; their sum is at most 1 */
};

struct chaos_fate {
    int kind;     /* CHAOS_COUNT: nothing happens */
    double after; /* seconds from the start of the attempt, below 0.5 */
};

/* "kill=0.01,stop-rank=0.002", "none" or "". ERROR_INPUT naming what is wrong and what is
 * allowed. */
int chaos_parse(const char *text, struct chaos *ret, struct error *err);
struct chaos_fate chaos_draw(const struct chaos *c, uint64_t seed, uint64_t trial,
                             int attempt);
const char *chaos_name(int kind); /* "kill-rank" */

#endif
