/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot written by a child process, which sees the state as it was when it began,
 * while its parent goes on: the parent only waits for the fork (milliseconds), and its
 * own memory does not grow by the file. */
#ifndef ARCHWAY_MASTER_SNAPSHOT_CHILD_H
#define ARCHWAY_MASTER_SNAPSHOT_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "master/store.h"

/* All zero: none. */
struct snapshot_child {
    pid_t pid;
    int fd; /* what became of it comes here */
};

/* Begin writing s to folder DIR, as store_write does. The child closes `release` first
 * (-1: nothing), for a lock that it must not keep. It dies with its parent. ERROR_SYSTEM
 * when there can be no child; none must be under way. */
int snapshot_child_start(struct snapshot_child *c, const char *dir,
                         const struct snapshot *s, int release, struct error *err);
/* 1: it is still writing (never with `wait`, which blocks); 0: it is done, or there is
 * none; negative: what store_write gave, ERROR_FAILED when it died before its end. */
int snapshot_child_poll(struct snapshot_child *c, bool wait, struct error *err);
/* Kill it where there is one; what it had not finished is no snapshot. Blocking. */
void snapshot_child_kill(struct snapshot_child *c);

#endif
