/* SPDX-License-Identifier: Apache-2.0 */
/* archway simulate: what would an allocation bring? The numbers come from running the
 * master itself on a virtual clock, not from a formula. */
#include "master/cli/commands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "master/cli/output.h"
#include "master/cli/run_common.h"
#include "master/cli/simulate_report.h"
#include "master/simulate/simulate.h"
#include "master/stop.h"
#include "proto/wire_sim.h"

static const char default_duration[] = "lognormal:60,0.5";
enum { DEFAULT_WORKERS = 8 };

struct request {
    struct config config;
    struct model model;
    struct faults faults;
    struct data_facts facts;
    uint64_t workers;
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The configuration of a run, and what its trials took. */
static int read_run(const struct invocation *in, struct request *r, struct error *err)
{
    struct engine *run = NULL;
    int status = output_open_run(in, &run, NULL, err);
    if (status != 0)
        return status;
    r->config = *engine_config(run);
    if (!command_value(in, "duration"))
        status = model_from_run(run, &r->model, err);
    engine_free(run);
    return status;
}

/* Only what depends on the size of images has to know it; without the data it is guessed.
 */
static void read_facts(const struct invocation *in, struct request *r)
{
    bool matters = r->model.kind == MODEL_FLOPS || r->model.kind == MODEL_RECORDED;
    if (matters && in->services->inspect(&r->config, &r->facts, NULL) != 0)
        r->facts = (struct data_facts){0};
}

static int read_model(const struct invocation *in, struct request *r, struct error *err)
{
    const char *given = command_value(in, "duration");
    int status = 0;
    if (given || r->model.count == 0)
        status = model_parse(given ? given : default_duration, &r->model, err);
    r->model.seed = r->config.seed;
    if (status != 0)
        return status;
    read_facts(in, r);
    return model_set_space(&r->model, &r->config, &r->facts, err);
}

static int read_faults(const struct invocation *in, struct request *r, struct error *err)
{
    const char *schedule = command_value(in, "schedule");
    int status = 0;
    for (int i = 0; i < in->value_count && status == 0; i++)
        if (strcmp(in->values[i].option->name, "fault") == 0)
            status = faults_parse_rates(in->values[i].value, &r->faults, err);
    if (status == 0 && schedule)
        status = faults_read_schedule(schedule, (int)r->workers, &r->faults, err);
    return status;
}

static int read_request(const struct invocation *in, struct request *r, struct error *err)
{
    const char *name = in->positional[0];
    r->workers = DEFAULT_WORKERS;
    int status =
        output_option_count(in, "workers", 1, WIRE_SIM_MAX_RANKS - 1, &r->workers, err);
    if (status == 0)
        status =
            is_folder(name) ? read_run(in, r, err) : config_read(name, &r->config, err);
    if (status == 0)
        status = run_apply_options(in, name, &r->config, err);
    if (status == 0 && config_trials(&r->config) == 0 && r->config.search.hours <= 0)
        status =
            error_set(err, ERROR_USAGE,
                      "archway simulate: the search has no end; give --max-trials N or "
                      "--set search.hours=H");
    if (status == 0)
        status = read_model(in, r, err);
    return status == 0 ? read_faults(in, r, err) : status;
}

static int run_one(const struct request *r, int workers, struct simulate_figures *ret,
                   struct error *err)
{
    struct simulate_setup setup = {.config = &r->config,
                                   .model = &r->model,
                                   .faults = &r->faults,
                                   .workers = workers,
                                   .facts = &r->facts,
                                   .seed = r->config.seed};
    int status = simulate_run(&setup, ret, err);
    if (status == 0 && stop_signalled())
        return error_set(err, ERROR_FAILED, "interrupted");
    return status;
}

/* A quarter, half, all, twice and four times the workers asked for. */
static int run_plan(const struct request *r, struct simulate_figures *ret, int *ret_count,
                    struct error *err)
{
    int count = 0, status = 0;
    for (int i = -2; i <= 2 && status == 0; i++) {
        double workers = floor(ldexp((double)r->workers, i));
        if (workers < 1 || workers >= WIRE_SIM_MAX_RANKS)
            continue;
        status = run_one(r, (int)workers, &ret[count], err);
        count += status == 0;
    }
    *ret_count = count;
    return status;
}

static int answer(const struct invocation *in, const struct request *r, struct error *err)
{
    struct simulate_figures *figures = calloc(SIMULATE_REPORT_PLAN, sizeof *figures);
    bool plan = command_value(in, "plan") != NULL,
         json = command_value(in, "json") != NULL;
    int count = 1, status;
    if (!figures)
        return error_set(err, ERROR_SYSTEM, "no memory for a simulation");
    status = plan ? run_plan(r, figures, &count, err)
                  : run_one(r, (int)r->workers, figures, err);
    struct simulate_report report = {&r->config, &r->model, &r->faults, figures, count};
    if (status == 0 && json) {
        status = output_json(simulate_report_json(&report), err);
    } else if (status == 0) {
        struct text out;
        text_init(&out);
        simulate_report_format(&report, &out);
        status = output_text(&out, err);
    }
    free(figures);
    return status;
}

static int run_simulate(const struct invocation *in, int *ret_exit, struct error *err)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, ERROR_SYSTEM, "no memory for a simulation");
    stop_install(); /* so that an interrupted one leaves nothing behind either */
    int status = read_request(in, r, err);
    if (status == 0)
        status = answer(in, r, err);
    model_fini(&r->model);
    faults_fini(&r->faults);
    free(r);
    *ret_exit = 0;
    return status;
}

