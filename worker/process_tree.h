/* SPDX-License-Identifier: Apache-2.0 */
/* A process with all that it started, as /proc shows it. */
#ifndef ARCHWAY_WORKER_PROCESS_TREE_H
#define ARCHWAY_WORKER_PROCESS_TREE_H

#include <stdint.h>
#include <sys/types.h>

/* Children of a process, dead ones that nobody has waited for included. How many were
 * filled in, at most `most`. */
int process_children(pid_t pid, pid_t *ret, int most);
/* Resident private bytes of a process and its descendants; -1 when it is unknown. Pages
 * that several of them still share since a fork count for each. */
int64_t process_tree_memory(pid_t pid);
/* The same with shared pages counted once: exact, but it takes the kernel a walk through
 * all page tables. */
int64_t process_tree_memory_exact(pid_t pid);

#endif
