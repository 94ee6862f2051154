/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the ledger: which trials share a hash and an arm. */
#ifndef ARCHWAY_MASTER_LEDGER_INDEX_H
#define ARCHWAY_MASTER_LEDGER_INDEX_H

#include "master/ledger_internal.h"

/* The oldest trial of this arm and hash that is not FAILED nor a RELAX step; NULL when
 * there is none, or when memory is gone (index.failed). Takes in the trials that are new
 * since the last call. */
struct ledger_node *ledger_index_find(struct ledger *l, uint8_t arm,
                                      struct architecture_hash hash);
/* A trial becomes FAILED. */
void ledger_index_remove(struct ledger *l, struct ledger_node *n);
void ledger_index_fini(struct ledger_index *x);

#endif
