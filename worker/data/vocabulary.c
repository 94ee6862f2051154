/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with linear probing over entries that stand in the order of their first
 * appearance; at most half of it is full. */
#include "worker/data/vocabulary.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct entry {
    const uint8_t *word;
    uint32_t size;
    int32_t number; /* -1: <unk> */
    uint64_t count;
};

struct vocabulary {
    struct entry *entries; /* (capacity / 2) */
    uint32_t *slots;       /* (capacity): entry + 1; 0: free */
    size_t used, capacity; /* a power of two */
    int32_t unknown;       /* number of <unk>, or -1 */
    int size;              /* numbers given */
};

static const uint8_t unknown_word[] = "<unk>";
enum { UNKNOWN_SIZE = sizeof unknown_word - 1, FIRST_CAPACITY = 1 << 12 };

struct vocabulary *vocabulary_new(void)
{
    struct vocabulary *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->capacity = FIRST_CAPACITY;
    v->slots = calloc(v->capacity, sizeof *v->slots);
    v->entries = malloc(v->capacity / 2 * sizeof *v->entries);
    if (v->slots && v->entries)
        return v;
    vocabulary_free(v);
    return NULL;
}

void vocabulary_free(struct vocabulary *v)
{
    if (!v)
        return;
    free(v->entries);
    free(v->slots);
    free(v);
}

/* Slot of a word, or the free one where it belongs. */
static size_t find(const struct vocabulary *v, const uint8_t *word, size_t size)
{
    size_t at = XXH3_64bits(word, size) & (v->capacity - 1);
    for (; v->slots[at]; at = (at + 1) & (v->capacity - 1)) {
        const struct entry *e = &v->entries[v->slots[at] - 1];
        if (e->size == size && memcmp(e->word, word, size) == 0)
            break;
    }
    return at;
}

static int grow(struct vocabulary *v, struct error *err)
{
    size_t capacity = 2 * v->capacity;
    struct entry *entries = realloc(v->entries, capacity / 2 * sizeof *entries);
    if (entries)
        v->entries = entries;
    uint32_t *slots = entries ? calloc(capacity, sizeof *slots) : NULL;
    if (!slots)
        return error_set(err, ERROR_SYSTEM, "task.data: out of memory for words");
    free(v->slots);
    v->slots = slots;
    v->capacity = capacity;
    for (size_t i = 0; i < v->used; i++)
        slots[find(v, entries[i].word, entries[i].size)] = (uint32_t)i + 1;
    return 0;
}

int vocabulary_add(struct vocabulary *v, const uint8_t *word, size_t size,
                   struct error *err)
{
    size_t at = find(v, word, size);
    if (v->slots[at]) {
        v->entries[v->slots[at] - 1].count++;
        return 0;
    }
    if (v->used >= VOCABULARY_MAX)
        return error_set(err, ERROR_INPUT,
                         "task.data: more than %d different words in the training text",
                         VOCABULARY_MAX);
    if (2 * (v->used + 1) > v->capacity) {
        int status = grow(v, err);
        if (status)
            return status;
        at = find(v, word, size);
    }
    v->entries[v->used++] = (struct entry){word, (uint32_t)size, -1, 1};
    v->slots[at] = (uint32_t)v->used;
    return 0;
}

int vocabulary_has(const struct vocabulary *v, const uint8_t *word, size_t size)
{
    return v->slots[find(v, word, size)] != 0;
}

struct ranked {
    uint64_t count;
    uint32_t entry;
};

static int by_frequency(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Mark (number 0) the `keep` most frequent entries other than <unk>. */
static int mark(struct vocabulary *v, size_t keep, struct error *err)
{
    struct ranked *ranks = malloc((v->used + 1) * sizeof *ranks);
    size_t n = 0;
    if (!ranks)
        return error_set(err, ERROR_SYSTEM, "task.data: out of memory for words");
    size_t unknown = v->slots[find(v, unknown_word, UNKNOWN_SIZE)];
    for (size_t i = 0; i < v->used; i++)
        if (i + 1 != unknown)
            ranks[n++] = (struct ranked){v->entries[i].count, (uint32_t)i};
    qsort(ranks, n, sizeof *ranks, by_frequency);
    for (size_t i = 0; i < n && i < keep; i++)
        v->entries[ranks[i].entry].number = 0;
    if (unknown)
        v->entries[unknown - 1].number = 0;
    free(ranks);
    return 0;
}

int vocabulary_close(struct vocabulary *v, int limit, int needs_unknown,
                     struct error *err)
{
    size_t has = vocabulary_has(v, unknown_word, UNKNOWN_SIZE);
    size_t others = v->used - has, keep = others;
    bool whole = limit == 0 || others + (has || needs_unknown) <= (size_t)limit;
    if (!whole)
        keep = limit > 1 ? (size_t)limit - 1 : 0;
    int status = mark(v, keep, err);
    if (status)
        return status;
    v->unknown = -1;
    for (size_t i = 0; i < v->used; i++)
        if (v->entries[i].number == 0)
            v->entries[i].number = v->size++;
    if (has)
        v->unknown = v->entries[v->slots[find(v, unknown_word, UNKNOWN_SIZE)] - 1].number;
    else if (needs_unknown || !whole)
        v->unknown = v->size++;
    return 0;
}

int vocabulary_size(const struct vocabulary *v)
{
    return v->size;
}

int32_t vocabulary_number(const struct vocabulary *v, const uint8_t *word, size_t size)
{
    uint32_t slot = v->slots[find(v, word, size)];
    int32_t number = slot ? v->entries[slot - 1].number : -1;
    return number >= 0 ? number : v->unknown;
}
