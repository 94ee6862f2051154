/* SPDX-License-Identifier: Apache-2.0 */
/* One session after the other, each an mpirun in a process group of its own, so that a
 * Ctrl-C reaches it through us only. Signals are taken synchronously: nothing can be
 * interrupted in between. What to do next depends on two facts alone: what exit.json
 * says, and whether the session brought results. */
#include "master/launch/launch.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "master/launch/launch_process.h"
#include "master/launch/launch_shared.h"
#include "master/run_folder.h"

enum { RESUMABLE = 75 };
/* Seconds: mpirun that gets TERM itself, as from scancel, sends TERM after so many and
 * KILL after twice as many. Its own default of one is too little for a snapshot. */
static const char kill_after[] = "3";
static const double probe_patience = 20; /* seconds for a host to answer */
/* Seconds without a word of the master from which a job that lost a rank of this host is
 * held for one that will never begin, since MPI waits for all at its start; any job. */
static const double start_lost_patience = 5, start_patience = 600;

struct launch {
    const struct launch_setup *setup;
    char exit_file[4096], log_file[4096], placement[4096], idle_file[4096], journal[4096];
    struct launch_log log;
    struct launch_hosts hosts;
    char host_list[16384]; /* for --host; "": all */
    int ranks;             /* then */
    long trials;           /* of all sessions of this launch */
    bool crowded_out;      /* stopped by us because too many ranks are gone */
    bool never_began;      /* stopped by us because the master said nothing */
    bool asked;            /* somebody asked us to stop */
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("archway launch: ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
}

static int name_files(struct launch *l, struct error *err)
{
    const struct {
        char *path;
        const char *name;
    } files[] = {{l->exit_file, "exit.json"},
                 {l->log_file, "log.jsonl"},
                 {l->placement, "placement.json"},
                 {l->idle_file, "launch.json"},
                 {l->journal, "journal"}};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        if (snprintf(files[i].path, sizeof l->log_file, "%s/%s", l->setup->run,
                     files[i].name) >= (int)sizeof l->log_file)
            return error_set(err, ERROR_USAGE, "--run: the path is too long");
    return 0;
}

/* --- what happened -------------------------------------------------------------------
 */

struct outcome {
    bool told;  /* by exit.json */
    int status; /* else of mpirun */
    char reason[512];
};

static struct outcome read_outcome(const struct launch *l, int mpirun)
{
    struct outcome o = {.status = mpirun};
    json_t *json = json_load_file(l->exit_file, 0, NULL);
    json_t *status = json_object_get(json, "status");
    const char *reason = json_string_value(json_object_get(json, "reason"));
    if (json_is_integer(status)) {
        o.told = true;
        o.status = (int)json_integer_value(status);
        snprintf(o.reason, sizeof o.reason, "%s", reason ? reason : "");
    }
    json_decref(json);
    return o;
}

/* Sessions in a row that brought nothing, over all launches of this run. */
static int count_idle(const struct launch *l)
{
    json_t *json = json_load_file(l->idle_file, 0, NULL);
    int count = (int)json_integer_value(json_object_get(json, "idle"));
    json_decref(json);
    return count < 0 ? 0 : count;
}

static int note_idle(const struct launch *l)
{
    char text[64];
    int count = l->trials > 0 ? 0 : count_idle(l) + 1;
    if (count == 0) {
        unlink(l->idle_file);
        return 0;
    }
    snprintf(text, sizeof text, "{\"idle\": %d}\n", count);
    text_write_file(l->idle_file, text, strlen(text), NULL);
    return count;
}

/* --- one session ---------------------------------------------------------------------
 */

static bool is_rank_count(const char *option)
{
    static const char *const names[] = {"-n", "--n", "-np", "--np", "-c"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(option, names[i]) == 0)
            return true;
    return false;
}

/* With a list of hosts, the count of ranks is that of the list. */
static int put_options(const struct launch *l, const char **argv, int count)
{
    for (const char *const *o = l->setup->options; *o && count < LAUNCH_WORDS / 2; o++) {
        if (l->host_list[0] && is_rank_count(o[0]) && o[1])
            o++;
        else
            argv[count++] = *o;
    }
    return count;
}

static int put_words(const char **argv, int count, const char *const *words)
{
    while (*words && count < LAUNCH_WORDS - 8)
        argv[count++] = *words++;
    return count;
}

static void make_command(const struct launch *l, char number[16], const char **argv)
{
    bool resume = access(l->journal, F_OK) == 0;
    static const char *const first[] = {"mpirun",   "--mca", "orte_enable_recovery",
                                        "1",        "--mca", "odls_base_sigkill_timeout",
                                        kill_after, NULL};
    int count = put_options(l, argv, put_words(argv, 0, first));
    snprintf(number, 16, "%d", l->ranks);
    const char *const hosts[] = {"--host", l->host_list, "-n", number, NULL};
    const char *const old[] = {l->setup->program, "resume", l->setup->run, NULL};
    const char *const new[] = {l->setup->program, "search",      l->setup->config,
                               "--run",           l->setup->run, NULL};
    if (l->host_list[0])
        count = put_words(argv, count, hosts);
    count = put_words(argv, count, resume ? old : new);
    if (!resume)
        count = put_words(argv, count, l->setup->arguments);
    const char *const limit[] = {"--time-limit", l->setup->time_limit, NULL};
    if (l->setup->time_limit)
        count = put_words(argv, count, limit);
    argv[count] = NULL;
}

/* Too few workers are left to go on like this? */
static bool is_crowded_out(struct launch *l)
{
    launch_log_read(l->log_file, &l->log);
    if (l->log.lost == 0 || !launch_hosts_read(l->placement, &l->log, &l->hosts))
        return false;
    return l->hosts.workers - l->log.lost < l->setup->least * l->hosts.workers;
}

static void look(struct launch *l, struct launch_process *p, int restarts_left)
{
    if (access(l->exit_file, F_OK) == 0) {
        launch_process_expect_end(p, l->setup->grace);
    } else if (restarts_left > 0 && !l->asked && !l->crowded_out && is_crowded_out(l)) {
        say("%d of %d workers are lost: stopping, to start again without them",
            l->log.lost, l->hosts.workers);
        l->crowded_out = true;
        launch_process_stop(p);
    }
}

/* What is seen of a session before its master's first word. */
struct start {
    double began, lost_since; /* INFINITY: no rank was lost yet */
    long offset;              /* of the log */
    int ranks, size;          /* on this host: at the last look, and as there should be */
    uint32_t job;
};

/* A rank that dies before all have met makes the others wait for it for ever: MPI has no
 * time-out there. */
static void watch_start(struct launch *l, struct launch_process *p, struct start *s)
{
    double now = clock_now(l->setup->clock);
    if (s->offset < 0) {
        if (s->job == 0)
            launch_shared_ranks("/proc", p->pid, &s->job, &s->size);
        return;
    }
    launch_log_read(l->log_file, &l->log);
    if (l->log.offset > s->offset || access(l->exit_file, F_OK) == 0) {
        s->offset = -1;
        return;
    }
    int ranks = launch_shared_ranks("/proc", p->pid, &s->job, &s->size);
    if (ranks >= s->size || ranks > s->ranks) /* as long as they become more, we wait */
        s->lost_since = INFINITY;
    else
        s->lost_since = fmin(s->lost_since, now);
    s->ranks = ranks;
    if (l->never_began ||
        (now - s->began < start_patience && now - s->lost_since < start_lost_patience))
        return;
    say("%s; stopping it", ranks < s->size ? "a rank was lost before the run began"
                                           : "the run does not begin");
    l->never_began = true;
    launch_process_expect_end(p, 0);
}

static int run_session(struct launch *l, int restarts_left, int *ret_mpirun,
                       struct error *err)
{
    const char *argv[LAUNCH_WORDS];
    char number[16];
    struct launch_process p;
    struct stat st;
    l->log = (struct launch_log){.offset = stat(l->log_file, &st) == 0 ? st.st_size : 0};
    l->crowded_out = l->never_began = false;
    struct start start = {.began = clock_now(l->setup->clock),
                          .lost_since = INFINITY,
                          .offset = (long)l->log.offset};
    int status = run_folder_clear_exit(l->setup->run, err);
    if (status != 0)
        return status;
    make_command(l, number, argv);
    status = launch_process_start(argv, l->setup->clock, &p, err);
    while (status == 0 && !launch_process_ended(&p, ret_mpirun)) {
        if (launch_process_wait(&p)) {
            if (!l->asked)
                say("asked to stop");
            l->asked = true;
        }
        watch_start(l, &p, &start);
        look(l, &p, restarts_left);
    }
    launch_shared_remove("/dev/shm", start.job);
    launch_log_read(l->log_file, &l->log);
    l->trials += l->log.trials;
    return status;
}

/* --- what next -----------------------------------------------------------------------
 */

/* Leave out dead hosts, if there are any and others are left. */
static void narrow(struct launch *l)
{
    char here[256] = "localhost";
    gethostname(here, sizeof here - 1);
    bool known = launch_hosts_read(l->placement, &l->log, &l->hosts);
    if (known)
        launch_hosts_probe(&l->hosts, here, probe_patience);
    if (!known || !launch_hosts_format(&l->hosts, here, l->host_list, sizeof l->host_list,
                                       &l->ranks))
        l->host_list[0] = '\0';
    else
        say("going on with %d ranks on %s", l->ranks, l->host_list);
}

static bool shall_restart(const struct launch *l, const struct outcome *o, int left)
{
    if (l->never_began && !o->told)
        return !l->asked && left > 0;
    bool lost_master = !o->told && l->log.trials > 0 && access(l->journal, F_OK) == 0;
    bool lost_ranks = o->status != 0 && l->log.lost > 0 &&
                      (l->crowded_out || l->log.lost >= l->hosts.workers);
    return !l->asked && left > 0 && (lost_master || lost_ranks);
}

static int judge(struct launch *l, struct outcome *o)
{
    bool resumable = access(l->journal, F_OK) == 0;
    if (!o->told && l->asked && resumable)
        o->status = RESUMABLE;
    else if (!o->told && o->status == 0)
        o->status = 1;
    if (o->told)
        say("%s (%d)", o->reason, o->status);
    else
        say("the run left no exit.json (%d)", o->status);
    int idle = note_idle(l);
    if (o->status != RESUMABLE || idle < LAUNCH_IDLE)
        return o->status;
    say("%d sessions in a row brought not one trial and none further: given up; is the "
        "job "
        "too short?",
        idle);
    return 1;
}

int launch_run(const struct launch_setup *setup, int *ret_exit, struct error *err)
{
    struct launch *l = calloc(1, sizeof *l);
    int status = l ? 0 : error_set(err, ERROR_SYSTEM, "no memory to launch a run"),
        mpirun;
    struct outcome o = {0};
    if (l)
        l->setup = setup;
    if (status == 0)
        status = name_files(l, err);
    launch_process_prepare();
    for (int left = setup->restarts; status == 0; left--) {
        mpirun = 1;
        status = run_session(l, left, &mpirun, err);
        if (status != 0)
            break;
        o = read_outcome(l, mpirun);
        launch_hosts_read(l->placement, &l->log, &l->hosts);
        if (!shall_restart(l, &o, left))
            break;
        say("%s; starting mpirun again", o.told           ? o.reason
                                         : l->never_began ? "the run did not begin"
                                                          : "the master is gone");
        narrow(l);
    }
    if (status == 0)
        *ret_exit = judge(l, &o);
    free(l);
    return status;
}
