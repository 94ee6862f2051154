/* SPDX-License-Identifier: Apache-2.0 */
/* Linear hashing (Litwin, VLDB 1980): with every new hash one bucket more, split from the
 * one whose turn it is, so no growth ever moves all of them, and there are never more
 * buckets than hashes. The key is XXH3 output: its low bits are as good as any.
 *
 * Trials come in only when somebody asks: a run that trains duplicates never does, nor
 * does a look from outside. */
#include "master/ledger_index.h"

#include <stdlib.h>

enum { SEGMENTS = 64 }; /* pointers to segments grow by so many */

void ledger_index_fini(struct ledger_index *x)
{
    for (size_t i = 0; i < x->segment_count; i++)
        free(x->segments[i]);
    free(x->segments);
    *x = (struct ledger_index){0};
}

static uint32_t *bucket_head(const struct ledger_index *x, uint64_t bucket)
{
    return &x->segments[bucket / LEDGER_SEGMENT][bucket % LEDGER_SEGMENT];
}

/* Of `buckets` many: by as many low bits as name them all, and by one less where that
 * one does not exist yet. */
static uint64_t bucket_of(uint64_t hash, uint64_t buckets)
{
    uint64_t mask = 1;
    while (mask < buckets)
        mask <<= 1;
    uint64_t bucket = hash & (mask - 1);
    return bucket < buckets ? bucket : bucket & ((mask >> 1) - 1);
}

static int add_segment(struct ledger_index *x)
{
    if (x->segment_count % SEGMENTS == 0) {
        uint32_t **more =
            realloc(x->segments, (x->segment_count + SEGMENTS) * sizeof *more);
        if (!more)
            return -1;
        x->segments = more;
    }
    uint32_t *segment = malloc(LEDGER_SEGMENT * sizeof *segment);
    if (!segment)
        return -1;
    x->segments[x->segment_count++] = segment;
    return 0;
}

/* Move what belongs into the newest bucket out of the one that is split. */
static void split(struct ledger *l, uint64_t from, uint64_t to)
{
    struct ledger_index *x = &l->index;
    uint32_t *old = bucket_head(x, from), *new = bucket_head(x, to), id = *old;
    *old = *new = LEDGER_NONE;
    while (id != LEDGER_NONE) {
        struct ledger_node *n = ledger_node(l, id);
        uint32_t next = n->bucket_next;
        uint32_t *head = bucket_of(n->trial.hash.low, x->buckets) == to ? new : old;
        n->bucket_next = *head;
        *head = id;
        id = next;
    }
}

static int add_bucket(struct ledger *l)
{
    struct ledger_index *x = &l->index;
    uint64_t new = x->buckets, from = 0;
    if (new == x->segment_count * LEDGER_SEGMENT &&add_segment(x) != 0)
        return -1;
    for (uint64_t bit = 1; bit <= new; bit <<= 1)
        from = new & ~bit; /* without its highest bit */
    x->buckets++;
    *bucket_head(x, new) = LEDGER_NONE;
    if (new > 0)
        split(l, from, new);
    return 0;
}

static struct ledger_node *find_first(const struct ledger *l, uint8_t arm,
                                      struct architecture_hash hash)
{
    const struct ledger_index *x = &l->index;
    uint32_t id =
        x->buckets ? *bucket_head(x, bucket_of(hash.low, x->buckets)) : LEDGER_NONE;
    while (id != LEDGER_NONE) {
        struct ledger_node *n = ledger_node(l, id);
        if (n->trial.arm == arm && architecture_hash_equal(n->trial.hash, hash))
            return n;
        id = n->bucket_next;
    }
    return NULL;
}

static int make_first(struct ledger *l, struct ledger_node *n)
{
    struct ledger_index *x = &l->index;
    if (x->firsts == x->buckets && add_bucket(l) != 0)
        return -1;
    uint32_t *head = bucket_head(x, bucket_of(n->trial.hash.low, x->buckets));
    n->bucket_next = *head;
    n->same_first = n->same_last = LEDGER_NONE;
    *head = (uint32_t)n->trial.id;
    x->firsts++;
    return 0;
}

/* Failed trials answer nobody; a RELAX step neither, and its hash changes. */
static bool is_outside(const struct ledger_node *n)
{
    return n->trial.state == TRIAL_FAILED || n->trial.kind == TRIAL_RELAX;
}

static int take_in(struct ledger *l, struct ledger_node *n)
{
    if (is_outside(n))
        return 0;
    struct ledger_node *first = find_first(l, n->trial.arm, n->trial.hash);
    if (!first && make_first(l, n) != 0)
        return -1;
    first = first ? first : n;
    n->same = (struct ledger_link){first->same_last, LEDGER_NONE};
    if (first->same_last != LEDGER_NONE)
        ledger_node(l, first->same_last)->same.next = (uint32_t)n->trial.id;
    else
        first->same_first = (uint32_t)n->trial.id;
    first->same_last = (uint32_t)n->trial.id;
    return 0;
}

static void update(struct ledger *l)
{
    struct ledger_index *x = &l->index;
    while (x->nodes < l->count && !x->failed) {
        x->failed = take_in(l, ledger_node(l, x->nodes)) != 0;
        x->nodes += !x->failed;
    }
}

struct ledger_node *ledger_index_find(struct ledger *l, uint8_t arm,
                                      struct architecture_hash hash)
{
    update(l);
    struct ledger_node *first = l->index.failed ? NULL : find_first(l, arm, hash);
    return first ? ledger_node(l, first->same_first) : NULL;
}

void ledger_index_remove(struct ledger *l, struct ledger_node *n)
{
    if (n->trial.id >= l->index.nodes || is_outside(n))
        return;
    struct ledger_node *first = find_first(l, n->trial.arm, n->trial.hash);
    if (n->same.previous != LEDGER_NONE)
        ledger_node(l, n->same.previous)->same.next = n->same.next;
    else
        first->same_first = n->same.next;
    if (n->same.next != LEDGER_NONE)
        ledger_node(l, n->same.next)->same.previous = n->same.previous;
    else
        first->same_last = n->same.previous;
}
