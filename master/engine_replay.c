/* SPDX-License-Identifier: Apache-2.0 */
/* What each record does to ledger and strategies, shared by the live run and the replay:
 * because both go through these functions, a replayed run cannot drift from a live one. */
#include "master/engine_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int engine_push_pending(struct engine *e, uint64_t id, uint64_t offset, struct error *err)
{
    if (e->pending_first > 0 && e->pending_first + e->pending_count == e->pending_capacity) {
        memmove(e->pending, e->pending + e->pending_first,
                e->pending_count * sizeof *e->pending);
        e->pending_first = 0;
    }
    if (e->pending_first + e->pending_count == e->pending_capacity) {
        size_t capacity = e->pending_capacity ? 2 * e->pending_capacity : 256;
        struct engine_pending *p = realloc(e->pending, capacity * sizeof *p);
        if (!p)
            return error_set(err, ERROR_SYSTEM, "no memory for %zu results", capacity);
        e->pending = p;
        e->pending_capacity = capacity;
    }
    e->pending[e->pending_first + e->pending_count++] =
        (struct engine_pending){.id = id, .offset = offset};
    if (e->over)
        e->over(e->over_context, ledger_trial(e->ledger, id));
    return 0;
}

double engine_cores(const struct engine *e)
{
    const struct config_resources *r = &e->config.resources;
    return r->gpus_per_trial > 0 ? r->gpus_per_trial : r->threads_per_trial;
}

static uint64_t engine_offset(const struct engine *e)
{
    return e->journal ? journal_end(e->journal) : 0;
}

/* A waiting duplicate gets what its original brought. */
static int engine_save_trial(struct engine *e, uint64_t id, double now, struct error *err)
{
    int status = ledger_saved(e->ledger, id, now, err);
    const struct trial *t = ledger_trial(e->ledger, id);
    if (status != 0)
        return status;
    ledger_hours(e->ledger)->duplicates++;
    if (isfinite(t->seconds))
        ledger_hours(e->ledger)->saved += t->seconds * engine_cores(e);
    return engine_push_pending(e, id, engine_offset(e), err);
}

int engine_apply_proposed(struct engine *e, struct trial *t, struct error *err)
{
    const struct trial *original = NULL;
    int status;
    if (e->config.search.duplicates == DUPLICATES_ANSWER &&
        t->kind == TRIAL_TRAIN_CHILD &&
        !config_relaxes(&e->config)) /* which trains one cell with several seeds */
        original = ledger_find(e->ledger, (enum trial_arm)t->arm, t->hash);
    t->same_as = original ? (int64_t)original->id : -1;
    t->state = original ? TRIAL_WAITING : TRIAL_QUEUED;
    bool answered = original && original->state != TRIAL_QUEUED &&
                    original->state != TRIAL_RUNNING && original->state != TRIAL_WAITING;
    status = ledger_add(e->ledger, t, err);
    if (status != 0)
        return status;
    e->last_time = t->proposed_at;
    if (!answered)
        return 0;
    /* The trial belongs to the ledger now: an error from here on ends the run, and the
     * caller must not free what it no longer owns. */
    uint64_t id = t->id;
    double now = t->proposed_at;
    t->architecture = NULL;
    return engine_save_trial(e, id, now, err);
}

/* Those that waited for a trial which failed: the first becomes the new original. */
static int engine_release(struct engine *e, uint64_t id)
{
    const struct trial *t = ledger_trial(e->ledger, id);
    const struct trial *other = ledger_find(e->ledger, (enum trial_arm)t->arm, t->hash);
    if (other && other->id != id)
        return ledger_wait_on(e->ledger, id, other->id);
    ledger_release(e->ledger, id);
    return 0;
}

