/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is asked of the master: who runs is told by the lock, what happened by journal and
 * snapshot, how it ended by exit.json, where by placement.json. A status is therefore as
 * old as the last record on disk, and cannot slow a run down. */
#include "master/cli/run_status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/sort.h"
#include "master/run_folder.h"

enum { STATUS_FILE_MAX = 64 << 20 };

const char *run_state_name(enum run_state state)
{
    static const char *const names[] = {"running", "finished", "stopped", "failed", "killed"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

/* A JSON file of the run; NULL when it is missing or no JSON. */
static json_t *read_json(const char *dir, enum run_folder_file file)
{
    char *path = run_folder_file(dir, file), *text = NULL;
    size_t size = 0;
    json_t *json = NULL;
    if (path && text_read_file(path, STATUS_FILE_MAX, &text, &size, NULL) == 0)
        json = json_loadb(text, size, 0, NULL);
    free(text);
    free(path);
    return json;
}

static void read_state(const char *dir, struct run_status *s)
{
    json_t *exit = NULL;
    if (run_folder_is_live(dir, s->holder, sizeof s->holder) == 1) {
        s->state = RUN_RUNNING;
        return;
    }
    exit = read_json(dir, RUN_EXIT);
    const char *reason = json_string_value(json_object_get(exit, "reason"));
    snprintf(s->reason, sizeof s->reason, "%s", reason ? reason : "");
    if (!json_is_object(exit))
        s->state = RUN_KILLED;
    else if (json_is_true(json_object_get(exit, "finished")))
        s->state = RUN_FINISHED;
    else
        s->state = json_integer_value(json_object_get(exit, "status")) == 75 ? RUN_STOPPED
                                                                              : RUN_FAILED;
    json_decref(exit);
}

static bool is_over(const struct trial *t)
{
    return t->state == TRIAL_DONE || t->state == TRIAL_FAILED || t->state == TRIAL_SAVED;
}

static int compare_places(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Trials handed to the same slot make one busy slot: one runs, the others lie ready. */
static int count_busy(const struct ledger *l, uint64_t *places)
{
    size_t count = 0;
    int busy = 0;
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        if (t->state == TRIAL_RUNNING)
            places[count++] = (uint64_t)(uint32_t)t->worker << 32 | (uint32_t)t->slot;
    }
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count; i++)
        busy += i == 0 || places[i] != places[i - 1];
    return busy;
}

/* The trials that are over, and their count; NULL when memory is gone. Caller frees. */
static const struct trial **collect_over(const struct ledger *l, struct run_status *s,
                                         size_t *ret_count)
{
    size_t all = (size_t)ledger_count(l), count = 0;
    const struct trial **over = malloc((all + 1) * sizeof *over);
    for (uint64_t id = 0; id < all && over; id++) {
        const struct trial *t = ledger_trial(l, id);
        s->states[t->state]++;
        if (is_over(t))
            over[count++] = t;
    }
    *ret_count = count;
    return over;
}

/* Feed them to the sums of the live line, in the order of their end. */
static int note_over(const struct trial *const *over, size_t count, struct run_status *s)
{
    double *ends = malloc((count + 1) * sizeof *ends);
    size_t *order = malloc((count + 1) * sizeof *order);
    int status = ends && order ? 0 : -1;
    for (size_t i = 0; i < count && status == 0; i++)
        ends[i] = isnan(over[i]->finished_at) ? 0 : over[i]->finished_at;
    if (status == 0)
        status = sort_order(ends, count, order);
    for (size_t i = 0; i < count && status == 0; i++) {
        const struct trial *t = over[order[i]];
        progress_note(&s->progress, t);
        if (s->state == RUN_RUNNING && t->finished_at < s->progress.started)
            s->progress.over_before++;
    }
    free(ends);
    free(order);
    return status;
}

static int note_trials(struct engine *e, struct run_status *s, struct error *err)
{
    const struct ledger *l = engine_ledger(e);
    size_t count = 0;
    const struct trial **over = collect_over(l, s, &count);
    uint64_t *places = malloc((s->states[TRIAL_RUNNING] + 1) * sizeof *places);
    int status = over && places ? note_over(over, count, s) : -1;
    if (status == 0)
        s->busy = s->state == RUN_RUNNING ? count_busy(l, places) : 0;
    else
        status = error_set(err, ERROR_SYSTEM, "no memory for %llu trials",
                           (unsigned long long)ledger_count(l));
    free(over);
    free(places);
    return status;
}

/* What is left in seconds, by trials and by the budget of hours. */
static double time_left(const struct config *c, const struct run_status *s)
{
    double left = progress_left(&s->progress, s->now);
    double hours = c->search.hours * 3600 - s->elapsed;
    if (s->state == RUN_FINISHED)
        return 0;
    if (c->search.hours > 0 && !(left <= hours))
        left = hours > 0 ? hours : 0;
    return left;
}

static void read_times(struct engine *e, struct run_status *s)
{
    const struct engine_reading *r = &s->reading;
    bool live = s->state == RUN_RUNNING;
    double until = live ? s->now : r->last_time;
    s->elapsed = engine_elapsed(e);
    if (!r->closed && until > r->session_started)
        s->elapsed += until - r->session_started;
    /* A stopped run is judged by all of its sessions, without the time in between. */
    progress_init(&s->progress, engine_config(e),
                  live ? r->session_started : s->now - s->elapsed);
}

static void read_slots(const char *dir, struct engine *e, struct run_status *s)
{
    const struct ledger_hours *h = ledger_hours(engine_ledger(e));
    double worked = h->trained + h->failed + h->lost, idle = h->idle_wait + h->idle_tail;
    json_t *placement = read_json(dir, RUN_PLACEMENT);
    s->slots = (int)json_array_size(placement);
    s->used = worked + idle > 0 ? worked / (worked + idle) : NAN;
    json_decref(placement);
}

static void read_watch(const char *dir, struct run_status *s)
{
    json_t *watch = read_json(dir, RUN_WATCH);
    json_t *states = json_object_get(watch, "states");
    double age = s->now - json_number_value(json_object_get(watch, "time"));
    if (json_is_array(states) && age < RUN_WATCH_AGE)
        s->stalls = json_incref(states);
    json_decref(watch);
}

void run_status_fini(struct run_status *s)
{
    json_decref(s->stalls);
    s->stalls = NULL;
}

int run_status_read(const char *dir, bool overview, double now, struct run_status *ret,
                    struct engine **ret_engine, struct error *err)
{
    struct run_status s = {.now = now};
    struct engine *e = NULL;
    int status = overview ? engine_open_overview(dir, &e, &s.reading, err)
                          : engine_open(dir, true, &e, &s.reading, err);
    if (status != 0)
        return status;
    read_state(dir, &s);
    read_times(e, &s);
    read_slots(dir, e, &s);
    status = note_trials(e, &s, err);
    if (s.state == RUN_RUNNING)
        read_watch(dir, &s);
    if (status == 0)
        status = comparison_make(engine_ledger(e), engine_config(e), &s.comparison, err);
    if (status != 0) {
        run_status_fini(&s);
        engine_free(e);
        return status;
    }
    s.rate = progress_rate(&s.progress, now);
    s.left = time_left(engine_config(e), &s);
    *ret = s;
    *ret_engine = e;
    return 0;
}
