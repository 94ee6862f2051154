/* SPDX-License-Identifier: Apache-2.0 */
/* Searches whose architectures share one pool of weights (Pham et al., ICML 2018; Li &
 * Talwalkar, UAI 2019). Every epoch has phases, each a barrier for the next:
 *
 *   TRAIN    search.shared.steps steps of the shared weights, `samples` architectures
 * each CONTROL  search.shared.controller_steps updates of the policy, search.batch
 *            architectures each, with the weights frozen; update u is rewarded on
 *            validation window u + 1
 *   PROBE    `probes` architectures on the whole validation set: how far are we?
 *
 * and after the last epoch
 *
 *   DERIVE   `candidates` architectures, scored on validation window 0, which nothing
 * else uses; on the whole set where all of them are finalists FINAL    the `finalists`
 * best of them, scored on the whole validation set.
 *
 *                  weights are trained with   selected from
 *   enas                 policy                policy
 *   enas-random          policy                uniform
 *   random-shared        uniform               uniform   (no CONTROL)
 *
 * A step whose loss is no number is left out by the weights; one that fails otherwise
 * ends the run. What is selected is sampled without temperature and tanh. `control.share`
 * of PROBE, DERIVE and FINAL is the control arm: uniform, under the same weights. */
#include "master/search/search.h"

#include <math.h>
#include <stdlib.h>

#include "master/search/finalists.h"
#include "master/search/reinforce.h"

enum phase {
    PHASE_TRAIN,
    PHASE_CONTROL,
    PHASE_PROBE,
    PHASE_DERIVE,
    PHASE_FINAL,
    PHASE_OVER
};

/* Where the search is; all that is saved besides policy and finalists. */
struct position {
    int64_t phase, epoch;
    int64_t proposed, told; /* in this phase */
};

struct shared_search {
    struct config_search config;
    double share; /* of the control arm */
    bool policy_trains, policy_selects;
    const struct space *space; /* borrowed */
    void *policy, *uniform;    /* self of search_reinforce (or NULL) and search_random */
    struct position at;
    struct finalists best[ARM_COUNT];
};

/* Are candidates scored on one window first? */
static bool is_screened(const struct config_shared *c)
{
    return c->finalists < c->candidates;
}

static int64_t phase_size(const struct shared_search *s, int64_t phase)
{
    const struct config_shared *c = &s->config.shared;
    switch (phase) {
    case PHASE_TRAIN:
        return (int64_t)c->steps * c->samples;
    case PHASE_CONTROL:
        return s->policy ? (int64_t)c->controller_steps * s->config.batch : 0;
    case PHASE_PROBE:
        return c->probes;
    case PHASE_DERIVE:
        return c->candidates;
    case PHASE_FINAL:
        if (!is_screened(c))
            return 0; /* all of them have that score already */
        return (int64_t)(s->best[ARM_SEARCH].count + s->best[ARM_CONTROL].count);
    default:
        return 0;
    }
}

static void next_phase(const struct shared_search *s, struct position *p)
{
    p->proposed = p->told = 0;
    if (p->phase == PHASE_PROBE && p->epoch + 1 < s->config.shared.epochs) {
        p->epoch++;
        p->phase = PHASE_TRAIN;
    } else {
        p->phase++;
    }
}

/* Leave phases that are over, empty ones included. */
static void settle(struct shared_search *s)
{
    while (s->at.phase != PHASE_OVER && s->at.told == phase_size(s, s->at.phase))
        next_phase(s, &s->at);
}

/* Of the k-th proposal of a phase of selection. */
static enum trial_arm arm_of(const struct shared_search *s, int64_t k)
{
    double before = floor((double)k * s->share),
           after = floor((double)(k + 1) * s->share);
    return after > before ? ARM_CONTROL : ARM_SEARCH;
}

static void shared_destroy(void *self)
{
    struct shared_search *s = self;
    if (!s)
        return;
    search_reinforce.destroy(s->policy);
    search_random.destroy(s->uniform);
    for (int arm = 0; arm < ARM_COUNT; arm++)
        finalists_fini(&s->best[arm]);
    free(s);
}

