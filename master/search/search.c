/* SPDX-License-Identifier: Apache-2.0 */
/* The table of strategies, in the order of enum config_strategy. */
#include "master/search/search.h"

#include <stddef.h>

const struct search_ops *search_find(int strategy)
{
    switch (strategy) {
    case STRATEGY_REINFORCE:
        return &search_reinforce;
    case STRATEGY_RANDOM:
        return &search_random;
    default:
        return NULL;
    }
}
