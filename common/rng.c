/* SPDX-License-Identifier: Apache-2.0 */
/* A thin stream over Random123's Philox4x32-10. The library is header-only and its output
 * is fixed by published known-answer vectors, which the unit test checks. */
#include "common/rng.h"

#include <math.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <Random123/philox.h>
#pragma GCC diagnostic pop

void rng_block(uint64_t seed, enum rng_purpose purpose, uint64_t trial, uint32_t step,
               uint32_t ret[4])
{
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t counter = {
        {step, (uint32_t)purpose, (uint32_t)trial, (uint32_t)(trial >> 32)}};
    philox4x32_ctr_t out = philox4x32(counter, key);
    for (int i = 0; i < 4; i++)
        ret[i] = out.v[i];
}

void rng_init(struct rng *rng, uint64_t seed, enum rng_purpose purpose, uint64_t trial)
{
    *rng = (struct rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                        .counter = {0, (uint32_t)purpose, (uint32_t)trial,
                                    (uint32_t)(trial >> 32)},
                        .used = 4};
}

uint32_t rng_u32(struct rng *rng)
{
    if (rng->used == 4) {
        philox4x32_key_t key = {{rng->key[0], rng->key[1]}};
        philox4x32_ctr_t counter = {{rng->counter[0], rng->counter[1], rng->counter[2],
                                     rng->counter[3]}};
        philox4x32_ctr_t out = philox4x32(counter, key);
        for (int i = 0; i < 4; i++)
            rng->block[i] = out.v[i];
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t low = rng_u32(rng);
    return low | (uint64_t)rng_u32(rng) << 32;
}

float rng_float(struct rng *rng)
{
    return (float)(rng_u32(rng) >> 8) * 0x1p-24f;
}

double rng_double(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
    uint64_t product = (uint64_t)rng_u32(rng) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = -n % n;
        while ((uint32_t)product < threshold)
            product = (uint64_t)rng_u32(rng) * n;
    }
    return (uint32_t)(product >> 32);
}

double rng_normal(struct rng *rng)
{
    double u = 1.0 - rng_double(rng); /* in (0, 1], so that the logarithm is finite */
    double v = rng_double(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
