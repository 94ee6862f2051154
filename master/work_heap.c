/* SPDX-License-Identifier: Apache-2.0 */
/* The textbook's heap in an array: the children of item i are items 2 i + 1 and 2 i + 2,
 * and none of them goes before its parent. */
#include "master/work_heap.h"

#include <stdlib.h>

void work_heap_fini(struct work_heap *h)
{
    free(h->items);
    *h = (struct work_heap){.smallest_first = h->smallest_first};
}

static bool goes_before(const struct work_heap *h, struct work_item a, struct work_item b)
{
    if (a.work != b.work)
        return h->smallest_first ? a.work < b.work : a.work > b.work;
    return a.trial < b.trial;
}

int work_heap_push(struct work_heap *h, struct work_item item)
{
    if (h->count == h->capacity) {
        size_t capacity = h->capacity ? 2 * h->capacity : 64;
        struct work_item *items = realloc(h->items, capacity * sizeof *items);
        if (!items)
            return -1;
        h->items = items;
        h->capacity = capacity;
    }
    size_t at = h->count++;
    for (; at > 0 && goes_before(h, item, h->items[(at - 1) / 2]); at = (at - 1) / 2)
        h->items[at] = h->items[(at - 1) / 2];
    h->items[at] = item;
    return 0;
}

struct work_item work_heap_pop(struct work_heap *h)
{
    struct work_item top = h->items[0], last = h->items[--h->count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < h->count) {
        if (child + 1 < h->count && goes_before(h, h->items[child + 1], h->items[child]))
            child++;
        if (!goes_before(h, h->items[child], last))
            break;
        h->items[at] = h->items[child];
        at = child;
    }
    h->items[at] = last;
    return top;
}
