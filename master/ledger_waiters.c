/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array with room at its start: ids arrive ascending and leave from the front,
 * so both ends are O(1). Few trials are ever waited for, so an empty one is no memory at
 * all. */
#include "master/ledger_waiters.h"

#include <stdlib.h>
#include <string.h>

static int waiters_reserve(struct ledger_waiters **w)
{
    struct ledger_waiters *old = *w;
    if (old && old->first + old->count < old->capacity)
        return 0;
    if (old && old->first > old->capacity / 2) {
        memmove(old->ids, old->ids + old->first, old->count * sizeof *old->ids);
        old->first = 0;
        return 0;
    }
    size_t capacity = old ? old->capacity * 2 : 4;
    struct ledger_waiters *new = realloc(old, sizeof *new + capacity * sizeof *new->ids);
    if (!new)
        return -1;
    if (!old)
        new->first = new->count = 0;
    new->capacity = capacity;
    *w = new;
    return 0;
}

int ledger_waiters_add(struct ledger_waiters **w, uint64_t id)
{
    if (waiters_reserve(w) != 0)
        return -1;
    uint64_t *ids = (*w)->ids + (*w)->first;
    size_t at = (*w)->count;
    for (; at > 0 && ids[at - 1] > id; at--)
        ids[at] = ids[at - 1];
    ids[at] = id;
    (*w)->count++;
    return 0;
}

void ledger_waiters_remove(struct ledger_waiters **waiters, uint64_t id)
{
    struct ledger_waiters *w = *waiters;
    size_t at = 0;
    while (w && at < w->count && w->ids[w->first + at] != id)
        at++;
    if (!w || at == w->count)
        return;
    uint64_t *found = w->ids + w->first + at;
    w->count--;
    if (w->count == 0) {
        free(w);
        *waiters = NULL;
    } else if (at == 0) {
        w->first++;
    } else {
        memmove(found, found + 1, (w->count - at) * sizeof *found);
    }
}
