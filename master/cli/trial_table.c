/* SPDX-License-Identifier: Apache-2.0 */
/* The table shows what fits on a terminal, the two formats for programs everything. The
 * architecture stands last in the table because it alone has no fixed width: on a narrow
 * terminal it is cut, never wrapped. */
#include "master/cli/trial_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "master/summary.h"

enum {
    ARCHITECTURE_COLUMN = 66,
    ARCHITECTURE_LEAST = 13,
    ARCHITECTURE_TEXT = 8192,
    TASK_COLUMN = 16
};

static void format_number(double v, const char *format, char *text, size_t size)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (isfinite(v))
        snprintf(text, size, format, v);
    else
        snprintf(text, size, "-");
#pragma GCC diagnostic pop
}

static void format_count(double v, char *text, size_t size)
{
    if (isfinite(v))
        text_format_count(v, text, size);
    else
        snprintf(text, size, "-");
}

/* What a failed trial has to say instead of a metric. */
static void format_metric(const struct trial *t, char *text, size_t size)
{
    if (t->state == TRIAL_FAILED)
        snprintf(text, size, "%s", trial_failure_name(t->failure));
    else
        format_number(t->val_accuracy, "%.4f", text, size);
}

static int first_line(const char *reason, int width)
{
    int length = (int)strcspn(reason, "\n");
    return width > 8 && length > width - 8 ? width - 8 : length;
}

/* What was done with the architecture, in a search with shared weights. */
static void format_task(struct engine *e, const struct trial *t, char *text, size_t size)
{
    unsigned long long step = t->shared.step;
    *text = '\0';
    if (!config_shares_weights(engine_config(e)))
        return;
    if (t->kind == TRIAL_TRAIN_SHARED)
        snprintf(text, size, "step %llu.%d", step, t->shared.part);
    else if (t->kind == TRIAL_RELAX)
        snprintf(text, size, "step %llu", step);
    else if (t->kind == TRIAL_TRAIN_CHILD)
        snprintf(text, size, "train");
    else if (t->shared.part >= 0)
        snprintf(text, size, "score %llu w%d", step, t->shared.part);
    else
        snprintf(text, size, "score %llu", step);
}

static void table_row(struct engine *e, const struct trial *t, int width,
                      struct text *out)
{
    char kept[80];
    char metric[24], reward[24], seconds[24], params[32], flops[32], state[40];
    char layers[ARCHITECTURE_TEXT], task[64];
    unsigned room = sizeof layers;
    int task_width = config_shares_weights(engine_config(e)) ? TASK_COLUMN : 0;
    if (width > 0) {
        int left = width - ARCHITECTURE_COLUMN - task_width;
        room = (unsigned)(left < ARCHITECTURE_LEAST ? ARCHITECTURE_LEAST : left) + 1;
        if (room > sizeof layers)
            room = sizeof layers;
    }
    format_metric(t, metric, sizeof metric);
    format_number(t->reward, "%.4f", reward, sizeof reward);
    format_number(t->seconds, t->seconds < 10 ? "%.3f" : "%.1f", seconds, sizeof seconds);
    format_count(t->params, params, sizeof params);
    format_count(t->flops, flops, sizeof flops);
    if (t->state == TRIAL_SAVED && t->same_as >= 0)
        snprintf(state, sizeof state, "as %lld", (long long)t->same_as);
    else
        snprintf(state, sizeof state, "%s", trial_state_name(t->state));
    space_describe(engine_space(e), t->architecture, layers, room);
    format_task(e, t, task, sizeof task);
    text_append(out, "%6llu  %-7s  %-7s%*s %8s %7s %8s %7s %7s  %s\n",
                (unsigned long long)t->id, trial_arm_name(t->arm), state, task_width,
                task, metric, reward, seconds, params, flops, layers);
    if (t->state == TRIAL_FAILED && t->reason)
        text_append(out, "%8s%.*s\n", "", first_line(t->reason, width), t->reason);
    summary_kept(engine_config(e), t, kept, sizeof kept);
    if (*kept)
        text_append(out, "%8s%s\n", "", kept);
}

void trial_table(struct engine *e, const struct trial *const *list, size_t count, int width,
                 struct text *out)
{
    if (count == 0) {
        text_append(out, "No trial fits.\n");
        return;
    }
    bool shared = config_shares_weights(engine_config(e));
    text_append(out, "%6s  %-7s  %-7s%*s %8s %7s %8s %7s %7s  %s\n", "trial", "arm",
                "state", shared ? TASK_COLUMN : 0, shared ? "task" : "", "metric",
                "reward", "seconds", "params", "flops", space_units(engine_space(e)));
    for (size_t i = 0; i < count; i++)
        table_row(e, list[i], width, out);
}

