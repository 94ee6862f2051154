/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array with room at its start: ids arrive ascending and leave from the front,
 * so both ends are O(1). Few trials are ever waited for, so an empty one holds no memory.
 */
#include "master/ledger_waiters.h"

#include <stdlib.h>
#include <string.h>

void ledger_waiters_fini(struct ledger_waiters *w)
{
    free(w->ids);
    *w = (struct ledger_waiters){0};
}

static int waiters_reserve(struct ledger_waiters *w)
{
    if (w->first + w->count < w->capacity)
        return 0;
    if (w->first > w->capacity / 2) {
        memmove(w->ids, w->ids + w->first, w->count * sizeof *w->ids);
        w->first = 0;
        return 0;
    }
    size_t capacity = w->capacity ? w->capacity * 2 : 4;
    uint64_t *ids = realloc(w->ids, capacity * sizeof *ids);
    if (!ids)
        return -1;
    w->ids = ids;
    w->capacity = capacity;
    return 0;
}

int ledger_waiters_add(struct ledger_waiters *w, uint64_t id)
{
    if (waiters_reserve(w) != 0)
        return -1;
    uint64_t *ids = w->ids + w->first;
    size_t at = w->count;
    for (; at > 0 && ids[at - 1] > id; at--)
        ids[at] = ids[at - 1];
    ids[at] = id;
    w->count++;
    return 0;
}

void ledger_waiters_remove(struct ledger_waiters *w, uint64_t id)
{
    size_t at = 0;
    while (at < w->count && w->ids[w->first + at] != id)
        at++;
    if (at == w->count)
        return;
    uint64_t *found = w->ids + w->first + at;
    w->count--;
    if (w->count == 0)
        ledger_waiters_fini(w);
    else if (at == 0)
        w->first++;
    else
        memmove(found, found + 1, (w->count - at) * sizeof *found);
}
