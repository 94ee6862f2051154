/* SPDX-License-Identifier: Apache-2.0 */
/* HDF5 is slow by the call and fast by the row, so rows are gathered into batches of some
 * chunks each and a table of many thousand rows costs few calls, in bounded memory. */
#include "master/store_table.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/trial.h"
#include "master/store.h"
#include "master/store_hdf5.h"
#include "master/store_plist.h"

enum { CHUNK_BYTES = 256 << 10, BATCH_CHUNKS = 8 };

_Static_assert(sizeof(struct store_tokens) == sizeof(hvl_t) &&
                   offsetof(struct store_tokens, p) == offsetof(hvl_t, p),
               "tokens are laid out as HDF5 does");

#define COLUMN_SINCE(row, name, type, since)           \
    {                                                  \
#name, type, offsetof(struct row, name), since \
    }
#define COLUMN(row, name, type) COLUMN_SINCE(row, name, type, 1)

static const struct store_column trial_columns[] = {
    COLUMN(store_trial_row, id, COLUMN_U64),
    COLUMN(store_trial_row, tokens, COLUMN_TOKENS),
    COLUMN(store_trial_row, depth, COLUMN_U16),
    COLUMN(store_trial_row, state, COLUMN_STATE),
    COLUMN(store_trial_row, epochs, COLUMN_U32),
    COLUMN(store_trial_row, val_accuracy, COLUMN_F64),
    COLUMN(store_trial_row, reward, COLUMN_F64),
    COLUMN(store_trial_row, seconds, COLUMN_F64),
    COLUMN(store_trial_row, worker, COLUMN_I32),
    COLUMN(store_trial_row, slot, COLUMN_I32),
    COLUMN(store_trial_row, policy_version, COLUMN_U32),
    COLUMN(store_trial_row, params, COLUMN_F64),
    COLUMN(store_trial_row, flops, COLUMN_F64),
    COLUMN(store_trial_row, arm, COLUMN_ARM),
    COLUMN(store_trial_row, arm_index, COLUMN_U64),
    COLUMN(store_trial_row, attempts, COLUMN_U16),
    COLUMN(store_trial_row, failure, COLUMN_FAILURE),
    COLUMN(store_trial_row, kind, COLUMN_KIND),
    COLUMN(store_trial_row, seed, COLUMN_U64),
    COLUMN(store_trial_row, same_as, COLUMN_I64),
    COLUMN(store_trial_row, hash_low, COLUMN_U64),
    COLUMN(store_trial_row, hash_high, COLUMN_U64),
    COLUMN(store_trial_row, log_probability, COLUMN_F64),
    COLUMN(store_trial_row, proposed_at, COLUMN_F64),
    COLUMN(store_trial_row, finished_at, COLUMN_F64),
    COLUMN(store_trial_row, reason, COLUMN_TEXT),
    COLUMN_SINCE(store_trial_row, kernels, COLUMN_KERNELS, 2),
    COLUMN_SINCE(store_trial_row, saved_epochs, COLUMN_U32, 3),
    COLUMN_SINCE(store_trial_row, saved_seconds, COLUMN_F64, 3),
    COLUMN_SINCE(store_trial_row, step, COLUMN_U64, 4),
    COLUMN_SINCE(store_trial_row, part, COLUMN_I32, 4),
    {NULL, COLUMN_U16, 0, 0}};

static const struct store_column curve_columns[] = {
    COLUMN(store_curve_row, trial, COLUMN_U64),
    COLUMN(store_curve_row, epoch, COLUMN_U32),
    COLUMN(store_curve_row, train_loss, COLUMN_F32),
    COLUMN(store_curve_row, train_accuracy, COLUMN_F32),
    COLUMN(store_curve_row, val_loss, COLUMN_F32),
    COLUMN(store_curve_row, val_accuracy, COLUMN_F32),
    COLUMN(store_curve_row, lr, COLUMN_F32),
    COLUMN(store_curve_row, seconds, COLUMN_F32),
    {NULL, COLUMN_U16, 0, 0}};

const struct store_table store_table_trials = {"trials", sizeof(struct store_trial_row),
                                               trial_columns};
const struct store_table store_table_curves = {"curves", sizeof(struct store_curve_row),
                                               curve_columns};

static hid_t make_enum(const char *(*name)(int), int count)
{
    hid_t type = H5Tenum_create(H5T_STD_U8LE);
    for (uint8_t i = 0; type >= 0 && i < count; i++)
        if (H5Tenum_insert(type, name(i), &i) < 0) {
            H5Tclose(type);
            return -1;
        }
    return type;
}

/* Kinds of trials that a version knows. */
static uint8_t kinds_of(unsigned version)
{
    return version < 4 ? 1 : version < 5 ? TRIAL_EVAL_SHARED + 1 : TRIAL_KIND_COUNT;
}

