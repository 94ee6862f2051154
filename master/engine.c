/* SPDX-License-Identifier: Apache-2.0 */
/* The live half of the engine: one function a step, each of which changes the ledger
 * through the same functions as the replay and appends one record. Nothing here knows of
 * workers, time-outs or files; the order of the calls is the only input. */
#include "master/engine_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "master/reward.h"

static int engine_create_arm(struct engine *e, enum trial_arm arm, int strategy,
                             struct error *err)
{
    struct search_setup setup = {.config = &e->config, .space = e->space, .arm = arm};
    e->ops[arm] = search_find(strategy);
    if (!e->ops[arm])
        return error_set(err, ERROR_INPUT, "search.strategy: no strategy has number %d",
                         strategy);
    return e->ops[arm]->create(&setup, &e->self[arm], err);
}

int engine_new(const struct config *config, bool observe, struct engine **ret,
               struct error *err)
{
    struct engine *e = calloc(1, sizeof *e);
    int status;
    if (!e)
        return error_set(err, ERROR_SYSTEM, "no memory for a run");
    e->config = *config;
    e->observe = observe;
    e->lock = -1;
    bytes_init(&e->scratch);
    status = space_new(&e->config, &e->space, err);
    if (status == 0)
        status = ledger_new(&e->ledger, err);
    if (status == 0 && !observe)
        status = engine_create_arm(e, ARM_SEARCH, config->search.strategy, err);
    if (status == 0 && !observe && config->control.share > 0 &&
        !e->ops[ARM_SEARCH]->shared)
        status = engine_create_arm(e, ARM_CONTROL, config->control.strategy, err);
    if (status != 0) {
        engine_free(e);
        return status;
    }
    *ret = e;
    return 0;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    snapshot_child_kill(&e->child);
    for (int arm = 0; arm < ARM_COUNT; arm++)
        if (e->ops[arm])
            e->ops[arm]->destroy(e->self[arm]);
    ledger_free(e->ledger);
    space_free(e->space);
    bytes_fini(&e->scratch);
    free(e->pending);
    free(e);
}

void engine_set_journal(struct engine *e, struct journal *journal)
{
    e->journal = journal;
}

void engine_set_lock(struct engine *e, int descriptor)
{
    e->lock = descriptor;
}

void engine_set_facts(struct engine *e, const struct data_facts *facts)
{
    e->facts = *facts;
}

void engine_set_listener(struct engine *e, void (*over)(void *context, const struct trial *t),
                         void *context)
{
    e->over = over;
    e->over_context = context;
}

const struct config *engine_config(const struct engine *e)
{
    return &e->config;
}

const struct space *engine_space(const struct engine *e)
{
    return e->space;
}

struct ledger *engine_ledger(struct engine *e)
{
    return e->ledger;
}

double engine_elapsed(const struct engine *e)
{
    return e->elapsed;
}

uint64_t engine_told(const struct engine *e)
{
    return e->told;
}

bool engine_settled(const struct engine *e)
{
    uint64_t count = ledger_count(e->ledger);
    int64_t budget = config_trials(&e->config);
    return budget > 0 && count >= (uint64_t)budget && e->told == count;
}

enum trial_arm engine_arm(const struct config *config, uint64_t id)
{
    double share = config->control.share;
    bool control = floor(((double)id + 1) * share) > floor((double)id * share);
    return control ? ARM_CONTROL : ARM_SEARCH;
}

/* Append one record made by `encode` into e->scratch. */
static int engine_record(struct engine *e, enum record_type type, uint64_t *ret_end,
                         struct error *err)
{
    if (e->scratch.failed)
        return error_set(err, ERROR_SYSTEM, "no memory for a journal record");
    if (!e->journal)
        return 0;
    return journal_append(e->journal, type, &e->scratch, ret_end, err);
}

int engine_open_session(struct engine *e, const struct record_session *s,
                        struct error *err)
{
    bytes_clear(&e->scratch);
    record_encode_session(s, &e->scratch);
    int status = engine_record(e, RECORD_SESSION, NULL, err);
    if (status == 0)
        engine_apply_session(e, s->time);
    return status;
}

int engine_close_session(struct engine *e, double now, struct error *err)
{
    bytes_clear(&e->scratch);
    bytes_put_f64(&e->scratch, now);
    int status = engine_record(e, RECORD_CLOSED, NULL, err);
    if (status == 0)
        engine_apply_closed(e, now);
    return status;
}

