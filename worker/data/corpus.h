/* SPDX-License-Identifier: Apache-2.0 */
/* A text as numbers: word k of the vocabulary is k.
 *
 * A folder holds three files: ptb.train.txt, ptb.valid.txt and ptb.test.txt, or
 * wiki.train.tokens, ..., or train.txt, ...; text_scan.h tells what their words are,
 * vocabulary.h how the words of the training file are numbered. Words of the other two
 * that are not among them are <unk>, which is added where it is needed. With
 * task.data.vocabulary_file the words of that file are numbered, in its order; <eos> is
 * added where it is not among them.
 *
 * corpus_open prepares the numbers once a node in a file of the cache folder that all
 * trainers map (see data.h, whose rules hold). */
#ifndef ARCHWAY_WORKER_DATA_CORPUS_H
#define ARCHWAY_WORKER_DATA_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"

enum corpus_part_name { CORPUS_TRAIN, CORPUS_VALIDATION, CORPUS_TEST, CORPUS_PARTS };

struct corpus {
    int vocabulary; /* words are below it */
    struct corpus_part {
        const int32_t *words; /* (count), borrowed from whoever made the corpus */
        size_t count;
    } parts[CORPUS_PARTS];
};

enum { CORPUS_FILE_MAX = 1 << 30 }; /* bytes of one file, which is read whole */

/* Does the folder hold such files? */
bool corpus_present(const char *folder);
/* Words and vocabulary of task.data, read through: facts of images are 0. ERROR_INPUT
 * naming what was looked for, or file, line and byte of what is wrong. Blocking. */
int corpus_inspect(const struct config *config, struct data_facts *ret,
                   struct error *err);

struct corpus_file; /* opaque, immutable */

/* cache: as data_open. Errors as corpus_inspect, and ERROR_SYSTEM. Caller closes. */
int corpus_open(const struct config *config, const char *cache, struct corpus_file **ret,
                struct error *err);
const struct corpus *corpus_of(const struct corpus_file *file); /* borrowed */
void corpus_close(struct corpus_file *file);                    /* NULL is allowed */

#endif