void trial_failures(const struct trial *const *list, size_t count, struct text *out)
{
    if (count == 0)
        text_append(out, "No trial failed.\n");
    for (size_t i = 0; i < count; i++) {
        const struct trial *t = list[i];
        text_append(out, "trial %llu (%s): %s after %u attempts, the last on rank %d slot %d\n",
                    (unsigned long long)t->id, trial_arm_name(t->arm),
                    trial_failure_name(t->failure), t->attempts, t->worker, t->slot);
        for (const char *line = t->reason; line && *line; line += *line == '\n') {
            int length = (int)strcspn(line, "\n");
            text_append(out, "    %s%.*s\n", line == t->reason ? "" : "| ", length, line);
            line += length;
        }
    }
}

/* A field of RFC 4180: in quotes where it has to be, quotes doubled. */
static void csv_text(const char *value, struct text *out)
{
    if (!strpbrk(value, ",\"\r\n")) {
        text_append(out, "%s", value);
        return;
    }
    text_append(out, "\"");
    for (; *value; value++)
        text_append(out, "%s%c", *value == '"' ? "\"" : "", *value);
    text_append(out, "\"");
}

static void csv_number(double v, struct text *out)
{
    char text[32] = "";
    if (isfinite(v))
        text_format_double(v, text, sizeof text);
    text_append(out, ",%s", text);
}

static void csv_whole(bool known, long long v, struct text *out)
{
    if (known)
        text_append(out, ",%lld", v);
    else
        text_append(out, ",");
}

static void csv_row(const struct space *space, const struct trial *t, struct text *out)
{
    char layers[ARCHITECTURE_TEXT];
    bool over = t->state == TRIAL_DONE || t->state == TRIAL_FAILED || t->state == TRIAL_SAVED;
    space_describe(space, t->architecture, layers, sizeof layers);
    text_append(out, "%llu,%s,%s", (unsigned long long)t->id, trial_arm_name(t->arm),
                trial_state_name(t->state));
    csv_number(t->val_accuracy, out);
    csv_number(t->reward, out);
    csv_number(t->seconds, out);
    csv_number(t->params, out);
    csv_number(t->flops, out);
    text_append(out, ",%llu,%u", (unsigned long long)t->seed, t->attempts);
    csv_whole(t->worker >= 0, t->worker, out);
    csv_whole(t->slot >= 0, t->slot, out);
    text_append(out, ",%u", t->policy_version);
    csv_number(t->log_probability, out);
    text_append(out, ",%u", t->epoch_count);
    csv_whole(t->same_as >= 0, t->same_as, out);
    text_append(out, ",%s,", t->failure ? trial_failure_name(t->failure) : "");
    csv_text(t->reason ? t->reason : "", out);
    csv_number(t->proposed_at, out);
    csv_number(over ? t->finished_at : NAN, out);
    text_append(out, ",%u,", t->architecture->depth);
    csv_text(layers, out);
    text_append(out, ",");
    for (int i = 0; i < t->architecture->count; i++)
        text_append(out, "%s%u", i ? " " : "", t->architecture->tokens[i]);
    text_append(out, ",");
    csv_text(t->kernels, out);
    csv_whole(t->saved_seconds > 0, t->saved_epochs, out);
    csv_number(t->saved_seconds > 0 ? t->saved_seconds : NAN, out);
    bool shared = t->kind != TRIAL_TRAIN_CHILD;
    text_append(out, ",%s", trial_kind_name(t->kind));
    csv_whole(shared, (long long)t->shared.step, out);
    csv_whole(shared, t->shared.part, out);
    text_append(out, "\r\n");
}

void trial_csv(const struct space *space, const struct trial *const *list, size_t count,
               struct text *out)
{
    text_append(out,
                "trial,arm,state,metric,reward,seconds,params,flops,seed,attempts,worker,"
                "slot,policy_version,log_probability,epochs,same_as,failure,reason,"
                "proposed_at,finished_at,depth,layers,tokens,kernels,saved_epochs,"
                "saved_seconds,kind,step,part\r\n");
    for (size_t i = 0; i < count; i++)
        csv_row(space, list[i], out);
}

void trial_json(const struct space *space, const struct trial *const *list, size_t count,
                bool curves, struct text *out)
{
    text_append(out, "[");
    for (size_t i = 0; i < count; i++) {
        json_t *o = summary_trial_json(space, list[i]);
        if (!curves)
            json_object_del(o, "curve");
        char *dump = o ? json_dumps(o, JSON_COMPACT) : NULL;
        if (dump)
            text_append(out, "%s\n%s", i ? "," : "", dump);
        else
            out->failed = true;
        free(dump);
        json_decref(o);
    }
    text_append(out, "\n]\n");
}
