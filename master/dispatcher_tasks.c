/* SPDX-License-Identifier: Apache-2.0 */
/* Trials into slots and out of them again. */
#include "master/dispatcher_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int welcome(struct dispatcher *d, int rank, const struct placement_slot *placed,
                   int count, char *config, struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    struct message_slot *slots = calloc((size_t)count + 1, sizeof *slots);
    w->slots = calloc((size_t)count + 1, sizeof *w->slots);
    if (!slots || !w->slots) {
        free(slots);
        return error_set(err, ERROR_SYSTEM, "no memory for the slots of rank %d", rank);
    }
    for (int i = 0; i < count; i++) {
        slots[i] = placed[i].where;
        w->slots[i].rank = rank;
        w->slots[i].index = i;
    }
    w->slot_count = count;
    d->slots += count;
    struct message m = {.type = MESSAGE_WELCOME,
                        .welcome = {.config = config,
                                    .run_folder = (char *)d->setup.run_folder,
                                    .slot_count = count,
                                    .slots = slots}};
    int status = dispatcher_send(d, rank, &m, err);
    free(slots);
    return status;
}

/* Slots stand in the order of ranks, as the workers do. */
static int welcome_all(struct dispatcher *d, const struct placement_worker *workers,
                       int count, struct error *err)
{
    const struct placement *p = &d->placement;
    char *config = config_write(engine_config(d->setup.engine), false);
    int first = 0, status = 0;
    if (!config)
        return error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    for (int i = 0; i < count && status == 0; i++) {
        int end = first;
        while (end < p->count && p->slots[end].rank == workers[i].rank)
            end++;
        status = welcome(d, workers[i].rank, &p->slots[first], end - first, config, err);
        first = end;
    }
    free(config);
    return status;
}

/* Once every rank has reported or was given up, unless all were. */
int dispatcher_place(struct dispatcher *d, struct error *err)
{
    int size = d->setup.wire->size, count = 0;
    if (d->expected > 0 || d->living == 0)
        return 0;
    struct placement_worker *reported = calloc((size_t)size, sizeof *reported);
    if (!reported)
        return error_set(err, ERROR_SYSTEM, "no memory for %d ranks", size);
    for (int rank = 1; rank < size; rank++)
        if (d->workers[rank].state == WORKER_REPORTED)
            reported[count++] = (struct placement_worker){rank, d->workers[rank].hello};
    int status = placement_make(engine_config(d->setup.engine), reported, count,
                                &d->placement, err);
    if (status == 0)
        status = welcome_all(d, reported, count, err);
    free(reported);
    if (status != 0)
        return status;
    for (int rank = 1; rank < size; rank++) {
        free(d->workers[rank].hello);
        d->workers[rank].hello = NULL;
    }
    d->placed = true;
    dispatcher_notify(d, DISPATCHER_PLACED, 0, 0, NULL);
    return 0;
}

/* How many trials a slot may hold: the running one and those ahead of it. */
static int slot_depth(const struct dispatcher *d)
{
    int most = engine_config(d->setup.engine)->run.prefetch;
    if (most > DISPATCHER_MAX_AHEAD)
        most = DISPATCHER_MAX_AHEAD;
    if (d->mean_seconds < 0 || d->mean_seconds >= 1)
        return 1;
    double ahead = ceil(0.1 / (d->mean_seconds + 1e-6));
    return 1 + (ahead < most ? (int)ahead : most);
}

int dispatcher_free_places(const struct dispatcher *d)
{
    int free_places = d->ready * slot_depth(d) - d->in_flight;
    return free_places > 0 ? free_places : 0;
}

int dispatcher_send_task(struct dispatcher *d, const struct trial *t,
                         const struct dispatcher_slot *s, int attempt, struct error *err)
{
    json_t *json = space_to_json(engine_space(d->setup.engine), t->architecture);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return error_set(err, ERROR_SYSTEM, "no memory for trial %llu",
                         (unsigned long long)t->id);
    struct message m = {
        .type = MESSAGE_TASK,
        .task = {.trial = t->id,
                 .seed = t->seed,
                 .attempt = attempt,
                 .slot = s->index,
                 .kind = t->kind,
                 .shared = t->shared,
                 .timeout = engine_config(d->setup.engine)->run.trial_timeout,
                 .spent = t->saved_seconds,
                 .architecture = text,
                 .hyperparameters = (char *)"{}"}};
    int status = dispatcher_send(d, s->rank, &m, err);
    free(text);
    return status;
}

static void warn_of_risk(struct dispatcher *d, uint64_t id, int rank)
{
    char why[MESSAGE_TEXT];
    if (dispatcher_is_risky(d, ledger_trial(d->ledger, id), why, sizeof why))
        dispatcher_notify(d, DISPATCHER_RISKY, id, rank, why);
}

