/* SPDX-License-Identifier: Apache-2.0 */
/* From a run's state to the bytes of an HDF5 file. The attribute `complete` is written
 * last; the names of the state's arrays are kept in their order in /meta, so that reading
 * knows what must be there and what else is in the file does no harm. */
#include "master/store_snapshot.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/kernel_names.h"
#include "common/text.h"
#include "master/kernel_uses.h"
#include "master/store_file.h"
#include "master/store_hdf5.h"
#include "master/store_table.h"
#include "version.h"

bool store_snapshot_name_valid(const char *name)
{
    static const char *const own[] = {"meta",  "trials",    "curves",
                                      "hours", "in_flight", "rng"};
    const char *part = name;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        size_t n = strlen(own[i]);
        if (strncmp(name, own[i], n) == 0 && (name[n] == '\0' || name[n] == '/'))
            return false;
    }
    for (;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || strncmp(part, ".", n) == 0 || memchr(part, '\n', n))
            return false;
        part += n;
        if (*part == '\0')
            return true;
    }
}

static void fill_trial(struct store_trial_row *row, const struct trial *t)
{
    *row = (struct store_trial_row){
        .id = t->id,
        .arm_index = t->arm_index,
        .seed = t->seed,
        .hash_low = t->hash.low,
        .hash_high = t->hash.high,
        .same_as = t->same_as,
        .tokens = {t->architecture->count, t->architecture->tokens},
        .reason = t->reason,
        .val_accuracy = t->val_accuracy,
        .reward = t->reward,
        .seconds = t->seconds,
        .params = t->params,
        .flops = t->flops,
        .log_probability = t->log_probability,
        .proposed_at = t->proposed_at,
        .finished_at = t->finished_at,
        .saved_seconds = t->saved_seconds,
        .saved_epochs = t->saved_epochs,
        .epochs = t->epoch_count,
        .policy_version = t->policy_version,
        .worker = t->worker,
        .slot = t->slot,
        .depth = t->architecture->depth,
        .attempts = t->attempts,
        .state = t->state,
        .arm = t->arm,
        .failure = t->failure,
        .kind = t->kind,
        .step = t->shared.step,
        .part = t->shared.part};
    memcpy(row->kernels, t->kernels, sizeof row->kernels);
}

static int write_trials(hid_t file, const struct ledger *l, struct error *err)
{
    struct store_rows rows;
    uint64_t count = ledger_count(l);
    int status = store_rows_create(file, &store_table_trials, count, &rows, err);
    if (status != 0)
        return status;
    for (uint64_t id = 0; status == 0 && id < count; id++) {
        struct store_trial_row *row = store_rows_next(&rows, err);
        if (row)
            fill_trial(row, ledger_trial(l, id));
        else
            status = ERROR_SYSTEM;
    }
    int closed = store_rows_close(&rows, status == 0 ? err : NULL);
    return status ? status : closed;
}

static int write_curve(struct store_rows *rows, const struct trial *t, struct error *err)
{
    for (uint32_t i = 0; i < t->epoch_count; i++) {
        const struct trial_epoch *e = &t->epochs[i];
        struct store_curve_row *row = store_rows_next(rows, err);
        if (!row)
            return ERROR_SYSTEM;
        *row = (struct store_curve_row){.trial = t->id,
                                        .epoch = i + 1,
                                        .train_loss = e->train_loss,
                                        .train_accuracy = e->train_accuracy,
                                        .val_loss = e->val_loss,
                                        .val_accuracy = e->val_accuracy,
                                        .lr = e->lr,
                                        .seconds = e->seconds};
    }
    return 0;
}

static int write_curves(hid_t file, const struct ledger *l, struct error *err)
{
    struct store_rows rows;
    uint64_t epochs = 0, count = ledger_count(l);
    for (uint64_t id = 0; id < count; id++)
        epochs += ledger_trial(l, id)->epoch_count;
    int status = store_rows_create(file, &store_table_curves, epochs, &rows, err);
    if (status != 0)
        return status;
    for (uint64_t id = 0; status == 0 && id < count; id++)
        status = write_curve(&rows, ledger_trial(l, id), err);
    int closed = store_rows_close(&rows, status == 0 ? err : NULL);
    return status ? status : closed;
}

static bool in_flight(const struct trial *t)
{
    return t->state == TRIAL_QUEUED || t->state == TRIAL_RUNNING ||
           t->state == TRIAL_WAITING;
}

static int write_in_flight(hid_t file, const struct ledger *l, struct error *err)
{
    struct state_array a = {.name = "in_flight", .type = STATE_I64, .rank = 1};
    for (int state = TRIAL_QUEUED; state <= TRIAL_WAITING; state++)
        a.dims[0] += ledger_count_state(l, -1, state);
    int64_t *ids = malloc((a.dims[0] ? a.dims[0] : 1) * sizeof *ids);
    if (!ids)
        return error_set(err, ERROR_SYSTEM, "'/in_flight': out of memory");
    size_t n = 0;
    for (uint64_t id = 0; id < ledger_count(l); id++)
        if (in_flight(ledger_trial(l, id)))
            ids[n++] = (int64_t)id;
    a.data = ids;
    int status = store_hdf5_put_array(file, &a, err);
    free(ids);
    return status;
}

