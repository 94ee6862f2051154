/* SPDX-License-Identifier: Apache-2.0 */
/* A control group (version 2) for each trainer, where the system lets us make some: no
 * descendant can leave it, so one word to the kernel ends them all, and where the memory
 * controller is handed down the kernel holds them to their memory. Without any of it the
 * process group, the subreaper and the look at /proc do the work as ever. */
#ifndef ARCHWAY_WORKER_CGROUP_H
#define ARCHWAY_WORKER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The folder of this process's own group, when groups may be made in it: it is ours to
 * write, and handed down (a user's own; for root marked as delegated, or the root of a
 * container). `root` stands before /proc and the mount points: "" outside of tests. */
bool cgroup_find(const char *root, char *ret, size_t size);

struct cgroup {
    int folder, procs, kill; /* descriptors; -1: none */
    char name[64];
};

/* Make NAME in `parent`; with memory > 0 and a memory controller its limit. False, and an
 * empty ret, when it cannot be: nothing is wrong then. */
bool cgroup_make(const char *parent, const char *name, int64_t memory, struct cgroup *ret);
/* Kill every process in it. */
void cgroup_kill(const struct cgroup *g);
/* Is a process left in it? */
bool cgroup_is_empty(const struct cgroup *g);
/* Kill what is left, for half a second at most, and remove it. An empty one is allowed. */
void cgroup_remove(struct cgroup *g);
/* Remove groups "archway-PID-..." in `parent` whose process is no more. */
void cgroup_sweep(const char *parent);

#endif
