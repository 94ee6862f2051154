/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing: the key is XXH3 output, so its low half is as good
 * a position as any, and a slot that was used is never given up (a chain that ran empty
 * keeps it for the next trial with the same hash), so there are no tombstones. Grows at
 * three quarters. */
#include "master/ledger_index.h"

#include <stdlib.h>

void ledger_index_fini(struct ledger_index *x)
{
    free(x->slots);
    *x = (struct ledger_index){0};
}

/* The slot that holds the hash, or the free one where it belongs. */
static struct ledger_chain *index_slot(struct ledger_chain *slots, size_t capacity,
                                       struct architecture_hash hash)
{
    size_t at = (size_t)hash.low & (capacity - 1);
    while (slots[at].used &&
           (slots[at].hash.low != hash.low || slots[at].hash.high != hash.high))
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

struct ledger_chain *ledger_index_find(const struct ledger_index *x,
                                       struct architecture_hash hash)
{
    if (x->capacity == 0)
        return NULL;
    struct ledger_chain *slot = index_slot(x->slots, x->capacity, hash);
    return slot->used ? slot : NULL;
}

static int index_grow(struct ledger_index *x)
{
    size_t capacity = x->capacity ? x->capacity * 2 : 64;
    struct ledger_chain *slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return -1;
    for (size_t i = 0; i < x->capacity; i++)
        if (x->slots[i].used)
            *index_slot(slots, capacity, x->slots[i].hash) = x->slots[i];
    free(x->slots);
    x->slots = slots;
    x->capacity = capacity;
    return 0;
}

struct ledger_chain *ledger_index_add(struct ledger_index *x,
                                      struct architecture_hash hash)
{
    struct ledger_chain *slot = ledger_index_find(x, hash);
    if (slot)
        return slot;
    if (x->used + 1 > x->capacity / 4 * 3 && index_grow(x) != 0)
        return NULL;
    slot = index_slot(x->slots, x->capacity, hash);
    *slot = (struct ledger_chain){
        .hash = hash, .first = LEDGER_NONE, .last = LEDGER_NONE, .used = 1};
    x->used++;
    return slot;
}
