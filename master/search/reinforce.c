/* SPDX-License-Identifier: Apache-2.0 */
/* REINFORCE with a moving-average baseline (Zoph & Le, ICLR 2017, section 3.2):
 *
 *     grad J = (1/m) sum_k sum_t grad log P(a_t | a_<t) (R_k - b)
 *
 * Every `search.batch` told trials make one update. The advantage of a trial is taken
 * when it is told, against b of the rewards told before it; then b = decay b + (1 -
 * decay) R. The first reward of all becomes b, and its own advantage is 0. A trial
 * without a reward counts towards its batch but is left out of the sum, of m and of b; a
 * batch without any reward makes no update.
 *
 * With entropy_estimate sampled, -log P(a) of the proposal, times the entropy weight, is
 * part of the reward (Pham et al.'s code), and the update has no term of its own.
 *
 * In mode sync the batch is the round: ask answers WAIT once it is proposed, until all of
 * it is told. In mode async nothing waits, and an update may hold proposals of an older
 * policy (see controller_gradient). */
#include "master/search/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/controller.h"
#include "master/search/architecture_list.h"
#include "master/search/reinforce.h"

struct pending {
    struct architecture architecture;
    double reward, advantage; /* NAN: no reward */
};

struct reinforce {
    const struct space *space; /* borrowed */
    struct controller *controller;
    char prefix[16]; /* of saved names */
    bool sync;
    int64_t batch, proposed; /* of this round; counted in mode sync only */
    int64_t told;            /* entries of pending, < batch */
    struct pending *pending; /* (batch) */
    const struct architecture **architectures; /* (batch): those with a reward */
    double *advantages;                        /* (batch) */
    double decay, baseline;                    /* baseline: NAN before the first reward */
    double bonus;                              /* weight of -log P in the reward */
};

static void reinforce_destroy(void *self)
{
    struct reinforce *s = self;
    if (!s)
        return;
    controller_free(s->controller);
    free(s->pending);
    free(s->architectures);
    free(s->advantages);
    free(s);
}

static int allocate(struct reinforce *s, struct error *err)
{
    size_t n = (size_t)s->batch;
    s->pending = calloc(n, sizeof *s->pending);
    s->architectures = calloc(n, sizeof *s->architectures);
    s->advantages = calloc(n, sizeof *s->advantages);
    if (!s->pending || !s->architectures || !s->advantages)
        return error_set(err, ERROR_SYSTEM, "reinforce: no memory for a batch of %lld",
                         (long long)s->batch);
    return 0;
}

static int reinforce_create(const struct search_setup *setup, void **ret,
                            struct error *err)
{
    const struct config_search *config = &setup->config->search;
    if (config->batch < 1)
        return error_set(err, ERROR_INPUT, "search.batch is %d, it must be at least 1",
                         config->batch);
    struct reinforce *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "reinforce: no memory");
    s->space = setup->space;
    s->sync = setup->config->run.mode == MODE_SYNC;
    s->batch = config->batch;
    s->decay = config->controller.baseline_decay;
    s->baseline = NAN;
    struct config_controller controller = config->controller;
    if (controller.entropy_estimate == ENTROPY_SAMPLED) {
        s->bonus = controller.entropy;
        controller.entropy = 0;
    }
    snprintf(s->prefix, sizeof s->prefix, "%s",
             setup->arm == ARM_CONTROL ? "control/" : "");
    int status = allocate(s, err);
    if (status == 0)
        status = controller_new(&controller, setup->space, setup->config->seed,
                                &s->controller, err);
    if (status < 0) {
        reinforce_destroy(s);
        return status;
    }
    *ret = s;
    return 0;
}

int reinforce_sample(void *self, uint64_t id, bool plain, struct proposal *ret,
                     struct error *err)
{
    struct reinforce *s = self;
    controller_set_plain(s->controller, plain);
    int status = controller_sample(s->controller, space_depth(s->space, id), &id, 1,
                                   &ret->architecture, &ret->log_probability, err);
    controller_set_plain(s->controller, false);
    ret->policy_version = controller_version(s->controller);
    return status;
}

