/* SPDX-License-Identifier: Apache-2.0 */
/* What all fuzz targets share. A target is one file that defines LLVMFuzzerTestOneInput;
 * it is linked with fuzz_replay.c, which plays a corpus, or with clang's libFuzzer, which
 * looks for inputs of its own. */
#ifndef ARCHWAY_TESTS_FUZZ_H
#define ARCHWAY_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FUZZ_INPUT_MAX = 1 << 16 }; /* bytes; longer inputs are passed over */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that holds for every input, checked in every build. */
#define FUZZ_CHECK(condition)                                               \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

/* A temporary folder of this process, made at the first call and removed at its end, and
 * files in it. Both abort when the system refuses. Borrowed. */
const char *fuzz_folder(void);
const char *fuzz_file_put(const char *name, const void *data, size_t size); /* its path */
void fuzz_file_remove(const char *name);
/* An open file of these bytes without a name, at its start; the caller closes it. */
int fuzz_descriptor(const void *data, size_t size);

#endif
