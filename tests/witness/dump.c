/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of one stream, so that a seed says all; results as raw little-endian
 * numbers, which Python reads without a parser. */
#include "dump.h"

#include <math.h>
#include <stdio.h>

#include "common/rng.h"

void dump_fill(const struct dump_numbers *to, uint64_t seed, int vocabulary, int hidden)
{
    float spread = 1.5f / sqrtf((float)hidden);
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 1);
    for (size_t i = 0; i < to->weight_count; i++)
        to->weights[i] = (float)rng_normal(&rng) * spread;
    for (size_t i = 0; i < to->text_count; i++)
        to->text[i] = (int32_t)rng_below(&rng, 1 + rng_below(&rng, (uint32_t)vocabulary));
    for (size_t i = 0; i < to->state_count; i++)
        to->state[i] = (float)rng_normal(&rng) * 0.3f;
    for (size_t i = 0; i < to->alpha_count; i++)
        to->alpha[i] = (float)rng_normal(&rng);
}

int dump_write(const char *folder, const char *name, const void *data, size_t size,
               struct error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    size_t written = f ? fwrite(data, 1, size, f) : 0;
    if (!f || fclose(f) || written != size)
        return error_set(err, ERROR_SYSTEM, "cannot write '%s'", path);
    return 0;
}
