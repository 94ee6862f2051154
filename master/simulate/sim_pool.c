/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the built-in trainer, without its weights. */
#include "master/simulate/sim_pool.h"

#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

static uint64_t sync_of(const struct config_shared *c)
{
    return (uint64_t)c->sync_every;
}

static uint64_t round_of(const struct sim_pool *p, const struct config_shared *c)
{
    return p->step / sync_of(c);
}

static size_t place(const struct config_shared *c, uint64_t round, int part)
{
    return (size_t)(round % 2) * (size_t)c->samples + (size_t)part;
}

static bool open_pool(struct sim_pool *p, const struct config_shared *c)
{
    size_t samples = (size_t)c->samples;
    if (p->made)
        return true;
    p->made = calloc(samples, sizeof *p->made);
    p->lanes = calloc(2 * samples, sizeof *p->lanes);
    p->own = calloc(2 * samples, sizeof *p->own);
    if (p->made && p->lanes && p->own)
        return true;
    sim_pool_fini(p);
    return false;
}

void sim_pool_fini(struct sim_pool *p)
{
    free(p->made);
    free(p->lanes);
    free(p->own);
    *p = (struct sim_pool){0};
}

static void clear_round(struct sim_pool *p, const struct config_shared *c)
{
    memset(p->made, 0, (size_t)c->samples * sizeof *p->made);
}

void sim_pool_reset(struct sim_pool *p, const struct config_shared *c)
{
    p->step = p->since = 0;
    p->vain = false;
    if (!p->made)
        return;
    clear_round(p, c);
    memset(p->lanes, 0, 2 * (size_t)c->samples * sizeof *p->lanes);
}

/* --- states ------------------------------------------------------------------------- */

/* The newest state of at most `step` steps; 0: from the beginning. */
static uint64_t newest(const struct sim_pool_states *states, uint64_t step)
{
    uint64_t best = 0;
    for (int i = 0; i < SIM_POOL_STATES; i++)
        if (states->steps[i] <= step && states->steps[i] > best)
            best = states->steps[i];
    return best;
}

static void keep(struct sim_pool_states *states, uint64_t step)
{
    if (newest(states, step) == step)
        return;
    memmove(states->steps + 1, states->steps,
            sizeof states->steps - sizeof *states->steps);
    states->steps[0] = step;
}

/* --- rounds ------------------------------------------------------------------------- */

/* Of the lanes least far the first; -1: the round is complete. */
static int next_lane(const struct sim_pool *p, const struct config_shared *c)
{
    int next = 0;
    for (int part = 1; part < c->samples; part++)
        if (p->made[part] < p->made[next])
            next = part;
    return p->made[next] < sync_of(c) ? next : -1;
}

static void take_round(struct sim_pool *p, struct sim_pool_states *states,
                       const struct config_shared *c)
{
    size_t last = place(c, round_of(p, c), c->samples - 1);
    if (next_lane(p, c) >= 0)
        return;
    p->step += sync_of(c);
    if (p->own[last] && config_keeps_state(c, p->step))
        keep(states, p->step);
    p->vain = false;
    clear_round(p, c);
    for (int part = 0; part < c->samples; part++)
        if (p->lanes[place(c, round_of(p, c), part)] == round_of(p, c) + 1)
            p->made[part] = (uint32_t)sync_of(c);
}

static bool may_wait(const struct sim_pool *p, const struct sim_pool_task *task)
{
    return task->ranks > 1 && task->attempt > 0 && !p->vain;
}

static enum sim_outcome come_to(struct sim_pool *p, struct sim_pool_states *states,
                                const struct config_shared *c, uint64_t step,
                                const struct sim_pool_task *task)
{
    bool before = p->step + sync_of(c) == step;
    if (before && next_lane(p, c) >= 0 && may_wait(p, task) &&
        trial_kind_is_step(task->kind))
        return SIM_WAITS;
    if (before)
        take_round(p, states, c);
    uint64_t state = newest(states, step);
    if (p->step > step || (p->step < step && state > p->step)) {
        p->step = p->since = state;
        p->vain = false;
        clear_round(p, c);
    }
    return p->step == step ? SIM_READY : SIM_BEHIND;
}

/* --- tasks -------------------------------------------------------------------------- */

static bool is_past(const struct sim_pool *p, const struct sim_pool_task *t,
                    uint64_t first, uint32_t made)
{
    if (t->attempt > 0)
        return false;
    if (p->step > first)
        return first >= p->since;
    return p->step == first && p->made[t->shared.part] > made;
}

