/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of architectures in a state bag: two tables, tokens (n, widest; padded with
 * zeros) and (n, 2) of depth and count. */
#ifndef ARCHWAY_MASTER_SEARCH_ARCHITECTURE_LIST_H
#define ARCHWAY_MASTER_SEARCH_ARCHITECTURE_LIST_H

#include <stddef.h>

#include "common/architecture.h"
#include "common/error.h"
#include "common/space/space.h"
#include "common/state.h"

/* Add a list of n > 0 under these two names. ERROR_SYSTEM when memory is gone. */
int architecture_list_save(const struct architecture *const *list, size_t n,
                           const char *tokens_name, const char *shape_name,
                           struct state *state, struct error *err);
/* Read n > 0 of them back. ERROR_CORRUPT when a table is missing or has another shape, or
 * an architecture does not fit the space. */
int architecture_list_load(struct architecture *const *ret, size_t n,
                           const char *tokens_name, const char *shape_name,
                           const struct space *space, const struct state *state,
                           struct error *err);

#endif