static int reinforce_ask(void *self, uint64_t id, struct proposal *ret,
                         enum search_answer *ret_answer, struct error *err)
{
    struct reinforce *s = self;
    *ret_answer = SEARCH_WAIT;
    if (s->sync && s->proposed == s->batch)
        return 0;
    int status = reinforce_sample(s, id, false, ret, err);
    if (status < 0)
        return status;
    s->proposed += s->sync;
    *ret_answer = SEARCH_TASK;
    return 0;
}

/* One update from the full batch. */
static int learn(struct reinforce *s, struct error *err)
{
    size_t n = 0;
    for (int64_t i = 0; i < s->batch; i++) {
        if (isnan(s->pending[i].reward))
            continue;
        s->architectures[n] = &s->pending[i].architecture;
        s->advantages[n++] = s->pending[i].advantage;
    }
    s->told = 0;
    s->proposed = 0;
    return n ? controller_update(s->controller, s->architectures, s->advantages, n, err)
             : 0;
}

static double take_advantage(struct reinforce *s, double reward)
{
    if (isnan(s->baseline))
        s->baseline = reward;
    double advantage = reward - s->baseline;
    s->baseline = s->decay * s->baseline + (1 - s->decay) * reward;
    return advantage;
}

static int reinforce_tell(void *self, const struct trial *trial, struct error *err)
{
    struct reinforce *s = self;
    if (isinf(trial->reward))
        return error_set(err, ERROR_INPUT, "trial %llu: its reward is infinite",
                         (unsigned long long)trial->id);
    int status = space_validate(s->space, trial->architecture, err);
    if (status < 0) {
        error_prefix(err, "trial %llu", (unsigned long long)trial->id);
        return status;
    }
    struct pending *p = &s->pending[s->told++];
    architecture_copy(trial->architecture, &p->architecture);
    p->reward = trial->reward;
    double bonus = s->bonus > 0 ? -s->bonus * trial->log_probability : 0;
    p->advantage = isnan(trial->reward) ? NAN : take_advantage(s, trial->reward + bonus);
    return s->told == s->batch ? learn(s, err) : 0;
}

/* What is saved besides the controller: three scalars, and the pending trials as a list
 * of architectures and a table of rewards and advantages. */

static const char *name_of(const struct reinforce *s, const char *key, char *text)
{
    snprintf(text, STATE_NAME, "%scontroller/%s", s->prefix, key);
    return text;
}

static int save_pending(const struct reinforce *s, struct state *state, struct error *err)
{
    size_t n = (size_t)s->told, dims[2] = {n, 2};
    char tokens[STATE_NAME], shape[STATE_NAME], name[STATE_NAME];
    double *values = calloc(2 * n, sizeof *values);
    if (!values)
        return error_set(err, ERROR_SYSTEM, "reinforce: no memory to save");
    for (size_t i = 0; i < n; i++) {
        s->architectures[i] = &s->pending[i].architecture;
        values[2 * i] = s->pending[i].reward;
        values[2 * i + 1] = s->pending[i].advantage;
    }
    int status =
        architecture_list_save(s->architectures, n, name_of(s, "pending_tokens", tokens),
                               name_of(s, "pending_depth_count", shape), state, err);
    if (status == 0)
        status = state_put(state, name_of(s, "pending_reward_advantage", name), STATE_F64,
                           2, dims, values, err);
    free(values);
    return status;
}

static int reinforce_save(const void *self, struct state *state, struct error *err)
{
    const struct reinforce *s = self;
    char name[STATE_NAME];
    int status = controller_save(s->controller, s->prefix, state, err);
    if (status == 0)
        status = state_put_f64(state, name_of(s, "baseline", name), s->baseline, err);
    if (status == 0)
        status = state_put_i64(state, name_of(s, "proposed", name), s->proposed, err);
    if (status == 0)
        status = state_put_i64(state, name_of(s, "told", name), s->told, err);
    return status == 0 && s->told > 0 ? save_pending(s, state, err) : status;
}

