/* SPDX-License-Identifier: Apache-2.0 */
/* A checksum over a whole file, in a block of FILE_SEAL bytes at its start that the rest
 * leaves alone (HDF5: a user block): damage is known before a library parses it. The
 * block: "ARCHWAYP", version, 8 bytes of size and 16 of XXH3-128 of the rest,
 * little-endian, then zeros. Files are read in pieces, never into memory. Blocking. */
#ifndef ARCHWAY_WORKER_FILE_SEAL_H
#define ARCHWAY_WORKER_FILE_SEAL_H

#include "common/error.h"

enum { FILE_SEAL = 512 };

/* Fill the block of a file that is written out, and sync it. ERROR_SYSTEM with errno's
 * words. */
int file_seal(const char *path, struct error *err);
/* 0 when the file is what was sealed; ERROR_CORRUPT saying what is wrong, ERROR_SYSTEM
 * when it cannot be read. */
int file_seal_check(const char *path, struct error *err);

#endif
