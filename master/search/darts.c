/* SPDX-License-Identifier: Apache-2.0 */
/* DARTS for recurrent cells (Liu et al., ICLR 2019). The search itself is gradient
 * descent in the trainer that holds the relaxed cell (worker/relaxed_pool.h); what is
 * left here is the order of things. Every epoch has phases, each a barrier for the next:
 *
 *   STEPS  search.shared.steps steps of the relaxed cell
 *   SCORE  one score of the relaxed cell on the whole validation text: how far are we?
 *
 * and after the last epoch
 *
 *   TRAIN  the cell that is derived in the end, trained from scratch with `finalists`
 *          seeds, beside uniform cells of the same space: so many that `control.share` of
 *          these trials are the control arm.
 *
 * A step brings the cell that alpha stands for after it. What steps and scores are
 * proposed with is the cell of the last epoch that is over: the same for any number of
 * steps under way. At first it is a cell whose nodes all read node 0 by tanh. Node 0 is
 * tanh in every cell that can be derived, so it is in the control arm.
 *
 * A step whose loss is no number is left out by the trainer; one that fails otherwise
 * ends the run, and so does a search of which every step was left out. */
#include "master/search/search.h"

#include <math.h>
#include <stdlib.h>

#include "common/space/rnn_words.h"
#include "master/search/architecture_list.h"

enum phase { PHASE_STEPS, PHASE_SCORE, PHASE_TRAIN, PHASE_OVER };

/* Where the search is. */
struct position {
    int64_t phase, epoch;
    int64_t proposed, told; /* in this phase */
    int64_t derived_at;     /* the step that led to `derived`; -1: none did */
};

struct darts {
    struct config_shared config;
    int64_t control;           /* trials of the control arm */
    const struct space *space; /* borrowed */
    void *uniform;             /* self of search_random */
    uint16_t first;            /* token of tanh */
    struct position at;
    struct architecture derived; /* by the newest step that was told */
    struct architecture shown;   /* what is proposed with */
};

static int64_t phase_size(const struct darts *s, int64_t phase)
{
    switch (phase) {
    case PHASE_STEPS:
        return s->config.steps;
    case PHASE_SCORE:
        return 1;
    case PHASE_TRAIN:
        return s->config.finalists + s->control;
    default:
        return 0;
    }
}

static void next_phase(const struct darts *s, struct position *p)
{
    p->proposed = p->told = 0;
    if (p->phase == PHASE_SCORE && p->epoch + 1 < s->config.epochs) {
        p->epoch++;
        p->phase = PHASE_STEPS;
    } else {
        p->phase++;
    }
}

/* Leave a phase that is over. */
static void settle(struct darts *s)
{
    if (s->at.told < phase_size(s, s->at.phase))
        return;
    if (s->at.phase == PHASE_STEPS)
        architecture_copy(&s->derived, &s->shown);
    next_phase(s, &s->at);
}

static void darts_destroy(void *self)
{
    struct darts *s = self;
    if (!s)
        return;
    search_random.destroy(s->uniform);
    free(s);
}

/* The token that stands for tanh; -1: the space does not have it. */
static int find_tanh(const struct config_list *activations)
{
    for (int i = 0; i < activations->count; i++)
        if (activations->values[i] == RNN_TANH)
            return i;
    return -1;
}

static int begin(struct darts *s, const struct search_setup *setup, struct error *err)
{
    const struct config_rnn *rnn = &setup->config->space.rnn;
    int tanh_token = find_tanh(&rnn->activations);
    if (setup->config->space.name != SPACE_RNN_DAG || rnn->nodes < 2 || tanh_token < 0)
        return error_set(
            err, ERROR_INPUT,
            "search.strategy: darts relaxes cells of rnn-dag with tanh and at "
            "least 2 nodes");
    s->first = (uint16_t)tanh_token;
    s->at.derived_at = -1;
    s->derived.depth = (uint16_t)rnn->nodes;
    s->derived.tokens[s->derived.count++] = s->first;
    for (int j = 1; j < rnn->nodes; j++) {
        s->derived.tokens[s->derived.count++] = 0;
        s->derived.tokens[s->derived.count++] = s->first;
    }
    architecture_copy(&s->derived, &s->shown);
    return search_random.create(setup, &s->uniform, err);
}

static int darts_create(const struct search_setup *setup, void **ret, struct error *err)
{
    if (setup->arm != ARM_SEARCH)
        return error_set(err, ERROR_INPUT,
                         "control.strategy: darts proposes its own control arm");
    struct darts *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "darts: no memory");
    s->config = setup->config->search.shared;
    s->control = config_relaxed_control(setup->config);
    s->space = setup->space;
    int status = begin(s, setup, err);
    if (status != 0) {
        darts_destroy(s);
        return status;
    }
    *ret = s;
    return 0;
}

/* --- asking ------------------------------------------------------------------------- */

static void propose_relaxed(const struct darts *s, int64_t k, struct proposal *ret)
{
    bool step = s->at.phase == PHASE_STEPS;
    int64_t before = s->at.epoch * s->config.steps;
    ret->kind = step ? TRIAL_RELAX : TRIAL_EVAL_RELAX;
    ret->shared.step = (uint64_t)(before + (step ? k : s->config.steps));
    ret->shared.part = step ? 0 : -1;
    architecture_copy(&s->shown, &ret->architecture);
}

static int propose_child(const struct darts *s, uint64_t id, int64_t k,
                         struct proposal *ret, struct error *err)
{
    enum search_answer answer;
    ret->kind = TRIAL_TRAIN_CHILD;
    if (k < s->config.finalists) {
        architecture_copy(&s->derived, &ret->architecture);
        return 0;
    }
    int status = search_random.ask(s->uniform, id, ret, &answer, err);
    ret->arm = ARM_CONTROL;
    ret->architecture.tokens[0] = s->first;
    return status;
}

