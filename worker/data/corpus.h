/* SPDX-License-Identifier: Apache-2.0 */
/* A text as numbers: word k of the vocabulary is k. */
#ifndef ARCHWAY_WORKER_DATA_CORPUS_H
#define ARCHWAY_WORKER_DATA_CORPUS_H

#include <stddef.h>
#include <stdint.h>

enum corpus_part_name { CORPUS_TRAIN, CORPUS_VALIDATION, CORPUS_TEST, CORPUS_PARTS };

struct corpus {
    int vocabulary; /* words are below it */
    struct corpus_part {
        const int32_t *words; /* (count), borrowed from whoever made the corpus */
        size_t count;
    } parts[CORPUS_PARTS];
};

#endif
