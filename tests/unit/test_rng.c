/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rng.h"
#include "unit.h"

#include <math.h>

/* Known-answer vectors of Philox4x32-10 as published with Random123. */
START_TEST(blocks_match_published_vectors)
{
    uint32_t out[4];
    rng_block(0, RNG_TEST, 0, 0, out);
    ck_assert_uint_eq(out[0], 0x6627e8d5);
    ck_assert_uint_eq(out[1], 0xe169c58d);
    ck_assert_uint_eq(out[2], 0xbc57ac4c);
    ck_assert_uint_eq(out[3], 0x9b00dbd8);
    rng_block(0x299f31d0a4093822ULL, (enum rng_purpose)0x85a308d3, 0x0370734413198a2eULL,
              0x243f6a88, out);
    ck_assert_uint_eq(out[0], 0xd16cfe09);
    ck_assert_uint_eq(out[1], 0x94fdcceb);
    ck_assert_uint_eq(out[2], 0x5001e420);
    ck_assert_uint_eq(out[3], 0x24126ea1);
}
END_TEST

START_TEST(stream_walks_the_blocks)
{
    struct rng rng;
    uint32_t out[4];
    rng_init(&rng, 42, RNG_BOOTSTRAP, 7);
    for (uint32_t step = 0; step < 3; step++) {
        rng_block(42, RNG_BOOTSTRAP, 7, step, out);
        for (int i = 0; i < 4; i++)
            ck_assert_uint_eq(rng_u32(&rng), out[i]);
    }
}
END_TEST

START_TEST(below_is_uniform)
{
    struct rng rng;
    int counts[5] = {0};
    rng_init(&rng, 1, RNG_TEST, 0);
    for (int i = 0; i < 50000; i++)
        counts[rng_below(&rng, 5)]++;
    double chi2 = 0;
    for (int i = 0; i < 5; i++)
        chi2 += (counts[i] - 10000.0) * (counts[i] - 10000.0) / 10000.0;
    ck_assert_double_lt(chi2, 18.5); /* p = 0.001 at 4 degrees of freedom */
}
END_TEST

START_TEST(normal_has_its_moments)
{
    struct rng rng;
    double sum = 0, square = 0;
    enum { N = 100000 };
    rng_init(&rng, 2, RNG_TEST, 0);
    for (int i = 0; i < N; i++) {
        double v = rng_normal(&rng);
        ck_assert(isfinite(v));
        sum += v;
        square += v * v;
    }
    ck_assert_double_eq_tol(sum / N, 0, 0.015);
    ck_assert_double_eq_tol(square / N, 1, 0.02);
}
END_TEST

UNIT_MAIN("rng", blocks_match_published_vectors, stream_walks_the_blocks, below_is_uniform,
          normal_has_its_moments)
