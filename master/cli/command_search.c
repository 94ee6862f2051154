/* SPDX-License-Identifier: Apache-2.0 */
/* archway search, archway resume. */
#include "master/cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "master/cli/run_common.h"
#include "master/engine.h"
#include "master/run_folder.h"

static int prepare_search(const struct invocation *in, struct run_storage *storage,
                          struct session_setup *setup, struct error *err)
{
    const char *file = in->positional[0], *dir = command_value(in, "run");
    int status = config_read(file, &storage->config, err);
    if (status == 0)
        status = run_apply_options(in, file, &storage->config, err);
    if (status != 0)
        return status;
    int size = dir ? snprintf(storage->dir, sizeof storage->dir, "%s", dir)
                   : snprintf(storage->dir, sizeof storage->dir, "runs/%s",
                              storage->config.name);
    if (size <= 0 || (size_t)size >= sizeof storage->dir)
        return error_set(err, ERROR_USAGE, "archway search: --run: the path is empty or too "
                         "long");
    setup->dir = storage->dir;
    setup->config = &storage->config;
    return 0;
}

static int search(const struct invocation *in, int *ret_exit, struct error *err)
{
    return run_ranks(in, prepare_search, ret_exit, err);
}

static const struct command_option search_options[] = {
    {"run", "DIR", false, "Folder of the run, made new; default runs/NAME."},
    {"set", "KEY=VALUE", true, "Set a key of the configuration, e.g. search.batch=16."},
    {"seed", "N", false, "Seed of the run: --set seed=N."},
    {"max-trials", "N", false, "Budget of trials: --set search.trials=N."},
    {"time-limit", "TIME", false, "Stop in order after this time of wall clock, e.g. 2h."},
    {"slots", "N", false, "Trainers a rank: --set run.slots=N."},
    {"chaos", "FAULTS", false,
     "Rehearse faults, e.g. kill=0.01,stop-rank=0.001: --set run.chaos=FAULTS."},
    {"quiet", NULL, false, "Print nothing but errors."},
    {0}};

const struct command command_search = {
    .name = "search",
    .synopsis = "CONFIG.yaml [--run DIR] [--set KEY=VALUE]... [options]",
    .summary = "search architectures as a configuration says",
    .description =
        "Starts a new run. Under mpirun or srun rank 0 is the master and every other rank "
        "supervises trainers; alone, one process does both. A folder that holds a run "
        "already is refused: continue it with archway resume.\n"
        "SIGTERM, SIGINT, SIGUSR1, the time limit and the end of a SLURM job end the run in "
        "a snapshot and exit status 75 within two seconds.",
    .example = "archway search config.yaml --run first\n"
               "mpirun -n 3 archway search config.yaml --max-trials 100",
    .least = 1,
    .most = 1,
    .options = search_options,
    .run = search};

/* --trials N sets the budget, --trials +N adds to it. */
static int extend_trials(const struct invocation *in, struct config *config,
                         struct error *err)
{
    const char *text = command_value(in, "trials");
    int64_t n;
    if (!text)
        return 0;
    bool more = text[0] == '+';
    if (!text_parse_int64(text + more, &n) || n < 0 || n > INT64_C(1) << 40)
        return error_set(err, ERROR_USAGE,
                         "archway resume: --trials is '%s'; allowed: N or +N", text);
    config->search.trials = more ? config->search.trials + n : n;
    return 0;
}

/* The configuration to continue with: --config FILE, else DIR/config.yaml, which somebody
 * may have edited; without that file, the one of the record. */
static int read_changed(const struct invocation *in, struct config *config,
                        struct error *err)
{
    const char *file = command_value(in, "config");
    char *own = run_folder_file(in->positional[0], RUN_CONFIG);
    int status = 0;
    if (!file && own && access(own, F_OK) == 0)
        file = own;
    if (file)
        status = config_read(file, config, err);
    free(own);
    return status;
}

static int refuse_difference(const struct invocation *in, const struct config *old,
                             const struct config *new, struct error *err)
{
    if (command_value(in, "allow-change"))
        return 0;
    char *difference = config_difference(old, new, true);
    int status = 0;
    if (!difference)
        return error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    if (*difference)
        status = error_set(err, ERROR_INPUT,
                           "%s: the configuration differs from that of the run (recorded -> "
                           "new):\n%sGive --allow-change to continue with the new values.",
                           in->positional[0], difference);
    free(difference);
    return status;
}

static int prepare_resume(const struct invocation *in, struct run_storage *storage,
                          struct session_setup *setup, struct error *err)
{
    struct engine *e = NULL;
    const char *dir = in->positional[0];
    int status = engine_open(dir, true, &e, NULL, err);
    if (status != 0)
        return status;
    storage->config = *engine_config(e);
    status = read_changed(in, &storage->config, err);
    if (status == 0)
        status = extend_trials(in, &storage->config, err);
    if (status == 0)
        status = run_apply_options(in, dir, &storage->config, err);
    if (status == 0)
        status = engine_check_change(e, &storage->config, err);
    if (status == 0)
        status = refuse_difference(in, engine_config(e), &storage->config, err);
    uint64_t count = ledger_count(engine_ledger(e));
    engine_free(e);
    if (status != 0)
        return status;
    if (storage->config.search.trials > 0 &&
        (uint64_t)storage->config.search.trials < count)
        return error_set(err, ERROR_INPUT,
                         "%s: search.trials is %lld, but the run already has %llu trials", dir,
                         (long long)storage->config.search.trials, (unsigned long long)count);
    snprintf(storage->dir, sizeof storage->dir, "%s", dir);
    setup->dir = storage->dir;
    setup->config = &storage->config;
    setup->resume = true;
    return 0;
}

static int resume(const struct invocation *in, int *ret_exit, struct error *err)
{
    return run_ranks(in, prepare_resume, ret_exit, err);
}

static const struct command_option resume_options[] = {
    {"trials", "N|+N", false, "New budget of trials, or so many more."},
    {"config", "FILE", false, "Continue with this configuration (see --allow-change)."},
    {"allow-change", NULL, false, "Accept a configuration that differs from the run's."},
    {"set", "KEY=VALUE", true, "Set a key of the configuration."},
    {"time-limit", "TIME", false, "Stop in order after this time of wall clock, e.g. 2h."},
    {"slots", "N", false, "Trainers a rank: --set run.slots=N."},
    {"chaos", "FAULTS", false,
     "Rehearse faults, e.g. kill=0.01,stop-rank=0.001: --set run.chaos=FAULTS."},
    {"quiet", NULL, false, "Print nothing but errors."},
    {0}};

const struct command command_resume = {
    .name = "resume",
    .synopsis = "DIR [--trials +N] [options]",
    .summary = "continue a run exactly where it stopped",
    .description =
        "Reads the newest valid snapshot and the journal behind it, and goes on with the "
        "same loop as search, under mpirun or alone, with any number of ranks. Trials that "
        "were running are trained again. Keys that shape what is recorded cannot change; "
        "others need --allow-change, except budgets, places and times.",
    .example = "archway resume first --trials +50",
    .least = 1,
    .most = 1,
    .options = resume_options,
    .run = resume};
