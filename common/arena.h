/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is only given back as a whole: no size is kept for a piece, and pieces lie
 * side by side, which saves half of what many small allocations take. */
#ifndef ARCHWAY_COMMON_ARENA_H
#define ARCHWAY_COMMON_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a block: with what the C library puts before them a whole number of pages. */
enum { ARENA_BLOCK = (256 << 10) - 16 };

struct arena_block;
struct arena {
    struct arena_block *first; /* owned, and those behind it */
    size_t left;               /* bytes free in the first one */
    uint64_t bytes;            /* handed out so far, alignment included */
};

void arena_init(struct arena *a);
void arena_fini(struct arena *a);
/* `size` bytes, aligned for a double or pointer, not cleared; NULL when memory is gone.
 */
void *arena_take(struct arena *a, size_t size);

#endif
