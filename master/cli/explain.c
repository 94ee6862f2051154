/* SPDX-License-Identifier: Apache-2.0 */
/* The present comes from the engine and the status, the past from log.jsonl. The log may
 * be long, so a line is only parsed when it holds the words that are looked for. */
#include "master/cli/explain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/cli/explain_stalls.h"
#include "master/run_folder.h"
#include "master/summary.h"

enum { ARCHITECTURE_TEXT = 8192, RANKS_MOST = 1 << 24 };

static void format_time(double unix_time, char text[32])
{
    time_t t = (time_t)unix_time;
    struct tm tm;
    localtime_r(&t, &tm);
    strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

/* A reason of several lines, below what it belongs to. */
static void append_reason(struct text *out, const char *reason)
{
    for (bool first = true; reason && *reason; first = false) {
        int length = (int)strcspn(reason, "\n");
        text_append(out, "%s%.*s\n", first ? "" : "      | ", length, reason);
        reason += length + (reason[length] == '\n');
    }
}

/* Call `show` for every event of the log with this number at `key`. */
static void read_log(const struct explain *x, const char *key, long long number,
                     void (*show)(const json_t *event, struct text *out),
                     struct text *out)
{
    char needle[64], *line = NULL, *path = run_folder_file(x->dir, RUN_LOG);
    size_t capacity = 0;
    FILE *file = path ? fopen(path, "r") : NULL;
    snprintf(needle, sizeof needle, "\"%s\":%lld", key, number);
    while (file && getline(&line, &capacity, file) > 0) {
        json_t *event = strstr(line, needle) ? json_loads(line, 0, NULL) : NULL;
        if (event && json_integer_value(json_object_get(event, key)) == number)
            show(event, out);
        json_decref(event);
    }
    if (file)
        fclose(file);
    free(line);
    free(path);
}

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text ? text : "";
}

static long long number_of(const json_t *event, const char *key)
{
    return json_integer_value(json_object_get(event, key));
}

static void append_moment(const json_t *event, struct text *out)
{
    char when[32];
    format_time(json_number_value(json_object_get(event, "time")), when);
    text_append(out, "  %s  ", when);
}

/* --- a trial -------------------------------------------------------------------------
 */

static void show_attempt(const json_t *event, struct text *out)
{
    const char *name = text_of(event, "event");
    bool over = strcmp(name, "trial") == 0;
    if (!over && strcmp(name, "attempt_failed") != 0)
        return;
    append_moment(event, out);
    if (over && strcmp(text_of(event, "state"), "failed") != 0) {
        text_append(out, "%s\n", text_of(event, "state"));
        return;
    }
    text_append(
        out, "attempt %lld failed on rank %lld slot %lld: ", number_of(event, "attempt"),
        number_of(event, "worker"), number_of(event, "slot"));
    append_reason(out,
                  *text_of(event, "reason") ? text_of(event, "reason") : "no reason");
}

static void show_checkpoint(const json_t *event, struct text *out)
{
    if (strcmp(text_of(event, "event"), "checkpoint") != 0)
        return;
    append_moment(event, out);
    text_append(out, "%s", text_of(event, "status"));
    if (*text_of(event, "reason"))
        text_append(out, ", begins anew: ");
    else
        text_append(out, " at epoch %lld on rank %lld slot %lld\n",
                    number_of(event, "epoch"), number_of(event, "worker"),
                    number_of(event, "slot"));
    append_reason(out, text_of(event, "reason"));
}

static void show_trial_event(const json_t *event, struct text *out)
{
    show_attempt(event, out);
    show_checkpoint(event, out);
}

static void append_origin(const struct explain *x, const struct trial *t,
                          struct text *out)
{
    char layers[ARCHITECTURE_TEXT], when[32];
    format_time(t->proposed_at, when);
    space_describe(engine_space(x->engine), t->architecture, layers, sizeof layers);
    text_append(out, "  %s  proposed by the %s arm: ", when, trial_arm_name(t->arm));
    if (t->arm == ARM_CONTROL)
        text_append(out, "drawn at random, to compare the search with");
    else
        text_append(out, "the strategy had learned from %u updates", t->policy_version);
    if (isfinite(t->log_probability) && t->kind != TRIAL_RELAX)
        text_append(out, ", log-probability %.4g", t->log_probability);
    text_append(out, "\n  %-6s  %s\n", space_units(engine_space(x->engine)), layers);
}

