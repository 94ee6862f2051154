/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of an HDF5 file to a run's state. The signature has already told that
 * the bytes are those that were written; what is checked here is that the writer was one
 * that this program understands, down to each column, and that the parts agree. */
#include "master/store_snapshot.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store_hdf5.h"
#include "master/store_table.h"

static int trial_error(struct error *err, const struct store_trial_row *row,
                       const char *what)
{
    return error_set(err, ERROR_CORRUPT, "trial %llu: %s", (unsigned long long)row->id,
                     what);
}

/* The trial's part of the curves, which stand in the order of the trials. */
static int read_curve(struct store_rows *curves, const struct store_trial_row *row,
                      struct trial *t, struct error *err)
{
    if (row->epochs > TRIAL_MAX_EPOCHS || row->epochs > curves->count)
        return trial_error(err, row, "has too many epochs");
    t->epochs = row->epochs ? malloc(row->epochs * sizeof *t->epochs) : NULL;
    if (row->epochs && !t->epochs)
        return error_set(err, ERROR_SYSTEM, "out of memory");
    for (uint32_t i = 0; i < row->epochs; i++) {
        const struct store_curve_row *c = store_rows_read(curves, err);
        if (!c)
            return ERROR_CORRUPT;
        if (c->trial != row->id || c->epoch != i + 1)
            return trial_error(err, row, "its curve is not where it should be");
        t->epochs[i] = (struct trial_epoch){.train_loss = c->train_loss,
                                            .train_accuracy = c->train_accuracy,
                                            .val_loss = c->val_loss,
                                            .val_accuracy = c->val_accuracy,
                                            .lr = c->lr,
                                            .seconds = c->seconds};
    }
    t->epoch_count = row->epochs;
    return 0;
}

static int read_architecture(const struct store_trial_row *row, struct trial *t,
                             struct error *err)
{
    if (row->tokens.len > ARCHITECTURE_MAX_TOKENS)
        return trial_error(err, row, "has too many tokens");
    struct architecture a = {.depth = row->depth, .count = (uint16_t)row->tokens.len};
    if (a.count > 0)
        memcpy(a.tokens, row->tokens.p, a.count * sizeof a.tokens[0]);
    t->architecture = architecture_pack(&a);
    return t->architecture ? 0 : error_set(err, ERROR_SYSTEM, "out of memory");
}

static int read_reason(const struct store_trial_row *row, struct trial *t,
                       struct error *err)
{
    if (!row->reason)
        return 0;
    t->reason = strndup(row->reason, TRIAL_REASON - 1);
    return t->reason ? 0 : error_set(err, ERROR_SYSTEM, "out of memory");
}

static struct trial row_trial(const struct store_trial_row *row)
{
    struct trial t = {.id = row->id,
                      .kind = row->kind,
                      .arm = row->arm,
                      .state = row->state,
                      .failure = row->failure,
                      .attempts = row->attempts,
                      .worker = row->worker,
                      .slot = row->slot,
                      .arm_index = row->arm_index,
                      .seed = row->seed,
                      .policy_version = row->policy_version,
                      .same_as = row->same_as,
                      .hash = {row->hash_low, row->hash_high},
                      .log_probability = row->log_probability,
                      .val_accuracy = row->val_accuracy,
                      .reward = row->reward,
                      .seconds = row->seconds,
                      .params = row->params,
                      .flops = row->flops,
                      .proposed_at = row->proposed_at,
                      .finished_at = row->finished_at,
                      .saved_seconds = row->saved_seconds > 0 ? row->saved_seconds : 0,
                      .saved_epochs = row->saved_epochs,
                      .shared = {.step = row->step, .part = row->part}};
    snprintf(t.kernels, sizeof t.kernels, "%.*s", TRIAL_KERNELS - 1, row->kernels);
    return t;
}

static int read_trial(const struct store_trial_row *row, struct store_rows *curves,
                      struct ledger *l, struct error *err)
{
    struct trial t = row_trial(row);
    int status = 0;
    if (row->kind >= TRIAL_KIND_COUNT || row->failure > FAILURE_START)
        status = trial_error(err, row, "has an unknown kind or failure");
    if (status == 0)
        status = read_architecture(row, &t, err);
    if (status == 0)
        status = read_reason(row, &t, err);
    if (status == 0)
        status = read_curve(curves, row, &t, err);
    if (status == 0)
        status = ledger_add(l, &t, err);
    if (status != 0) {
        free(t.architecture);
        free(t.reason);
        free(t.epochs);
    }
    return status;
}

static int read_rows(struct store_rows *trials, struct store_rows *curves,
                     struct ledger *l, struct error *err)
{
    for (uint64_t i = 0; i < trials->count; i++) {
        const struct store_trial_row *row = store_rows_read(trials, err);
        int status = row ? read_trial(row, curves, l, err) : ERROR_CORRUPT;
        if (status != 0)
            return status;
    }
    if (curves->start + curves->used != curves->count)
        return error_set(err, ERROR_CORRUPT, "'/curves' has rows of no trial");
    return 0;
}

static int read_tables(hid_t file, unsigned version, struct ledger *l, struct error *err)
{
    struct store_rows trials, curves;
    int status = store_rows_open(file, &store_table_trials, version, &trials, err);
    if (status != 0)
        return status;
    status = store_rows_open(file, &store_table_curves, version, &curves, err);
    if (status == 0)
        status = read_rows(&trials, &curves, l, err);
    store_rows_end(&curves);
    store_rows_end(&trials);
    return status;
}

