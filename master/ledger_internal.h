/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the ledger only: where trials lie. Other trials are named by
 * their ids in 32 bits, of which no run uses up all. */
#ifndef ARCHWAY_MASTER_LEDGER_INTERNAL_H
#define ARCHWAY_MASTER_LEDGER_INTERNAL_H

#include "common/arena.h"
#include "master/ledger.h"
#include "master/ledger_waiters.h"

#define LEDGER_NONE UINT32_MAX /* no trial */

struct ledger_link {
    uint32_t previous, next;
};

struct ledger_node {
    struct trial trial;
    struct ledger_waiters *wait; /* owned; those that wait for this one; NULL: nobody */
    struct ledger_link queue;    /* while QUEUED */
    struct ledger_link same;     /* trials with the same hash, while not FAILED */
    /* Of the first trial ever with its hash: the ends of that list, and the next such
     * trial in the bucket of the index. */
    uint32_t same_first, same_last, bucket_next;
    uint8_t list; /* of the queue, while QUEUED */
};

enum {
    LEDGER_CHUNK = ARENA_BLOCK / sizeof(struct ledger_node),
    LEDGER_STATES = TRIAL_SAVED + 1,
    LEDGER_SEGMENT = ARENA_BLOCK / sizeof(uint32_t)
};

struct ledger_list {
    uint64_t first, last, count;
};

/* Buckets of trials by hash, each a list of those that were the first with theirs; heads
 * lie in segments. Holds the trials before `nodes`. */
struct ledger_index {
    uint32_t **segments; /* owned */
    size_t segment_count;
    uint64_t buckets, firsts, nodes;
    bool failed; /* memory was gone once: the ledger takes no more trials */
};

struct ledger {
    struct ledger_node **chunks; /* owned, each of LEDGER_CHUNK nodes */
    size_t chunk_count;
    uint64_t count;
    uint64_t states[ARM_COUNT][LEDGER_STATES];
    struct ledger_index index;
    struct ledger_list queues[2];
    struct ledger_hours hours;
    struct arena arena;    /* architectures and curves */
    uint64_t reason_bytes; /* of the reasons, which have memory of their own */
};

static inline struct ledger_node *ledger_node(const struct ledger *l, uint64_t id)
{
    return id < l->count ? &l->chunks[id / LEDGER_CHUNK][id % LEDGER_CHUNK] : NULL;
}

#endif