static uint64_t count_ahead(const struct ledger *l, const struct trial *t)
{
    uint64_t ahead = 0;
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *o = ledger_trial(l, id);
        bool retry = o->attempts > 0 || o->saved_seconds > 0;
        bool mine = t->attempts > 0 || t->saved_seconds > 0;
        ahead +=
            o->state == TRIAL_QUEUED && o != t && (retry != mine ? retry : o->id < t->id);
    }
    return ahead;
}

static void append_queued(const struct explain *x, const struct trial *t,
                          struct text *out)
{
    const struct run_status *s = x->status;
    char kept[80];
    summary_kept(engine_config(x->engine), t, kept, sizeof kept);
    if (*kept)
        text_append(out, "%s, continues from there: ", kept);
    else
        text_append(
            out, "waits for %s: ", t->attempts > 0 ? "its next attempt" : "a free slot");
    if (s->state != RUN_RUNNING)
        text_append(out, "the run is %s; archway resume %s goes on with it\n",
                    run_state_name(s->state), x->dir);
    else
        text_append(out,
                    "%d of %d slots are busy, %llu queued trials are ahead of it%s\n",
                    s->busy, s->slots,
                    (unsigned long long)count_ahead(engine_ledger(x->engine), t),
                    t->attempts > 0 ? ", and it prefers another node than the last" : "");
}

static void append_running_trial(const struct explain *x, const struct trial *t,
                                 struct text *out)
{
    bool live = x->status->state == RUN_RUNNING;
    char kept[80];
    summary_kept(engine_config(x->engine), t, kept, sizeof kept);
    text_append(out, "attempt %u %s on rank %d slot %d", t->attempts,
                live ? "runs" : "was cut off", t->worker, t->slot);
    if (*kept)
        text_append(out, ", %s", kept);
    if (!live)
        text_append(out, " when the run ended; resumed, it %s",
                    *kept ? "goes on from there" : "is trained again");
    text_append(out, "\n");
}

static void append_done(const struct explain *x, const struct trial *t, struct text *out)
{
    static const char *const deeds[TRIAL_KIND_COUNT] = {
        "trained", "a step made", "scored", "a step made", "scored"};
    unsigned long long step = t->shared.step;
    text_append(out, "%s by attempt %u on rank %d slot %d in %.4g s: ", deeds[t->kind],
                t->attempts, t->worker, t->slot, t->seconds);
    double loss = t->epoch_count ? t->epochs[t->epoch_count - 1].train_loss : NAN;
    if (t->kind == TRIAL_TRAIN_SHARED)
        text_append(out,
                    "loss %.4f of step %llu of the shared weights, architecture %d\n",
                    loss, step, t->shared.part);
    else if (t->kind == TRIAL_RELAX)
        text_append(
            out,
            "loss %.4f of step %llu of the relaxed cell, which stood for this "
            "architecture then,\n  its operations with shares of log-probability %.4f\n",
            loss, step, t->log_probability);
    else
        text_append(out, "%s %.4f, reward %.4g\n",
                    engine_config(x->engine)->reward.metric, t->val_accuracy, t->reward);
    if (t->kind == TRIAL_EVAL_RELAX)
        text_append(out,
                    "  of the relaxed cell after %llu steps, on all of the validation "
                    "text; it stood for this architecture\n",
                    step);
    if (t->kind != TRIAL_EVAL_SHARED)
        return;
    text_append(out, "  with the shared weights after %llu steps, on ", step);
    if (t->shared.part < 0)
        text_append(out, "all of the validation text\n");
    else
        text_append(out, "window %d of the validation text\n", t->shared.part);
}

