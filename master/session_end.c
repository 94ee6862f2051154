/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a session, whatever brought it about. First the ranks are told to stop, so
 * that trainers die while the snapshot is written; then the folder is brought in order;
 * exit.json comes last, because a launch script takes the status from it. */
#include "master/session_internal.h"

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "master/checkpoints.h"
#include "master/summary.h"

static void nap(struct session *s)
{
    const struct timespec t = {.tv_nsec = 1000000};
    if (s->setup->local.step)
        s->setup->local.step(s->setup->local.context, NULL);
    if (s->setup->lockstep)
        s->setup->local.wait(s->setup->local.context, -1, 1);
    else
        nanosleep(&t, NULL);
}

static void wait_for_ranks(struct session *s, double seconds)
{
    double until = session_now(s) + seconds;
    while (!dispatcher_stopped(s->dispatcher) && session_now(s) < until) {
        if (dispatcher_step(s->dispatcher, NULL) < 0)
            return;
        nap(s);
    }
}

static int close_run(struct session *s, struct error *err)
{
    int status = engine_close_session(s->engine, session_wall(s), err);
    if (status == 0)
        status = engine_snapshot(s->engine, s->setup->dir, err);
    if (status == 0)
        status = session_write_best(s, err);
    return status;
}

static int write_text(const char *folder, const char *name, const char *text,
                      struct error *err)
{
    char path[CONFIG_PATH * 2];
    if (!text)
        return error_set(err, ERROR_SYSTEM, "no memory for '%s'", name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return text_write_file(path, text, strlen(text), err);
}

/* DIR/best: the best trial of both arms, as JSON and as a drawing. */
int session_write_best(struct session *s, struct error *err)
{
    struct ledger *l = engine_ledger(s->engine);
    const struct progress_arm *a = &s->progress.arms[ARM_SEARCH];
    const struct progress_arm *b = &s->progress.arms[ARM_CONTROL];
    bool control = b->results > 0 && (a->results == 0 || (s->progress.lower_is_better
                                                              ? b->best < a->best
                                                              : b->best > a->best));
    const struct progress_arm *best = control ? b : a;
    if (best->results == 0)
        return 0;
    char *folder = run_folder_file(s->setup->dir, RUN_BEST);
    json_t *json = summary_trial_json(engine_space(s->engine), ledger_trial(l, best->best_id));
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    char *dot = space_to_dot(engine_space(s->engine),
                             ledger_trial(l, best->best_id)->architecture);
    int status = folder ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a path");
    if (status == 0 && mkdir(folder, 0777) != 0 && access(folder, W_OK) != 0)
        status = error_set_errno(err, "cannot make '%s'", folder);
    if (status == 0)
        status = write_text(folder, "architecture.json", text, err);
    if (status == 0)
        status = write_text(folder, "architecture.dot", dot, err);
    json_decref(json);
    free(text);
    free(dot);
    free(folder);
    return status;
}

/* What agents may have begun meanwhile. */
static void discard_logs(const char *dir)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/logs", dir);
    DIR *logs = opendir(path);
    const struct dirent *entry;
    while (logs && (entry = readdir(logs)))
        unlinkat(dirfd(logs), entry->d_name, 0);
    if (logs)
        closedir(logs);
    rmdir(path);
}

static void discard(struct session *s)
{
    const enum run_folder_file files[] = {RUN_CONFIG, RUN_JOURNAL, RUN_LOG, RUN_PLACEMENT};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = run_folder_file(s->setup->dir, files[i]);
        if (path)
            unlink(path);
        free(path);
    }
    discard_logs(s->setup->dir);
    run_folder_discard(s->folder);
    s->folder = NULL;
}

static void say_end(struct session *s, int exit_status)
{
    struct text t;
    text_init(&t);
    session_display_clear(s);
    if (!s->setup->quiet && exit_status != 1 &&
        summary_format(s->engine, s->setup->dir, &t, NULL) == 0 && t.data)
        fputs(t.data, stdout);
    text_fini(&t);
    if (exit_status == SESSION_RESUMABLE)
        session_say(s, "Stopped early (%s). Continue with: archway resume %s", s->reason,
                    s->setup->dir);
    else if (exit_status == 0)
        session_say(s, "Finished: %s. The run is in %s", s->reason, s->setup->dir);
}

/* What this process has used, its threads and MPI included. */
static void log_usage(struct session *s)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return;
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    event_log_usage(s->log, session_wall(s), cpu, (uint64_t)u.ru_maxrss * 1024,
                    ledger_bytes(engine_ledger(s->engine)));
}

/* Trials that will go on later keep their state. Results that arrive meanwhile count. */
static void suspend_trials(struct session *s)
{
    const struct config_run *run = &engine_config(s->engine)->run;
    double started = session_now(s);
    bool alone = s->setup->local.step != NULL;
    if (!run->checkpoints || dispatcher_suspend(s->dispatcher, NULL) != 0)
        return;
    while (dispatcher_saves(s->dispatcher) &&
           session_now(s) - started <
               stop_grace(&s->stop, run->checkpoint_grace, alone, s->setup->clock)) {
        if (dispatcher_step(s->dispatcher, NULL) < 0)
            return;
        nap(s);
    }
}

static int stop_ranks(struct session *s)
{
    dispatcher_recall(s->dispatcher);
    return dispatcher_stop(s->dispatcher, NULL);
}

/* `status`: how the loop ended; err then holds why. */
int session_end(struct session *s, int status, int *ret_exit, struct error *err)
{
    bool opened = s->dispatcher != NULL;
    if (s->folder)
        session_watch_end(s);
    if (opened && status == 0 && !s->finished)
        suspend_trials(s);
    if (opened)
        stop_ranks(s);
    if (opened && s->started_trials) {
        int closed = close_run(s, status == 0 ? err : NULL);
        status = status == 0 ? closed : status;
    }
    if (opened)
        wait_for_ranks(s, status == 0 && !s->finished ? 0.8 : 3);
    if (s->folder && s->engine && !s->setup->lockstep)
        checkpoints_clear(s->setup->dir, engine_ledger(s->engine));
    *ret_exit = status != 0 ? error_exit_status(status) : s->finished ? 0 : SESSION_RESUMABLE;
    if (s->journal) {
        int closed = journal_close(s->journal, status == 0 ? err : NULL);
        status = status == 0 ? closed : status;
        s->journal = NULL;
    }
    if (s->folder && !s->setup->resume && !s->started_trials) {
        discard(s);
        if (status == 0)
            return error_set(err, ERROR_FAILED, "stopped (%s) before the first trial; nothing "
                             "is kept", s->reason);
        return status;
    }
    if (!opened)
        return status;
    if (status != 0)
        snprintf(s->reason, sizeof s->reason, "%s", err ? err->text : "failed");
    log_usage(s);
    event_log_text(s->log, session_wall(s), "end", -1, s->reason);
    if (status == 0)
        say_end(s, *ret_exit);
    struct error why;
    if (run_folder_write_exit(s->setup->dir, *ret_exit, s->reason, s->finished,
                              engine_told(s->engine), &why) != 0 && status == 0)
        status = error_set(err, why.status, "%s", why.text);
    return status;
}