static int make_parts(struct shared_search *s, const struct search_setup *setup,
                      struct error *err)
{
    int most = s->config.shared.finalists;
    int control = s->share > 0 ? (int)ceil(most * s->share) : 0;
    int status = search_random.create(setup, &s->uniform, err);
    if (status == 0 && s->policy_trains)
        status = search_reinforce.create(setup, &s->policy, err);
    if (status == 0)
        status = finalists_init(&s->best[ARM_SEARCH], (size_t)(most - control), err);
    if (status == 0)
        status = finalists_init(&s->best[ARM_CONTROL], (size_t)control, err);
    return status;
}

static int shared_create(const struct search_setup *setup, void **ret, struct error *err)
{
    int strategy = setup->config->search.strategy;
    if (setup->arm != ARM_SEARCH)
        return error_set(
            err, ERROR_INPUT,
            "control.strategy: a search with shared weights proposes its own "
            "control arm");
    struct shared_search *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "no memory for a search with shared weights");
    s->config = setup->config->search;
    s->share = setup->config->control.share;
    s->policy_trains = strategy != STRATEGY_RANDOM_SHARED;
    s->policy_selects = strategy == STRATEGY_ENAS;
    s->space = setup->space;
    int status = make_parts(s, setup, err);
    if (status != 0) {
        shared_destroy(s);
        return status;
    }
    settle(s);
    *ret = s;
    return 0;
}

static int sample_uniform(struct shared_search *s, uint64_t id, struct proposal *ret,
                          struct error *err)
{
    enum search_answer answer;
    return search_random.ask(s->uniform, id, ret, &answer, err);
}

static int propose_step(struct shared_search *s, uint64_t id, int64_t k,
                        struct proposal *ret, struct error *err)
{
    const struct config_shared *c = &s->config.shared;
    ret->kind = TRIAL_TRAIN_SHARED;
    ret->shared.step = (uint64_t)(s->at.epoch * c->steps + k / c->samples);
    ret->shared.part = (int32_t)(k % c->samples);
    return s->policy_trains ? reinforce_sample(s->policy, id, false, ret, err)
                            : sample_uniform(s, id, ret, err);
}

static int propose_selection(struct shared_search *s, uint64_t id, int64_t k,
                             struct proposal *ret, struct error *err)
{
    const struct config_shared *c = &s->config.shared;
    bool screened = s->at.phase == PHASE_DERIVE && is_screened(c);
    ret->arm = (uint8_t)arm_of(s, k);
    ret->shared.part = screened ? 0 : -1;
    return s->policy_selects && ret->arm == ARM_SEARCH
               ? reinforce_sample(s->policy, id, true, ret, err)
               : sample_uniform(s, id, ret, err);
}

static void propose_finalist(struct shared_search *s, int64_t k, struct proposal *ret)
{
    const struct finalists *search = &s->best[ARM_SEARCH];
    ret->arm = (size_t)k < search->count ? ARM_SEARCH : ARM_CONTROL;
    size_t at = (size_t)k - (ret->arm == ARM_SEARCH ? 0 : search->count);
    architecture_copy(s->best[ret->arm].entries[at].architecture, &ret->architecture);
    ret->shared.part = -1;
    ret->log_probability = NAN;
}

/* EVAL of the phases behind the training of this epoch. */
static int propose_score(struct shared_search *s, uint64_t id, int64_t k,
                         struct proposal *ret, enum search_answer *ret_answer,
                         struct error *err)
{
    const struct config_shared *c = &s->config.shared;
    ret->kind = TRIAL_EVAL_SHARED;
    ret->shared.step = (uint64_t)((s->at.epoch + 1) * c->steps);
    if (s->at.phase == PHASE_CONTROL) {
        int64_t update = s->at.epoch * c->controller_steps + k / s->config.batch;
        ret->shared.part = 1 + (int32_t)(update % (INT32_MAX - 1));
        return search_reinforce.ask(s->policy, id, ret, ret_answer, err);
    }
    if (s->at.phase != PHASE_FINAL)
        return propose_selection(s, id, k, ret, err);
    propose_finalist(s, k, ret);
    return 0;
}