/* Keys that the record itself is made of: no option lets a run change them. */
static const char *engine_fixed_difference(const struct config *a, const struct config *b)
{
    if (memcmp(&a->space, &b->space, sizeof a->space) != 0)
        return "space";
    if (a->seed != b->seed)
        return "seed";
    if (a->search.strategy != b->search.strategy)
        return "search.strategy";
    if (a->search.batch != b->search.batch)
        return "search.batch";
    if (memcmp(&a->search.controller, &b->search.controller, sizeof a->search.controller))
        return "search.controller";
    if (memcmp(&a->search.shared, &b->search.shared, sizeof a->search.shared))
        return "search.shared";
    if (a->search.duplicates != b->search.duplicates)
        return "search.duplicates";
    if (a->run.mode != b->run.mode)
        return "run.mode";
    if (a->control.share != b->control.share)
        return "control.share";
    return a->control.strategy != b->control.strategy ? "control.strategy" : NULL;
}

int engine_check_change(const struct engine *e, const struct config *config,
                        struct error *err)
{
    const char *fixed = engine_fixed_difference(&e->config, config);
    if (!fixed)
        return 0;
    return error_set(err, ERROR_INPUT,
                     "%s cannot change within a run, not even with --allow-change: what is "
                     "recorded so far depends on it; start a new search",
                     fixed);
}

int engine_change_config(struct engine *e, const struct config *config, struct error *err)
{
    if (engine_check_change(e, config, err) != 0)
        return ERROR_INPUT;
    char *text = config_write(config, false);
    if (!text)
        return error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    bytes_clear(&e->scratch);
    bytes_put_string(&e->scratch, text);
    free(text);
    int status = engine_record(e, RECORD_EXTENDED, NULL, err);
    if (status == 0)
        e->config = *config;
    return status;
}

/* Whom to ask for trial `id`: a search with shared weights proposes both arms. */
static enum trial_arm asked_arm(const struct engine *e, uint64_t id)
{
    return e->ops[ARM_SEARCH]->shared ? ARM_SEARCH : engine_arm(&e->config, id);
}

int engine_make_proposal(struct engine *e, uint64_t id, struct trial *ret,
                         enum engine_answer *ret_answer, struct error *err)
{
    enum trial_arm arm = asked_arm(e, id);
    struct proposal p = {.kind = TRIAL_TRAIN_CHILD, .arm = (uint8_t)arm};
    enum search_answer answer;
    uint32_t random[4];
    int status = e->ops[arm]->ask(e->self[arm], id, &p, &answer, err);
    if (status != 0)
        return status;
    *ret_answer = answer == SEARCH_TASK   ? ENGINE_PROPOSED
                  : answer == SEARCH_WAIT ? ENGINE_WAIT
                                          : ENGINE_DONE;
    if (answer != SEARCH_TASK)
        return 0;
    rng_block(e->config.seed, RNG_TRIAL_SEED, id, 0, random);
    *ret = (struct trial){
        .id = id,
        .kind = p.kind,
        .arm = p.arm,
        .shared = p.shared,
        .worker = -1,
        .slot = -1,
        .seed = (random[0] | (uint64_t)random[1] << 32) >> 1,
        .policy_version = p.policy_version,
        .same_as = -1,
        .hash = space_hash(e->space, &p.architecture),
        .log_probability = p.log_probability,
        .val_accuracy = NAN,
        .reward = NAN,
        .seconds = NAN,
        .finished_at = NAN,
    };
    ret->architecture = architecture_pack(&p.architecture);
    if (!ret->architecture)
        return error_set(err, ERROR_SYSTEM, "no memory for trial %llu",
                         (unsigned long long)id);
    return 0;
}

double engine_work(const struct engine *e, const struct trial *t)
{
    struct space_task task = space_task_to_compare(e->space, &e->config, &e->facts);
    double flops = space_cost(e->space, t->architecture, &task).flops;
    return flops > 0 ? flops : NAN;
}

bool engine_next_is_oblivious(const struct engine *e)
{
    uint64_t id = ledger_count(e->ledger);
    return e->ops[asked_arm(e, id)]->oblivious;
}

