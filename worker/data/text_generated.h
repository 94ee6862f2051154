/* SPDX-License-Identifier: Apache-2.0 */
/* A text for machines without data, of which the best reachable perplexity is known. A
 * fixed random automaton of `states` states, a function of the seed, writes it: in state
 * s it writes one of a few words with probability p(w | s) and goes to state next(s, w);
 * the end of a line, a tenth of all, always leads to state 0. So who has read one line
 * end knows the state for ever after, and the entropy rate is exactly
 *
 *     sum_s pi(s) sum_w -p(w | s) ln p(w | s),   pi: how often the states come. */
#ifndef ARCHWAY_WORKER_DATA_TEXT_GENERATED_H
#define ARCHWAY_WORKER_DATA_TEXT_GENERATED_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { TEXT_GENERATED_STATES = 1024, TEXT_GENERATED_SYMBOLS = 100000 };

struct text_generated {
    uint64_t seed;
    int states, symbols; /* symbols: different words, <eos> not counted */
};

/* Write about `words` words (line ends included) of part 0, 1, 2, ... to *ret, NUL-ended,
 * caller frees; ends with a whole line. ERROR_INPUT for sizes out of bounds, ERROR_SYSTEM
 * without memory. */
int text_generated_write(const struct text_generated *g, int part, size_t words,
                         char **ret, size_t *ret_size, struct error *err);
/* Natural logarithms per word; e to this is the best perplexity. NAN for sizes out of
 * bounds or when memory is gone. */
double text_generated_entropy(const struct text_generated *g);

#endif