/* Type of a column in the file of this version, and in the memory of a little-endian
 * machine. Caller closes. */
static hid_t column_type(enum store_column_type type, unsigned version)
{
    switch (type) {
    case COLUMN_U16:
        return H5Tcopy(H5T_STD_U16LE);
    case COLUMN_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case COLUMN_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case COLUMN_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case COLUMN_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case COLUMN_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case COLUMN_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case COLUMN_STATE:
        return make_enum(trial_state_name, TRIAL_SAVED + 1);
    case COLUMN_ARM:
        return make_enum(trial_arm_name, ARM_COUNT);
    case COLUMN_FAILURE:
        return make_enum(trial_failure_name, FAILURE_START + 1);
    case COLUMN_KIND:
        return make_enum(trial_kind_name, kinds_of(version));
    case COLUMN_TOKENS:
        return H5Tvlen_create(H5T_STD_U16LE);
    case COLUMN_TEXT:
        return store_plist_text();
    case COLUMN_KERNELS:
        return store_plist_word(TRIAL_KERNELS);
    }
    return -1;
}

/* Type of a row in memory; negative on failure, caller closes. */
static hid_t row_type(const struct store_table *table)
{
    hid_t row = H5Tcreate(H5T_COMPOUND, table->row_size);
    for (const struct store_column *c = table->columns; row >= 0 && c->name; c++) {
        hid_t type = column_type(c->type, STORE_VERSION);
        int result = type < 0 ? -1 : H5Tinsert(row, c->name, c->offset, type);
        if (type >= 0)
            H5Tclose(type);
        if (result < 0) {
            H5Tclose(row);
            return -1;
        }
    }
    return row;
}

static bool column_matches(hid_t row, const struct store_column *c, unsigned version)
{
    int at = H5Tget_member_index(row, c->name);
    hid_t found = at < 0 ? -1 : H5Tget_member_type(row, (unsigned)at);
    hid_t type = column_type(c->type, version), base = -1;
    bool matches = false;
    if (found < 0 || type < 0)
        matches = false;
    else if (c->type == COLUMN_TEXT)
        matches = H5Tis_variable_str(found) > 0;
    else if (c->type != COLUMN_TOKENS)
        matches = H5Tequal(found, type) > 0;
    else if (H5Tget_class(found) == H5T_VLEN && (base = H5Tget_super(found)) >= 0)
        matches = H5Tequal(base, H5T_STD_U16LE) > 0;
    if (base >= 0)
        H5Tclose(base);
    if (type >= 0)
        H5Tclose(type);
    if (found >= 0)
        H5Tclose(found);
    return matches;
}

/* The rows in the file have the columns of its version and no others. */
static int check_columns(hid_t set, const struct store_table *table, unsigned version,
                         struct error *err)
{
    hid_t row = H5Dget_type(set);
    int status = 0, count = 0;
    if (row < 0 || H5Tget_class(row) != H5T_COMPOUND)
        status = error_set(err, ERROR_CORRUPT, "'/%s' is no table", table->name);
    for (const struct store_column *c = table->columns; status == 0 && c->name; c++) {
        if (c->since > version)
            continue;
        count++;
        if (!column_matches(row, c, version))
            status = error_set(err, ERROR_CORRUPT,
                               "'/%s' lacks column '%s' or has it with another type",
                               table->name, c->name);
    }
    if (status == 0 && H5Tget_nmembers(row) != count)
        status = error_set(err, ERROR_CORRUPT, "'/%s' has unknown columns", table->name);
    if (row >= 0)
        H5Tclose(row);
    return status;
}

/* Memory type and batch of the rows. */
static int rows_init(struct store_rows *r, const struct store_table *table)
{
    *r = (struct store_rows){.table = table, .set = -1, .type = row_type(table)};
    r->batch = BATCH_CHUNKS * (CHUNK_BYTES / table->row_size);
    r->data = malloc(r->batch * table->row_size);
    return r->type < 0 || !r->data ? -1 : 0;
}

static hid_t create_set(hid_t file, const struct store_rows *r)
{
    hsize_t chunk = CHUNK_BYTES / r->table->row_size, dims = r->count;
    hsize_t unlimited = H5S_UNLIMITED;
    hid_t set = -1, packed = H5Tcopy(r->type), plist = -1;
    hid_t space = H5Screate_simple(1, &dims, &unlimited);
    if (r->count < chunk)
        chunk = r->count ? r->count : 1;
    plist = store_plist_dataset(1, &chunk, true);
    if (packed >= 0 && H5Tpack(packed) >= 0 && space >= 0 && plist >= 0)
        set = H5Dcreate2(file, r->table->name, packed, space, H5P_DEFAULT, plist,
                         H5P_DEFAULT);
    if (plist >= 0)
        H5Pclose(plist);
    if (space >= 0)
        H5Sclose(space);
    if (packed >= 0)
        H5Tclose(packed);
    return set;
}

