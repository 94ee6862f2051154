/* SPDX-License-Identifier: Apache-2.0 */
/* A status for people (fits 80 columns) and for programs (the same facts as JSON). */
#include "master/cli/run_status.h"

#include <math.h>
#include <stdio.h>

#include "master/cli/output.h"
#include "master/kernel_uses.h"
#include "master/summary.h"

enum { KEPT_NAMED = 3 };

static void format_state(const struct run_status *s, const char *dir, struct text *out)
{
    text_append(out, "%s: ", dir);
    switch (s->state) {
    case RUN_RUNNING:
        text_append(out, "running on %s\n", s->holder[0] ? s->holder : "an unnamed host");
        return;
    case RUN_FINISHED:
        text_append(out, "finished (%s)\n", s->reason);
        return;
    case RUN_STOPPED:
        text_append(out, "stopped early (%s)\n", s->reason);
        break;
    case RUN_FAILED:
        text_append(out, "ended with an error: %s\n", s->reason);
        break;
    case RUN_KILLED:
        text_append(out, "its master ended without a word, as after a kill\n");
        break;
    }
    text_append(out, "Continue it with: archway resume %s\n", dir);
}

static void format_trials(const struct run_status *s, struct text *out)
{
    const struct progress *p = &s->progress;
    const struct {
        int state;
        const char *name;
    } parts[] = {{TRIAL_DONE, "trained"},   {TRIAL_SAVED, "saved"},
                 {TRIAL_FAILED, "failed"},  {TRIAL_RUNNING, "running"},
                 {TRIAL_WAITING, "waiting"}, {TRIAL_QUEUED, "queued"}};
    const char *comma = "";
    text_append(out, "  trials      %llu", (unsigned long long)p->over);
    if (p->total)
        text_append(out, " of %llu (%.0f %%)", (unsigned long long)p->total,
                    100 * (double)p->over / (double)p->total);
    text_append(out, ": ");
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (s->states[parts[i].state] == 0)
            continue;
        const char *name = parts[i].name;
        if (parts[i].state == TRIAL_RUNNING && s->state != RUN_RUNNING)
            name = "cut off";
        text_append(out, "%s%llu %s", comma, (unsigned long long)s->states[parts[i].state],
                    name);
        comma = ", ";
    }
    text_append(out, "%s\n", *comma ? "" : "none yet");
}

/* The better arm's best; NULL when there is no result. */
static const struct progress_arm *best_arm(const struct progress *p, int *ret_arm)
{
    const struct progress_arm *a = &p->arms[ARM_SEARCH], *b = &p->arms[ARM_CONTROL];
    bool control = a->results == 0 ||
                   (b->results > 0 && (p->lower_is_better ? b->best < a->best
                                                          : b->best > a->best));
    *ret_arm = control ? ARM_CONTROL : ARM_SEARCH;
    return p->arms[*ret_arm].results > 0 ? &p->arms[*ret_arm] : NULL;
}

static void format_results(const struct run_status *s, struct engine *e, struct text *out)
{
    const struct progress *p = &s->progress;
    int arm;
    const struct progress_arm *best = best_arm(p, &arm);
    if (!best)
        return;
    text_append(out, "  best        %.4f, trial %llu (%s)\n", best->best,
                (unsigned long long)best->best_id, trial_arm_name(arm));
    text_append(out, "  last %d     ", PROGRESS_RECENT);
    for (int i = 0; i < ARM_COUNT; i++)
        if (p->arms[i].results > 0)
            text_append(out, "%s %.4f   ", i == ARM_CONTROL ? "random" : "search",
                        progress_recent_mean(p, (enum trial_arm)i));
    text_append(out, "(mean %s)\n", engine_config(e)->reward.metric);
}

/* Steps that the shared weights have made; -1 in a search without. */
static int64_t steps_made(struct engine *e)
{
    const struct ledger *l = engine_ledger(e);
    uint64_t over = 0;
    if (!config_shares_weights(engine_config(e)))
        return -1;
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        over += trial_kind_is_step(t->kind) &&
                (t->state == TRIAL_DONE || t->state == TRIAL_FAILED);
    }
    return (int64_t)over / engine_config(e)->search.shared.samples;
}

static void format_weights(struct engine *e, struct text *out)
{
    const struct config_shared *c = &engine_config(e)->search.shared;
    int64_t steps = steps_made(e), all = (int64_t)c->steps * c->epochs;
    if (steps < 0)
        return;
    int64_t epoch = steps / c->steps + 1;
    text_append(out, "  weights     %lld of %lld steps, epoch %lld of %d\n",
                (long long)steps, (long long)all,
                (long long)(epoch > c->epochs ? c->epochs : epoch), c->epochs);
}

/* The newest score of the relaxed cell; NULL: there is none. */
static const struct trial *newest_score(struct engine *e)
{
    const struct ledger *l = engine_ledger(e);
    if (!config_relaxes(engine_config(e)))
        return NULL;
    for (uint64_t id = ledger_count(l); id-- > 0;) {
        const struct trial *t = ledger_trial(l, id);
        if (t->kind == TRIAL_EVAL_RELAX && t->state == TRIAL_DONE)
            return t;
    }
    return NULL;
}

