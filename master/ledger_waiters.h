/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the ledger: the trials that wait for another, ascending. */
#ifndef ARCHWAY_MASTER_LEDGER_WAITERS_H
#define ARCHWAY_MASTER_LEDGER_WAITERS_H

#include <stddef.h>
#include <stdint.h>

/* The ids stand in ids[first .. first + count), count > 0; NULL: nobody waits. */
struct ledger_waiters {
    size_t first, count, capacity;
    uint64_t ids[];
};

/* 0, or -1 when memory is gone. O(1) when id is the largest, as new trials are. */
int ledger_waiters_add(struct ledger_waiters **w, uint64_t id);
/* O(1) when id is the smallest, as in resolving them in order. The last one to go frees
 * them. */
void ledger_waiters_remove(struct ledger_waiters **w, uint64_t id);

#endif
