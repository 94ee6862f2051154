/* SPDX-License-Identifier: Apache-2.0 */
/* What strategies that hold a REINFORCE of their own need besides its search_ops. */
#ifndef ARCHWAY_MASTER_SEARCH_REINFORCE_H
#define ARCHWAY_MASTER_SEARCH_REINFORCE_H

#include <stdbool.h>

#include "master/search/search.h"

/* Sample as trial `id` from the policy of a `self` of search_reinforce, without counting
 * it to a round: it is never told. plain: as the policy is used when the search is over
 * (controller_set_plain). */
int reinforce_sample(void *self, uint64_t id, bool plain, struct proposal *ret,
                     struct error *err);

#endif
