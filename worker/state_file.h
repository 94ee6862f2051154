/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a training's state, written and read piece by piece: a training may take
 * all the memory that it is allowed, so nobody holds the file as a whole.
 *
 * Little-endian. 8 bytes "ARCHWAYS", version (4), CRC-32 of what follows (4), its size
 * (8). Arrays have their length before them (8). Blocking. */
#ifndef ARCHWAY_WORKER_STATE_FILE_H
#define ARCHWAY_WORKER_STATE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

enum { STATE_FILE_VERSION = 2, STATE_FILE_HEADER = 24 };

struct state_writer {
    struct bytes small; /* what is not large is put here */
    /* private */
    const char *path; /* borrowed until the writer is closed */
    char temporary[PATH_MAX];
    int fd, failure; /* errno of the first failure; 0: none */
    uint32_t check;
    uint64_t size;
};

/* Begin a file that will take the place of the one at `path`. ERROR_SYSTEM; w need not be
 * closed then. */
int state_writer_open(struct state_writer *w, const char *path, struct error *err);
/* A failure is told by state_writer_close. values may be NULL with count 0. */
void state_writer_put_floats(struct state_writer *w, const float *values, size_t count);
/* Sync it, and rename. ERROR_SYSTEM; what was at the path before is then still there. */
int state_writer_close(struct state_writer *w, struct error *err);

/* Yields zeros after a failure, and what could not be read. */
struct state_reader {
    bool failed; /* something was read past the end, or could not be read */
    /* private */
    int fd; /* -1: from memory */
    const uint8_t *memory;
    uint64_t at, size;
};

/* 1, or 0 when there is no such file; ERROR_INPUT when it is larger than `limit` bytes,
 * ERROR_SYSTEM when it cannot be read. */
int state_reader_open(struct state_reader *r, const char *path, uint64_t limit,
                      struct error *err);
void state_reader_init(struct state_reader *r, const void *data,
                       size_t size); /* borrows */
void state_reader_close(struct state_reader *r);
/* Read all of it once, and stand behind the header. ERROR_CORRUPT when it is no such
 * file, damaged or cut off, ERROR_INPUT when it is of another version; `name` stands for
 * it. */
int state_reader_check(struct state_reader *r, const char *name, struct error *err);

uint64_t state_reader_left(const struct state_reader *r);  /* bytes */
uint64_t state_reader_place(const struct state_reader *r); /* to go back to */
void state_reader_go(struct state_reader *r, uint64_t place);
void state_reader_skip(struct state_reader *r, uint64_t size);
void state_reader_get(struct state_reader *r, void *ret, size_t size);
uint32_t state_reader_u32(struct state_reader *r);
uint64_t state_reader_u64(struct state_reader *r);
double state_reader_f64(struct state_reader *r);
/* Exactly so many; passed over when ret is NULL. */
void state_reader_get_floats(struct state_reader *r, size_t count, float *ret);

#endif
