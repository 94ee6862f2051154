/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: an append-only file of CRC-framed records, the truth between snapshots.
 *
 * File: magic "ARCHWAYJ", u32 version, u32 CRC of these 12 bytes; then frames of u32
 * payload size, u32 type, u32 CRC-32 (zlib) of size, type and payload, and the payload.
 * All little-endian. A torn or corrupt frame ends the valid part.
 *
 * Appending copies into memory. journal_commit starts writing and syncing everything
 * appended so far on a thread of its own (group commit), so the caller goes on working;
 * journal_durable says how far the disk has it. A result is told to a strategy only when
 * it is durable. One thread calls; none of these calls blocks unless it says so. */
#ifndef ARCHWAY_MASTER_JOURNAL_H
#define ARCHWAY_MASTER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

enum { JOURNAL_VERSION = 1, JOURNAL_MAX_RECORD = 64 << 20 };

struct journal;

/* Create a new journal (fails when the file is there), durable on return. Blocking. */
int journal_create(const char *path, struct journal **ret, struct error *err);
/* Open for appending after `offset`, the end of the valid part as journal_reader_end said;
 * what follows is cut off. Blocking. */
int journal_open(const char *path, uint64_t offset, struct journal **ret,
                 struct error *err);
/* Commits and waits (blocking), then closes. NULL is allowed. */
int journal_close(struct journal *j, struct error *err);

/* Returns the offset after the record in *ret_end: the record is safe once
 * journal_durable() >= that. ret_end may be NULL. ERROR_SYSTEM for a payload beyond
 * JOURNAL_MAX_RECORD or one that failed to grow. */
int journal_append(struct journal *j, uint32_t type, const struct bytes *payload,
                   uint64_t *ret_end, struct error *err);
/* Start making everything appended so far durable; when a commit is under way, the next
 * one follows it by itself and takes it. Never blocks. */
int journal_commit(struct journal *j, struct error *err);
/* As journal_commit, but waits until all is durable. Blocking. */
int journal_sync(struct journal *j, struct error *err);
/* Offset up to which all is on disk. An error of the writing thread (disk full, EIO) is
 * returned here and by every later call. Resets the event below. */
int journal_durable(struct journal *j, uint64_t *ret_offset, struct error *err);
/* Bytes appended that are not on disk yet, which is memory. */
uint64_t journal_backlog(struct journal *j);
uint64_t journal_end(const struct journal *j); /* offset after the last appended record */
/* A descriptor that is readable from the end of a commit (or its failure) to the next
 * journal_durable, for poll(). Borrowed. */
int journal_event_fd(const struct journal *j);

/* Read records from `offset` (0: the start; else the end of a frame) to the end or the
 * first invalid frame. A journal may be read while it grows: what is appended after the
 * reader was opened is not seen. ERROR_INPUT for a wrong magic or a newer version,
 * ERROR_CORRUPT for a damaged header or an offset beyond the end. */
struct journal_record {
    uint32_t type;
    uint64_t offset, end; /* of the frame in the file */
    const uint8_t *payload; /* borrowed until the next call */
    size_t size;
};
struct journal_reader;
int journal_reader_open(const char *path, uint64_t offset, struct journal_reader **ret,
                        struct error *err);
/* Returns 1 with a record, 0 at the end of the valid part, negative on a system error.
 * After 0, ret->end is the end of the valid part and journal_reader_torn tells whether
 * invalid bytes follow. */
int journal_read(struct journal_reader *r, struct journal_record *ret, struct error *err);
bool journal_reader_torn(const struct journal_reader *r);
uint64_t journal_reader_end(const struct journal_reader *r);
void journal_reader_close(struct journal_reader *r);

#endif