/* The cell of such a score; an overview may not know it, and then it is "". */
static void describe_cell(struct engine *e, const struct trial *t, char *text,
                          unsigned size)
{
    *text = '\0';
    if (space_validate(engine_space(e), t->architecture, NULL) == 0)
        space_describe(engine_space(e), t->architecture, text, size);
}

static void format_relaxed(struct engine *e, struct text *out)
{
    const struct trial *t = newest_score(e);
    char cell[400];
    if (!t)
        return;
    describe_cell(e, t, cell, sizeof cell);
    text_append(out, "  relaxed     %s %.4f after %llu steps%s%s\n",
                engine_config(e)->reward.metric, t->val_accuracy,
                (unsigned long long)t->shared.step,
                *cell ? ", standing for\n              " : "", cell);
}

static json_t *relaxed_json(struct engine *e)
{
    const struct trial *t = newest_score(e);
    char cell[400];
    if (!t)
        return json_null();
    describe_cell(e, t, cell, sizeof cell);
    return json_pack("{s:I, s:I, s:o, s:o}", "trial", (json_int_t)t->id, "steps",
                     (json_int_t)t->shared.step, "metric", output_number(t->val_accuracy),
                     "cell", *cell ? json_string(cell) : json_null());
}

static void format_rate(const struct run_status *s, struct text *out)
{
    if (s->rate >= 1)
        text_append(out, "  throughput  %.1f trials/s", s->rate);
    else if (s->rate * 60 >= 1)
        text_append(out, "  throughput  %.1f trials/min", s->rate * 60);
    else
        text_append(out, "  throughput  %.1f trials/h", s->rate * 3600);
    text_append(out, s->state == RUN_RUNNING ? " in this session\n" : "\n");
}

static void format_slots(const struct run_status *s, struct text *out)
{
    if (s->slots == 0)
        return;
    if (s->state == RUN_RUNNING)
        text_append(out, "  slots       %d of %d busy", s->busy, s->slots);
    else
        text_append(out, "  slots       %d", s->slots);
    if (isfinite(s->used))
        text_append(out, ", used %.0f %% of their time so far", 100 * s->used);
    text_append(out, "\n");
}

static void format_kernels(struct engine *e, struct text *out)
{
    struct kernel_uses uses;
    kernel_uses_count(engine_ledger(e), &uses);
    if (uses.count == 0)
        return;
    text_append(out, "  kernels     ");
    kernel_uses_format(&uses, out);
    text_append(out, "\n");
}

static void format_stalls(const struct run_status *s, struct text *out)
{
    size_t i;
    json_t *line;
    json_array_foreach(s->stalls, i, line)
        text_append(out, "  %s%s\n", i == 0 ? "attention   " : "            ",
                    json_string_value(line));
}

static json_t *kernels_json(struct engine *e)
{
    struct kernel_uses uses;
    kernel_uses_count(engine_ledger(e), &uses);
    return kernel_uses_json(&uses);
}

static void format_times(const struct run_status *s, struct text *out)
{
    char elapsed[32], left[32], ago[32];
    text_format_duration(s->elapsed, elapsed, sizeof elapsed);
    text_append(out, "  time        %s", elapsed);
    if (s->reading.sessions > 1)
        text_append(out, " in %llu sessions", (unsigned long long)s->reading.sessions);
    text_format_duration(s->left, left, sizeof left);
    if (s->state != RUN_FINISHED && isfinite(s->left))
        text_append(out, ", about %s left", left);
    text_format_duration(s->now - s->reading.last_time, ago, sizeof ago);
    if (s->reading.last_time > 0)
        text_append(out, "; last news %s ago", ago);
    text_append(out, "\n");
}

/* Trials that go on from a saved state, the first of them by name. */
static void format_kept(const struct run_status *s, struct engine *e, struct text *out)
{
    const struct ledger *l = engine_ledger(e);
    uint64_t count = 0;
    char kept[80];
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        summary_kept(engine_config(e), t, kept, sizeof kept);
        if (!*kept || (s->state == RUN_RUNNING && t->state == TRIAL_RUNNING))
            continue;
        if (count++ < KEPT_NAMED)
            text_append(out, "%strial %llu %s", count == 1 ? "  kept        " : ", ",
                        (unsigned long long)id, kept);
    }
    if (count > KEPT_NAMED)
        text_append(out, " and %llu more", (unsigned long long)(count - KEPT_NAMED));
    if (count > 0)
        text_append(out, "%s\n",
                    s->state == RUN_RUNNING ? ", to go on when a slot is free"
                                            : ", to go on in the next session");
}

void run_status_format(const struct run_status *s, struct engine *e, const char *dir,
                       struct text *out)
{
    format_state(s, dir, out);
    text_append(out, "\n");
    format_trials(s, out);
    format_kept(s, e, out);
    format_weights(e, out);
    format_relaxed(e, out);
    format_results(s, e, out);
    if (s->progress.over > 0)
        format_rate(s, out);
    format_slots(s, out);
    format_stalls(s, out);
    format_kernels(e, out);
    format_times(s, out);
    text_append(out, "\n");
    if (s->progress.over > 0)
        comparison_format(&s->comparison, out);
    summary_hours(e, out);
    if (s->reading.note[0])
        text_append(out, "Note: %s\n", s->reading.note);
}