int store_rows_create(hid_t file, const struct store_table *table, uint64_t count,
                      struct store_rows *ret, struct error *err)
{
    int result = rows_init(ret, table);
    ret->count = count;
    if (result == 0)
        ret->set = create_set(file, ret);
    if (ret->set >= 0)
        return 0;
    store_rows_end(ret);
    return store_hdf5_error(err, ERROR_SYSTEM, "cannot create '/%s'", table->name);
}

/* Transfer n rows at r->start between batch and file. */
static int transfer(struct store_rows *r, uint64_t n, bool write)
{
    hsize_t start = r->start, count = n;
    hid_t memory = H5Screate_simple(1, &count, NULL), space = H5Dget_space(r->set);
    int result = -1;
    if (memory >= 0 && space >= 0 &&
        H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0)
        result = write ? H5Dwrite(r->set, r->type, memory, space, H5P_DEFAULT, r->data)
                       : H5Dread(r->set, r->type, memory, space, H5P_DEFAULT, r->data);
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    return result;
}

static int rows_flush(struct store_rows *r, struct error *err)
{
    if (r->used > 0 && transfer(r, r->used, true) < 0)
        return store_hdf5_error(err, ERROR_SYSTEM, "cannot write '/%s'", r->table->name);
    r->start += r->used;
    r->used = 0;
    return 0;
}

void *store_rows_next(struct store_rows *r, struct error *err)
{
    if (r->used == r->batch && rows_flush(r, err) != 0)
        return NULL;
    if (r->start + r->used >= r->count) {
        error_set(err, ERROR_SYSTEM, "too many rows for '/%s'", r->table->name);
        return NULL;
    }
    void *row = r->data + r->used++ * r->table->row_size;
    return memset(row, 0, r->table->row_size);
}

int store_rows_close(struct store_rows *r, struct error *err)
{
    int status = rows_flush(r, err);
    if (status == 0 && r->start != r->count)
        status = error_set(err, ERROR_SYSTEM, "too few rows for '/%s'", r->table->name);
    store_rows_end(r);
    return status;
}

int store_rows_open(hid_t file, const struct store_table *table, unsigned version,
                    struct store_rows *ret, struct error *err)
{
    hsize_t count = 0;
    int status = 0, result = rows_init(ret, table);
    if (result == 0)
        ret->set = H5Dopen2(file, table->name, H5P_DEFAULT);
    hid_t space = ret->set < 0 ? -1 : H5Dget_space(ret->set);
    if (result != 0)
        status = error_set(err, ERROR_SYSTEM, "'/%s': out of memory", table->name);
    else if (space < 0)
        status = store_hdf5_error(err, ERROR_CORRUPT, "'/%s' is missing", table->name);
    else if (H5Sget_simple_extent_ndims(space) != 1 ||
             H5Sget_simple_extent_dims(space, &count, NULL) < 0)
        status = error_set(err, ERROR_CORRUPT, "'/%s' is no table", table->name);
    else
        status = check_columns(ret->set, table, version, err);
    ret->count = count;
    if (space >= 0)
        H5Sclose(space);
    if (status != 0)
        store_rows_end(ret);
    return status;
}

/* Free what HDF5 allocated for texts and tokens of the batch. */
static void rows_reclaim(struct store_rows *r)
{
    hsize_t count = r->filled;
    hid_t space = count ? H5Screate_simple(1, &count, NULL) : -1;
    if (space >= 0) {
        H5Dvlen_reclaim(r->type, space, H5P_DEFAULT, r->data);
        H5Sclose(space);
    }
    r->start += r->filled;
    r->filled = r->used = 0;
}

const void *store_rows_read(struct store_rows *r, struct error *err)
{
    if (r->used == r->filled) {
        rows_reclaim(r);
        uint64_t left = r->count - r->start;
        uint64_t n = left < r->batch ? left : r->batch;
        if (n == 0) {
            error_set(err, ERROR_CORRUPT, "'/%s' has too few rows", r->table->name);
            return NULL;
        }
        memset(r->data, 0, r->batch * r->table->row_size);
        int result = transfer(r, n, false);
        r->filled = n;
        if (result < 0) {
            store_hdf5_error(err, ERROR_CORRUPT, "cannot read '/%s'", r->table->name);
            return NULL;
        }
    }
    return r->data + r->used++ * r->table->row_size;
}

void store_rows_end(struct store_rows *r)
{
    if (r->data && r->type >= 0)
        rows_reclaim(r);
    if (r->set >= 0)
        H5Dclose(r->set);
    if (r->type >= 0)
        H5Tclose(r->type);
    free(r->data);
    *r = (struct store_rows){.set = -1, .type = -1};
}
