/* SPDX-License-Identifier: Apache-2.0 */
/* The candidates of the end are the larger sample, so once there are some they are it;
 * before, it is the newest probes (master/search/shared.c). */
#include "master/analysis/evaluations.h"

/* A candidate that is scored on window 0. */
static bool is_candidate(const struct trial *t)
{
    return t->kind == TRIAL_EVAL_SHARED && t->shared.part == 0;
}

struct evaluations evaluations_find(const struct ledger *l, const struct config *config)
{
    struct evaluations e = {.shared =
                                config_shares_weights(config) && !config_relaxes(config),
                            .sample_part = -1};
    for (uint64_t id = 0; e.shared && id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        bool scored = t->state == TRIAL_DONE;
        if (scored && is_candidate(t))
            e.sample_part = 0;
        if (scored && t->kind == TRIAL_EVAL_SHARED && trial_is_evaluation(t) &&
            t->shared.step > e.final_step)
            e.final_step = t->shared.step;
    }
    e.sample_step = e.final_step;
    for (uint64_t id = ledger_count(l); e.sample_part == 0 && id-- > 0;) {
        const struct trial *t = ledger_trial(l, id);
        if (!is_candidate(t))
            continue;
        e.sample_step = t->shared.step;
        break;
    }
    return e;
}

bool evaluations_is_sample(const struct evaluations *e, const struct trial *t)
{
    if (!e->shared)
        return t->kind == TRIAL_TRAIN_CHILD;
    return t->kind == TRIAL_EVAL_SHARED && t->shared.part == e->sample_part &&
           t->shared.step == e->sample_step;
}

bool evaluations_is_final(const struct evaluations *e, const struct trial *t)
{
    if (!e->shared)
        return t->kind == TRIAL_TRAIN_CHILD;
    return t->kind == TRIAL_EVAL_SHARED && t->shared.part < 0 &&
           t->shared.step == e->final_step;
}
