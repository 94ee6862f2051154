/* SPDX-License-Identifier: Apache-2.0 */
/* What a damaged journal still holds, and making it one that can be appended to. A crash
 * leaves at most an incomplete record at the end; whole records behind an invalid one
 * mean that something else changed the file, so nothing of it is thrown away. */
#ifndef ARCHWAY_MASTER_JOURNAL_REPAIR_H
#define ARCHWAY_MASTER_JOURNAL_REPAIR_H

#include "master/journal.h"

/* Behind `end`, the end of the valid part: how many bytes there are, and how many whole
 * records stand among them (0 after a crash). At most the first 64 MiB are looked at. */
int journal_examine(const char *path, uint64_t end, uint64_t *ret_bytes,
                    uint64_t *ret_records, struct error *err);
/* Copy the bytes from `from` on to PATH.cut-FROM, durable on return, and give its path
 * (size bytes of room). One that is there already is kept when it holds as much. */
int journal_set_aside(const char *path, uint64_t from, char *ret_path, size_t size,
                      struct error *err);
/* Where filling up to `until` has to begin, so that a frame has room: the end of the
 * valid part or the start of its last record; 0 when not even the header is valid. */
int journal_fill_start(const char *path, uint64_t until, uint64_t *ret,
                       struct error *err);
/* Append records of `type` without meaning until the journal ends exactly at `until`, and
 * sync. ERROR_CORRUPT when less is missing than a record takes. Blocking. */
int journal_fill(struct journal *j, uint32_t type, uint64_t until, struct error *err);

#endif
