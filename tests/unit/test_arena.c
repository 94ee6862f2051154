/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arena.h"

#include <stdbool.h>
#include <string.h>

#include "common/rng.h"
#include "unit.h"

enum { PIECES = 5000 };

START_TEST(more_than_memory_can_hold_is_refused)
{
    struct arena a;
    arena_init(&a);
    ck_assert_ptr_null(arena_take(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_take(&a, SIZE_MAX / 2));
    ck_assert_uint_eq(a.bytes, 0);
    arena_fini(&a);
    arena_fini(&a);
}
END_TEST

START_TEST(an_empty_piece_is_a_piece)
{
    struct arena a;
    arena_init(&a);
    ck_assert_ptr_nonnull(arena_take(&a, 0));
    ck_assert_uint_eq(a.bytes, 0);
    arena_fini(&a);
}
END_TEST

static size_t size_of(struct rng *rng)
{
    static const uint32_t most[] = {9, 60, 3000, 3 * ARENA_BLOCK};
    uint32_t which = rng_below(rng, 1000);
    return rng_below(rng, most[which < 3 ? 3 : which % 3]);
}

START_TEST(pieces_are_apart_and_aligned)
{
    static unsigned char *pieces[PIECES];
    static size_t sizes[PIECES];
    struct arena a;
    struct rng rng;
    uint64_t sum = 0;
    arena_init(&a);
    rng_init(&rng, 5, RNG_TEST, 0);
    for (int i = 0; i < PIECES; i++) {
        sizes[i] = size_of(&rng);
        pieces[i] = arena_take(&a, sizes[i]);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % sizeof(double), 0);
        memset(pieces[i], i, sizes[i]);
        sum += (sizes[i] + 7) / 8 * 8;
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            if (pieces[i][k] != (unsigned char)i)
                ck_abort_msg("piece %d was overwritten", i);
    ck_assert_uint_eq(a.bytes, sum);
    arena_fini(&a);
    ck_assert_uint_eq(a.bytes, 0);
}
END_TEST

UNIT_MAIN("arena", more_than_memory_can_hold_is_refused, an_empty_piece_is_a_piece,
          pieces_are_apart_and_aligned)
