/* SPDX-License-Identifier: Apache-2.0 */
/* A run's folder on disk: names, creation, the lock of a live master, exit.json.
 *
 *   DIR/config.yaml  DIR/snapshot.h5  DIR/snapshot.prev.h5  DIR/journal  DIR/log.jsonl
 *   DIR/placement.json  DIR/exit.json  DIR/lock  DIR/best/
 *
 * The lock is an fcntl lock (works over NFS) on DIR/lock, whose text names host, pid and
 * start time of the holder; a lock of a dead master is free by itself. */
#ifndef ARCHWAY_MASTER_RUN_FOLDER_H
#define ARCHWAY_MASTER_RUN_FOLDER_H

#include "common/error.h"

struct run_folder;

enum run_folder_file {
    RUN_CONFIG, RUN_JOURNAL, RUN_LOG, RUN_PLACEMENT, RUN_EXIT, RUN_LOCK, RUN_BEST
};

/* Make a new folder (parents too) and lock it. ERROR_INPUT "exists ..." when it is there
 * and not empty, telling whether it is a run (then naming `archway resume DIR`). Nothing
 * is left behind on failure. */
int run_folder_create(const char *dir, struct run_folder **ret, struct error *err);
/* Open an existing run and lock it for writing. ERROR_INPUT when it is missing, not a run,
 * or held by a live master (naming host and pid). */
int run_folder_open(const char *dir, struct run_folder **ret, struct error *err);
/* Check that DIR is a run, without locking: for status, trials, export. */
int run_folder_check(const char *dir, struct error *err);
/* Is a live master holding DIR? Fills host and pid text when so ("n3 pid 4711"). */
int run_folder_is_live(const char *dir, char *ret_holder, unsigned size);
void run_folder_close(struct run_folder *f); /* gives the lock back; NULL is allowed */

const char *run_folder_path(const struct run_folder *f); /* as given */
/* Path of a file in DIR; caller frees; NULL when memory is gone. */
char *run_folder_file(const char *dir, enum run_folder_file file);

/* exit.json, atomically: {"status": 75, "reason": "...", "finished": false,
 * "trials": 120, "time": "2026-...Z", "version": "..."}. */
int run_folder_write_exit(const char *dir, int status, const char *reason, int finished,
                          unsigned long long trials, struct error *err);
/* Remove exit.json at the start of a session. */
int run_folder_clear_exit(const char *dir, struct error *err);

#endif