static int read_hours(hid_t file, struct ledger_hours *ret, struct error *err)
{
    struct ledger_hours h;
    hid_t at = H5Gopen2(file, "hours", H5P_DEFAULT);
    if (at < 0)
        return store_hdf5_error(err, ERROR_CORRUPT, "'/hours' is missing");
    int status = store_hdf5_get_f64(at, "trained", &h.trained, err);
    if (status == 0)
        status = store_hdf5_get_f64(at, "failed", &h.failed, err);
    if (status == 0)
        status = store_hdf5_get_f64(at, "lost", &h.lost, err);
    if (status == 0)
        status = store_hdf5_get_f64(at, "saved", &h.saved, err);
    if (status == 0)
        status = store_hdf5_get_f64(at, "idle_wait", &h.idle_wait, err);
    if (status == 0)
        status = store_hdf5_get_f64(at, "idle_tail", &h.idle_tail, err);
    if (status == 0)
        status = store_hdf5_get_u64(at, "duplicates", &h.duplicates, err);
    H5Gclose(at);
    if (status == 0)
        *ret = h;
    return status;
}

/* The arrays that /meta lists, one a line. */
static int read_state(hid_t file, hid_t meta, struct state *state, struct error *err)
{
    char *names = NULL, *rest = NULL;
    int status = store_hdf5_get_text(meta, "arrays", &names, err);
    if (status != 0)
        return status;
    for (char *name = strtok_r(names, "\n", &rest); status == 0 && name;
         name = strtok_r(NULL, "\n", &rest)) {
        if (!store_snapshot_name_valid(name))
            status = error_set(err, ERROR_CORRUPT, "'%.200s' cannot name an array", name);
        else
            status = store_hdf5_get_array(file, name, state, err);
    }
    free(names);
    return status;
}

static int read_config(hid_t meta, struct config *ret, struct error *err)
{
    char *text = NULL;
    int status = store_hdf5_get_text(meta, "config", &text, err);
    if (status != 0)
        return status;
    if (config_parse("the snapshot's configuration", text, strlen(text), ret, err) != 0) {
        status = ERROR_CORRUPT;
        if (err)
            err->status = status;
    }
    free(text);
    return status;
}

/* The signature says at most how new it may be; this is the version of the tables. */
static int read_version(hid_t meta, unsigned *ret, struct error *err)
{
    uint64_t version = 0;
    int status = store_hdf5_get_u64(meta, "version", &version, err);
    if (status == 0 && (version < 1 || version > STORE_VERSION))
        status = error_set(err, ERROR_CORRUPT,
                           "its version is %llu inside, at most %d outside",
                           (unsigned long long)version, STORE_VERSION);
    if (status == 0)
        *ret = (unsigned)version;
    return status;
}

static int read_meta(hid_t meta, struct snapshot *s, unsigned *ret_version,
                     uint64_t *ret_trials, struct error *err)
{
    uint64_t complete = 0;
    int status = store_hdf5_get_u64(meta, "complete", &complete, err);
    if (status == 0 && complete != 1)
        status = error_set(err, ERROR_CORRUPT, "it was not written to its end");
    if (status == 0)
        status = read_version(meta, ret_version, err);
    if (status == 0)
        status = store_hdf5_get_u64(meta, "trials", ret_trials, err);
    if (status == 0)
        status = store_hdf5_get_u64(meta, "told", &s->told, err);
    if (status == 0)
        status = store_hdf5_get_u64(meta, "journal_offset", &s->journal_offset, err);
    if (status == 0)
        status = read_config(meta, &s->config, err);
    return status;
}

static int read_all(hid_t file, hid_t meta, struct snapshot *s, struct error *err)
{
    uint64_t trials = 0;
    unsigned version = 0;
    int status = read_meta(meta, s, &version, &trials, err);
    if (status == 0)
        status = ledger_new(&s->ledger, err);
    if (status == 0)
        status = read_tables(file, version, s->ledger, err);
    if (status == 0 && ledger_count(s->ledger) != trials)
        status = error_set(err, ERROR_CORRUPT, "it has %llu trials instead of %llu",
                           (unsigned long long)ledger_count(s->ledger),
                           (unsigned long long)trials);
    if (status == 0)
        status = read_hours(file, ledger_hours(s->ledger), err);
    if (status == 0)
        status = read_state(file, meta, &s->state, err);
    return status;
}

int store_snapshot_decode(uint8_t *image, size_t size, struct snapshot *ret,
                          struct error *err)
{
    struct snapshot s = {0};
    state_init(&s.state);
    hid_t file = store_hdf5_open(image, size);
    if (file < 0)
        return store_hdf5_error(err, ERROR_CORRUPT, "it cannot be opened by HDF5");
    int status = 0;
    hid_t meta = H5Gopen2(file, "meta", H5P_DEFAULT);
    if (meta < 0)
        status = store_hdf5_error(err, ERROR_CORRUPT, "'/meta' is missing");
    else
        status = read_all(file, meta, &s, err);
    if (meta >= 0)
        H5Gclose(meta);
    H5Fclose(file);
    if (status != 0)
        snapshot_fini(&s);
    else
        *ret = s;
    return status;
}
