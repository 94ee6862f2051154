/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the store: HDF5 calls that check themselves and name what failed. Handles
 * stay with the caller. Statuses: ERROR_SYSTEM in writing, ERROR_CORRUPT in reading.
 * hdf5.h stays out of headers: a handle (hid_t) is an int64_t here. */
#ifndef ARCHWAY_MASTER_STORE_HDF5_H
#define ARCHWAY_MASTER_STORE_HDF5_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/state.h"

/* HDF5 prints no errors between quiet and loud (process-wide; not for threads). */
struct store_hdf5_quiet {
    int (*print)(int64_t stack, void *context);
    void *context;
};
void store_hdf5_quiet(struct store_hdf5_quiet *saved);
void store_hdf5_loud(const struct store_hdf5_quiet *saved);

/* error_set with HDF5's own words for the innermost failure behind the text. */
int store_hdf5_error(struct error *err, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A new file in memory, with a user block of `block` bytes; negative on failure. */
int64_t store_hdf5_create(unsigned block);
/* Open the bytes of a file (copied) read-only; negative on failure. */
int64_t store_hdf5_open(void *image, size_t size);
/* The bytes of an open file with its user block, zeroed; caller frees. */
int store_hdf5_image(int64_t file, unsigned block, uint8_t **ret, size_t *ret_size,
                     struct error *err);

int store_hdf5_put_u64(int64_t at, const char *name, uint64_t v, struct error *err);
int store_hdf5_put_f64(int64_t at, const char *name, double v, struct error *err);
int store_hdf5_put_text(int64_t at, const char *name, const char *text, struct error *err);
int store_hdf5_get_u64(int64_t at, const char *name, uint64_t *ret, struct error *err);
int store_hdf5_get_f64(int64_t at, const char *name, double *ret, struct error *err);
/* Caller frees *ret. */
int store_hdf5_get_text(int64_t at, const char *name, char **ret, struct error *err);

/* A whole array as a dataset with checksums (and gzip for integers: their arrays are
 * tables; floats hardly shrink). Groups of the name are made. */
int store_hdf5_put_array(int64_t file, const struct state_array *a, struct error *err);
/* Read a dataset into the bag. Its size is bounded by what it takes in the file. */
int store_hdf5_get_array(int64_t file, const char *name, struct state *state,
                         struct error *err);

#endif
