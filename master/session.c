/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a run for writing. A new folder is only kept once a trial was handed out: what
 * fails before that (no data, no slot for a trainer) leaves nothing. A trainer that does
 * not start fails its trials, so its run is kept, with the reasons in log.jsonl. */
#include "master/session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "master/checkpoints.h"
#include "version.h"

double session_now(const struct session *s)
{
    return clock_now(s->setup->clock);
}

double session_wall(const struct session *s)
{
    return clock_wall(s->setup->clock);
}

static int write_config(const char *dir, const struct config *config, struct error *err)
{
    char *body = config_write(config, false);
    char *path = run_folder_file(dir, RUN_CONFIG);
    struct text t;
    int status = ERROR_SYSTEM;
    text_init(&t);
    text_append(&t,
                "# The effective configuration of this run, written by archway %s.\n%s",
                ARCHWAY_VERSION, body ? body : "");
    if (!body || !path || t.failed)
        error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    else
        status = text_write_file(path, t.data, t.size, err);
    text_fini(&t);
    free(path);
    free(body);
    return status;
}

static int open_new(struct session *s, const char *journal, struct error *err)
{
    const struct session_setup *setup = s->setup;
    int status = run_folder_create(setup->dir, &s->folder, err);
    if (status == 0)
        status = engine_new(setup->config, false, &s->engine, err);
    if (status == 0)
        status = write_config(setup->dir, setup->config, err);
    if (status == 0)
        status = journal_create(journal, &s->journal, err);
    if (status != 0)
        return status;
    engine_set_journal(s->engine, s->journal);
    engine_set_lock(s->engine, run_folder_lock_descriptor(s->folder));
    if (s->setup->lockstep)
        engine_write_snapshots_here(s->engine);
    return engine_change_config(s->engine, setup->config, err);
}

static int change_config(struct session *s, struct error *err)
{
    const struct config *new = s->setup->config;
    if (!new || memcmp(new, engine_config(s->engine), sizeof *new) == 0)
        return 0;
    /* The file first: a crash in between leaves it ahead of the record, and the next
     * resume sees the change again instead of undoing it. */
    int status = engine_check_change(s->engine, new, err);
    if (status == 0)
        status = write_config(s->setup->dir, new, err);
    return status == 0 ? engine_change_config(s->engine, new, err) : status;
}

static int open_resumed(struct session *s, const char *journal, struct error *err)
{
    struct engine_reading reading;
    int status = run_folder_open(s->setup->dir, &s->folder, err);
    if (status == 0)
        status = engine_open(s->setup->dir, false, &s->engine, &reading, err);
    if (status == 0)
        status = session_open_journal(s, journal, &reading, err);
    if (status != 0)
        return status;
    if (reading.different > 0)
        session_say(
            s,
            "note: %llu proposals since the snapshot would be made otherwise here "
            "(first: trial %llu); the record counts",
            (unsigned long long)reading.different,
            (unsigned long long)reading.first_different);
    engine_set_journal(s->engine, s->journal);
    engine_set_lock(s->engine, run_folder_lock_descriptor(s->folder));
    s->started_trials = true;
    status = change_config(s, err);
    if (status == 0 && reading.gap_end > 0) /* now both snapshots end where records do */
        status = engine_snapshot(s->engine, s->setup->dir, err);
    return status == 0 ? run_folder_clear_exit(s->setup->dir, err) : status;
}

static int open_log(struct session *s, struct error *err)
{
    char *path = run_folder_file(s->setup->dir, RUN_LOG);
    int status = path ? event_log_open(path, &s->log, err)
                      : error_set(err, ERROR_SYSTEM, "no memory for a path");
    free(path);
    return status;
}

static int open_session_record(struct session *s, struct error *err)
{
    struct record_session r = {
        .pid = getpid(), .time = session_wall(s), .workers = s->setup->wire->size - 1};
    snprintf(r.version, sizeof r.version, "%s", ARCHWAY_VERSION);
    if (gethostname(r.host, sizeof r.host - 1) != 0)
        snprintf(r.host, sizeof r.host, "unknown");
    event_log_text(s->log, r.time, "session", -1, s->setup->resume ? "resumed" : "new");
    if (*s->recovered)
        event_log_text(s->log, r.time, "recovered", -1, s->recovered);
    return engine_open_session(s->engine, &r, err);
}

