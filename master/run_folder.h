/* SPDX-License-Identifier: Apache-2.0 */
/* A run's folder on disk: names, creation, the lock of a live master, exit.json.
 *
 *   DIR/config.yaml  DIR/snapshot.h5  DIR/snapshot.prev.h5  DIR/snapshot.digest
 *   DIR/journal  DIR/log.jsonl
 *   DIR/placement.json  DIR/exit.json  DIR/lock  DIR/best/
 *
 * A folder is a run when it holds config.yaml and journal. The lock is an fcntl lock (of
 * the open file, works over NFS) on DIR/lock, whose text names host, pid and start time of
 * the holder; a lock of a dead master is free by itself. None of these calls waits for a
 * lock. */
#ifndef ARCHWAY_MASTER_RUN_FOLDER_H
#define ARCHWAY_MASTER_RUN_FOLDER_H

#include "common/error.h"

struct run_folder;

enum run_folder_file {
    RUN_CONFIG, RUN_JOURNAL, RUN_LOG, RUN_PLACEMENT, RUN_EXIT, RUN_LOCK, RUN_BEST,
    RUN_WATCH
};

/* Make a new folder (parents too) and lock it. ERROR_INPUT "exists ..." when it is there
 * and not empty, telling whether it is a run (then naming `archway resume DIR`). What a
 * master left there that was killed before its run began does not count, and is removed. Nothing is left
 * behind on failure. */
int run_folder_create(const char *dir, struct run_folder **ret, struct error *err);
/* Open an existing run and lock it for writing. ERROR_INPUT when it is missing, not a run,
 * or held by a live master (naming host and pid). */
int run_folder_open(const char *dir, struct run_folder **ret, struct error *err);
/* Check that DIR is a run, without locking: for status, trials, export. */
int run_folder_check(const char *dir, struct error *err);
/* Is a live master holding DIR? 1 with host and pid text ("n3 pid 4711"), 0 when not (or
 * when there is no lock file), ERROR_SYSTEM when the file system cannot tell. */
int run_folder_is_live(const char *dir, char *ret_holder, unsigned size);
void run_folder_close(struct run_folder *f); /* gives the lock back; NULL is allowed */
/* Instead of close, for a run that could not begin: also removes what create made, as far
 * as nothing else was put there. NULL is allowed. */
void run_folder_discard(struct run_folder *f);

/* The open file that holds the lock, which a child process has to close; borrowed. */
int run_folder_lock_descriptor(const struct run_folder *f);
const char *run_folder_path(const struct run_folder *f); /* as given */
/* Path of a file in DIR; caller frees; NULL when memory is gone. */
char *run_folder_file(const char *dir, enum run_folder_file file);

/* exit.json, atomically (reason is UTF-8; other bytes become '?'): {"status": 75, "reason": "...", "finished": false,
 * "trials": 120, "time": "2026-...Z", "version": "..."}. */
int run_folder_write_exit(const char *dir, int status, const char *reason, int finished,
                          unsigned long long trials, struct error *err);
/* Remove exit.json at the start of a session; no error when there is none. */
int run_folder_clear_exit(const char *dir, struct error *err);

#endif
