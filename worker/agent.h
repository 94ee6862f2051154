/* SPDX-License-Identifier: Apache-2.0 */
/* The agent: what a worker rank does. It supervises `slots` trainer processes, never
 * computes itself, and is driven by small non-blocking steps, so that with no mpirun the
 * same agent runs inside the master's process. */
#ifndef ARCHWAY_WORKER_AGENT_H
#define ARCHWAY_WORKER_AGENT_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"
#include "proto/wire.h"

struct agent;

struct agent_options {
    const char *trainer_path;  /* built-in trainer's executable; borrowed */
    const struct clock *clock; /* borrowed */
    double start_timeout;      /* seconds a trainer may take to get ready; 0: 300 */
    const char *kernels_cap;   /* as in worker/kernel_choice.h; borrowed */
};

/* Detects the machine (hwloc), queues HELLO; when that fails, BYE with the reason.
 * ERROR_INPUT for a cap that is no name of kernels. `wire` is borrowed. Trainers die with
 * the thread that calls agent_step, so that must be the one that lives longest. SIGPIPE
 * is ignored until agent_free when nobody has chosen otherwise. */
int agent_new(struct wire *wire, const struct agent_options *options, struct agent **ret,
              struct error *err);
/* Take messages, read trainers, enforce deadlines, reap, respawn, send. Never blocks.
 * Returns 1 while it runs, 0 when it is over (STOP handled, or the master is gone),
 * negative on an error that ends the rank. */
int agent_step(struct agent *a, struct error *err);
/* Sleep until a trainer has something to say or `timeout_ms` is over. `extra_fd` (or -1)
 * wakes it too. Returns true when something is there. */
bool agent_wait(struct agent *a, int extra_fd, int timeout_ms);
/* Is a lane on its way, in or out? */
bool agent_travels(const struct agent *a);
/* Has a message come or part of a lane left since the last question? */
bool agent_moved(struct agent *a);
/* A signal asked this rank to end: if no STOP comes within a grace time, stop by itself. */
void agent_interrupt(struct agent *a);
/* After agent_step returned 0: did STOP say that no rank was lost? As wire_close wants it. */
bool agent_clean(const struct agent *a);
/* Kill and reap whatever still runs; NULL is allowed. */
void agent_free(struct agent *a);

#endif
