/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the ledger: a hash table from an architecture's hash to the ends of the chain
 * of trials that carry it. The chain itself lives in the trials' nodes. */
#ifndef ARCHWAY_MASTER_LEDGER_INDEX_H
#define ARCHWAY_MASTER_LEDGER_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "common/architecture.h"

#define LEDGER_NONE UINT64_MAX /* no trial */

/* First and last trial of a chain; both LEDGER_NONE when all of them left it. */
struct ledger_chain {
    struct architecture_hash hash;
    uint64_t first, last;
    uint8_t used;
};

struct ledger_index {
    struct ledger_chain *slots; /* owned; capacity is 0 or a power of two */
    size_t capacity, used;
};

void ledger_index_fini(struct ledger_index *x);
/* NULL when the hash was never added. Borrowed until the next ledger_index_add. */
struct ledger_chain *ledger_index_find(const struct ledger_index *x,
                                       struct architecture_hash hash);
/* As find, but adds an empty chain when there is none; NULL when memory is gone. */
struct ledger_chain *ledger_index_add(struct ledger_index *x,
                                      struct architecture_hash hash);

#endif
