/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that trainers leave behind. The group of a trainer dies with it, but a child
 * that opened a session of its own is in no group of ours. While a trainer's agent lives it
 * adopts such children (it is their subreaper) and kills them once their trainer is gone;
 * when the agent itself is killed, its guard does the same. They are recognised by a
 * variable that every trainer inherits, so nothing else is ever touched. */
#ifndef ARCHWAY_WORKER_ORPHANS_H
#define ARCHWAY_WORKER_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ORPHANS_VARIABLE "ARCHWAY_PARENT"

enum { ORPHANS_MARK = 64 };

/* "ARCHWAY_PARENT=AGENT.SLOT.START": START counts the trainers of a slot. The text has the
 * same length for all of them. */
void orphans_mark(pid_t agent, int slot, unsigned start, char text[ORPHANS_MARK]);

/* What an agent knows of its own processes. */
struct orphans_family {
    bool (*is_trainer)(void *context, pid_t pid);
    bool (*is_current)(void *context, int slot, unsigned start);
    void *context;
};

struct orphans; /* opaque */

/* Become the subreaper and start the guard. Never fails: what the system does not offer is
 * done without. NULL when memory is gone. */
struct orphans *orphans_new(void);
/* Kill adopted children whose trainer is gone and reap those that are dead. Returns how many
 * are still to go: look again soon. */
int orphans_sweep(struct orphans *o, const struct orphans_family *family);
/* All that is left, for two seconds at most; send the guard home. NULL is allowed. */
void orphans_free(struct orphans *o);

#endif
