/* SPDX-License-Identifier: Apache-2.0 */
/* A search with a synthetic reward in place of training: asked, answered and told in
 * order, as a master would. */
#ifndef ARCHWAY_TESTS_SEARCH_SEARCH_RIG_H
#define ARCHWAY_TESTS_SEARCH_SEARCH_RIG_H

#include <math.h>

#include "master/search/search.h"
#include "tests/search/space_rig.h"
#include "tests/unit/unit.h"

struct search_rig {
    struct config config;
    struct space *space;
    const struct search_ops *ops;
    void *self;
};

static inline void search_rig_init(struct search_rig *g, const struct config *config,
                                   int strategy)
{
    struct error err = {0};
    g->config = *config;
    g->ops = search_find(strategy);
    ck_assert_ptr_nonnull(g->ops);
    ck_assert_msg(space_new(&g->config, &g->space, &err) == 0, "%s", err.text);
    struct search_setup setup = {&g->config, g->space, ARM_SEARCH};
    ck_assert_msg(g->ops->create(&setup, &g->self, &err) == 0, "%s", err.text);
}

static inline void search_rig_fini(struct search_rig *g)
{
    g->ops->destroy(g->self);
    space_free(g->space);
}

/* Share of the tokens that are as wanted: choice 2 of each, stride 0; the optimum is 1.
 */
static inline double search_reward(const struct architecture *a)
{
    int hits = 0;
    for (int i = 0; i < a->count; i++)
        hits += a->tokens[i] == (i % 4 == 3 ? 0 : 2);
    return (double)hits / (double)a->count;
}

static inline enum search_answer search_rig_ask(struct search_rig *g, uint64_t id,
                                                struct proposal *p)
{
    struct error err = {0};
    enum search_answer answer = SEARCH_DONE;
    ck_assert_msg(g->ops->ask(g->self, id, p, &answer, &err) == 0, "%s", err.text);
    return answer;
}

static inline void search_rig_tell(struct search_rig *g, uint64_t id, struct proposal *p,
                                   double reward)
{
    struct error err = {0};
    struct trial trial = {.id = id,
                          .state = isnan(reward) ? TRIAL_FAILED : TRIAL_DONE,
                          .architecture = &p->architecture,
                          .reward = reward,
                          .log_probability = p->log_probability,
                          .same_as = -1,
                          .policy_version = p->policy_version};
    ck_assert_msg(g->ops->tell(g->self, &trial, &err) == 0, "%s", err.text);
}

#endif
