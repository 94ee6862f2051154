/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the store: a snapshot as a file of signed bytes. It knows nothing of HDF5.
 *
 * The first 512 bytes are the HDF5 user block, which HDF5 tools skip; all little-endian:
 *   0  "ARCHWAYS"        8  u32 version       12  u32 0
 *   16 u64 file size     24 u64, u64 XXH3-128 (low, high) of the bytes from 512 on
 *   40 u64 XXH3-64 of the 40 bytes above      48  text for people, then zeros */
#ifndef ARCHWAY_MASTER_STORE_FILE_H
#define ARCHWAY_MASTER_STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { STORE_BLOCK = 512 };

/* What tells one snapshot from another: the checksum of its content. */
struct store_file_mark {
    uint64_t low, high;
};

/* Fill the user block at the start of image, size > STORE_BLOCK. */
struct store_file_mark store_file_sign(uint8_t *image, size_t size);
/* Write the image as DIR/snapshot.h5 durably, keeping the last one as snapshot.prev.h5.
 * A valid one is there at every moment, after a failure as well. Blocking. */
int store_file_write(const char *dir, const uint8_t *image, size_t size,
                     struct error *err);
/* What became of reading a file. */
enum store_file_state { STORE_FILE_OK, STORE_FILE_MISSING, STORE_FILE_NEWER, STORE_FILE_BAD };
/* Read a whole file and check its signature; caller frees *ret. */
int store_file_read(const char *path, uint8_t **ret, size_t *ret_size,
                    enum store_file_state *ret_state, struct error *err);
/* Read a file of the folder and check its signature, keeping nothing of it. */
int store_file_check(const char *dir, const char *name, struct store_file_mark *ret,
                     struct error *err);

#endif
