/* SPDX-License-Identifier: Apache-2.0 */
#include "master/work_heap.h"

#include <stdlib.h>

#include "common/rng.h"
#include "unit.h"

START_TEST(an_empty_one_can_be_ended)
{
    struct work_heap h = {.smallest_first = true};
    work_heap_fini(&h);
    ck_assert(h.smallest_first && h.count == 0 && !h.items);
    ck_assert_int_eq(work_heap_push(&h, (struct work_item){1, 2}), 0);
    ck_assert_uint_eq(work_heap_pop(&h).trial, 2);
    ck_assert_uint_eq(h.count, 0);
    work_heap_fini(&h);
}
END_TEST

/* Against a search through all, with many equal ones. */
static void check_random(bool smallest_first, uint64_t seed)
{
    enum { MOST = 500 };
    struct work_heap h = {.smallest_first = smallest_first};
    double works[MOST];
    bool inside[MOST] = {0};
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, smallest_first);
    for (uint64_t next = 0; next < MOST || h.count > 0;) {
        if (next < MOST && rng_below(&rng, 3) > 0) {
            works[next] = rng_below(&rng, 20);
            inside[next] = true;
            ck_assert_int_eq(work_heap_push(&h, (struct work_item){works[next], next}),
                             0);
            next++;
        } else if (h.count > 0) {
            uint64_t best = MOST;
            for (uint64_t i = 0; i < next; i++)
                if (inside[i] &&
                    (best == MOST ||
                     (smallest_first ? works[i] < works[best] : works[i] > works[best])))
                    best = i;
            struct work_item item = work_heap_pop(&h);
            ck_assert_uint_eq(item.trial, best);
            ck_assert_double_eq(item.work, works[best]);
            inside[best] = false;
        }
    }
    work_heap_fini(&h);
}

START_TEST(the_top_is_what_a_search_finds)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        check_random(false, seed);
        check_random(true, seed);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {an_empty_one_can_be_ended,
                                  the_top_is_what_a_search_finds, NULL};
    return unit_main("work_heap", tests);
}
