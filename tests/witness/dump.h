/* SPDX-License-Identifier: Apache-2.0 */
/* What programs that let a witness see a language model from inside have in common. */
#ifndef ARCHWAY_TESTS_WITNESS_DUMP_H
#define ARCHWAY_TESTS_WITNESS_DUMP_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct dump_numbers {
    float *weights; /* of a model, flat */
    size_t weight_count;
    int32_t *text;
    size_t text_count;
    float *state;
    size_t state_count;
    float *alpha; /* of a relaxed model; NULL: there is none */
    size_t alpha_count;
};

/* Weights that neither die away nor saturate; words of unequal frequency. */
void dump_fill(const struct dump_numbers *to, uint64_t seed, int vocabulary, int hidden);
/* FOLDER/NAME: these bytes. */
int dump_write(const char *folder, const char *name, const void *data, size_t size,
               struct error *err);

#endif
