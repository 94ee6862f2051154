/* SPDX-License-Identifier: Apache-2.0 */
/* What a search will cost, before it runs: random architectures of the space, spread over
 * the growing schedule, three of them timed. */
#ifndef ARCHWAY_MASTER_CLI_ESTIMATE_H
#define ARCHWAY_MASTER_CLI_ESTIMATE_H

#include <stdbool.h>

#include "common/space/space.h"
#include "common/text.h"
#include "master/services.h"

enum { ESTIMATE_SMALL, ESTIMATE_MEDIAN, ESTIMATE_LARGE, ESTIMATE_CHILDREN };

struct estimate_child {
    struct space_cost cost;
    double seconds;           /* a trial takes; NAN: not timed */
    double images_per_second; /* trained; NAN: not timed */
};

struct estimate {
    int depth_first, depth_last;
    double log10_first, log10_last; /* size of the space at these depths */
    char units[16];                 /* of the depths: "layers" */
    const char *of;                 /* of what FLOPs are told: "an image"; static */
    bool has_cost;                  /* enough is known of the data */
    struct estimate_child children[ESTIMATE_CHILDREN];
    double mean_seconds; /* of a random trial; NAN: not timed */
    int cores, slots;    /* of this machine: usable cores, trainers side by side */
};

/* seconds: how long each of the three is timed; 0: not at all. facts with height 0: the data
 * is unknown, and so are the costs. Blocking. ERROR_INPUT when a child of the space cannot
 * be built under resources.memory_per_trial. */
int estimate_make(const struct config *config, const struct data_facts *facts,
                  const struct services *services, double seconds, struct estimate *ret,
                  struct error *err);
/* Wall-clock seconds of all trials on so many slots; NAN when unknown or unlimited. */
double estimate_search_seconds(const struct estimate *e, const struct config *config,
                               int slots);

#endif
