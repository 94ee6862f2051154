/* SPDX-License-Identifier: Apache-2.0 */
/* Only reads the ledger. */
#include "master/summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "master/analysis/comparison.h"
#include "master/analysis/evaluations.h"
#include "master/reward.h"

static bool better(const struct config *c, const struct trial *a, const struct trial *b)
{
    return reward_lower_is_better(&c->reward) ? a->val_accuracy < b->val_accuracy
                                     : a->val_accuracy > b->val_accuracy;
}

static bool seen_before(const struct ledger *l, const uint64_t *ids, int count,
                        const struct trial *t)
{
    for (int i = 0; i < count; i++)
        if (architecture_hash_equal(ledger_trial(l, ids[i])->hash, t->hash))
            return true;
    return false;
}

int summary_top(struct engine *e, int most, uint64_t *ids)
{
    struct ledger *l = engine_ledger(e);
    const struct config *c = engine_config(e);
    struct evaluations evaluations = evaluations_find(l, c);
    int count = 0;
    while (count < most) {
        const struct trial *best = NULL;
        for (uint64_t id = 0; id < ledger_count(l); id++) {
            const struct trial *t = ledger_trial(l, id);
            if (t->state == TRIAL_DONE && isfinite(t->val_accuracy) &&
                evaluations_is_final(&evaluations, t) && (!best || better(c, t, best)) &&
                !seen_before(l, ids, count, t))
                best = t;
        }
        if (!best)
            break;
        ids[count++] = best->id;
    }
    return count;
}

static void format_top(struct engine *e, const uint64_t *ids, int count, struct text *out)
{
    char layers[256], params[32], flops[32];
    text_append(out, "Best architectures (%s):\n", engine_config(e)->reward.metric);
    for (int i = 0; i < count; i++) {
        const struct trial *t = ledger_trial(engine_ledger(e), ids[i]);
        space_describe(engine_space(e), t->architecture, layers, sizeof layers);
        text_format_count(t->params, params, sizeof params);
        text_format_count(t->flops, flops, sizeof flops);
        text_append(out, "  %d. %.4f  trial %-5llu %-6s %7s params %7s flops  %s\n", i + 1,
                    t->val_accuracy, (unsigned long long)t->id,
                    t->arm == ARM_CONTROL ? "random" : "search", params, flops, layers);
    }
}

void summary_hours(struct engine *e, struct text *out)
{
    const struct ledger_hours *h = ledger_hours(engine_ledger(e));
    const char *unit = engine_config(e)->resources.gpus_per_trial > 0 ? "GPU" : "core";
    const struct {
        const char *name;
        double seconds;
    } rows[] = {{"trained", h->trained},      {"failed", h->failed},
                {"lost", h->lost},            {"saved as duplicates", h->saved},
                {"idle without work", h->idle_wait}, {"idle in the tail", h->idle_tail}};
    text_append(out, "Hours (%s time): ", unit);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char time[32];
        text_format_duration(rows[i].seconds, time, sizeof time);
        text_append(out, "%s%s %s", i ? ", " : "", rows[i].name, time);
    }
    text_append(out, "\n");
}

int summary_format(struct engine *e, const char *dir, struct text *out, struct error *err)
{
    struct comparison c;
    int status = comparison_make(engine_ledger(e), engine_config(e), &c, err);
    if (status != 0)
        return status;
    uint64_t ids[5];
    int count = summary_top(e, 5, ids);
    text_append(out, "\n");
    if (count == 0) {
        text_append(out, "No trial has a result yet.\n");
        summary_hours(e, out);
        return out->failed ? error_set(err, ERROR_SYSTEM, "no memory for the summary") : 0;
    }
    format_top(e, ids, count, out);
    text_append(out, "\n");
    comparison_format(&c, out);
    summary_hours(e, out);
    text_append(out, "\nLook closer: archway trials %s --top 10, archway export %s --format dot\n",
                dir, dir);
    return out->failed ? error_set(err, ERROR_SYSTEM, "no memory for the summary") : 0;
}

void summary_kept(const struct config *config, const struct trial *t, char *text,
                  size_t size)
{
    char of[32] = "";
    if (config->trainer.command_count == 0)
        snprintf(of, sizeof of, " of %d", config->trainer.builtin.epochs);
    text[0] = '\0';
    if (t->saved_seconds > 0)
        snprintf(text, size, "%s at epoch %u%s",
                 t->state == TRIAL_RUNNING ? "saved" : "suspended", t->saved_epochs, of);
}

static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *curve_json(const struct trial *t)
{
    json_t *curve = json_array();
    for (uint32_t i = 0; curve && i < t->epoch_count; i++) {
        const struct trial_epoch *e = &t->epochs[i];
        json_t *row = json_object();
        json_object_set_new(row, "epoch", json_integer(i + 1));
        json_object_set_new(row, "train_loss", real_or_null((double)e->train_loss));
        json_object_set_new(row, "train_accuracy", real_or_null((double)e->train_accuracy));
        json_object_set_new(row, "val_loss", real_or_null((double)e->val_loss));
        json_object_set_new(row, "val_accuracy", real_or_null((double)e->val_accuracy));
        json_object_set_new(row, "lr", real_or_null((double)e->lr));
        json_object_set_new(row, "seconds", real_or_null((double)e->seconds));
        json_array_append_new(curve, row);
    }
    return curve;
}

static void put_kind(json_t *o, const struct trial *t)
{
    json_object_set_new(o, "kind", json_string(trial_kind_name(t->kind)));
    if (t->kind == TRIAL_TRAIN_CHILD)
        return;
    json_object_set_new(o, "step", json_integer((json_int_t)t->shared.step));
    json_object_set_new(o, "part", json_integer(t->shared.part));
    if (t->kind == TRIAL_RELAX)
        json_object_set_new(o, "settled", real_or_null(t->log_probability));
}

json_t *summary_trial_json(const struct space *space, const struct trial *t)
{
    json_t *o = json_object();
    if (!o)
        return NULL;
    json_object_set_new(o, "trial", json_integer((json_int_t)t->id));
    json_object_set_new(o, "arm", json_string(trial_arm_name(t->arm)));
    json_object_set_new(o, "state", json_string(trial_state_name(t->state)));
    put_kind(o, t);
    json_object_set_new(o, "metric", real_or_null(t->val_accuracy));
    json_object_set_new(o, "reward", real_or_null(t->reward));
    json_object_set_new(o, "seconds", real_or_null(t->seconds));
    json_object_set_new(o, "params", real_or_null(t->params));
    json_object_set_new(o, "flops", real_or_null(t->flops));
    json_object_set_new(o, "kernels",
                        *t->kernels ? json_string(t->kernels) : json_null());
    json_object_set_new(o, "seed", json_integer((json_int_t)t->seed));
    json_object_set_new(o, "same_as",
                        t->same_as >= 0 ? json_integer(t->same_as) : json_null());
    json_object_set_new(o, "saved",
                        t->saved_seconds > 0
                            ? json_pack("{s:i, s:f}", "epochs", (int)t->saved_epochs,
                                        "seconds", t->saved_seconds)
                            : json_null());
    if (t->reason)
        json_object_set_new(o, "reason", json_string(t->reason));
    json_object_set_new(o, "architecture", space_to_json(space, t->architecture));
    json_object_set_new(o, "curve", curve_json(t));
    return o;
}