static int load_values(const struct reinforce *s, const struct state *state, size_t n,
                       struct pending *ret, struct error *err)
{
    char name[STATE_NAME];
    double *values = calloc(2 * n, sizeof *values);
    if (!values)
        return error_set(err, ERROR_SYSTEM, "reinforce: no memory to load");
    int status = state_get(state, name_of(s, "pending_reward_advantage", name), STATE_F64,
                           2 * n, values, err);
    for (size_t i = 0; i < n && status == 0; i++) {
        ret[i].reward = values[2 * i];
        ret[i].advantage = values[2 * i + 1];
        if (isinf(ret[i].reward) || isinf(ret[i].advantage) ||
            isnan(ret[i].reward) != isnan(ret[i].advantage))
            status = error_set(err, ERROR_CORRUPT, "a pending trial is out of bounds");
    }
    free(values);
    return status;
}

static int load_pending(const struct reinforce *s, const struct state *state, size_t n,
                        struct pending *ret, struct error *err)
{
    char tokens[STATE_NAME], shape[STATE_NAME];
    struct architecture **list = calloc(n, sizeof *list);
    if (!list)
        return error_set(err, ERROR_SYSTEM, "reinforce: no memory to load");
    for (size_t i = 0; i < n; i++)
        list[i] = &ret[i].architecture;
    int status = architecture_list_load(list, n, name_of(s, "pending_tokens", tokens),
                                        name_of(s, "pending_depth_count", shape),
                                        s->space, state, err);
    free(list);
    return status == 0 ? load_values(s, state, n, ret, err) : status;
}

static int load_scalars(const struct reinforce *s, const struct state *state,
                        double *ret_baseline, int64_t *ret_proposed, int64_t *ret_told,
                        struct error *err)
{
    char name[STATE_NAME];
    int status = state_get_f64(state, name_of(s, "baseline", name), ret_baseline, err);
    if (status == 0)
        status = state_get_i64(state, name_of(s, "proposed", name), ret_proposed, err);
    if (status == 0)
        status = state_get_i64(state, name_of(s, "told", name), ret_told, err);
    if (status == 0 && (*ret_told < 0 || *ret_told >= s->batch || *ret_proposed < 0 ||
                        *ret_proposed > s->batch || isinf(*ret_baseline)))
        status = error_set(err, ERROR_CORRUPT,
                           "saved reinforce: %lld told and %lld proposed of a batch of "
                           "%lld, baseline %g",
                           (long long)*ret_told, (long long)*ret_proposed,
                           (long long)s->batch, *ret_baseline);
    return status;
}

static int reinforce_load(void *self, const struct state *state, struct error *err)
{
    struct reinforce *s = self;
    double baseline = NAN;
    int64_t proposed = 0, told = 0;
    struct pending *pending = calloc((size_t)s->batch, sizeof *pending);
    if (!pending)
        return error_set(err, ERROR_SYSTEM, "reinforce: no memory to load");
    int status = load_scalars(s, state, &baseline, &proposed, &told, err);
    if (status == 0 && told > 0)
        status = load_pending(s, state, (size_t)told, pending, err);
    if (status == 0)
        status = controller_load(s->controller, s->prefix, state, err);
    if (status < 0) {
        free(pending);
        return status;
    }
    free(s->pending);
    s->pending = pending;
    s->baseline = baseline;
    s->proposed = proposed;
    s->told = told;
    return 0;
}

const struct search_ops search_reinforce = {
    .name = "reinforce",
    .oblivious = false,
    .create = reinforce_create,
    .destroy = reinforce_destroy,
    .ask = reinforce_ask,
    .tell = reinforce_tell,
    .save = reinforce_save,
    .load = reinforce_load,
};