static bool is_made(const struct sim_pool *p, const struct config_shared *c,
                    const struct sim_pool_task *t, uint64_t first, uint32_t made)
{
    uint64_t sync = sync_of(c), round = first / sync;
    bool near = p->step == first ? p->made[t->shared.part] == sync
                                 : p->step == first + sync && first >= p->since;
    return near && c->samples > 1 && made + 1 == sync &&
           p->lanes[place(c, round, t->shared.part)] == round + 1;
}

static enum sim_outcome begin_step(struct sim_pool *p, struct sim_pool_states *states,
                                   const struct config_shared *c,
                                   const struct sim_pool_task *t)
{
    uint64_t first = t->shared.step - t->shared.step % sync_of(c);
    uint32_t made = (uint32_t)(t->shared.step - first), *lane = &p->made[t->shared.part];
    if (is_past(p, t, first, made))
        return SIM_MADE;
    if (is_made(p, c, t, first, made)) {
        enum sim_outcome outcome =
            p->step == first ? sim_pool_finish(p, states, c, t) : SIM_READY;
        return outcome == SIM_READY ? SIM_MADE : outcome;
    }
    enum sim_outcome outcome = come_to(p, states, c, first, t);
    if (outcome != SIM_READY)
        return outcome;
    if (*lane > made)
        *lane = 0;
    return *lane == made ? SIM_READY : SIM_BEHIND;
}

enum sim_outcome sim_pool_begin(struct sim_pool *p, struct sim_pool_states *states,
                                const struct config_shared *c,
                                const struct sim_pool_task *task)
{
    if (!open_pool(p, c))
        return SIM_BEHIND;
    return trial_kind_is_step(task->kind)
               ? begin_step(p, states, c, task)
               : come_to(p, states, c, task->shared.step, task);
}

void sim_pool_train(struct sim_pool *p, const struct config_shared *c,
                    const struct sim_pool_task *t, bool *ret_whole)
{
    int part = t->shared.part;
    size_t at = place(c, round_of(p, c), part);
    *ret_whole = ++p->made[part] == sync_of(c);
    if (!*ret_whole)
        return;
    p->lanes[at] = round_of(p, c) + 1;
    p->own[at] = true;
}

enum sim_outcome sim_pool_finish(struct sim_pool *p, struct sim_pool_states *states,
                                 const struct config_shared *c,
                                 const struct sim_pool_task *t)
{
    bool last = t->shared.part == c->samples - 1 && p->made[t->shared.part] == sync_of(c);
    bool due = config_keeps_state(c, p->step + sync_of(c));
    if (last)
        p->own[place(c, round_of(p, c), t->shared.part)] = true;
    if (last && due && t->attempt > 0 && next_lane(p, c) >= 0)
        return may_wait(p, t) ? SIM_WAITS : SIM_BEHIND;
    take_round(p, states, c);
    return SIM_READY;
}

bool sim_pool_arrived(struct sim_pool *p, const struct config_shared *c, uint64_t round,
                      int part)
{
    if (!p->made || (round != round_of(p, c) && round != round_of(p, c) + 1))
        return false;
    size_t at = place(c, round, part);
    p->own[at] &= p->lanes[at] == round + 1;
    p->lanes[at] = round + 1;
    if (round != round_of(p, c))
        return false;
    p->vain = false;
    if (p->made[part] == 0)
        p->made[part] = (uint32_t)sync_of(c);
    return next_lane(p, c) < 0;
}

bool sim_pool_has_made(const struct sim_pool *p, const struct config_shared *c,
                       uint64_t round, int part)
{
    size_t at = place(c, round, part);
    return p->made && p->own[at] && p->lanes[at] == round + 1;
}

struct trial_shared sim_pool_lacks(const struct sim_pool *p,
                                   const struct config_shared *c,
                                   const struct sim_pool_task *t)
{
    uint64_t first = t->shared.step - t->shared.step % sync_of(c);
    bool last =
        t->shared.part == c->samples - 1 && t->shared.step + 1 == first + sync_of(c);
    if (!p->made)
        return (struct trial_shared){0};
    int next = next_lane(p, c);
    if (trial_kind_is_step(t->kind) && p->step == first && !last)
        next = t->shared.part;
    if (next < 0)
        return (struct trial_shared){.step = p->step + sync_of(c)};
    return (struct trial_shared){p->step + p->made[next], next};
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