static int engine_settle_waiting(struct engine *e, uint64_t id, double now,
                                 struct error *err)
{
    const uint64_t *borrowed;
    int count = ledger_waiting(e->ledger, id, &borrowed);
    if (count == 0)
        return 0;
    uint64_t *ids = malloc((size_t)count * sizeof *ids);
    if (!ids)
        return error_set(err, ERROR_SYSTEM, "no memory for %d waiting trials", count);
    memcpy(ids, borrowed, (size_t)count * sizeof *ids);
    bool failed = ledger_trial(e->ledger, id)->state == TRIAL_FAILED;
    int status = 0;
    for (int i = 0; i < count && status == 0; i++)
        status = failed ? engine_release(e, ids[i])
                        : engine_save_trial(e, ids[i], now, err);
    free(ids);
    return status;
}

/* An attempt without a result: its own failure, or cut off with its rank. `saved` seconds
 * behind a state are counted as trained already; they are wasted too unless it is kept.
 */
static void engine_waste(struct engine *e, const struct ledger_result *r, double saved,
                         bool kept)
{
    struct ledger_hours *h = ledger_hours(e->ledger);
    double seconds = isfinite(r->seconds) && r->seconds > saved ? r->seconds : saved;
    double *waste = r->failure == FAILURE_LOST ? &h->lost : &h->failed;
    *waste += (kept ? seconds - saved : seconds) * engine_cores(e);
    h->trained -= kept ? 0 : saved * engine_cores(e);
}

/* The cell that a step led to must be one of the space, and every RELAX step that is done
 * must have one. */
static int engine_take_derived(const struct engine *e, const struct trial *t,
                               struct ledger_result *r, struct error *err)
{
    bool step = t && t->kind == TRIAL_RELAX && r->failure == FAILURE_NONE;
    if (step != (r->derived != NULL))
        return error_set(err, ERROR_CORRUPT, "trial %llu: a result %s a derived cell",
                         t ? (unsigned long long)t->id : 0, step ? "without" : "with");
    if (!step)
        return 0;
    int status = space_validate(e->space, r->derived, err);
    if (status == 0)
        r->derived_hash = space_hash(e->space, r->derived);
    return status;
}

int engine_apply_finished(struct engine *e, const struct record_finished *r,
                          struct error *err)
{
    bool failed = r->result.failure != FAILURE_NONE;
    const struct trial *t = ledger_trial(e->ledger, r->id);
    double saved = t ? t->saved_seconds : 0;
    double rest = r->result.seconds > saved && isfinite(r->result.seconds)
                      ? r->result.seconds - saved
                      : 0;
    struct ledger_result result = r->result;
    int status = engine_take_derived(e, t, &result, err);
    if (status == 0)
        status = failed ? ledger_failed(e->ledger, r->id, &result, r->reward, err)
                        : ledger_done(e->ledger, r->id, &result, r->reward, err);
    if (status != 0)
        return status;
    if (failed)
        engine_waste(e, &r->result, saved, false);
    else
        ledger_hours(e->ledger)->trained += rest * engine_cores(e);
    e->last_time = r->result.finished_at;
    status = engine_push_pending(e, r->id, engine_offset(e), err);
    return status == 0 ? engine_settle_waiting(e, r->id, r->result.finished_at, err)
                       : status;
}

int engine_apply_failed_attempt(struct engine *e, const struct record_finished *r,
                                struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, r->id);
    double saved = t ? t->saved_seconds : 0;
    int status = ledger_attempt_failed(e->ledger, r->id, &r->result, err);
    if (status != 0)
        return status;
    engine_waste(e, &r->result, saved, r->result.failure == FAILURE_LOST);
    e->last_time = r->result.finished_at;
    return 0;
}

int engine_check_checkpoint(const struct engine *e, uint64_t id, int what,
                            struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, id);
    bool running = t && t->state == TRIAL_RUNNING;
    bool doubted = t && t->state == TRIAL_QUEUED && what != CHECKPOINT_SUSPENDED;
    if (running || doubted)
        return 0;
    return error_set(err, ERROR_CORRUPT, "trial %llu: no state of it can be %s now",
                     (unsigned long long)id, trial_checkpoint_name(what));
}

