/* SPDX-License-Identifier: Apache-2.0 */
/* A chain space and a configuration for the tests of searches and the controller, made by
 * hand: the reader of configurations has its own tests. */
#ifndef ARCHWAY_TESTS_SEARCH_SPACE_RIG_H
#define ARCHWAY_TESTS_SEARCH_SPACE_RIG_H

#include <string.h>

#include "common/config.h"
#include "common/space/space.h"

/* Zoph & Le's chain of `layers` layers: 4, 4, 4 and 3 choices a layer. */
static inline struct config rig_config(int layers, bool skip)
{
    struct config c;
    memset(&c, 0, sizeof c);
    c.seed = 7;
    c.space.name = SPACE_CONV_CHAIN;
    c.space.conv_chain = (struct config_conv_chain){
        .layers = layers,
        .filter_heights = {4, {1, 3, 5, 7}},
        .filter_widths = {4, {1, 3, 5, 7}},
        .filters = {4, {24, 36, 48, 64}},
        .strides = {3, {1, 2, 3}},
        .skip = skip,
    };
    c.search.strategy = STRATEGY_REINFORCE;
    c.search.batch = 8;
    c.search.controller = (struct config_controller){
        .layers = 2,
        .hidden = 35,
        .init = 0.08,
        .lr = 6e-4,
        .entropy = 1e-4,
        .baseline_decay = 0.95,
        .clip = 0,
        .temperature = 1,
    };
    c.run.mode = MODE_SYNC;
    return c;
}

#endif