static json_t *trials_json(const struct run_status *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "over", json_integer((json_int_t)s->progress.over));
    json_object_set_new(o, "total", s->progress.total
                                        ? json_integer((json_int_t)s->progress.total)
                                        : json_null());
    for (int i = TRIAL_QUEUED; i <= TRIAL_SAVED; i++)
        json_object_set_new(o, trial_state_name(i), json_integer((json_int_t)s->states[i]));
    return o;
}

static json_t *hours_json(struct engine *e)
{
    const struct ledger_hours *h = ledger_hours(engine_ledger(e));
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "unit",
                     engine_config(e)->resources.gpus_per_trial > 0 ? "GPU-second"
                                                                    : "core-second",
                     "trained", h->trained, "failed", h->failed, "lost", h->lost, "saved",
                     h->saved, "idle_wait", h->idle_wait, "idle_tail", h->idle_tail,
                     "duplicates", (json_int_t)h->duplicates);
}

static json_t *arm_json(const struct comparison *c, const struct progress *p, int arm)
{
    const struct comparison_arm *a = &c->arms[arm];
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "trained",
                     (json_int_t)a->trained, "saved", (json_int_t)a->saved, "failed",
                     (json_int_t)a->failed, "mean", output_number(a->mean), "best",
                     output_number(a->best), "best_trial",
                     a->best_id >= 0 ? json_integer(a->best_id) : json_null(), "best_of_equal",
                     output_number(c->best_of[arm]), "recent_mean",
                     output_number(progress_recent_mean(p, (enum trial_arm)arm)));
}

static json_t *comparison_json(const struct comparison *c)
{
    static const char *const verdicts[] = {"no-control", "cannot-tell", "better", "worse"};
    double sign = c->lower_is_better ? -1 : 1;
    json_t *o = json_pack("{s:s, s:I}", "verdict", verdicts[c->verdict], "equal_trials",
                          (json_int_t)c->equal);
    if (c->has_difference) {
        double low = sign * c->difference.low, high = sign * c->difference.high;
        json_object_set_new(o, "difference",
                            json_pack("{s:o, s:o, s:o}", "mean",
                                      output_number(sign * c->difference.estimate), "low",
                                      output_number(fmin(low, high)), "high",
                                      output_number(fmax(low, high))));
    }
    if (c->has_test)
        json_object_set_new(o, "mann_whitney",
                            json_pack("{s:o, s:o}", "p", output_number(c->test.p), "effect",
                                      output_number(c->test.effect)));
    return o;
}

json_t *run_status_json(const struct run_status *s, struct engine *e, const char *dir)
{
    int arm;
    const struct progress_arm *best = best_arm(&s->progress, &arm);
    json_t *o = json_object();
    json_object_set_new(o, "dir", json_string(dir));
    json_object_set_new(o, "name", json_string(engine_config(e)->name));
    json_object_set_new(o, "state", json_string(run_state_name(s->state)));
    json_object_set_new(o, "resumable", json_boolean(s->state > RUN_FINISHED));
    json_object_set_new(o, "holder", s->holder[0] ? json_string(s->holder) : json_null());
    json_object_set_new(o, "reason", s->reason[0] ? json_string(s->reason) : json_null());
    json_object_set_new(o, "trials", trials_json(s));
    int64_t steps = steps_made(e);
    json_object_set_new(o, "shared_steps", steps < 0 ? json_null() : json_integer(steps));
    json_object_set_new(o, "relaxed", relaxed_json(e));
    json_object_set_new(o, "metric", json_string(engine_config(e)->reward.metric));
    json_object_set_new(o, "best",
                        best ? json_pack("{s:I, s:s, s:f}", "trial", (json_int_t)best->best_id,
                                         "arm", trial_arm_name(arm), "metric", best->best)
                             : json_null());
    for (int i = 0; i < ARM_COUNT; i++)
        json_object_set_new(o, trial_arm_name(i), arm_json(&s->comparison, &s->progress, i));
    json_object_set_new(o, "comparison", comparison_json(&s->comparison));
    json_object_set_new(o, "trials_per_second", output_number(s->rate));
    json_object_set_new(o, "slots", json_integer(s->slots));
    json_object_set_new(o, "busy", json_integer(s->busy));
    json_object_set_new(o, "used", output_number(s->used));
    json_object_set_new(o, "kernels", kernels_json(e));
    json_object_set_new(o, "attention", s->stalls ? json_incref(s->stalls) : json_array());
    json_object_set_new(o, "seconds", output_number(s->elapsed));
    json_object_set_new(o, "seconds_left", output_number(s->left));
    json_object_set_new(o, "sessions", json_integer((json_int_t)s->reading.sessions));
    json_object_set_new(o, "last_time", output_number(s->reading.last_time));
    json_object_set_new(o, "hours", hours_json(e));
    return o;
}