static int hand_out_one(struct dispatcher *d, uint64_t id, struct dispatcher_slot *s,
                        struct error *err)
{
    int attempt = 0;
    warn_of_risk(d, id, s->rank);
    int status = engine_start(d->setup.engine, id, s->rank, s->index, dispatcher_wall(d),
                              &attempt, err);
    double spent = ledger_trial(d->ledger, id)->saved_seconds;
    if (status == 0)
        status = dispatcher_board(
            d, s, (struct flight){.trial = id, .attempt = attempt, .spent = spent}, err);
    if (status != 0)
        return status;
    if (d->in_flight == 1 && d->results + d->failures == 0)
        dispatcher_notify(d, DISPATCHER_STARTED, id, s->rank, NULL);
    return dispatcher_send_task(d, ledger_trial(d->ledger, id), s, attempt, err);
}

static const char *host_of(const struct dispatcher *d, int rank)
{
    return d->workers[rank].host ? d->workers[rank].host : "";
}

/* The rank on which the last attempt failed; 0: none that is here. */
static int failed_on(const struct dispatcher *d, const struct trial *t)
{
    bool here = t->worker > 0 && t->worker < d->setup.wire->size;
    return here && t->attempts > 0 && t->failure != FAILURE_NONE ? t->worker : 0;
}

/* A slot on another node than that of `rank`, or else on another rank; NULL. */
static struct dispatcher_slot *elsewhere(struct dispatcher *d, int depth, int rank)
{
    struct dispatcher_slot *other = NULL;
    int looks = 256;
    for (int count = 0; count < depth; count++)
        for (struct dispatcher_slot *s = d->lists[count].first; s && looks-- > 0;
             s = s->next) {
            if (strcmp(host_of(d, s->rank), host_of(d, rank)) != 0)
                return s;
            if (s->rank != rank && !other)
                other = s;
        }
    return other;
}

/* A retry waits for a slot elsewhere about as long as one takes to become free. */
static bool is_patient(struct dispatcher *d, int rank)
{
    const struct dispatcher_worker *w = &d->workers[rank];
    int others = d->ready - (dispatcher_is_open(w) ? w->slot_count : 0);
    double now = dispatcher_now(d), patience = fmin(60, fmax(1, d->mean_seconds));
    if (d->deferred_since <= 0)
        d->deferred_since = now;
    return others > 0 && now - d->deferred_since < patience;
}

/* A step of shared weights goes where they are, unless it failed there. */
static struct dispatcher_slot *pair_step(struct dispatcher *d, int depth,
                                         const struct trial *t)
{
    int failed = failed_on(d, t);
    bool there = failed > 0 && failed == d->shared.rank;
    return dispatcher_holder(d, depth, there ? elsewhere(d, depth, failed) : NULL);
}

/* Lanes wait for those of other ranks: what stands behind one is soon of no use. */
enum { LANES_AHEAD = 4 };

/* Lanes that are passed over, since their slots have no room. */
struct passed {
    uint64_t round;
    uint8_t parts[MESSAGE_MAX_GANG / 8]; /* a bit each */
    int count;
};

/* While lanes have weights of their own, they need not wait for each other: the next one
 * in the queue may go, if it is of the same round and of no lane that was passed over.
 * But not before those that are tried again, on which it may build. */
static bool next_lane(const struct dispatcher *d, struct passed *passed, uint64_t *id)
{
    const struct config_shared *c = &engine_config(d->setup.engine)->search.shared;
    uint64_t sync = (uint64_t)c->sync_every;
    const struct trial *t = ledger_trial(d->ledger, *id);
    passed->round = t->shared.step / sync;
    passed->parts[t->shared.part / 8] |= (uint8_t)(1 << t->shared.part % 8);
    passed->count++;
    bool fresh = sync > 1 && ledger_count_retries(d->ledger) == 0;
    while (fresh && passed->count < c->samples) {
        if (!ledger_next_after(d->ledger, *id, id))
            return false;
        t = ledger_trial(d->ledger, *id);
        if (t->kind != TRIAL_TRAIN_SHARED || t->shared.step / sync != passed->round)
            return false;
        if (!(passed->parts[t->shared.part / 8] & 1 << t->shared.part % 8))
            return true;
    }
    return false;
}

/* The next step that can be made now. */
static int pair_steps(struct dispatcher *d, int depth, uint64_t *ret_id,
                      struct dispatcher_slot **ret, struct error *err)
{
    struct passed passed = {0};
    int status;
    *ret_id = dispatcher_first_step(d, *ret_id);
    if (!dispatcher_has_gang(d)) {
        *ret = pair_step(d, depth, ledger_trial(d->ledger, *ret_id));
        return 0;
    }
    depth = depth < LANES_AHEAD ? depth : LANES_AHEAD;
    do
        status =
            dispatcher_pair_lane(d, depth, ledger_trial(d->ledger, *ret_id), ret, err);
    while (status == 0 && !*ret && next_lane(d, &passed, ret_id));
    return status;
}

/* A slot for a trial that needs no other: a retry not where it failed, while something
 * else can be done there meanwhile or it need not wait for long. */
