/* SPDX-License-Identifier: Apache-2.0 */
/* The best few distinct architectures of those that were scored, best first; of equal
 * rewards, the one that came with the lower id. */
#ifndef ARCHWAY_MASTER_SEARCH_FINALISTS_H
#define ARCHWAY_MASTER_SEARCH_FINALISTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/space/space.h"
#include "common/state.h"
#include "common/trial.h"

struct finalist {
    struct architecture *architecture; /* packed; owned */
    struct architecture_hash hash;
    double reward;
    uint64_t id;
};

struct finalists {
    size_t most, count;
    struct finalist *entries; /* owned; (most), the first `count` filled */
};

/* Room for `most` of them; 0 is allowed. ERROR_SYSTEM when memory is gone. */
int finalists_init(struct finalists *f, size_t most, struct error *err);
void finalists_fini(struct finalists *f);
void finalists_clear(struct finalists *f);
/* Offer a trial; one without a reward is ignored. Of two of the same hash the better
 * stays. ERROR_SYSTEM when memory is gone; the list is then as before. */
int finalists_add(struct finalists *f, const struct trial *t, struct error *err);
/* Everything, under names that begin with prefix ("shared/finalists"). load replaces what
 * is there, and leaves it alone on failure; ERROR_CORRUPT for what save cannot have
 * written. */
int finalists_save(const struct finalists *f, const char *prefix, struct state *state,
                   struct error *err);
int finalists_load(struct finalists *f, const char *prefix, const struct space *space,
                   const struct state *state, struct error *err);

#endif
