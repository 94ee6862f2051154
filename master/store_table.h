/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the store: tables of compound rows, written and read row by row through a
 * batch in memory. One description of the columns serves both and the check of a file. */
#ifndef ARCHWAY_MASTER_STORE_TABLE_H
#define ARCHWAY_MASTER_STORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/trial.h"

enum store_column_type {
    COLUMN_U16, COLUMN_U32, COLUMN_U64, COLUMN_I32, COLUMN_I64, COLUMN_F32, COLUMN_F64,
    COLUMN_STATE, COLUMN_ARM, COLUMN_FAILURE, COLUMN_KIND, /* u8 as HDF5 enumerations */
    COLUMN_TOKENS, /* struct store_tokens */
    COLUMN_TEXT,   /* char *, UTF-8 */
    COLUMN_KERNELS /* char[TRIAL_KERNELS], UTF-8 */
};

struct store_column {
    const char *name;
    enum store_column_type type;
    size_t offset;  /* in the row's struct */
    unsigned since; /* version of the store that brought it */
};
struct store_table {
    const char *name;
    size_t row_size;
    const struct store_column *columns; /* ends with name == NULL */
};

struct store_tokens { /* as HDF5's hvl_t */
    size_t len;
    void *p; /* u16 */
};
struct store_trial_row {
    uint64_t id, arm_index, seed, hash_low, hash_high;
    int64_t same_as;
    struct store_tokens tokens;
    char *reason;
    double val_accuracy, reward, seconds, params, flops, log_probability;
    double proposed_at, finished_at;
    uint32_t epochs, policy_version;
    int32_t worker, slot;
    uint16_t depth, attempts;
    uint8_t state, arm, failure, kind;
    char kernels[TRIAL_KERNELS];
    double saved_seconds;
    uint32_t saved_epochs;
    int32_t part;
    uint64_t step;
};
struct store_curve_row {
    uint64_t trial;
    uint32_t epoch; /* from 1 */
    float train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds;
};
extern const struct store_table store_table_trials, store_table_curves;

/* An open table and its batch; plain state of a writer or a reader. */
struct store_rows {
    const struct store_table *table;
    int64_t set, type; /* type: of the rows in memory */
    uint64_t count, start; /* rows in all; rows before the batch */
    uint64_t used, filled; /* rows of the batch handed out; rows read into it */
    uint64_t batch;
    uint8_t *data; /* owned */
};

/* Write exactly `count` rows: fill each row that `next` gives (borrowed, zeroed, NULL on
 * failure; what it points to must live until the next call of `next` or `close` that writes
 * the batch, in effect as long as the writer). close writes the rest and frees, after a
 * failure as well. */
int store_rows_create(int64_t file, const struct store_table *table, uint64_t count,
                      struct store_rows *ret, struct error *err);
void *store_rows_next(struct store_rows *r, struct error *err);
int store_rows_close(struct store_rows *r, struct error *err);

/* Read: ret->count rows, each borrowed until the next call; NULL on failure. version: of
 * the file; columns that are younger are zero. */
int store_rows_open(int64_t file, const struct store_table *table, unsigned version,
                    struct store_rows *ret, struct error *err);
const void *store_rows_read(struct store_rows *r, struct error *err);
void store_rows_end(struct store_rows *r);

#endif
