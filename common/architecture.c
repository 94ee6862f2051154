/* SPDX-License-Identifier: Apache-2.0 */
/* Token sequences: comparison, text, encoding. Only the first `count` tokens mean
 * anything, so nothing here looks at the rest of the array, and a million kept ones need
 * not have it. The hash is
 * XXH3 with 128 bits: among a million different architectures the chance that any two
 * share one is below 1e-26. */
#include "common/architecture.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

size_t architecture_bytes(const struct architecture *a)
{
    return offsetof(struct architecture, tokens) + a->count * sizeof a->tokens[0];
}

struct architecture *architecture_pack(const struct architecture *a)
{
    struct architecture *packed = malloc(architecture_bytes(a));
    if (packed)
        memcpy(packed, a, architecture_bytes(a));
    return packed;
}

void architecture_copy(const struct architecture *a, struct architecture *ret)
{
    memcpy(ret, a, architecture_bytes(a));
}

bool architecture_equal(const struct architecture *a, const struct architecture *b)
{
    return a->depth == b->depth && a->count == b->count &&
           memcmp(a->tokens, b->tokens, a->count * sizeof a->tokens[0]) == 0;
}

bool architecture_hash_equal(struct architecture_hash a, struct architecture_hash b)
{
    return a.low == b.low && a.high == b.high;
}

struct architecture_hash architecture_hash_bytes(const struct bytes *canonical)
{
    XXH128_hash_t hash = XXH3_128bits(canonical->data, canonical->size);
    return (struct architecture_hash){hash.low64, hash.high64};
}

void architecture_format(const struct architecture *a, char *text, unsigned size)
{
    if (size == 0)
        return;
    int n = snprintf(text, size, "%u:", (unsigned)a->depth);
    unsigned used = (unsigned)n;
    for (unsigned i = 0; i < a->count && used < size; i++) {
        n = snprintf(text + used, size - used, " %u", (unsigned)a->tokens[i]);
        used += (unsigned)n;
    }
}

void architecture_encode(const struct architecture *a, struct bytes *out)
{
    bytes_put_u16(out, a->depth);
    bytes_put_u16(out, a->count);
    for (unsigned i = 0; i < a->count; i++)
        bytes_put_u16(out, a->tokens[i]);
}

void architecture_decode(struct bytes_reader *in, struct architecture *ret)
{
    uint16_t depth = bytes_get_u16(in), count = bytes_get_u16(in);
    if (count > ARCHITECTURE_MAX_TOKENS || bytes_left(in) < count * sizeof(uint16_t))
        in->failed = true;
    ret->depth = in->failed ? 0 : depth;
    ret->count = in->failed ? 0 : count;
    for (unsigned i = 0; i < ret->count; i++)
        ret->tokens[i] = bytes_get_u16(in);
}
