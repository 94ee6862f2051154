/* SPDX-License-Identifier: Apache-2.0 */
/* DIR/snapshot.digest: of each trial of a snapshot what a status counts, without tokens,
 * curves and words, so that a status of a million trials need not take the snapshot
 * apart. It only saves time: a digest that is missing, damaged or not that of the newest
 * snapshot is not taken, and all that it says is in the snapshot too. No part of what a
 * run continues from, so it is not synced to disk.
 *
 * All little-endian:
 *   "ARCHWAYD", u32 version, u32 0, u64 and u64 (low, high) checksum of the snapshot's
 *   content as in its first block (store_file.h);
 *   u64 journal_offset, u64 told, string configuration (YAML), f64 x 6 and u64 hours;
 *   u32 count, then that many scalars of the state: string name, u8 type, 8 bytes;
 *   u32 count, then that many names of kernels: strings;
 *   u64 count, then that many trials in the order of their ids: u8 state, u8 arm,
 *   u8 kernels (0: none, else number in the list from 1), u32 same_as + 1 (0: none),
 *   f64 val_accuracy, seconds, finished_at, u64 hash_low, hash_high; of any kind but
 *   train_child also u64 step, i32 part; of eval_relax also the architecture, as
 *   architecture_encode has it; where the state is queued, running or waiting also
 *   u16 attempts, i32 worker, i32 slot, u32 saved_epochs, f64 saved_seconds;
 *   u64 and u64 (low, high) XXH3-128 of all bytes before.
 * A string is u32 length and bytes. */
#ifndef ARCHWAY_MASTER_STORE_DIGEST_H
#define ARCHWAY_MASTER_STORE_DIGEST_H

#include "common/error.h"
#include "master/store.h"
#include "master/store_file.h"

enum { STORE_DIGEST_VERSION = 4 };

/* Write that of a snapshot to folder DIR, in place of the last one. mark: that of the
 * snapshot's file. Blocking. On failure none is left that could be taken for it. */
int store_digest_write(const char *dir, const struct snapshot *s,
                       struct store_file_mark mark, struct error *err);
/* The bytes of a file that shall be the digest of the snapshot with this mark. Its trials
 * have states, metrics, times and hashes, and those in flight attempts, places and what
 * is saved of them, scores of a relaxed cell their architecture too, which must be
 * validated before it is used; its state has only the scalars. ERROR_INPUT or
 * ERROR_CORRUPT when it is not. Caller frees with snapshot_fini. */
int store_digest_decode(const uint8_t *data, size_t size, struct store_file_mark mark,
                        struct snapshot *ret, struct error *err);

#endif