static struct dispatcher_slot *pair_any(struct dispatcher *d, int depth, uint64_t *ret_id)
{
    struct dispatcher_slot *s = dispatcher_roomiest(d, depth), *other;
    int failed = failed_on(d, ledger_trial(d->ledger, *ret_id));
    if (!failed || strcmp(host_of(d, s->rank), host_of(d, failed)) != 0) {
        d->deferred_since = 0;
        return s;
    }
    if ((other = elsewhere(d, depth, failed))) {
        d->deferred_since = 0;
        return other;
    }
    if (is_patient(d, failed))
        return dispatcher_choose(d, true, ret_id) ? s : NULL;
    d->deferred_since = 0;
    return s;
}

/* The next trial and its slot; *ret NULL: there is none now. */
static int pair(struct dispatcher *d, int depth, uint64_t *ret_id,
                struct dispatcher_slot **ret, struct error *err)
{
    *ret = NULL;
    if (d->stopping || !dispatcher_roomiest(d, depth) ||
        !dispatcher_choose(d, false, ret_id))
        return 0;
    int kind = ledger_trial(d->ledger, *ret_id)->kind;
    if (kind != TRIAL_TRAIN_CHILD && dispatcher_catches_up(d))
        return 0;
    if (trial_kind_is_step(kind))
        return pair_steps(d, depth, ret_id, ret, err);
    *ret = pair_any(d, depth, ret_id);
    return 0;
}

uint64_t dispatcher_deferred(const struct dispatcher *d)
{
    return d->deferred_since > 0 ? ledger_count_retries(d->ledger) : 0;
}

int dispatcher_hand_out(struct dispatcher *d, struct error *err)
{
    int depth = slot_depth(d), handed = dispatcher_catch_up(d, depth, err);
    struct dispatcher_slot *s;
    uint64_t id;
    if (handed < 0)
        return handed;
    for (;;) {
        int status = pair(d, depth, &id, &s, err);
        if (status == 0 && s)
            status = hand_out_one(d, id, s, err);
        if (status != 0 || !s)
            return status != 0 ? status : handed;
        handed++;
    }
}

/* Of training behind its trial. */
static double flight_seconds(const struct dispatcher *d, const struct flight *f)
{
    return f->spent + (f->started > 0 ? dispatcher_now(d) - f->started : 0);
}

static int fail_attempt(struct dispatcher *d, const struct flight *f, int rank, int slot,
                        int failure, double seconds, const char *reason,
                        struct error *err)
{
    struct ledger_result r = {.failure = (uint8_t)failure,
                              .val_accuracy = NAN,
                              .seconds = seconds,
                              .params = NAN,
                              .flops = NAN,
                              .finished_at = dispatcher_wall(d),
                              .reason = reason};
    return engine_finish(d->setup.engine, f->trial, rank, slot, &r, err);
}

/* The end of the session has cut an attempt off. */
static int cut_off(struct dispatcher *d, const struct flight *f, int rank, int slot,
                   double seconds, struct error *err)
{
    const struct trial *t = ledger_trial(d->ledger, f->trial);
    char why[MESSAGE_TEXT];
    if (!dispatcher_had_all(d, t, seconds, why, sizeof why)) {
        engine_forget(d->setup.engine, f->trial, seconds);
        return 0;
    }
    int status = fail_attempt(d, f, rank, slot, FAILURE_TIMEOUT, seconds, why, err);
    if (status == 0)
        dispatcher_notify(
            d, t->state == TRIAL_QUEUED ? DISPATCHER_ATTEMPT_FAILED : DISPATCHER_FINISHED,
            f->trial, rank, why);
    return status;
}

/* An attempt on a lost rank counts as a failed one, so that a trial that kills machines
 * ends; one that only waited behind another does not. Oldest first, as the queue keeps
 * the order in which trials come back. */
int dispatcher_take_back(struct dispatcher *d, int rank, bool forget, struct error *err)
{
    struct dispatcher_worker *w = &d->workers[rank];
    int status = 0;
    for (int slot = 0; slot < w->slot_count; slot++)
        for (bool ran = true; w->slots[slot].count > 0 && status == 0; ran = false) {
            double seconds = ran ? flight_seconds(d, &w->slots[slot].flights[0]) : 0;
            struct flight f = dispatcher_land(d, rank, slot, 0);
            d->doubled -= f.doubled;
            if (f.doubled) /* whoever else has it answers for it */
                continue;
            if (forget || !ran)
                status = cut_off(d, &f, rank, slot, seconds, err);
            else
                status = fail_attempt(d, &f, rank, slot, FAILURE_LOST, seconds,
                                      "its rank was lost", err);
        }
    return status;
}

void dispatcher_recall(struct dispatcher *d)
{
    for (int rank = 1; rank < d->setup.wire->size; rank++)
        if (d->workers[rank].slots)
            dispatcher_take_back(d, rank, true, NULL);
}

double dispatcher_running_cost(const struct dispatcher *d)
{
    const struct config_resources *r = &engine_config(d->setup.engine)->resources;
    double seconds = d->busy * dispatcher_now(d) - d->started_sum - d->counted_sum;
    return seconds * (r->gpus_per_trial > 0 ? r->gpus_per_trial : r->threads_per_trial);
}
