/* SPDX-License-Identifier: Apache-2.0 */
/* One simulation is a list of answers, a plan is a table. */
#include "master/cli/simulate_report.h"

#include <math.h>
#include <stdio.h>

#include "master/cli/output.h"

static const double least_useful = 0.9, most_load = 0.5;

int simulate_report_best(const struct simulate_report *r)
{
    for (int i = r->count - 1; i >= 0; i--)
        if (r->figures[i].finished && r->figures[i].useful >= least_useful &&
            simulate_load(&r->figures[i]) <= most_load)
            return i;
    return -1;
}

static void format_faults(const struct faults *f, struct text *out)
{
    bool any = false;
    text_append(out, "  faults       ");
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (f->rates[i] <= 0)
            continue;
        text_append(out, "%s%s %g", any ? ", " : "", fault_name(i), f->rates[i]);
        any = true;
    }
    if (f->count > 0)
        text_append(out, "%s%zu by schedule", any ? ", " : "", f->count);
    text_append(out, "%s\n", any || f->count > 0 ? "" : "none");
}

static void format_head(const struct simulate_report *r, struct text *out)
{
    text_append(out, "Simulated: %s, %s, seed %llu\n  durations    ", r->config->name,
                config_choice_name("search.strategy", r->config->search.strategy),
                (unsigned long long)r->config->seed);
    model_format(r->model, out);
    text_append(out, "\n");
    format_faults(r->faults, out);
}

static void format_answers(const struct simulate_figures *f, struct text *out)
{
    char time[32], tail[32];
    text_format_duration(f->seconds, time, sizeof time);
    text_format_duration(f->tail, tail, sizeof tail);
    text_append(out, "  workers      %d\n\n", f->workers);
    text_append(out, "  finish       %-14s %s\n", time,
                *f->reason ? f->reason : "to the last result");
    text_append(
        out,
        "  utilisation  %.1f %%%*sof the workers' time gives results; %.1f %% has "
        "a trial\n",
        100 * f->useful, f->useful < 0.9995 ? 9 : 8, "", 100 * f->busy);
    text_append(out, "  tail         %-14s from the last trial handed out to the end\n",
                tail);
    text_append(
        out, "  staleness    %.1f, p95 %-5.0f results that a proposal had not seen yet\n",
        f->stale_mean, f->stale_p95);
    text_append(
        out,
        "  trials       %llu: %llu done, %llu failed, %llu answered from the record\n",
        (unsigned long long)f->trials, (unsigned long long)f->done,
        (unsigned long long)f->failed, (unsigned long long)f->saved);
    text_append(out, "  attempts     %llu, of which %llu failed; %d workers lost\n",
                (unsigned long long)f->counts.attempts,
                (unsigned long long)f->counts.failed, f->counts.lost);
}

static void format_master(const struct simulate_figures *f, bool gpus, struct text *out)
{
    char memory[32], events[32], rate[32], most[32];
    double load = simulate_load(f);
    text_format_size(f->memory, memory, sizeof memory);
    text_format_count((double)f->events, events, sizeof events);
    text_format_count((double)f->events / f->real, rate, sizeof rate);
    text_format_count(f->workers / load, most, sizeof most);
    text_append(out, "  cost         %.1f %s-hours\n", f->core_hours,
                gpus ? "GPU" : "core");
    text_append(out,
                "  master       %.3f ms of processor a trial, %.2f %% of a core: enough "
                "for about %s workers\n",
                f->trials ? 1000 * f->cpu / (double)f->trials : NAN, 100 * load, most);
    text_append(out, "  simulation   %s events in %.1f s, %s a second, %s\n", events,
                f->real, rate, memory);
}

static void format_table(const struct simulate_report *r, struct text *out)
{
    text_append(out, "\n  %8s %10s %8s %8s %10s %9s %10s %8s\n", "workers", "finish",
                "useful", "busy", "tail", "stale p95",
                r->config->resources.gpus_per_trial > 0 ? "GPU-hours" : "core-hours",
                "master");
    for (int i = 0; i < r->count; i++) {
        const struct simulate_figures *f = &r->figures[i];
        char time[32], tail[32];
        text_format_duration(f->seconds, time, sizeof time);
        text_format_duration(f->tail, tail, sizeof tail);
        text_append(out, "  %8d %10s %6.1f %% %6.1f %% %10s %9.0f %10.1f %6.2f %%%s\n",
                    f->workers, time, 100 * f->useful, 100 * f->busy, tail, f->stale_p95,
                    f->core_hours, 100 * simulate_load(f), f->finished ? "" : "  failed");
    }
}

static void format_best(const struct simulate_report *r, struct text *out)
{
    int best = simulate_report_best(r);
    if (best < 0) {
        text_append(
            out,
            "\n  None of these sizes gives results during %.0f %% of the workers' "
            "time: take fewer,\n  or more trials.\n",
            100 * least_useful);
        return;
    }
    text_append(out,
                "\n  Best size: %d workers, the most whose time gives results to %.0f %% "
                "or more.\n",
                r->figures[best].workers, 100 * least_useful);
    if (best == r->count - 1)
        text_append(out, "  More might be better still: raise --workers.\n");
}

void simulate_report_format(const struct simulate_report *r, struct text *out)
{
    format_head(r, out);
    if (r->count == 1) {
        format_answers(r->figures, out);
        format_master(r->figures, r->config->resources.gpus_per_trial > 0, out);
        return;
    }
    format_table(r, out);
    format_best(r, out);
}

static json_t *figures_json(const struct simulate_figures *f)
{
    json_t *faults = json_object();
    for (int i = 0; i < FAULT_COUNT; i++)
        json_object_set_new(faults, fault_name(i),
                            json_integer((json_int_t)f->counts.faults[i]));
    return json_pack(
        "{s:i, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:i, s:o, "
        "s:o, s:o, s:o, s:o, s:I, s:o}",
        "workers", f->workers, "finished", f->finished, "reason", f->reason, "seconds",
        output_number(f->seconds), "useful", output_number(f->useful), "busy",
        output_number(f->busy), "tail_seconds", output_number(f->tail), "stale_mean",
        output_number(f->stale_mean), "stale_p95", output_number(f->stale_p95), "trials",
        (json_int_t)f->trials, "done", (json_int_t)f->done, "failed",
        (json_int_t)f->failed, "saved", (json_int_t)f->saved, "attempts",
        (json_int_t)f->counts.attempts, "failed_attempts", (json_int_t)f->counts.failed,
        "workers_lost", f->counts.lost, "faults", faults, "hours",
        output_number(f->core_hours), "master_cpu_seconds", output_number(f->cpu),
        "master_load", output_number(simulate_load(f)), "real_seconds",
        output_number(f->real), "events", (json_int_t)f->events, "memory_bytes",
        output_number(f->memory));
}

json_t *simulate_report_json(const struct simulate_report *r)
{
    struct text durations;
    json_t *runs = json_array();
    int best = r->count > 1 ? simulate_report_best(r) : -1;
    text_init(&durations);
    model_format(r->model, &durations);
    for (int i = 0; i < r->count; i++)
        json_array_append_new(runs, figures_json(&r->figures[i]));
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:s, s:o, s:o}", "name", r->config->name, "strategy",
        config_choice_name("search.strategy", r->config->search.strategy), "seed",
        (json_int_t)r->config->seed, "durations", durations.data ? durations.data : "",
        "simulations", runs, "best_workers",
        best >= 0 ? json_integer(r->figures[best].workers) : json_null());
    text_fini(&durations);
    return json;
}