static void append_state(const struct explain *x, const struct trial *t, struct text *out)
{
    switch (t->state) {
    case TRIAL_QUEUED:
        append_queued(x, t, out);
        break;
    case TRIAL_RUNNING:
        append_running_trial(x, t, out);
        break;
    case TRIAL_WAITING:
        text_append(out, "waits for trial %lld, which has the same architecture\n",
                    (long long)t->same_as);
        break;
    case TRIAL_SAVED:
        text_append(out,
                    "answered by trial %lld, which has the same architecture: %.4f\n",
                    (long long)t->same_as, t->val_accuracy);
        break;
    case TRIAL_DONE:
        append_done(x, t, out);
        break;
    default:
        text_append(out, "failed for good (%s) after %u attempts (run.retries: %d): ",
                    trial_failure_name(t->failure), t->attempts,
                    engine_config(x->engine)->run.retries);
        append_reason(out, t->reason ? t->reason : "no reason");
    }
}

int explain_trial(const struct explain *x, uint64_t id, struct text *out,
                  struct error *err)
{
    const struct ledger *l = engine_ledger(x->engine);
    const struct trial *t = ledger_trial(l, id);
    if (!t)
        return error_set(err, ERROR_USAGE, "archway explain: %s has %llu trials, from 0",
                         x->dir, (unsigned long long)ledger_count(l));
    text_append(out, "trial %llu: ", (unsigned long long)id);
    append_state(x, t, out);
    explain_stalls_of_trial(x->status, id, t->state == TRIAL_QUEUED, out);
    append_origin(x, t, out);
    read_log(x, "trial", (long long)id, show_trial_event, out);
    return 0;
}

/* --- a rank --------------------------------------------------------------------------
 */

static json_t *read_placement(const struct explain *x)
{
    char *path = run_folder_file(x->dir, RUN_PLACEMENT), *text = NULL;
    size_t size;
    json_t *list = NULL;
    if (path && text_read_file(path, 64 << 20, &text, &size, NULL) == 0)
        list = json_loadb(text, size, 0, NULL);
    free(text);
    free(path);
    return list;
}

struct rank_sums {
    const char *host; /* borrowed of the placement; NULL: not in it */
    int slots;
    uint64_t done, failed, running;
};

/* Of every rank of the placement, by rank; caller frees. NULL when memory is gone. */
static struct rank_sums *sum_ranks(const struct explain *x, const json_t *placement,
                                   int *ret_count)
{
    const struct ledger *l = engine_ledger(x->engine);
    int count = 0;
    size_t i;
    const json_t *slot;
    json_array_foreach(placement, i, slot)
    {
        long long rank = number_of(slot, "rank");
        if (rank >= count && rank < RANKS_MOST)
            count = (int)rank + 1;
    }
    struct rank_sums *sums = calloc((size_t)count + 1, sizeof *sums);
    json_array_foreach(placement, i, slot)
    {
        long long rank = number_of(slot, "rank");
        if (!sums || rank < 0 || rank >= count)
            continue;
        sums[rank].host = text_of(slot, "host");
        sums[rank].slots++;
    }
    for (uint64_t id = 0; sums && id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        if (t->worker < 0 || t->worker >= count)
            continue;
        sums[t->worker].done += t->state == TRIAL_DONE;
        sums[t->worker].failed += t->state == TRIAL_FAILED;
        sums[t->worker].running += t->state == TRIAL_RUNNING;
    }
    *ret_count = count;
    return sums;
}

static void show_rank_event(const json_t *event, struct text *out)
{
    if (strcmp(text_of(event, "event"), "first_trial") == 0)
        return;
    append_moment(event, out);
    text_append(out, "%s: %s\n", text_of(event, "event"), text_of(event, "text"));
}

static void append_running(const struct explain *x, int rank, struct text *out)
{
    const struct ledger *l = engine_ledger(x->engine);
    const char *comma = "  runs trial ";
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        if (t->worker != rank || t->state != TRIAL_RUNNING)
            continue;
        text_append(out, "%s%llu", comma, (unsigned long long)id);
        comma = ", ";
    }
    text_append(out, "\n");
}

