/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: the whole state of a run in one HDF5 file, readable with h5py and h5dump.
 *
 *   /meta       attributes: version, archway, seed, space, strategy, name, trials, told,
 *               journal_offset, created (ISO 8601), config (YAML text), kernels (those
 *               that trained, with a space between), arrays (names of
 *               the state's arrays, one a line), complete = 1 (written last: a file
 *               without it is not a snapshot)
 *   /trials     one compound row a trial: id, tokens (variable length u16), depth, state,
 *               epochs, val_accuracy, reward, seconds, worker, slot, policy_version,
 *               params, flops, arm, arm_index, attempts, failure, kind, seed, same_as,
 *               hash_low, hash_high, log_probability, proposed_at, finished_at, reason
 *               (string), kernels (string of TRIAL_KERNELS bytes), saved_epochs,
 *               saved_seconds, step and part (of shared weights, common/trial.h)
 *   /curves     one row an epoch: trial, epoch (from 1), train_loss, train_accuracy,
 *               val_loss, val_accuracy, lr, seconds; in the order of the trials
 *   /hours      attributes of struct ledger_hours
 *   /in_flight  ids of trials that were queued, running or waiting
 *   /rng        attributes: algorithm, key; streams are keyed by purpose and trial, so
 * the position is the number of trials every array of the state bag under its own name
 * (/controller/..., /optimizer/...)
 *
 * Enumerations are HDF5 enums, so tools show names. Datasets carry fletcher32 checksums;
 * the HDF5 user block (512 bytes that HDF5 tools skip) signs the whole file: a file that
 * was damaged, cut short or changed by another program is not read.
 * Written as DIR/snapshot.h5.tmp, fsync, then snapshot.h5 -> snapshot.prev.h5 and
 * tmp -> snapshot.h5 by rename, fsync of the folder: the last two are kept, and one valid
 * one is there at every moment. */
#ifndef ARCHWAY_MASTER_STORE_H
#define ARCHWAY_MASTER_STORE_H

#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/state.h"
#include "master/ledger.h"

/* 2: column kernels of /trials, attribute kernels of /meta. 5: kinds relax, eval_relax.
 * Older ones are read. */
enum { STORE_VERSION = 5 };

struct snapshot {
    struct config config;
    uint64_t journal_offset; /* records before it are contained */
    uint64_t told;           /* trials told so far, both arms */
    struct ledger *ledger;   /* owned by the reader of a snapshot */
    struct state state;      /* likewise */
};

/* Write a snapshot of these to folder DIR; blocking. The last ones stay valid when it
 * fails. A caller that limits file sizes ignores SIGXFSZ. */
int store_write(const char *dir, const struct snapshot *s, struct error *err);
/* Read the newest valid one: snapshot.h5, else snapshot.prev.h5 (ret_note, may be NULL,
 * then tells why the first was not taken; caller frees). ERROR_CORRUPT when neither is
 * valid, ERROR_INPUT when neither exists or the newest is of a newer version (an older one
 * behind it is not taken then: a downgrade shall not pass unnoticed).
 * Caller frees with snapshot_fini. */
int store_read(const char *dir, struct snapshot *ret, char **ret_note, struct error *err);
/* What the digest that came with the newest one says of it, much quicker: trials have
 * states, metrics, times, hashes and kernels, and those in flight attempts and places;
 * architectures are empty, the state has only the scalars. The checksum of the snapshot
 * is verified as well. ERROR_INPUT, ERROR_CORRUPT or ERROR_SYSTEM when there is no such
 * digest: read the snapshot then. Blocking. */
int store_read_digest(const char *dir, struct snapshot *ret, struct error *err);
void snapshot_fini(struct snapshot *s);

#endif
