/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping mpirun: starts a search or resumes a run under it and tells truly how that
 * ended.
 *
 * mpirun is no witness: once a rank was lost, Open MPI 4 with recovery ends with status 0
 * whatever happened, or over several nodes not at all. So the end is what the master
 * writes to DIR/exit.json: from then on mpirun has a grace period, then gets TERM, then
 * KILL. When the master itself died, or too many ranks are gone, mpirun is started again
 * within the same allocation, without the hosts that lost all of their ranks. */
#ifndef ARCHWAY_MASTER_LAUNCH_LAUNCH_H
#define ARCHWAY_MASTER_LAUNCH_LAUNCH_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"

struct launch_setup {             /* all borrowed */
    const char *program;          /* archway */
    const char *config, *run;     /* the run is resumed where it holds one */
    const char *const *arguments; /* of archway search, for a new run; ends with NULL */
    const char *time_limit;       /* of every session, as on the command line; or NULL */
    const char *const *options;   /* of mpirun; ends with NULL */
    double grace; /* seconds for mpirun to end by itself after exit.json */
    double least; /* share of the workers below which it is started again */
    int restarts; /* at most so many */
    const struct clock *clock;
};

enum {
    LAUNCH_WORDS = 256, /* of one command line */
    LAUNCH_IDLE = 3 /* sessions in a row without a single trial before it is given up */
};

/* Blocking, until the run is over, stopped or given up. *ret_exit: 0 finished, 75 to be
 * resumed, else failed for good: also when LAUNCH_IDLE sessions in a row, over all calls,
 * brought nothing. TERM, INT and USR1 to this process stop the run in order. */
int launch_run(const struct launch_setup *setup, int *ret_exit, struct error *err);

/* --- parts of it, for tests ----------------------------------------------------------
 */

/* What a session has written to log.jsonl so far. */
struct launch_log {
    long offset;     /* of what was not read yet */
    long trials; /* that ended in this session, or came further than where they went on */
    int lost;        /* ranks given up */
    int ranks[4096]; /* which; the first ones */
};
void launch_log_read(const char *path, struct launch_log *log);

struct launch_host {
    char name[256];
    int ranks, lost; /* workers */
};
struct launch_hosts {
    int count, workers; /* hosts; workers on all of them */
    struct launch_host list[1024];
};
/* From DIR/placement.json and the ranks that were lost. False: there is none. */
bool launch_hosts_read(const char *path, const struct launch_log *log,
                       struct launch_hosts *ret);
/* Start nothing under mpirun on every host but `here`: where that fails or takes longer
 * than so many seconds, all workers count as lost. When a node dies, mpirun may take the
 * whole job with it before the master can tell which one it was. Blocking. */
void launch_hosts_probe(struct launch_hosts *hosts, const char *here, double seconds);
/* "n1:2,n3:1": hosts that still have a worker, with `here` (the master's) first and one
 * more for the master; *ret_ranks: the sum. False when none is left or none is gone. */
bool launch_hosts_format(const struct launch_hosts *hosts, const char *here, char *ret,
                         int size, int *ret_ranks);

#endif
