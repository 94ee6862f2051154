/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a training text, numbered in the order in which they first appear there.
 * With a limit only the most frequent stay (of equally frequent ones the earlier), still
 * in that order. Every other word, in any of the files, is the word <unk>, which comes
 * last where the text itself does not have it. */
#ifndef ARCHWAY_WORKER_DATA_VOCABULARY_H
#define ARCHWAY_WORKER_DATA_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { VOCABULARY_MAX = 1 << 24 }; /* different words */

struct vocabulary; /* opaque */

/* Memory for words grows as they come. NULL when memory is gone. */
struct vocabulary *vocabulary_new(void);
void vocabulary_free(struct vocabulary *v); /* NULL is allowed */

/* Count a word (its bytes are borrowed until vocabulary_free). ERROR_SYSTEM without
 * memory, ERROR_INPUT beyond VOCABULARY_MAX different words. */
int vocabulary_add(struct vocabulary *v, const uint8_t *word, size_t size,
                   struct error *err);
/* Number what was counted. limit: of all words, <unk> among them (0: none).
 * needs_unknown: <unk> is needed even if every word of the text stays. To be called once,
 * after the last word. ERROR_SYSTEM without memory. */
int vocabulary_close(struct vocabulary *v, int limit, int needs_unknown,
                     struct error *err);
/* After vocabulary_close: how many there are; the number of a word, or -1 where it is
 * none and there is no <unk>. */
int vocabulary_size(const struct vocabulary *v);
int32_t vocabulary_number(const struct vocabulary *v, const uint8_t *word, size_t size);
/* Before it too: was the word counted? */
int vocabulary_has(const struct vocabulary *v, const uint8_t *word, size_t size);

#endif