/* The budget of hours ends the run, the clock only the session. */
static void set_end(struct session *s)
{
    bool final = s->progress.until < s->stop.at;
    dispatcher_set_end(s->dispatcher, final ? s->progress.until : s->stop.at, final);
}

static int open_dispatcher(struct session *s, struct error *err)
{
    const struct config *c = engine_config(s->engine);
    struct dispatcher_setup d = {.engine = s->engine,
                                 .wire = s->setup->wire,
                                 .clock = s->setup->clock,
                                 .run_folder = s->absolute,
                                 .gangs = strcmp(s->setup->wire->ops->name, "local") != 0,
                                 .continues = c->run.checkpoints && !s->setup->lockstep &&
                                              c->trainer.command_count == 0,
                                 .notify = session_event,
                                 .context = s};
    int status = dispatcher_new(&d, &s->dispatcher, err);
    if (status == 0)
        set_end(s);
    return status;
}

/* What earlier sessions brought counts in the line, but not in its rate. */
static int note_history(struct session *s, struct error *err)
{
    struct ledger *l = engine_ledger(s->engine);
    double hours = engine_config(s->engine)->search.hours;
    progress_init(&s->progress, engine_config(s->engine), session_now(s));
    if (hours > 0)
        s->progress.until = s->started + hours * 3600 - engine_elapsed(s->engine);
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        if (t->state == TRIAL_DONE || t->state == TRIAL_FAILED || t->state == TRIAL_SAVED)
            progress_note(&s->progress, t);
    }
    s->progress.over_before = s->progress.over;
    engine_set_listener(s->engine, session_over, s);
    return kernel_watch_init(&s->kernels, l, s->setup->wire->size, err);
}

int session_open(struct session *s, struct error *err)
{
    char *journal = run_folder_file(s->setup->dir, RUN_JOURNAL);
    if (!journal)
        return error_set(err, ERROR_SYSTEM, "no memory for a path");
    s->started = session_now(s);
    int status =
        s->setup->resume ? open_resumed(s, journal, err) : open_new(s, journal, err);
    free(journal);
    if (status == 0)
        status = open_log(s, err);
    if (status != 0)
        return status;
    char *absolute = realpath(s->setup->dir, NULL);
    snprintf(s->absolute, sizeof s->absolute, "%s", absolute ? absolute : s->setup->dir);
    free(absolute);
    engine_set_facts(s->engine, &s->setup->facts);
    stop_init(&s->stop, engine_config(s->engine)->run.time_limit, s->setup->clock);
    status = note_history(s, err);
    if (status == 0 && engine_config(s->engine)->run.checkpoints && !s->setup->lockstep)
        status = checkpoints_open(s->setup->dir, engine_ledger(s->engine), err);
    if (status == 0)
        status = open_session_record(s, err);
    return status == 0 ? open_dispatcher(s, err) : status;
}

int session_run(const struct session_setup *setup, int *ret_exit, bool *ret_lost,
                struct error *err)
{
    struct session s = {.setup = setup};
    int status = session_open(&s, err);
    if (status == 0) {
        session_display_start(&s);
        status = session_loop(&s, err);
    }
    status = session_end(&s, status, ret_exit, err);
    if (!s.dispatcher && !setup->local.step)
        dispatcher_dismiss(setup->wire);
    /* Who never said goodbye would keep MPI_Finalize waiting. */
    *ret_lost = s.dispatcher &&
                (dispatcher_lost_any(s.dispatcher) || !dispatcher_stopped(s.dispatcher));
    dispatcher_free(s.dispatcher);
    engine_free(s.engine);
    kernel_watch_fini(&s.kernels);
    event_log_close(s.log);
    run_folder_close(s.folder);
    return status;
}
