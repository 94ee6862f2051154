/* SPDX-License-Identifier: Apache-2.0 */
/* archway trials: choose and sort trials of a run, then hand them to one of three writers
 * (trial_table.c). Trials without a value come last in every order, so that sorting never
 * hides a result behind a failure. */
#include "master/cli/commands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "master/analysis/evaluations.h"
#include "master/cli/output.h"
#include "master/cli/trial_table.h"
#include "master/reward.h"

static double value_id(const struct trial *t)
{
    return (double)t->id;
}

static double value_metric(const struct trial *t)
{
    return t->val_accuracy;
}

static double value_reward(const struct trial *t)
{
    return t->reward;
}

static double value_seconds(const struct trial *t)
{
    return t->seconds;
}

static double value_params(const struct trial *t)
{
    return t->params;
}

static double value_flops(const struct trial *t)
{
    return t->flops;
}

static double value_finished(const struct trial *t)
{
    return t->state == TRIAL_DONE || t->state == TRIAL_SAVED || t->state == TRIAL_FAILED
               ? t->finished_at
               : NAN;
}

enum { SORT_ID, SORT_METRIC, SORT_REWARD, SORT_SECONDS, SORT_PARAMS, SORT_FLOPS,
       SORT_FINISHED, SORT_COUNT };

/* Sign 1: small values first, -1: large ones first; 0: what the metric calls better. */
static const struct sort_key {
    const char *name;
    int sign;
    double (*value)(const struct trial *t);
} sort_keys[SORT_COUNT] = {
    [SORT_ID] = {"id", 1, value_id},
    [SORT_METRIC] = {"metric", 0, value_metric},
    [SORT_REWARD] = {"reward", -1, value_reward},
    [SORT_SECONDS] = {"seconds", 1, value_seconds},
    [SORT_PARAMS] = {"params", 1, value_params},
    [SORT_FLOPS] = {"flops", 1, value_flops},
    [SORT_FINISHED] = {"finished", 1, value_finished}};

struct choice {
    int arm, state; /* -1: all */
    const struct sort_key *key;
    bool reverse;
    bool best; /* of those whose metric can be compared */
    uint64_t top;
};

static int choose_sort(const struct invocation *in, struct choice *ret, struct error *err)
{
    const char *names[SORT_COUNT], *value = command_value(in, "sort");
    ret->key = &sort_keys[command_value(in, "top") ? SORT_METRIC : SORT_ID];
    for (int i = 0; value && i < SORT_COUNT; i++) {
        names[i] = sort_keys[i].name;
        if (strcmp(value, sort_keys[i].name) != 0)
            continue;
        ret->key = &sort_keys[i];
        return 0;
    }
    if (!value)
        return 0;
    int nearest = text_nearest(value, names, SORT_COUNT);
    return error_set(err, ERROR_USAGE,
                     "archway trials: --sort is '%s'%s%s%s Allowed: id, metric, reward, "
                     "seconds, params, flops, finished",
                     value, nearest >= 0 ? "; did you mean '" : ".",
                     nearest >= 0 ? names[nearest] : "", nearest >= 0 ? "'?" : "");
}

static int choose(const struct invocation *in, struct choice *ret, struct error *err)
{
    const char *arm = command_value(in, "arm"), *state = command_value(in, "state");
    *ret = (struct choice){.arm = -1, .state = -1, .top = UINT64_MAX};
    for (int i = 0; i < ARM_COUNT; i++)
        if (arm && strcmp(arm, trial_arm_name(i)) == 0)
            ret->arm = i;
    for (int i = TRIAL_QUEUED; i <= TRIAL_SAVED; i++)
        if (state && strcmp(state, trial_state_name(i)) == 0)
            ret->state = i;
    if (command_value(in, "failed"))
        ret->state = TRIAL_FAILED;
    ret->reverse = command_value(in, "reverse") != NULL;
    /* The same architecture answered ten times is no top ten. */
    if (command_value(in, "top") && ret->state < 0)
        ret->state = TRIAL_DONE;
    ret->best = command_value(in, "top") && !command_value(in, "sort");
    int status = output_option_count(in, "top", 1, 1000000000, &ret->top, err);
    return status == 0 ? choose_sort(in, ret, err) : status;
}

