/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the store: a snapshot as the bytes of an HDF5 file, and back. */
#ifndef ARCHWAY_MASTER_STORE_SNAPSHOT_H
#define ARCHWAY_MASTER_STORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "master/store.h"

/* The bytes with room for the user block, not signed yet; caller frees *ret. */
int store_snapshot_encode(const struct snapshot *s, uint8_t **ret, size_t *ret_size,
                          struct error *err);
/* Caller frees ret with snapshot_fini. */
int store_snapshot_decode(uint8_t *image, size_t size, struct snapshot *ret,
                          struct error *err);
/* May a state array have this name: a path that meets none of the store's own? */
bool store_snapshot_name_valid(const char *name);

#endif
