/* SPDX-License-Identifier: Apache-2.0 */
/* The ranks that make the lanes of a step of shared weights together: lane p is made by
 * the member p mod R of R, in the first slot of its rank, and they send each other what
 * they have made (worker/exchange.h). Every member adds up the lanes in the same order,
 * so how many there are changes no bit of the weights.
 *
 * Who falls out leaves at once. Who is new joins where a state of the weights is kept, so
 * that it need not make steps again that the others have made long ago. */
#include "master/dispatcher_internal.h"

#include <stdlib.h>
#include <string.h>

bool dispatcher_has_gang(const struct dispatcher *d)
{
    const struct config *c = engine_config(d->setup.engine);
    return d->setup.gangs && config_shares_weights(c) && c->search.shared.samples > 1;
}

static bool is_fit(const struct dispatcher *d, int rank)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    return dispatcher_is_open(w) && w->slot_count > 0;
}

static bool is_member(const int32_t *ranks, int count, int rank)
{
    for (int i = 0; i < count; i++)
        if (ranks[i] == rank)
            return true;
    return false;
}

/* The members that are left, in their order, and `join`: others behind them. */
static int choose(const struct dispatcher *d, bool join, int most, int32_t *ret)
{
    const struct dispatcher_gang *g = &d->gang;
    int count = 0;
    for (int i = 0; i < g->count; i++)
        if (is_fit(d, g->ranks[i]))
            ret[count++] = g->ranks[i];
    join |= count == 0;
    for (int rank = 1; join && rank < d->setup.wire->size && count < most; rank++)
        if (is_fit(d, rank) && !is_member(ret, count, rank))
            ret[count++] = rank;
    return count;
}

/* Of both, whoever is there hears of it. */
static int tell(struct dispatcher *d, const int32_t *old, int old_count,
                struct error *err)
{
    struct dispatcher_gang *g = &d->gang;
    struct message m = {.type = MESSAGE_GANG,
                        .gang = {.count = g->count, .ranks = g->ranks}};
    int status = 0;
    for (int i = 0; i < g->count && status == 0; i++)
        status = dispatcher_send(d, g->ranks[i], &m, err);
    for (int i = 0; i < old_count && status == 0; i++)
        if (!is_member(g->ranks, g->count, old[i]) &&
            d->workers[old[i]].state != WORKER_LOST)
            status = dispatcher_send(d, old[i], &m, err);
    return status;
}

static bool may_join(const struct dispatcher *d, const struct trial *t)
{
    const struct config_shared *c = &engine_config(d->setup.engine)->search.shared;
    bool first = t->shared.step % (uint64_t)c->sync_every == 0;
    return d->gang.count == 0 || d->gang.alone ||
           (first && config_keeps_state(c, t->shared.step));
}

/* Looks at every rank, so only when something may have changed. */
static int form(struct dispatcher *d, const struct trial *t, struct error *err)
{
    struct dispatcher_gang *g = &d->gang;
    int most = engine_config(d->setup.engine)->search.shared.samples;
    bool join = may_join(d, t);
    if (!g->left && !(g->came && join) && !g->broken)
        return 0;
    int32_t *ranks = malloc((size_t)most * sizeof *ranks), *old = g->ranks;
    if (!ranks)
        return error_set(err, ERROR_SYSTEM, "no memory for a gang of ranks");
    int count = choose(d, join, most, ranks), old_count = g->count;
    bool same = count == old_count &&
                (count == 0 || memcmp(ranks, old, (size_t)count * sizeof *ranks) == 0);
    bool tells = !same || g->broken;
    g->ranks = ranks;
    g->count = count;
    g->came &= !join;
    g->left = g->broken = g->alone = false;
    int status = tells ? tell(d, old, old_count, err) : 0;
    free(old);
    return status;
}

void dispatcher_break_gang(struct dispatcher *d, const struct trial *t)
{
    if (t->kind == TRIAL_TRAIN_SHARED && d->gang.count > 0)
        d->gang.broken = true;
}

/* The member whose lane it is; the next one when it failed there. */
static int member_of(struct dispatcher *d, const struct trial *t)
{
    struct dispatcher_gang *g = &d->gang;
    int at = t->shared.part % g->count;
    bool failed = t->attempts > 0 && t->failure != FAILURE_NONE;
    if (!failed || t->worker != g->ranks[at])
        return g->ranks[at];
    g->alone = g->count == 1; /* whoever else there is may help at once */
    return g->ranks[(at + 1) % g->count];
}

int dispatcher_pair_lane(struct dispatcher *d, int depth, const struct trial *t,
                         struct dispatcher_slot **ret, struct error *err)
{
    *ret = NULL;
    int status = form(d, t, err);
    if (status != 0 || d->gang.count == 0)
        return status;
    int rank = member_of(d, t);
    if (d->gang.alone) {
        status = form(d, t, err);
        rank = status == 0 ? member_of(d, t) : rank;
        d->gang.alone = false;
    }
    struct dispatcher_slot *s = &d->workers[rank].slots[0];
    if (status == 0 && s->count < depth)
        *ret = s;
    return status;
}

void dispatcher_gang_fini(struct dispatcher *d)
{
    free(d->gang.ranks);
}
