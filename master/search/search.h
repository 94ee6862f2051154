/* SPDX-License-Identifier: Apache-2.0 */
/* What needs evaluations: one interface for every search, the random control arm, and
 * later grids and comparisons. One file per strategy stands behind it.
 *
 * The caller asks for proposals and tells finished trials; both carry the trial's id. In
 * `mode: sync` the caller lets a strategy that is not oblivious propose `search.batch`
 * trials, waits for all of them, and tells them in the order of their ids; so a strategy
 * that depends only on the sequence of calls has the same history for any number of
 * workers. In `mode: async` calls come in the order of arrival, which the journal keeps.
 * Strategies take no time and no random state from elsewhere: randomness is a function of
 * (run seed, purpose, trial id). */
#ifndef ARCHWAY_MASTER_SEARCH_SEARCH_H
#define ARCHWAY_MASTER_SEARCH_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/architecture.h"
#include "common/config.h"
#include "common/error.h"
#include "common/space/space.h"
#include "common/state.h"
#include "common/trial.h"

enum search_answer {
    SEARCH_TASK, /* a proposal was made */
    SEARCH_WAIT, /* results are needed first */
    SEARCH_DONE  /* nothing left to propose, ever */
};

struct proposal {
    struct architecture architecture;
    double log_probability;  /* natural log under the policy; NAN when not meaningful */
    uint32_t policy_version; /* updates made so far */
    /* Of a strategy with shared weights only; the caller starts them as zeros. */
    uint8_t kind, arm; /* enum trial_kind, enum trial_arm */
    struct trial_shared shared;
};

struct search_setup {
    const struct config *config; /* borrowed for the life of the search */
    const struct space *space;   /* borrowed likewise */
    enum trial_arm arm;
};

struct search_ops {
    const char *name;
    /* Proposals do not depend on results: never made to wait in mode sync. */
    bool oblivious;
    /* Its trials share weights: it says their kind, and proposes both arms itself, of
     * which it is told all. Created for ARM_SEARCH only. */
    bool shared;
    /* *ret is the strategy's own state; freed by destroy (which accepts NULL). */
    int (*create)(const struct search_setup *setup, void **ret, struct error *err);
    void (*destroy)(void *self);
    /* Propose trial `id` (ids of one arm ascend, with gaps). *ret_answer is always set;
     * ret only with SEARCH_TASK. A WAIT or DONE leaves no trace. */
    int (*ask)(void *self, uint64_t id, struct proposal *ret,
               enum search_answer *ret_answer, struct error *err);
    /* A trial of this strategy is finished: DONE or SAVED with a reward (a RELAX step
     * with the cell it led to), or FAILED, then with reward NAN (on_failure: skip) or 0.
     * Every proposal is told exactly once. */
    int (*tell)(void *self, const struct trial *trial, struct error *err);
    /* Everything that the next ask or tell depends on. Two arms share one bag: names are
     * those of the design (controller/..., optimizer/...) for ARM_SEARCH, and start with
     * "control/" for ARM_CONTROL. */
    int (*save)(const void *self, struct state *state, struct error *err);
    int (*load)(void *self, const struct state *state, struct error *err);
};

extern const struct search_ops search_reinforce, search_random, search_shared,
    search_darts;

/* The strategy for config value STRATEGY_X; NULL when there is none. */
const struct search_ops *search_find(int strategy);

#endif
