/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot, from its bytes (first byte even: a file as it stands on disk) or from its
 * content (odd: a sound HDF5 file, rightly signed, whose rows, attributes and arrays are
 * taken from the input). Damaged HDF5 is not played on the HDF5 library itself: the
 * signature keeps it away, and the library is not ours to mend. */
#include "fuzz.h"

#include <hdf5.h>
#include <string.h>

#include "master/store_file.h"
#include "master/store_hdf5.h"
#include "master/store_snapshot.h"
#include "master/store_table.h"

enum { ROWS = 40, TOKENS = 24, ARRAYS = 6 };

static const char CONFIG[] = "task: {data: {format: generated}}\n";

static void read_raw(const uint8_t *data, size_t size)
{
    enum store_file_state state;
    uint8_t *image = NULL;
    size_t read = 0;
    struct error err;
    const char *path = fuzz_file_put("snapshot.h5", data, size);
    if (store_file_read(path, &image, &read, &state, &err) == 0)
        FUZZ_CHECK(state == STORE_FILE_OK && read == size);
    else
        FUZZ_CHECK(state != STORE_FILE_OK);
    free(image);
    fuzz_file_remove("snapshot.h5");
}

/* Mostly what is asked for, sometimes anything. */
static uint64_t number(struct bytes_reader *in, uint64_t usual)
{
    uint8_t how = bytes_get_u8(in);
    return how < 0xc0 ? usual : how < 0xf0 ? bytes_get_u8(in) : bytes_get_u64(in);
}

static void fill_trial(struct bytes_reader *in, uint64_t id, struct store_trial_row *row)
{
    static uint16_t tokens[TOKENS];
    static char reason[600];
    memset(reason, 'r', sizeof reason - 1);
    row->id = number(in, id);
    row->state = (uint8_t)number(in, TRIAL_DONE);
    row->arm = (uint8_t)number(in, ARM_SEARCH);
    row->failure = (uint8_t)number(in, FAILURE_NONE);
    row->kind = (uint8_t)number(in, TRIAL_TRAIN_CHILD);
    row->same_as = (int64_t)number(in, (uint64_t)-1);
    row->epochs = (uint32_t)number(in, 1);
    row->depth = (uint16_t)number(in, 6);
    row->hash_low = number(in, id % 3);
    row->tokens = (struct store_tokens){number(in, TOKENS) % (TOKENS + 1), tokens};
    row->reason = number(in, 0) ? reason : NULL;
    memset(row->kernels, (int)number(in, 'k'), sizeof row->kernels);
}

static int put_trials(int64_t file, struct bytes_reader *in, uint64_t count)
{
    struct store_rows rows;
    FUZZ_CHECK(store_rows_create(file, &store_table_trials, count, &rows, NULL) == 0);
    for (uint64_t id = 0; id < count; id++)
        fill_trial(in, id, store_rows_next(&rows, NULL));
    return store_rows_close(&rows, NULL);
}

static int put_curves(int64_t file, struct bytes_reader *in, uint64_t count)
{
    struct store_rows rows;
    FUZZ_CHECK(store_rows_create(file, &store_table_curves, count, &rows, NULL) == 0);
    for (uint64_t i = 0; i < count; i++) {
        struct store_curve_row *row = store_rows_next(&rows, NULL);
        row->trial = number(in, i);
        row->epoch = (uint32_t)number(in, 1);
    }
    return store_rows_close(&rows, NULL);
}

static void put_arrays(int64_t file, int64_t meta, struct bytes_reader *in)
{
    static const char *const usual[ARRAYS] = {
        "controller/a", "controller/b", "c", "memory/tokens", "e", "optimizer/m"};
    static const uint8_t content[4096];
    char names[ARRAYS * 40] = "";
    for (uint64_t i = 0; i < ARRAYS; i++) {
        struct state_array a = {.type = (enum state_type)(number(in, i) % (STATE_U8 + 1)),
                                .rank = (int)(number(in, 1) % (STATE_MAX_RANK + 1)),
                                .data = (void *)content};
        for (int d = 0; d < a.rank; d++)
            a.dims[d] = number(in, 3) % 5;
        snprintf(a.name, sizeof a.name, "%s", usual[i]);
        if (number(in, 0) == 0)
            FUZZ_CHECK(store_hdf5_put_array(file, &a, NULL) == 0);
        uint64_t listed = number(in, i);
        strcat(names, listed < ARRAYS ? usual[listed] : listed & 1 ? "meta" : "a//b");
        strcat(names, "\n");
    }
    FUZZ_CHECK(store_hdf5_put_text(meta, "arrays", names, NULL) == 0);
}

static void put_meta(int64_t meta, struct bytes_reader *in, uint64_t trials)
{
    const char *const names[] = {"version", "trials", "told", "journal_offset",
                                 "complete"};
    const uint64_t usual[] = {STORE_VERSION, trials, trials, 16, 1};
    for (int i = 0; i < 5; i++)
        FUZZ_CHECK(store_hdf5_put_u64(meta, names[i], number(in, usual[i]), NULL) == 0);
    FUZZ_CHECK(store_hdf5_put_text(meta, "config", CONFIG, NULL) == 0);
}

static void put_hours(int64_t hours, struct bytes_reader *in)
{
    const char *const names[] = {"trained", "failed",    "lost",
                                 "saved",   "idle_wait", "idle_tail"};
    for (int i = 0; i < 6; i++)
        FUZZ_CHECK(store_hdf5_put_f64(hours, names[i], (double)number(in, 1), NULL) == 0);
    FUZZ_CHECK(store_hdf5_put_u64(hours, "duplicates", number(in, 0), NULL) == 0);
}

static void look(struct snapshot *s)
{
    uint64_t epochs = 0;
    for (uint64_t id = 0; id < ledger_count(s->ledger); id++) {
        const struct trial *t = ledger_trial(s->ledger, id);
        FUZZ_CHECK(t->id == id && t->architecture->count <= TOKENS);
        FUZZ_CHECK(!t->reason || strlen(t->reason) < TRIAL_REASON);
        epochs += t->epoch_count;
    }
    FUZZ_CHECK(epochs <= ROWS && s->state.count <= ARRAYS);
}

static void read_content(struct bytes_reader *in)
{
    struct snapshot s;
    uint8_t *image = NULL;
    size_t size = 0;
    struct error err;
    uint64_t trials = number(in, 3) % ROWS, curves = number(in, trials) % ROWS;
    hid_t file = store_hdf5_create(STORE_BLOCK);
    hid_t meta = H5Gcreate2(file, "meta", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t hours = H5Gcreate2(file, "hours", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    FUZZ_CHECK(file >= 0 && meta >= 0 && hours >= 0);
    put_meta(meta, in, trials);
    put_hours(hours, in);
    FUZZ_CHECK(put_trials(file, in, trials) == 0);
    FUZZ_CHECK(put_curves(file, in, curves) == 0);
    put_arrays(file, meta, in);
    FUZZ_CHECK(store_hdf5_image(file, STORE_BLOCK, &image, &size, &err) == 0);
    H5Fclose(file);
    if (store_snapshot_decode(image, size, &s, &err) == 0) {
        look(&s);
        snapshot_fini(&s);
    }
    free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_reader in;
    struct store_hdf5_quiet quiet;
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    if (!(data[0] & 1)) {
        read_raw(data + 1, size - 1);
        return 0;
    }
    bytes_reader_init(&in, data + 1, size - 1);
    store_hdf5_quiet(&quiet);
    read_content(&in);
    store_hdf5_loud(&quiet);
    return 0;
}