/* Hours behind a state are trained for good; what a state that is older, or cannot be
 * used, does not hold is lost. */
int engine_apply_checkpoint(struct engine *e, const struct record_checkpoint *r,
                            struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, r->id);
    struct ledger_hours *h = ledger_hours(e->ledger);
    int status = engine_check_checkpoint(e, r->id, r->what, err);
    if (status != 0)
        return status;
    /* Even one from before the first step is there. */
    double seconds = r->what == CHECKPOINT_REFUSED ? 0 : fmax(r->seconds, 1e-6);
    double more = (seconds - t->saved_seconds) * engine_cores(e);
    h->trained += more;
    h->lost -= more < 0 ? more : 0;
    ledger_keep_state(e->ledger, r->id, r->epochs, seconds);
    if (r->what == CHECKPOINT_SUSPENDED)
        ledger_requeue(e->ledger, r->id, true);
    e->last_time = r->time;
    return 0;
}

int engine_apply_told(struct engine *e, uint64_t id, struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, id);
    ledger_set_told(e->ledger, id);
    e->told++;
    bool both = e->ops[ARM_SEARCH] && e->ops[ARM_SEARCH]->shared;
    int arm = both ? ARM_SEARCH : t->arm;
    return e->self[arm] ? e->ops[arm]->tell(e->self[arm], t, err) : 0;
}

/* In ascending order: what is put in front of the queue keeps the order of putting. */
static void engine_requeue_running(struct engine *e)
{
    if (ledger_count_state(e->ledger, -1, TRIAL_RUNNING) == 0)
        return;
    for (uint64_t id = 0; id < ledger_count(e->ledger); id++)
        if (ledger_trial(e->ledger, id)->state == TRIAL_RUNNING)
            ledger_requeue(e->ledger, id, true);
}

void engine_apply_session(struct engine *e, double time)
{
    if (e->session_open && e->last_time > e->session_started)
        e->elapsed += e->last_time - e->session_started;
    engine_requeue_running(e);
    e->session_open = true;
    e->session_started = time;
    e->last_time = time;
    e->sessions++;
}

void engine_apply_closed(struct engine *e, double time)
{
    if (e->session_open && time > e->session_started)
        e->elapsed += time - e->session_started;
    e->session_open = false;
    e->last_time = time;
}

int engine_save_state(const struct engine *e, struct state *state, struct error *err)
{
    const struct {
        const char *name;
        double value;
    } reals[] = {{"session/elapsed", e->elapsed},
                 {"session/started", e->session_started},
                 {"session/last_time", e->last_time}};
    int status = 0;
    for (size_t i = 0; i < 3 && status == 0; i++)
        status = state_put_f64(state, reals[i].name, reals[i].value, err);
    if (status == 0)
        status = state_put_i64(state, "session/count", (int64_t)e->sessions, err);
    if (status == 0)
        status = state_put_i64(state, "session/open", e->session_open, err);
    for (int arm = 0; arm < ARM_COUNT && status == 0; arm++)
        if (e->self[arm])
            status = e->ops[arm]->save(e->self[arm], state, err);
    return status;
}

int engine_load_state(struct engine *e, const struct state *state, struct error *err)
{
    int64_t count = 0, open = 0;
    int status = state_get_f64(state, "session/elapsed", &e->elapsed, err);
    if (status == 0)
        status = state_get_f64(state, "session/started", &e->session_started, err);
    if (status == 0)
        status = state_get_f64(state, "session/last_time", &e->last_time, err);
    if (status == 0)
        status = state_get_i64(state, "session/count", &count, err);
    if (status == 0)
        status = state_get_i64(state, "session/open", &open, err);
    for (int arm = 0; arm < ARM_COUNT && status == 0; arm++)
        if (e->self[arm])
            status = e->ops[arm]->load(e->self[arm], state, err);
    e->sessions = (uint64_t)count;
    e->session_open = open != 0;
    return status;
}
