/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a trainer's line (trainer_decode.c): one pass over the line checks that
 * it is JSON and notes where the values of the known fields begin; then those that are
 * needed are read. What is wrong is said in err, naming the line's type. */
#ifndef ARCHWAY_PROTO_TRAINER_FIELDS_H
#define ARCHWAY_PROTO_TRAINER_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "proto/json_scan.h"

enum trainer_field {
    FIELD_TYPE,
    FIELD_PROTOCOL,
    FIELD_NAME,
    FIELD_VERSION,
    FIELD_QUEUE,
    FIELD_TRIAL,
    FIELD_ATTEMPT,
    FIELD_EPOCH,
    FIELD_METRICS,
    FIELD_SECONDS,
    FIELD_STATUS,
    FIELD_PARAMS,
    FIELD_FLOPS,
    FIELD_REASON,
    FIELD_KERNELS,
    FIELD_CHECKPOINTS,
    FIELD_STEP,
    FIELD_PART,
    FIELD_ARCHITECTURE,
    FIELD_LOG_PROBABILITY,
    FIELD_FD,
    FIELD_STRIDE,
    FIELD_SAMPLES,
    FIELD_ROUND,
    FIELD_COUNT
};

struct trainer_fields {
    const char *text, *end;
    const char *values[FIELD_COUNT]; /* where each field's value begins, or NULL */
    const char *type;                /* for error texts */
    struct error *err;
};

extern const char *const trainer_field_names[FIELD_COUNT];

/* Is the whole line a JSON object? ERROR_PEER when not. */
int trainer_fields_scan(struct trainer_fields *l);
/* A scan that begins at a value. */
struct json_scan trainer_field_at(const struct trainer_fields *l, const char *value);
/* Errors: it is of another kind than `needed`; it is not there. */
int trainer_field_wrong(const struct trainer_fields *l, const char *name,
                        struct json_scan s, const char *needed);
int trainer_field_missing(const struct trainer_fields *l, enum trainer_field field);
/* A string, true or false: absent leaves ret as it is. */
int trainer_field_text(const struct trainer_fields *l, enum trainer_field field,
                       char *ret, size_t size);
int trainer_field_flag(const struct trainer_fields *l, enum trainer_field field,
                       int *ret);
/* A required integer, written without fraction and exponent. */
int trainer_field_integer(const struct trainer_fields *l, enum trainer_field field,
                          int64_t low, int64_t high, int64_t *ret);
/* NAN when absent or null; an amount is never negative. */
int trainer_field_number(const struct trainer_fields *l, enum trainer_field field,
                         double *ret);
int trainer_field_amount(const struct trainer_fields *l, enum trainer_field field,
                         double *ret);

#endif
