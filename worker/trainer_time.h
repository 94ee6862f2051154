/* SPDX-License-Identifier: Apache-2.0 */
/* How long does a child take to train here? A short timing, so that a search's cost can
 * be estimated before it runs. */
#ifndef ARCHWAY_WORKER_TRAINER_TIME_H
#define ARCHWAY_WORKER_TRAINER_TIME_H

#include <jansson.h>

#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"

struct trainer_time {
    double images_per_second;            /* trained: forward, backward, update */
    double validation_images_per_second; /* forward only */
    double seconds_per_trial;  /* epochs over facts->train and facts->validation images */
    double params, flops;      /* flops: forward, per image */
    double memory;             /* bytes of network, optimiser and a batch */
    int batch, threads, steps; /* steps timed */
    const char *kernels;       /* that were timed; static */
};

/* Train the child of `architecture` (see space_to_json) for about `seconds` (at least one
 * step is timed after one to warm up) on random images of the shape in `facts`, with
 * config's batch, optimiser, threads_per_trial and memory limit, all on this process's
 * cores. No data is read: the time a step takes does not depend on the images. Reading
 * and augmenting them is not in the figures. Errors as training: ERROR_INPUT for an
 * architecture that cannot be built or does not fit the memory limit. Blocking. */
int trainer_time(const struct config *config, const struct data_facts *facts,
                 const json_t *architecture, double seconds, struct trainer_time *ret,
                 struct error *err);
/* As a JSON object. New reference; NULL when memory is gone. */
json_t *trainer_time_to_json(const struct trainer_time *time);

#endif
