/* SPDX-License-Identifier: Apache-2.0 */
/* Shared weights in a simulation: only how far they have come, as a trainer would say it
 * (worker/trainer_shared.h), which lanes of a round are there, and which states are on
 * the disk that all workers see. */
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

/* The weights of one trainer. Zero: of none that has begun. */
struct sim_pool {
    uint64_t step, since; /* behind the weights; made here from this one on */
    uint32_t *made;       /* owned; (samples): steps of the round that lanes have made */
    uint64_t *lanes; /* owned; (2, samples): 1 + the round of the lane that is there; 0 */
    bool *own;       /* owned; (2, samples): this trainer has made it */
    bool vain;       /* lanes of others were waited for in vain */
};

struct sim_pool_task {
    int kind, attempt;
    struct trial_shared shared;
    int ranks; /* that make lanes together */
};

enum sim_outcome {
    SIM_READY, /* it can be worked on, or is over */
    SIM_MADE,  /* was made before: there is nothing to do */
    SIM_WAITS, /* for lanes of other ranks */
    SIM_BEHIND
};

void sim_pool_fini(struct sim_pool *p);
/* Its trainer is started anew. */
void sim_pool_reset(struct sim_pool *p, const struct config_shared *c);
/* Bring weights to what a task needs, as far as states and lanes allow. */
enum sim_outcome sim_pool_begin(struct sim_pool *p, struct sim_pool_states *states,
                                const struct config_shared *c,
                                const struct sim_pool_task *task);
/* A step was worked on. *ret_whole: its lane is whole, and others can have it. */
void sim_pool_train(struct sim_pool *p, const struct config_shared *c,
                    const struct sim_pool_task *task, bool *ret_whole);
/* Can the result of a step be told? */
enum sim_outcome sim_pool_finish(struct sim_pool *p, struct sim_pool_states *states,
                                 const struct config_shared *c,
                                 const struct sim_pool_task *task);
/* A lane of another rank comes: is the round under way complete with it? */
bool sim_pool_arrived(struct sim_pool *p, const struct config_shared *c, uint64_t round,
                      int part);
/* Has this trainer made this lane, and has it still? */
bool sim_pool_has_made(const struct sim_pool *p, const struct config_shared *c,
                       uint64_t round, int part);
/* From where on a task lacks something. */
struct trial_shared sim_pool_lacks(const struct sim_pool *p,
                                   const struct config_shared *c,
                                   const struct sim_pool_task *task);
/* The cell that a step of a relaxed one leads to: one that depends on nothing else. JSON;
 * caller frees; NULL when memory is gone. */
char *sim_pool_derive(const struct space *space, uint64_t seed, uint64_t step);

#endif