int engine_propose(struct engine *e, double now, enum engine_answer *ret,
                   struct error *err)
{
    uint64_t id = ledger_count(e->ledger);
    struct trial t;
    int status;
    *ret = ENGINE_DONE;
    if (e->config.search.trials > 0 && id >= (uint64_t)e->config.search.trials)
        return 0; /* with shared weights the strategy says when it is over */
    status = engine_make_proposal(e, id, &t, ret, err);
    if (status != 0 || *ret != ENGINE_PROPOSED)
        return status;
    struct space_task task = space_task_of(&e->config, &e->facts);
    struct space_cost cost = space_cost(e->space, t.architecture, &task);
    t.params = cost.params;
    t.flops = cost.flops;
    t.proposed_at = now;
    bytes_clear(&e->scratch);
    record_encode_proposed(&t, &e->scratch);
    status = engine_record(e, RECORD_PROPOSED, NULL, err);
    if (status == 0)
        status = engine_apply_proposed(e, &t, err);
    if (status != 0)
        free(t.architecture);
    return status;
}

int engine_start(struct engine *e, uint64_t id, int worker, int slot, double now,
                 int *ret_attempt, struct error *err)
{
    int attempt = ledger_start(e->ledger, id, worker, slot);
    struct record_started r = {
        .id = id, .attempt = attempt, .worker = worker, .slot = slot, .time = now};
    bytes_clear(&e->scratch);
    record_encode_started(&r, &e->scratch);
    int status = engine_record(e, RECORD_STARTED, NULL, err);
    if (status != 0)
        return status;
    e->last_time = now;
    *ret_attempt = attempt;
    return 0;
}

/* A step of the shared weights has a loss, and no reward; one of a relaxed cell leads to
 * a cell of the space. */
static void engine_judge_step(const struct engine *e, const struct trial *t,
                              struct record_finished *r)
{
    const struct ledger_result *result = &r->result;
    if (result->epoch_count == 0 ||
        !isfinite(result->epochs[result->epoch_count - 1].train_loss)) {
        r->result.failure = FAILURE_NAN;
        r->result.reason = "the loss of the step is not a finite number";
    } else if (t->kind == TRIAL_RELAX &&
               (!result->derived ||
                space_validate(e->space, result->derived, NULL) != 0)) {
        r->result.failure = FAILURE_PROTOCOL;
        r->result.reason = "the trainer did not say to which cell of the space it led";
    }
}

/* Fills the reward in, or turns what is none into a failure. */
static void engine_judge(const struct engine *e, const struct trial *t,
                         struct record_finished *r)
{
    if (r->result.failure != FAILURE_NONE)
        return;
    if (trial_kind_is_step(t->kind)) {
        engine_judge_step(e, t, r);
        return;
    }
    r->result.val_accuracy =
        reward_metric(&e->config.reward, r->result.epochs, r->result.epoch_count);
    r->reward = reward_value(&e->config.reward, r->result.val_accuracy);
    if (!isfinite(r->reward)) {
        r->result.failure = FAILURE_NAN;
        r->result.reason = "the reward is not a finite number";
    }
}

/* The shared weights have left out a step without a loss: it is not made twice. */
static bool engine_tries_again(const struct engine *e, const struct trial *t, int failure)
{
    if (trial_kind_is_step(t->kind) && failure == FAILURE_NAN)
        return false;
    return failure != FAILURE_NONE && t->attempts <= (unsigned)e->config.run.retries;
}

int engine_finish(struct engine *e, uint64_t id, int worker, int slot,
                  const struct ledger_result *result, struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, id);
    struct record_finished r = {.id = id,
                                .attempt = t->attempts,
                                .worker = worker,
                                .slot = slot,
                                .reward = NAN,
                                .result = *result};
    int status;
    engine_judge(e, t, &r);
    if (t->kind != TRIAL_RELAX || r.result.failure != FAILURE_NONE)
        r.result.derived = NULL;
    bool again = engine_tries_again(e, t, r.result.failure);
    if (r.result.failure != FAILURE_NONE && !again && !trial_kind_is_step(t->kind))
        r.reward = e->config.run.on_failure == ON_FAILURE_REWARD_0 ? 0 : NAN;
    bytes_clear(&e->scratch);
    record_encode_finished(&r, &e->scratch);
    if (again && t->state == TRIAL_QUEUED)
        return 0; /* it was doubted, and waits for its next attempt already */
    if (again) {
        status = engine_record(e, RECORD_ATTEMPT_FAILED, NULL, err);
        return status == 0 ? engine_apply_failed_attempt(e, &r, err) : status;
    }
    status = engine_record(e, RECORD_FINISHED, NULL, err);
    return status == 0 ? engine_apply_finished(e, &r, err) : status;
}