static int darts_ask(void *self, uint64_t id, struct proposal *ret,
                     enum search_answer *ret_answer, struct error *err)
{
    struct darts *s = self;
    int64_t k = s->at.proposed;
    int status = 0;
    *ret_answer = s->at.phase == PHASE_OVER ? SEARCH_DONE : SEARCH_WAIT;
    if (s->at.phase == PHASE_OVER || k == phase_size(s, s->at.phase))
        return 0;
    *ret_answer = SEARCH_TASK;
    ret->arm = ARM_SEARCH;
    if (s->at.phase == PHASE_TRAIN)
        status = propose_child(s, id, k, ret, err);
    else
        propose_relaxed(s, k, ret);
    ret->log_probability = NAN;
    ret->policy_version = (uint32_t)s->at.epoch;
    s->at.proposed += status == 0;
    return status;
}

/* --- telling ------------------------------------------------------------------------ */

static int take_step(struct darts *s, const struct trial *t, struct error *err)
{
    int64_t step = (int64_t)t->shared.step;
    if (t->state == TRIAL_FAILED && t->failure != FAILURE_NAN)
        return error_set(
            err, ERROR_FAILED,
            "trial %llu, a step of the relaxed cell, failed, and later steps "
            "build on it: %s",
            (unsigned long long)t->id, t->reason ? t->reason : "no reason");
    if (t->state == TRIAL_DONE && step > s->at.derived_at) {
        architecture_copy(t->architecture, &s->derived);
        s->at.derived_at = step;
    }
    bool last = s->at.epoch + 1 == s->config.epochs && s->at.told + 1 == s->config.steps;
    if (last && s->at.derived_at < 0)
        return error_set(
            err, ERROR_FAILED,
            "the loss of every step of the relaxed cell was no number, so no "
            "cell can be derived: is the learning rate too high?");
    return 0;
}

static int darts_tell(void *self, const struct trial *trial, struct error *err)
{
    struct darts *s = self;
    if (s->at.told >= s->at.proposed)
        return error_set(err, ERROR_INPUT, "trial %llu: nothing was asked for",
                         (unsigned long long)trial->id);
    int status = trial->kind == TRIAL_RELAX ? take_step(s, trial, err) : 0;
    if (status != 0)
        return status;
    s->at.told++;
    settle(s);
    return 0;
}

/* --- saving ------------------------------------------------------------------------- */

static const char *const position_names[] = {
    "darts/phase", "darts/epoch", "darts/proposed", "darts/told", "darts/derived_at"};
enum { POSITIONS = sizeof position_names / sizeof *position_names };
static const char cells_tokens[] = "darts/cells_tokens",
                  cells_shape[] = "darts/cells_depth_count";

static int darts_save(const void *self, struct state *state, struct error *err)
{
    const struct darts *s = self;
    const struct architecture *const cells[] = {&s->derived, &s->shown};
    const int64_t values[POSITIONS] = {s->at.phase, s->at.epoch, s->at.proposed,
                                       s->at.told, s->at.derived_at};
    int status = 0;
    for (int i = 0; i < POSITIONS && status == 0; i++)
        status = state_put_i64(state, position_names[i], values[i], err);
    return status == 0
               ? architecture_list_save(cells, 2, cells_tokens, cells_shape, state, err)
               : status;
}

static bool is_possible(const struct darts *s, const struct position *p)
{
    return p->phase >= PHASE_STEPS && p->phase <= PHASE_OVER && p->epoch >= 0 &&
           p->epoch < s->config.epochs && p->told >= 0 && p->told <= p->proposed &&
           p->proposed <= phase_size(s, p->phase) &&
           (p->phase == PHASE_OVER || p->told < phase_size(s, p->phase)) &&
           p->derived_at >= -1 && p->derived_at < (p->epoch + 1) * s->config.steps &&
           (p->phase < PHASE_TRAIN || p->derived_at >= 0);
}

static int load_position(const struct darts *s, const struct state *state,
                         struct position *ret, struct error *err)
{
    int64_t v[POSITIONS] = {0};
    for (int i = 0; i < POSITIONS; i++) {
        int status = state_get_i64(state, position_names[i], &v[i], err);
        if (status != 0)
            return status;
    }
    *ret = (struct position){v[0], v[1], v[2], v[3], v[4]};
    if (is_possible(s, ret))
        return 0;
    return error_set(
        err, ERROR_CORRUPT,
        "saved search by darts: phase %lld of epoch %lld with %lld proposed, "
        "%lld told and a cell of step %lld cannot be",
        (long long)v[0], (long long)v[1], (long long)v[2], (long long)v[3],
        (long long)v[4]);
}

static int darts_load(void *self, const struct state *state, struct error *err)
{
    struct darts *s = self;
    struct architecture cells[2];
    struct architecture *const list[] = {&cells[0], &cells[1]};
    struct position at;
    int status = load_position(s, state, &at, err);
    if (status == 0)
        status = architecture_list_load(list, 2, cells_tokens, cells_shape, s->space,
                                        state, err);
    if (status != 0)
        return status;
    s->at = at;
    architecture_copy(&cells[0], &s->derived);
    architecture_copy(&cells[1], &s->shown);
    return 0;
}

const struct search_ops search_darts = {
    .name = "darts",
    .oblivious = false,
    .shared = true,
    .create = darts_create,
    .destroy = darts_destroy,
    .ask = darts_ask,
    .tell = darts_tell,
    .save = darts_save,
    .load = darts_load,
};
