/* SPDX-License-Identifier: Apache-2.0 */
/* Which file of a run's folder is the snapshot, and what to say when none is. What a
 * snapshot holds is in store_write.c and store_read.c, how it becomes a file and survives
 * a crash in store_file.c. */
#include "master/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store_digest.h"
#include "master/store_file.h"
#include "master/store_hdf5.h"
#include "master/store_snapshot.h"

int store_write(const char *dir, const struct snapshot *s, struct error *err)
{
    struct store_hdf5_quiet quiet;
    uint8_t *image = NULL;
    size_t size = 0;
    store_hdf5_quiet(&quiet);
    int status = store_snapshot_encode(s, &image, &size, err);
    store_hdf5_loud(&quiet);
    if (status != 0) {
        error_prefix(err, "cannot write snapshot '%s/snapshot.h5'", dir);
        return status;
    }
    struct store_file_mark mark = store_file_sign(image, size);
    status = store_file_write(dir, image, size, err);
    free(image);
    if (status == 0)
        store_digest_write(dir, s, mark, NULL); /* only saves time: see its header */
    return status;
}

static int read_one(const char *dir, const char *name, struct snapshot *ret,
                    enum store_file_state *ret_state, struct error *err)
{
    char *path = NULL;
    uint8_t *image = NULL;
    size_t size = 0;
    *ret_state = STORE_FILE_BAD;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return error_set(err, ERROR_SYSTEM, "'%s': out of memory", dir);
    int status = store_file_read(path, &image, &size, ret_state, err);
    if (status == 0) {
        struct store_hdf5_quiet quiet;
        store_hdf5_quiet(&quiet);
        status = store_snapshot_decode(image, size, ret, err);
        store_hdf5_loud(&quiet);
        if (status != 0) {
            *ret_state = STORE_FILE_BAD;
            error_prefix(err, "snapshot '%s'", path);
        }
    }
    free(image);
    free(path);
    return status;
}

int store_read(const char *dir, struct snapshot *ret, char **ret_note, struct error *err)
{
    struct error first, second;
    enum store_file_state state, previous;
    if (ret_note)
        *ret_note = NULL;
    int status = read_one(dir, "snapshot.h5", ret, &state, &first);
    if (status == 0)
        return 0;
    if (state == STORE_FILE_NEWER) {
        if (err)
            *err = first;
        return ERROR_INPUT;
    }
    status = read_one(dir, "snapshot.prev.h5", ret, &previous, &second);
    if (status == 0) {
        if (ret_note)
            *ret_note = strdup(first.text);
        return 0;
    }
    if (state == STORE_FILE_MISSING && previous == STORE_FILE_MISSING)
        return error_set(err, ERROR_INPUT, "'%s' holds no snapshot", dir);
    if (state == STORE_FILE_MISSING || previous == STORE_FILE_NEWER) {
        if (err)
            *err = second;
        return status;
    }
    if (previous == STORE_FILE_MISSING)
        return error_set(err, ERROR_CORRUPT, "%.700s (and there is no earlier one)",
                         first.text);
    return error_set(err, ERROR_CORRUPT, "%.500s; the one before: %.500s", first.text,
                     second.text);
}

void snapshot_fini(struct snapshot *s)
{
    if (!s)
        return;
    ledger_free(s->ledger);
    s->ledger = NULL;
    state_fini(&s->state);
}