static int shared_ask(void *self, uint64_t id, struct proposal *ret,
                      enum search_answer *ret_answer, struct error *err)
{
    struct shared_search *s = self;
    int64_t k = s->at.proposed;
    *ret_answer = s->at.phase == PHASE_OVER ? SEARCH_DONE : SEARCH_WAIT;
    if (s->at.phase == PHASE_OVER || k == phase_size(s, s->at.phase))
        return 0;
    *ret_answer = SEARCH_TASK;
    ret->arm = ARM_SEARCH;
    int status = s->at.phase == PHASE_TRAIN
                     ? propose_step(s, id, k, ret, err)
                     : propose_score(s, id, k, ret, ret_answer, err);
    if (status == 0 && *ret_answer == SEARCH_TASK)
        s->at.proposed++;
    return status;
}

static int shared_tell(void *self, const struct trial *trial, struct error *err)
{
    struct shared_search *s = self;
    int status = 0;
    if (s->at.told >= s->at.proposed)
        return error_set(err, ERROR_INPUT, "trial %llu: nothing was asked for",
                         (unsigned long long)trial->id);
    if (trial->kind == TRIAL_TRAIN_SHARED && trial->state == TRIAL_FAILED &&
        trial->failure != FAILURE_NAN)
        return error_set(err, ERROR_FAILED,
                         "trial %llu, a step of the shared weights, failed, and later steps "
                         "build on it: %s",
                         (unsigned long long)trial->id,
                         trial->reason ? trial->reason : "no reason");
    if (s->at.phase == PHASE_CONTROL)
        status = search_reinforce.tell(s->policy, trial, err);
    else if (s->at.phase == PHASE_DERIVE)
        status = finalists_add(&s->best[trial->arm], trial, err);
    if (status != 0)
        return status;
    s->at.told++;
    settle(s);
    return 0;
}

static const char *const position_names[] = {"shared/phase", "shared/epoch",
                                             "shared/proposed", "shared/told"};

static int shared_save(const void *self, struct state *state, struct error *err)
{
    const struct shared_search *s = self;
    const int64_t values[] = {s->at.phase, s->at.epoch, s->at.proposed, s->at.told};
    int status = s->policy ? search_reinforce.save(s->policy, state, err) : 0;
    for (int i = 0; i < 4 && status == 0; i++)
        status = state_put_i64(state, position_names[i], values[i], err);
    if (status == 0)
        status = finalists_save(&s->best[ARM_SEARCH], "shared/finalists", state, err);
    if (status == 0)
        status =
            finalists_save(&s->best[ARM_CONTROL], "shared/control_finalists", state, err);
    return status;
}

static bool is_possible(const struct shared_search *s, const struct position *p)
{
    return p->phase >= PHASE_TRAIN && p->phase <= PHASE_OVER && p->epoch >= 0 &&
           p->epoch < s->config.shared.epochs && p->told >= 0 && p->told <= p->proposed &&
           p->proposed <= phase_size(s, p->phase) &&
           (p->phase == PHASE_OVER || p->told < phase_size(s, p->phase));
}

static int load_position(struct shared_search *s, const struct state *state,
                         struct error *err)
{
    int64_t v[4] = {0};
    for (int i = 0; i < 4; i++) {
        int status = state_get_i64(state, position_names[i], &v[i], err);
        if (status != 0)
            return status;
    }
    struct position p = {.phase = v[0], .epoch = v[1], .proposed = v[2], .told = v[3]};
    if (!is_possible(s, &p))
        return error_set(
            err, ERROR_CORRUPT,
            "saved search with shared weights: phase %lld of epoch %lld with "
            "%lld proposed and %lld told cannot be",
            (long long)v[0], (long long)v[1], (long long)v[2], (long long)v[3]);
    s->at = p;
    return 0;
}

static int shared_load(void *self, const struct state *state, struct error *err)
{
    struct shared_search *s = self;
    int status =
        finalists_load(&s->best[ARM_SEARCH], "shared/finalists", s->space, state, err);
    if (status == 0)
        status = finalists_load(&s->best[ARM_CONTROL], "shared/control_finalists",
                                s->space, state, err);
    if (status == 0)
        status = load_position(s, state, err);
    return status == 0 && s->policy ? search_reinforce.load(s->policy, state, err)
                                    : status;
}

const struct search_ops search_shared = {
    .name = "shared",
    .oblivious = false,
    .shared = true,
    .create = shared_create,
    .destroy = shared_destroy,
    .ask = shared_ask,
    .tell = shared_tell,
    .save = shared_save,
    .load = shared_load,
};