struct row {
    double value; /* small first; NAN last */
    const struct trial *trial;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    bool x_nan = isnan(x->value), y_nan = isnan(y->value);
    if (x_nan != y_nan)
        return x_nan ? 1 : -1;
    if (!x_nan && x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->trial->id < y->trial->id ? -1 : x->trial->id > y->trial->id;
}

/* The chosen trials in order; caller frees. */
static int select_trials(struct engine *e, const struct choice *c,
                         const struct trial ***ret, size_t *ret_count, struct error *err)
{
    const struct ledger *l = engine_ledger(e);
    uint64_t all = ledger_count(l);
    struct evaluations evaluations = evaluations_find(l, engine_config(e));
    struct row *rows = malloc((size_t)(all + 1) * sizeof *rows);
    const struct trial **list = malloc((size_t)(all + 1) * sizeof *list);
    bool lower = reward_lower_is_better(&engine_config(e)->reward);
    int sign = c->key->sign ? c->key->sign : lower ? 1 : -1;
    size_t count = 0;
    if (!rows || !list) {
        free(rows);
        free(list);
        return error_set(err, ERROR_SYSTEM, "no memory for %llu trials",
                         (unsigned long long)all);
    }
    for (uint64_t id = 0; id < all; id++) {
        const struct trial *t = ledger_trial(l, id);
        if ((c->arm >= 0 && t->arm != c->arm) ||
            (c->state >= 0 && t->state != c->state) ||
            (c->best && !evaluations_is_final(&evaluations, t)))
            continue;
        double v = c->key->value(t) * (c->reverse ? -sign : sign);
        rows[count++] = (struct row){.value = v, .trial = t};
    }
    qsort(rows, count, sizeof *rows, compare_rows);
    if (count > c->top)
        count = (size_t)c->top;
    for (size_t i = 0; i < count; i++)
        list[i] = rows[i].trial;
    free(rows);
    *ret = list;
    *ret_count = count;
    return 0;
}

static int run_trials(const struct invocation *in, int *ret_exit, struct error *err)
{
    const char *format = command_value(in, "format");
    const struct trial **list = NULL;
    struct engine *e = NULL;
    struct choice c;
    struct text out;
    size_t count = 0;
    text_init(&out);
    int status = choose(in, &c, err);
    if (status == 0)
        status = output_open_run(in, &e, NULL, err);
    if (status == 0)
        status = select_trials(e, &c, &list, &count, err);
    if (status == 0) {
        if (format && strcmp(format, "csv") == 0)
            trial_csv(engine_space(e), list, count, &out);
        else if (format && strcmp(format, "json") == 0)
            trial_json(engine_space(e), list, count, command_value(in, "curves"), &out);
        else if (command_value(in, "failed"))
            trial_failures(list, count, &out);
        else
            trial_table(e, list, count, output_width(), &out);
        status = output_text(&out, err);
    }
    free(list);
    engine_free(e);
    *ret_exit = 0;
    return status;
}

static const struct command_option options[] = {
    {"format", "table|csv|json", false,
     "How to write them: a table to read (the default), RFC 4180, or an array of objects."},
    {"sort", "KEY", false,
     "Order: id (the default), metric, reward (best first), seconds, params, flops (small "
     "first), finished (oldest first)."},
    {"reverse", NULL, false, "The other way round; trials without a value stay last."},
    {"top", "N", false,
     "Only the first N; sorted by metric, and trained trials only, unless --sort and --state "
     "say otherwise."},
    {"arm", "search|control", false, "Only this arm."},
    {"state", "queued|running|waiting|done|failed|saved", false, "Only trials in this state."},
    {"failed", NULL, false,
     "Only those that failed for good; as a table with the whole reason and the last lines of "
     "the trainer's standard error."},
    {"curves", NULL, false, "With --format json: the curve of every trial, epoch by epoch."},
    {0}};

const struct command command_trials = {
    .name = "trials",
    .synopsis = "DIR [--format table|csv|json] [--sort KEY] [--top N] [options]",
    .summary = "list the trials of a run",
    .description =
        "Lists what was proposed, what became of it and what it cost, of a running or a "
        "stopped run, from its files alone. A trial that was answered from the record "
        "names "
        "the trial that it equals.\n"
        "A layer is written filter height x filter width x filters / stride, with the "
        "layers "
        "that feed it in brackets where they are not just the one before; -1 is the "
        "image. A "
        "node of a cell of the space rnn-dag is written with the number of the node that "
        "it "
        "reads, 0:relu. A cell of rnn-tree is written +tanh or *tanh a node, then where "
        "and "
        "how the last c joins, c+relu@0, and of which node the next c is, c=1.",
    .example = "archway trials runs/first --top 10\n"
               "archway trials runs/first --failed\n"
               "archway trials runs/first --format csv > trials.csv",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_trials};
