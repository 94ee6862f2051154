/* SPDX-License-Identifier: Apache-2.0 */
/* An architecture as the search sees it: a sequence of tokens, one per decision. What the
 * tokens mean is the space's business (common/space/space.h). Plain data; only the first
 * `count` tokens need memory behind them (those of a packed one have no more), so it is
 * copied by architecture_copy. */
#ifndef ARCHWAY_COMMON_ARCHITECTURE_H
#define ARCHWAY_COMMON_ARCHITECTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

enum { ARCHITECTURE_MAX_TOKENS = 1024 };

struct architecture {
    uint16_t depth; /* the space's depth when it was sampled (layers of a chain) */
    uint16_t count; /* tokens */
    uint16_t tokens[ARCHITECTURE_MAX_TOKENS];
};

/* 128 bits that two architectures share exactly when the space calls them the same. */
struct architecture_hash {
    uint64_t low, high;
};

/* Bytes up to the last token. */
size_t architecture_bytes(const struct architecture *a);
/* A copy that ends behind its last token; caller frees; NULL when memory is gone. */
struct architecture *architecture_pack(const struct architecture *a);
/* What stands behind the last token in ret stays as it is. */
void architecture_copy(const struct architecture *a, struct architecture *ret);
bool architecture_equal(const struct architecture *a, const struct architecture *b);
bool architecture_hash_equal(struct architecture_hash a, struct architecture_hash b);
/* XXH3 of a canonical byte string that a space wrote. */
struct architecture_hash architecture_hash_bytes(const struct bytes *canonical);
/* "6: 3 1 0 2 ..." into text (truncated when size is too small); for logs and tables. */
void architecture_format(const struct architecture *a, char *text, unsigned size);
void architecture_encode(const struct architecture *a, struct bytes *out);
/* Fails the reader when a bound is exceeded. */
void architecture_decode(struct bytes_reader *in, struct architecture *ret);

#endif