int engine_checkpoint(struct engine *e, uint64_t id, int worker, int slot, int what,
                      uint32_t epochs, double seconds, double now, struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, id);
    int status = engine_check_checkpoint(e, id, what, err);
    if (status != 0)
        return status;
    struct record_checkpoint r = {.id = id,
                                  .attempt = t->attempts,
                                  .worker = worker,
                                  .slot = slot,
                                  .what = (uint8_t)what,
                                  .epochs = epochs,
                                  .seconds = seconds,
                                  .time = now};
    bytes_clear(&e->scratch);
    record_encode_checkpoint(&r, &e->scratch);
    status = engine_record(e, RECORD_CHECKPOINT, NULL, err);
    return status == 0 ? engine_apply_checkpoint(e, &r, err) : status;
}

void engine_forget(struct engine *e, uint64_t id, double seconds)
{
    double saved = ledger_trial(e->ledger, id)->saved_seconds;
    ledger_requeue(e->ledger, id, true);
    if (seconds > saved)
        ledger_hours(e->ledger)->lost += (seconds - saved) * engine_cores(e);
}

void engine_doubt(struct engine *e, uint64_t id)
{
    ledger_requeue(e->ledger, id, false);
}

static int engine_tell_one(struct engine *e, uint64_t id, struct error *err)
{
    bytes_clear(&e->scratch);
    record_encode_told(id, &e->scratch);
    int status = engine_record(e, RECORD_TOLD, NULL, err);
    return status == 0 ? engine_apply_told(e, id, err) : status;
}

static bool trial_is_over(const struct trial *t)
{
    return t && (t->state == TRIAL_DONE || t->state == TRIAL_FAILED ||
                 t->state == TRIAL_SAVED);
}

/* mode sync: in the order of ids. What is at the front of `pending` may be of a later id;
 * it is dropped there once durable, and told when its turn comes. */
static int engine_tell_sync(struct engine *e, uint64_t durable, struct error *err)
{
    int told = 0;
    while (e->pending_count > 0 && e->pending[e->pending_first].offset <= durable) {
        e->pending_first++;
        e->pending_count--;
    }
    for (;;) {
        if (!trial_is_over(ledger_trial(e->ledger, e->told)))
            return told;
        for (size_t i = 0; i < e->pending_count; i++)
            if (e->pending[e->pending_first + i].id == e->told)
                return told; /* not durable yet */
        int status = engine_tell_one(e, e->told, err);
        if (status != 0)
            return status;
        told = 1;
    }
}

static int engine_tell_async(struct engine *e, uint64_t durable, struct error *err)
{
    int told = 0;
    while (e->pending_count > 0) {
        struct engine_pending p = e->pending[e->pending_first];
        if (p.offset > durable)
            break;
        e->pending_first++;
        e->pending_count--;
        if (ledger_trial(e->ledger, p.id)->told)
            continue;
        int status = engine_tell_one(e, p.id, err);
        if (status != 0)
            return status;
        told = 1;
    }
    return told;
}

int engine_tell(struct engine *e, struct error *err)
{
    uint64_t durable = UINT64_MAX;
    if (e->pending_count == 0 && e->config.run.mode == MODE_ASYNC)
        return 0;
    if (e->journal) {
        int status = journal_durable(e->journal, &durable, err);
        if (status != 0)
            return status;
    }
    return e->config.run.mode == MODE_SYNC ? engine_tell_sync(e, durable, err)
                                           : engine_tell_async(e, durable, err);
}

bool engine_owes_tell(const struct engine *e)
{
    return e->pending_count > 0;
}

int engine_record_hours(struct engine *e, struct error *err)
{
    bytes_clear(&e->scratch);
    record_encode_hours(ledger_hours(e->ledger), &e->scratch);
    return engine_record(e, RECORD_HOURS, NULL, err);
}
