/* SPDX-License-Identifier: Apache-2.0 */
/* The session sleeps through session_local, as a run of one process does: here, sleeping
 * moves the virtual clock to the next event. Nothing else of the master knows. Time
 * stands still while the master works, so what its work costs is measured apart: the
 * processor time of this process, less what the agents' side took. */
#include "master/simulate/simulate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "master/run_folder.h"
#include "master/session.h"
#include "proto/wire_sim.h"

static const double longest_nap = 1; /* virtual seconds */

struct stage {
    struct cohort *cohort;
    double cpu; /* seconds that the agents' side took */
    struct error error;
};

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool stage_wait(void *context, int extra_fd, int timeout_ms)
{
    struct stage *s = context;
    double before = read_clock(CLOCK_THREAD_CPUTIME_ID);
    wire_sim_advance(cohort_wire(s->cohort), longest_nap, &s->error);
    s->cpu += read_clock(CLOCK_THREAD_CPUTIME_ID) - before;
    return true;
}

static int stage_step(void *context, struct error *err)
{
    struct stage *s = context;
    if (s->error.status != 0)
        return error_set(err, s->error.status, "%s", s->error.text);
    return 0;
}

static double process_cpu(double *ret_memory)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    *ret_memory = 1024.0 * (double)u.ru_maxrss;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Why it stopped early, as the run's own exit.json says. */
static void read_reason(const char *dir, char *ret, size_t size)
{
    char *path = run_folder_file(dir, RUN_EXIT);
    json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
    const char *reason = json_string_value(json_object_get(json, "reason"));
    snprintf(ret, size, "%s", reason ? reason : "stopped early");
    json_decref(json);
    free(path);
}

static int run_session(const struct simulate_setup *setup, const struct config *config,
                       const char *dir, struct stage *stage, struct simulate_figures *f,
                       struct error *err)
{
    struct session_setup session = {.dir = dir,
                                    .config = config,
                                    .wire = cohort_wire(stage->cohort),
                                    .local = {stage_step, stage_wait, stage},
                                    .clock = wire_sim_clock(cohort_wire(stage->cohort)),
                                    .resume = setup->resume,
                                    .quiet = true,
                                    .lockstep = true};
    if (setup->facts)
        session.facts = *setup->facts;
    struct error why = {0};
    int exit_status = 0;
    bool lost = false;
    int status = session_run(&session, &exit_status, &lost, &why);
    if (status == ERROR_FAILED)
        snprintf(f->reason, sizeof f->reason, "%s", why.text);
    else if (status != 0)
        return error_set(err, status, "%s", why.text);
    else if (exit_status == SESSION_RESUMABLE)
        read_reason(dir, f->reason, sizeof f->reason);
    f->finished = status == 0 && exit_status == 0;
    return 0;
}

static int run_measured(const struct simulate_setup *setup, const struct config *config,
                        const char *dir, struct simulate_figures *f, struct error *err)
{
    struct cohort_setup agents = {config,         setup->model, setup->faults,
                                  setup->workers, setup->seed,  setup->starts};
    struct stage stage = {0};
    double memory, cpu = process_cpu(&memory), real = read_clock(CLOCK_MONOTONIC);
    int status = cohort_new(&agents, &stage.cohort, err);
    if (status != 0)
        return status;
    stage.cpu = process_cpu(&memory) - cpu;
    status = run_session(setup, config, dir, &stage, f, err);
    f->cpu = process_cpu(&f->memory) - cpu - stage.cpu;
    f->real = read_clock(CLOCK_MONOTONIC) - real;
    f->counts = cohort_count(stage.cohort);
    f->events = wire_sim_events(cohort_wire(stage.cohort));
    cohort_free(stage.cohort);
    return status;
}

int simulate_run(const struct simulate_setup *setup, struct simulate_figures *ret,
                 struct error *err)
{
    struct simulate_figures f = {.workers = setup->workers};
    struct config *config = malloc(sizeof *config);
    char *folder = setup->dir ? NULL : simulate_folder(err), *dir = NULL;
    int status = setup->dir || folder ? 0 : ERROR_SYSTEM;
    if (status == 0 && (!config || (folder && asprintf(&dir, "%s/run", folder) < 0)))
        status = error_set(err, ERROR_SYSTEM, "no memory for a simulation");
    if (status == 0) {
        *config = *setup->config;
        config->run.slots = 1;
        config->resources.oversubscribe = false;
        status = run_measured(setup, config, dir ? dir : setup->dir, &f, err);
    }
    /* A run that failed before its first trial leaves no folder. */
    if (status == 0 && run_folder_check(dir ? dir : setup->dir, NULL) == 0)
        status = simulate_measure(dir ? dir : setup->dir, &f, err);
    if (folder)
        simulate_remove(folder);
    free(config);
    free(folder);
    free(dir);
    if (status == 0)
        *ret = f;
    return status;
}

double simulate_load(const struct simulate_figures *f)
{
    return f->seconds > 0 ? f->cpu / f->seconds : NAN;
}
