/* SPDX-License-Identifier: Apache-2.0 */
/* Shared weights in a simulation: only how far they have come, as a trainer would say it
 * (worker/trainer_shared.h), and which states are on the disk that all workers see. */
#ifndef ARCHWAY_MASTER_SIMULATE_SIM_POOL_H
#define ARCHWAY_MASTER_SIMULATE_SIM_POOL_H

#include <stdbool.h>

#include "common/config.h"
#include "common/space/space.h"
#include "common/trial.h"

enum { SIM_POOL_STATES = 3 };

struct sim_pool_states {
    uint64_t steps[SIM_POOL_STATES]; /* newest first; 0: none */
};

/* Bring weights at *at to what a task needs, as far as states allow; is that far enough?
 */
bool sim_pool_reach(struct trial_shared *at, const struct sim_pool_states *states,
                    int kind, const struct trial_shared *task);
/* One architecture more was trained. */
void sim_pool_train(struct trial_shared *at, struct sim_pool_states *states,
                    const struct config_shared *c);
/* The cell that a step of a relaxed one leads to: one that depends on nothing else. JSON;
 * caller frees; NULL when memory is gone. */
char *sim_pool_derive(const struct space *space, uint64_t seed, uint64_t step);

#endif
