/* SPDX-License-Identifier: Apache-2.0 */
/* A bag of named arrays: what a strategy hands to the store to be saved, and gets back.
 * It keeps HDF5 out of the searches. Names are paths as they shall stand in snapshot.h5
 * ("controller/weights", "optimizer/m", "memory/tokens"); scalars are arrays of rank 0. */
#ifndef ARCHWAY_COMMON_STATE_H
#define ARCHWAY_COMMON_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum state_type { STATE_F32, STATE_F64, STATE_I64, STATE_U16, STATE_U8 };
enum { STATE_MAX_RANK = 4, STATE_NAME = 128 };

struct state_array {
    char name[STATE_NAME];
    enum state_type type;
    int rank;
    size_t dims[STATE_MAX_RANK];
    void *data; /* owned by the bag */
};

struct state {
    size_t count, capacity;
    struct state_array *arrays; /* in order of insertion */
};

void state_init(struct state *s);
void state_fini(struct state *s);
size_t state_type_size(enum state_type type);
size_t state_array_count(const struct state_array *a); /* elements */
/* Copies the data. A name that is already there is an error (ERROR_CORRUPT). */
int state_put(struct state *s, const char *name, enum state_type type, int rank,
              const size_t *dims, const void *data, struct error *err);
int state_put_f64(struct state *s, const char *name, double v, struct error *err);
int state_put_i64(struct state *s, const char *name, int64_t v, struct error *err);
const struct state_array *state_find(const struct state *s, const char *name);
/* Copy `count` elements out; ERROR_CORRUPT naming the array when it is missing or has
 * another type or number of elements. */
int state_get(const struct state *s, const char *name, enum state_type type, size_t count,
              void *ret, struct error *err);
int state_get_f64(const struct state *s, const char *name, double *ret, struct error *err);
int state_get_i64(const struct state *s, const char *name, int64_t *ret, struct error *err);

#endif
