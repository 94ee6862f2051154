/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes of shared weights that ranks make for each other, as worker/exchange.h and
 * worker/trainer_shared.h have it. */
#include <stdlib.h>
#include <string.h>

#include "master/simulate/cohort_private.h"
#include "proto/wire_sim.h"

enum { PART_BITS = 10 };
/* Seconds: of a lane on its way; before lanes are asked for again; and for how long. */
static const double travel = 0.02, before_asking = 0.5, patience = 3;

struct sim_pool_task cohort_task(const struct cohort *c, int rank)
{
    const struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    return (struct sim_pool_task){.kind = o->kind,
                                  .attempt = o->attempt,
                                  .shared = o->shared,
                                  .ranks = w->gang_count > 0 ? w->gang_count : 1};
}

void cohort_wait(struct cohort *c, int rank, enum wait when)
{
    struct member *w = &c->members[rank];
    bool waited = (w->waits & ~WAITS_ASKED) == when;
    if (waited)
        return;
    w->waits = (uint8_t)when;
    w->runs++;
    cohort_arm(c, rank, cohort_now(c) + before_asking, TIMER_VAIN, w->runs);
}

static void send_to(struct cohort *c, int to, uint64_t round, int part)
{
    cohort_arm(c, to, cohort_now(c) + travel * (0.5 + rng_double(&c->rng)), TIMER_LANE,
               round << PART_BITS | (uint64_t)part);
}

static bool is_member(const struct member *w, int rank)
{
    for (int i = 0; i < w->gang_count; i++)
        if (w->gang[i] == rank)
            return true;
    return false;
}

void cohort_send_lane(struct cohort *c, int rank, uint64_t round, int part)
{
    const struct member *w = &c->members[rank];
    for (int i = 0; i < w->gang_count; i++)
        if (w->gang[i] != rank && !cohort_strikes(c, FAULT_DELAYED))
            send_to(c, w->gang[i], round, part);
}

/* Go on with what was waited for, if that is possible now. */
static void try_again(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    if ((w->waits & ~WAITS_ASKED) == WAITS_AFTER)
        cohort_finish(c, rank);
    else if (w->waits != WAITS_NOT)
        cohort_begin(c, rank);
}

void cohort_take_lane(struct cohort *c, int rank, uint64_t number)
{
    struct member *w = &c->members[rank];
    uint64_t round = number >> PART_BITS;
    int part = (int)(number & ((1u << PART_BITS) - 1));
    if (sim_pool_arrived(&w->pool, &c->setup.config->search.shared, round, part) &&
        w->waits != WAITS_NOT)
        try_again(c, rank);
}

/* Whoever has made lanes of the round under way sends them again. */
static void ask(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct config_shared *shared = &c->setup.config->search.shared;
    uint64_t round = w->pool.step / (uint64_t)shared->sync_every;
    for (int i = 0; i < w->gang_count; i++) {
        const struct member *from = &c->members[w->gang[i]];
        if (w->gang[i] == rank || from->over || !is_member(from, rank))
            continue;
        for (int part = 0; part < shared->samples; part++)
            if (sim_pool_has_made(&from->pool, shared, round, part))
                send_to(c, rank, round, part);
    }
}

void cohort_wait_vainly(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    if (!(w->waits & WAITS_ASKED)) {
        w->waits |= WAITS_ASKED;
        ask(c, rank);
        cohort_arm(c, rank, cohort_now(c) + patience - before_asking, TIMER_VAIN,
                   w->runs);
        return;
    }
    w->pool.vain = true;
    try_again(c, rank);
}

void cohort_take_gang(struct cohort *c, int rank, const struct message_gang *gang)
{
    struct member *w = &c->members[rank];
    bool here = false;
    for (int i = 0; i < gang->count; i++)
        here |= gang->ranks[i] == rank;
    free(w->gang);
    w->gang_count = 0;
    w->gang = here ? malloc((size_t)gang->count * sizeof *w->gang) : NULL;
    if (w->gang) {
        memcpy(w->gang, gang->ranks, (size_t)gang->count * sizeof *w->gang);
        w->gang_count = gang->count;
    }
    w->pool.vain = false;
    if (w->waits == WAITS_NOT)
        return;
    /* What others had under way may not come any more. */
    w->waits |= WAITS_ASKED;
    cohort_arm(c, rank, cohort_now(c) + before_asking, TIMER_VAIN, w->runs);
}