static void append_idle(const struct explain *x, struct text *out)
{
    const struct run_status *s = x->status;
    const struct config *c = engine_config(x->engine);
    uint64_t count = ledger_count(engine_ledger(x->engine));
    if (s->state != RUN_RUNNING)
        text_append(out, "  idle: the run is %s\n", run_state_name(s->state));
    else if (config_trials(c) > 0 && count >= (uint64_t)config_trials(c))
        text_append(out, "  idle: all %llu trials of the budget are handed out\n",
                    (unsigned long long)count);
    else
        text_append(out,
                    "  idle: the search proposes more when %llu running trials have "
                    "results\n",
                    (unsigned long long)s->states[TRIAL_RUNNING]);
}

static void append_rank(const struct explain *x, int rank, const struct rank_sums *sums,
                        struct text *out)
{
    text_append(out, "rank %d on %s: %d slots; %llu trials done, %llu failed for good\n",
                rank, sums->host, sums->slots, (unsigned long long)sums->done,
                (unsigned long long)sums->failed);
    bool stalled = explain_stalls_of_rank(x->status, rank, out);
    if (sums->running > 0 && x->status->state == RUN_RUNNING)
        append_running(x, rank, out);
    else if (!stalled && !explain_stalls_of_run(x->status, out))
        append_idle(x, out);
    read_log(x, "rank", rank, show_rank_event, out);
}

/* A rank without slots may have a state all the same: it has not reported. */
static bool append_stranger(const struct explain *x, int rank, struct text *out)
{
    struct text states;
    text_init(&states);
    bool any = explain_stalls_of_rank(x->status, rank, &states);
    if (any)
        text_append(out, "rank %d: no slots in this session\n%s", rank, states.data);
    text_fini(&states);
    if (any)
        read_log(x, "rank", rank, show_rank_event, out);
    return any;
}

int explain_rank(const struct explain *x, int rank, struct text *out, struct error *err)
{
    json_t *placement = read_placement(x);
    int count = 0, status = 0;
    struct rank_sums *sums = sum_ranks(x, placement, &count);
    if (!sums)
        status = error_set(err, ERROR_SYSTEM, "no memory for an explanation");
    else if (rank < count && sums[rank].host)
        append_rank(x, rank, &sums[rank], out);
    else if (!append_stranger(x, rank, out))
        status =
            error_set(err, ERROR_USAGE,
                      "archway explain: %s has no rank %d with slots in its last session",
                      x->dir, rank);
    free(sums);
    json_decref(placement);
    return status;
}

/* --- the run -------------------------------------------------------------------------
 */

int explain_run(const struct explain *x, struct text *out, struct error *err)
{
    const struct run_status *s = x->status;
    json_t *placement = read_placement(x);
    size_t i;
    const json_t *line;
    text_append(out, "%s: %s%s%s\n", x->dir, run_state_name(s->state),
                *s->reason ? ": " : "", s->reason);
    json_array_foreach(s->stalls, i, line)
        text_append(out, "  now: %s\n", json_string_value(line));
    text_append(out,
                "  %llu trials queued, %llu running, %llu waiting for an equal one\n",
                (unsigned long long)s->states[TRIAL_QUEUED],
                (unsigned long long)s->states[TRIAL_RUNNING],
                (unsigned long long)s->states[TRIAL_WAITING]);
    int count = 0;
    struct rank_sums *sums = sum_ranks(x, placement, &count);
    for (int rank = 0; sums && rank < count; rank++)
        if (sums[rank].host)
            text_append(
                out, "  rank %d on %s: %d slots, %llu running, %llu done, %llu failed\n",
                rank, sums[rank].host, sums[rank].slots,
                (unsigned long long)sums[rank].running,
                (unsigned long long)sums[rank].done,
                (unsigned long long)sums[rank].failed);
    out->failed |= !sums;
    free(sums);
    json_decref(placement);
    return out->failed ? error_set(err, ERROR_SYSTEM, "no memory for an explanation") : 0;
}
