/* SPDX-License-Identifier: Apache-2.0 */
/* Trials by their work: a binary heap, with the largest or the smallest on top. Of equal
 * ones the oldest is on top. */
#ifndef ARCHWAY_MASTER_WORK_HEAP_H
#define ARCHWAY_MASTER_WORK_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct work_item {
    double work; /* no NAN */
    uint64_t trial;
};

/* Plain data: zeros, but for smallest_first, are an empty one. */
struct work_heap {
    bool smallest_first;
    struct work_item *items; /* owned; [0] is the top */
    size_t count, capacity;
};

void work_heap_fini(struct work_heap *h);
/* 0, or -1 when memory is gone. O(log n). */
int work_heap_push(struct work_heap *h, struct work_item item);
/* Takes the top away; there must be one. O(log n). */
struct work_item work_heap_pop(struct work_heap *h);

#endif
