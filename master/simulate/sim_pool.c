/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the built-in trainer, without its weights. */
#include "master/simulate/sim_pool.h"

#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

static int compare(const struct trial_shared *a, const struct trial_shared *b)
{
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return (a->part > b->part) - (a->part < b->part);
}

/* The newest state of at most `step` steps; 0: from the beginning. */
static uint64_t newest(const struct sim_pool_states *states, uint64_t step)
{
    uint64_t best = 0;
    for (int i = 0; i < SIM_POOL_STATES; i++)
        if (states->steps[i] <= step && states->steps[i] > best)
            best = states->steps[i];
    return best;
}

bool sim_pool_reach(struct trial_shared *at, const struct sim_pool_states *states,
                    int kind, const struct trial_shared *task)
{
    struct trial_shared want = {task->step, trial_kind_is_step(kind) ? task->part : 0};
    int order = compare(at, &want);
    uint64_t state = newest(states, want.step);
    if (order > 0 || (order < 0 && state > at->step))
        *at = (struct trial_shared){.step = state};
    return compare(at, &want) == 0;
}

void sim_pool_train(struct trial_shared *at, struct sim_pool_states *states,
                    const struct config_shared *c)
{
    if (++at->part < c->samples)
        return;
    *at = (struct trial_shared){.step = at->step + 1};
    if (!config_keeps_state(c, at->step) || newest(states, at->step) == at->step)
        return;
    memmove(states->steps + 1, states->steps,
            sizeof states->steps - sizeof *states->steps);
    states->steps[0] = at->step;
}

char *sim_pool_derive(const struct space *space, uint64_t seed, uint64_t step)
{
    struct architecture a;
    struct rng rng;
    rng_init(&rng, seed, RNG_SEARCH, step);
    space_sample(space, space_depth(space, 0), &rng, &a);
    json_t *json = space_to_json(space, &a);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}
