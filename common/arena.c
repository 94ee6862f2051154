/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks in a list, pieces from the end of the newest one towards its start. What is
 * large gets a block of its own, put behind the newest, whose rest is still used. */
#include "common/arena.h"

#include <stdlib.h>

enum { ALIGN = sizeof(double), LARGE = ARENA_BLOCK / 8 };
/* No piece is meant to be larger than the memory of a machine. */
static const size_t most = (size_t)1 << 38;

struct arena_block {
    struct arena_block *next;
    double content[]; /* for its alignment */
};

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_fini(struct arena *a)
{
    while (a->first) {
        struct arena_block *next = a->first->next;
        free(a->first);
        a->first = next;
    }
    arena_init(a);
}

static void *take_large(struct arena *a, size_t size)
{
    struct arena_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->next = a->first ? a->first->next : NULL;
    if (a->first)
        a->first->next = b;
    else
        a->first = b; /* with nothing left in it */
    a->bytes += size;
    return b->content;
}

void *arena_take(struct arena *a, size_t size)
{
    if (size > most)
        return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (size > LARGE)
        return take_large(a, size);
    if (size > a->left || !a->first) {
        struct arena_block *b = malloc(ARENA_BLOCK);
        if (!b)
            return NULL;
        b->next = a->first;
        a->first = b;
        a->left = ARENA_BLOCK - sizeof *b;
    }
    a->left -= size;
    a->bytes += size;
    return (char *)a->first->content + a->left;
}
