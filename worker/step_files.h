/* SPDX-License-Identifier: Apache-2.0 */
/* States of what is trained step by step, on disk: FOLDER/step-NNNNNNNNNNNN.h5, one for a
 * number of steps made, HDF5 that any tool reads. A file holds float32 datasets, and as
 * unsigned attributes `step`, the numbers that belong to the state, and the facts that
 * say whose state it is.
 *
 * Datasets are in chunks with Fletcher-32 checksums, and the user block seals the whole
 * file (worker/file_seal.h): HDF5 is never given a damaged one. A file is written under
 * another name, synced and renamed, so it is whole whatever happens. All calls block. */
#ifndef ARCHWAY_WORKER_STEP_FILES_H
#define ARCHWAY_WORKER_STEP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { STEP_FILES_KEPT = 2, STEP_FILE_FACTS = 16, STEP_FILE_ARRAYS = 8 };

/* Names are borrowed and must be different from each other, and from "step". */
struct step_fact {
    const char *name;
    uint64_t value;
};
struct step_number {
    const char *name;
    uint64_t *value; /* borrowed: read from when writing, written to when reading */
};
struct step_array {
    const char *name;
    int rank;       /* 1 to 3 */
    size_t size[3]; /* none of them 0 */
    size_t chunk;   /* of the first dimension; the others are whole */
    float *values;  /* borrowed likewise */
};

struct step_contents {
    struct step_fact facts[STEP_FILE_FACTS];
    struct step_number numbers[STEP_FILE_FACTS];
    struct step_array arrays[STEP_FILE_ARRAYS];
    int fact_count, number_count, array_count;
};

/* Write a state, unless there is one for this step, and remove all but the newest
 * STEP_FILES_KEPT of those for earlier steps. Makes the folder. ERROR_SYSTEM naming the
 * file when it cannot be written. */
int step_files_write(const char *folder, uint64_t step, const struct step_contents *c,
                     struct error *err);
/* Read the newest state of `least` to `step` steps that can be used. Returns 1 with
 * *ret_step, 0 when there is none. Every file that cannot be used is told to `warn` with
 * the reason. *ret_changed: numbers and arrays are not what they were; with a result of 0
 * they are then of no use. */
int step_files_read(const char *folder, uint64_t least, uint64_t step,
                    const struct step_contents *c, void (*warn)(const char *text),
                    uint64_t *ret_step, bool *ret_changed);

#endif