static int write_hours(hid_t at, const struct ledger_hours *h, struct error *err)
{
    int status = store_hdf5_put_f64(at, "trained", h->trained, err);
    if (status == 0)
        status = store_hdf5_put_f64(at, "failed", h->failed, err);
    if (status == 0)
        status = store_hdf5_put_f64(at, "lost", h->lost, err);
    if (status == 0)
        status = store_hdf5_put_f64(at, "saved", h->saved, err);
    if (status == 0)
        status = store_hdf5_put_f64(at, "idle_wait", h->idle_wait, err);
    if (status == 0)
        status = store_hdf5_put_f64(at, "idle_tail", h->idle_tail, err);
    if (status == 0)
        status = store_hdf5_put_u64(at, "duplicates", h->duplicates, err);
    return status;
}

static int write_rng(hid_t at, uint64_t seed, struct error *err)
{
    int status = store_hdf5_put_text(at, "algorithm", "Philox4x32-10", err);
    return status ? status : store_hdf5_put_u64(at, "key", seed, err);
}

static int write_state(hid_t file, hid_t meta, const struct state *s, struct error *err)
{
    struct text names;
    int status = 0;
    text_init(&names);
    text_append(&names, "%s", "");
    for (size_t i = 0; status == 0 && i < s->count; i++) {
        if (!store_snapshot_name_valid(s->arrays[i].name))
            status =
                error_set(err, ERROR_SYSTEM, "'%s' cannot name an array of a snapshot",
                          s->arrays[i].name);
        else
            status = store_hdf5_put_array(file, &s->arrays[i], err);
        text_append(&names, "%s\n", s->arrays[i].name);
    }
    if (status == 0 && names.failed)
        status = error_set(err, ERROR_SYSTEM, "out of memory");
    if (status == 0)
        status = store_hdf5_put_text(meta, "arrays", names.data, err);
    text_fini(&names);
    return status;
}

static int write_texts(hid_t meta, const struct config *c, struct error *err)
{
    char created[32];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
    char *config = config_write(c, false);
    if (!config)
        return error_set(err, ERROR_SYSTEM, "out of memory");
    const char *const texts[][2] = {
        {"archway", ARCHWAY_VERSION},
        {"name", c->name},
        {"space", config_choice_name("space.name", c->space.name)},
        {"strategy", config_choice_name("search.strategy", c->search.strategy)},
        {"created", created},
        {"config", config}};
    int status = 0;
    for (size_t i = 0; status == 0 && i < sizeof texts / sizeof texts[0]; i++)
        status =
            store_hdf5_put_text(meta, texts[i][0], texts[i][1] ? texts[i][1] : "", err);
    free(config);
    return status;
}

static int write_kernels(hid_t meta, const struct ledger *l, struct error *err)
{
    char names[KERNEL_USES_MAX * TRIAL_KERNELS] = "";
    struct kernel_uses uses;
    kernel_uses_count(l, &uses);
    for (int i = 0; i < uses.count; i++)
        kernel_names_add(names, sizeof names, uses.list[i].name);
    return store_hdf5_put_text(meta, "kernels", names, err);
}

static int write_meta(hid_t meta, const struct snapshot *s, struct error *err)
{
    int status = store_hdf5_put_u64(meta, "version", STORE_VERSION, err);
    if (status == 0)
        status = write_texts(meta, &s->config, err);
    if (status == 0)
        status = store_hdf5_put_u64(meta, "seed", s->config.seed, err);
    if (status == 0)
        status = store_hdf5_put_u64(meta, "trials", ledger_count(s->ledger), err);
    if (status == 0)
        status = store_hdf5_put_u64(meta, "told", s->told, err);
    if (status == 0)
        status = store_hdf5_put_u64(meta, "journal_offset", s->journal_offset, err);
    if (status == 0)
        status = write_kernels(meta, s->ledger, err);
    return status;
}

static int write_all(hid_t file, hid_t meta, hid_t hours, hid_t rng,
                     const struct snapshot *s, struct error *err)
{
    int status = write_meta(meta, s, err);
    if (status == 0)
        status = write_trials(file, s->ledger, err);
    if (status == 0)
        status = write_curves(file, s->ledger, err);
    if (status == 0)
        status = write_hours(hours, ledger_hours(s->ledger), err);
    if (status == 0)
        status = write_in_flight(file, s->ledger, err);
    if (status == 0)
        status = write_rng(rng, s->config.seed, err);
    if (status == 0)
        status = write_state(file, meta, &s->state, err);
    if (status == 0)
        status = store_hdf5_put_u64(meta, "complete", 1, err);
    return status;
}

int store_snapshot_encode(const struct snapshot *s, uint8_t **ret, size_t *ret_size,
                          struct error *err)
{
    const char *const names[] = {"meta", "hours", "rng"};
    hid_t groups[3] = {-1, -1, -1};
    int status = 0;
    hid_t file = store_hdf5_create(STORE_BLOCK);
    if (file < 0)
        return store_hdf5_error(err, ERROR_SYSTEM, "cannot make an HDF5 file");
    for (int i = 0; status == 0 && i < 3; i++) {
        groups[i] = H5Gcreate2(file, names[i], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (groups[i] < 0)
            status = store_hdf5_error(err, ERROR_SYSTEM, "cannot create '/%s'", names[i]);
    }
    if (status == 0)
        status = write_all(file, groups[0], groups[1], groups[2], s, err);
    for (int i = 0; i < 3; i++)
        if (groups[i] >= 0)
            H5Gclose(groups[i]);
    if (status == 0)
        status = store_hdf5_image(file, STORE_BLOCK, ret, ret_size, err);
    H5Fclose(file);
    return status;
}
