/* SPDX-License-Identifier: Apache-2.0 */
/* The strategies by value of search.strategy. */
#include "master/search/search.h"

#include <stddef.h>

const struct search_ops *search_find(int strategy)
{
    switch (strategy) {
    case STRATEGY_REINFORCE:
        return &search_reinforce;
    case STRATEGY_RANDOM:
        return &search_random;
    case STRATEGY_ENAS:
    case STRATEGY_ENAS_RANDOM:
    case STRATEGY_RANDOM_SHARED:
        return &search_shared;
    case STRATEGY_DARTS:
        return &search_darts;
    default:
        return NULL;
    }
}