static const struct command_option options[] = {
    {"workers", "N", false,
     "Workers, each of which trains one trial at a time; default 8."},
    {"plan", NULL, false,
     "Compare a quarter, half, all, twice and four times the workers."},
    {"duration", "DIST", false,
     "What a trial takes: constant:TIME, lognormal:MEDIAN,SIGMA, uniform:LEAST,MOST, "
     "exponential:MEAN, or flops:MEDIAN,SIGMA, in proportion to the FLOPs of its "
     "architecture. Default: lognormal:60,0.5; of a run's folder, what it recorded."},
    {"fault", "NAME=RATE,...", true,
     "Probability that an attempt is hit by worker-lost, slow or trial-failed, and a "
     "message "
     "by delayed, duplicated or reordered."},
    {"schedule", "FILE", false, "Faults by time: lines of TIME FAULT RANK [VALUE]."},
    {"seed", "N", false, "Seed of the run and of durations and faults: --set seed=N."},
    {"max-trials", "N", false, "Budget of trials: --set search.trials=N."},
    {"set", "KEY=VALUE", true, "Set a key of the configuration."},
    {"json", NULL, false, "Write the figures as JSON."},
    {0}};

const struct command command_simulate = {
    .name = "simulate",
    .synopsis = "CONFIG.yaml|DIR [--workers N] [--plan] [options]",
    .summary = "run the search on a virtual clock: how long, how full, how stale",
    .description =
        "Runs the master of a search, with its dispatcher, ledger, journal and strategy, "
        "against simulated workers in virtual time: hours pass in seconds. It tells when "
        "the "
        "search would end, how much of the workers' time gives results, how long the "
        "tail is "
        "in which workers wait for the last trials, how many results a proposal had not "
        "seen "
        "yet, and what the master needs itself. With --plan it compares sizes of the "
        "job.\n"
        "Trials take what --duration draws or what a run recorded; their accuracies are "
        "those "
        "of the record or made up from the architecture. Faults are injected by rate or "
        "by a "
        "schedule. Without an interruption or a change of seed the answer is always the "
        "same, "
        "except for the processor time of the master, which is measured. The record is "
        "kept "
        "in memory and is gone at the end; nothing is trained, and of the data only "
        "sizes are "
        "looked at, where FLOPs count and it is there (else images are 32 x 32 x 3).",
    .example =
        "archway simulate config.yaml --workers 64 --plan --duration lognormal:5m,0.6\n"
        "archway simulate first --workers 200 --fault worker-lost=0.001,slow=0.02",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_simulate};
