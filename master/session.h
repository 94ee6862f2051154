/* SPDX-License-Identifier: Apache-2.0 */
/* One session: a master opens a run (new or resumed), drives the one loop until the run is
 * finished or has to stop, and leaves the folder in order.
 *
 * The loop never blocks for longer than a few milliseconds, except for the fsync of a
 * snapshot. Stopping (signal, time limit) ends in a snapshot and exit status 75 within two
 * seconds, however long the running trials are. */
#ifndef ARCHWAY_MASTER_SESSION_H
#define ARCHWAY_MASTER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"
#include "proto/wire.h"

/* The agent of this very process, when there is no mpirun: the loop steps it and sleeps on
 * it. All NULL under MPI. */
struct session_local {
    int (*step)(void *context, struct error *err);
    bool (*wait)(void *context, int extra_fd, int timeout_ms);
    void *context;
};

struct session_setup { /* all borrowed */
    const char *dir;
    const struct config *config; /* new run: the configuration; resume: the changed one, or
                                    NULL for that of the record */
    bool resume;
    struct data_facts facts;
    struct wire *wire;
    struct session_local local;
    const struct clock *clock;
    bool quiet; /* no progress on standard output */
    bool lockstep; /* virtual time: it moves in local.wait only, the disk is waited for */
};

enum { SESSION_RESUMABLE = 75 };

/* Blocking, for as long as the search takes. *ret_exit: exit status of the program. What it
 * has to say goes to standard output. Every rank has been told to stop when it returns;
 * *ret_lost says whether one was given up on the way (then close the wire unclean). */
int session_run(const struct session_setup *setup, int *ret_exit, bool *ret_lost,
                struct error *err);

#endif
