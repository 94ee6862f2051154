/* SPDX-License-Identifier: Apache-2.0 */
/* A text whose entropy is known: word k is followed by 2 k + 1 or 2 k + 2 (modulo
 * TEXT_WORDS), with probabilities 3/4 and 1/4. */
#ifndef ARCHWAY_TESTS_TEXT_RIG_H
#define ARCHWAY_TESTS_TEXT_RIG_H

#include "common/rng.h"
#include "worker/data/corpus.h"

enum { TEXT_WORDS = 11, TEXT_COUNT = 6000, TEXT_HELD_OUT = 1500 };

static int32_t text_train[TEXT_COUNT], text_validation[TEXT_HELD_OUT];
static const double text_entropy = 0.5623351446188083; /* of (3/4, 1/4), nats */

static inline void text_fill(int32_t *text, size_t count, uint64_t stream)
{
    struct rng rng;
    rng_init(&rng, 5, RNG_TEST, stream);
    text[0] = 0;
    for (size_t i = 1; i < count; i++)
        text[i] = (2 * text[i - 1] + 1 + (rng_below(&rng, 4) == 0)) % TEXT_WORDS;
}

static inline struct corpus text_corpus(void)
{
    text_fill(text_train, TEXT_COUNT, 0);
    text_fill(text_validation, TEXT_HELD_OUT, 1);
    return (struct corpus){
        .vocabulary = TEXT_WORDS,
        .parts = {[CORPUS_TRAIN] = {text_train, TEXT_COUNT},
                  [CORPUS_VALIDATION] = {text_validation, TEXT_HELD_OUT}}};
}

#endif
