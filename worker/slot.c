/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a slot's process: start, watch, end, start again. Every way in which a
 * process can go wrong ends in one of two functions: ended() when it ended itself,
 * slot_kill() when we end it; both leave the slot ready to start the next one after a
 * pause that grows while nothing succeeds. */
#include "worker/slot_private.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
#include "proto/trainer_protocol.h"
#include "worker/process_tree.h"

enum { STDERR_LINES = 5 }; /* that go with a failure */

static const double kill_grace = 2;   /* seconds from SIGTERM to SIGKILL */
static const double stop_grace = 0.5; /* likewise when the run stops */
static const double end_grace = 1;    /* from the end of its output to its own end */
static const double reap_interval = .002;
static const double check_interval = 1; /* between looks at life and memory */
static const double held_time = 2; /* for a stop to come after the trainer's SIGTERM */
static const double first_pause = 0.1, longest_pause = 5; /* between failed starts */

static double now_of(const struct slot *s)
{
    return clock_now(s->settings->clock);
}

static void make_group(struct slot *s)
{
    char name[64];
    /* Drivers of accelerators map far more than they use. */
    int64_t memory =
        s->place.devices[0] ? 0 : s->settings->config->resources.memory_per_trial;
    s->group = (struct cgroup){.folder = -1, .procs = -1, .kill = -1};
    snprintf(name, sizeof name, "archway-%d-%d", (int)getpid(), s->index);
    if (s->settings->groups)
        cgroup_make(s->settings->groups, name, memory, &s->group);
}

int slot_new(const struct slot_settings *settings, int index,
             const struct message_slot *place, struct slot **ret, struct error *err)
{
    char mark[ORPHANS_MARK];
    const struct process_settings about = {settings->config->resources.threads_per_trial,
                                           place->devices, settings->rocm, mark};
    struct slot *s = calloc(1, sizeof *s);
    orphans_mark(getpid(), index, 0, mark);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "slot %d: out of memory", index);
    s->settings = settings;
    s->index = index;
    s->place = *place;
    s->process = (struct process){0, -1, -1, -1};
    make_group(s);
    s->due = now_of(s);
    s->held_until = INFINITY;
    slot_tasks_init(s);
    trainer_log_init(&s->log, settings->log_folder, settings->rank, index);
    s->environment = process_environment((const char *const *)environ, &about);
    if (!s->environment) {
        slot_free(s);
        return error_set(err, ERROR_SYSTEM, "slot %d: out of memory", index);
    }
    *ret = s;
    return 0;
}

void slot_free(struct slot *s)
{
    if (!s)
        return;
    process_destroy(&s->process);
    cgroup_remove(&s->group);
    slot_tasks_clear(s);
    line_reader_fini(&s->from);
    line_writer_fini(&s->to);
    trainer_log_fini(&s->log);
    process_environment_free(s->environment);
    free(s);
}

static int watch(struct slot *s, int operation, enum slot_stream stream, uint32_t events)
{
    const int fds[] = {s->process.in, s->process.out, s->process.err};
    struct epoll_event event = {.events = events,
                                .data.u64 = SLOT_EVENT(s->index, stream)};
    return epoll_ctl(s->settings->epoll, operation, fds[stream], &event);
}

/* Close what connects us with the process but its standard error, and forget what was
 * under way in both directions. */
static void disconnect(struct slot *s)
{
    if (s->process.in >= 0)
        close(s->process.in);
    if (s->process.out >= 0)
        close(s->process.out);
    s->process.in = s->process.out = -1;
    s->writable_wanted = false;
    line_reader_fini(&s->from);
    line_writer_fini(&s->to);
}

static void pause_before_start(struct slot *s)
{
    double pause = s->failures > 1 ? ldexp(first_pause, s->failures - 2) : 0;
    s->state = SLOT_WAITING;
    s->due = now_of(s) + (pause < longest_pause ? pause : longest_pause);
}

/* All that is there now, within reason: who floods it does not hold up the others. */
static void read_complaints(struct slot *s)
{
    for (int i = 0; i < 64 && s->process.err >= 0; i++)
        if (trainer_log_read(&s->log, s->process.err) <= 0)
            return;
}

/* The reason with what the trainer last complained about, unless its one line is part of
 * the reason already. */
static void append_complaints(struct slot *s, const char *reason, char *text, size_t size)
{
    char lines[STDERR_LINES * (TRAINER_LOG_LINE + 1)];
    read_complaints(s);
    int count = trainer_log_last_lines(&s->log, STDERR_LINES, lines, sizeof lines);
    bool said = count == 1 && strstr(reason, lines + 1);
    snprintf(text, size, "%s%s", reason, said ? "" : lines);
    text_repair_utf8(text);
}

/* It was asked for its state and did something else: the attempt is cut off, as it would
 * have been without the question. */
static void drop_unsaved(struct slot *s, const char *reason)
{
    log_message(LOG_WARNING, "rank %d slot %d: the state of trial %llu is not saved: %s",
                s->settings->rank, s->index, (unsigned long long)s->first->task.trial,
                reason);
    slot_tasks_drop_first(s);
}

/* The first task failed with the process; without a task there is nobody to tell. */
static void fail_first(struct slot *s, int failure, const char *reason)
{
    char text[TRIAL_REASON];
    append_complaints(s, reason, text, sizeof text);
    if (slot_saves(s))
        drop_unsaved(s, reason);
    else if (s->first)
        slot_tasks_finish(s, failure, NAN, NAN, NAN, text);
    else if (!s->stopped)
        log_message(LOG_WARNING, "rank %d slot %d: %s", s->settings->rank, s->index,
                    reason);
    if (s->failures < 16)
        s->failures++;
}

static void slot_kill(struct slot *s, double grace)
{
    process_signal(&s->process, SIGTERM);
    disconnect(s);
    slot_tasks_unsend(s);
    s->state = SLOT_KILLED;
    s->due = now_of(s) + grace;
}

static void fail_and_kill(struct slot *s, int failure, const char *reason)
{
    fail_first(s, failure, reason);
    slot_kill(s, kill_grace);
}

/* --- starting ----------------------------------------------------------------------- */

static bool greet(struct slot *s)
{
    char *line = trainer_encode_hello(s->settings->config, s->index, s->settings->cache,
                                      s->settings->pool_folder);
    bool ok = line && line_writer_put(&s->to, line);
    free(line);
    return ok;
}

static void start(struct slot *s, double now)
{
    const struct config_resources *resources = &s->settings->config->resources;
    const struct process_spec spec = {
        .argv = s->settings->argv,
        .environment = (const char *const *)s->environment,
        .cpus = s->place.cpus,
        /* Drivers of accelerators map far more than they use. */
        .memory = s->place.devices[0] ? 0 : resources->memory_per_trial,
        .group = s->group.procs,
    };
    struct error err = {0};

    trainer_log_restart(&s->log);
    orphans_mark(getpid(), s->index, ++s->starts, s->environment[0]);
    if (process_start(&spec, &s->process, &err)) {
        fail_first(s, FAILURE_START, err.text);
        pause_before_start(s);
        return;
    }
    s->state = SLOT_STARTING;
    s->due = now + s->settings->start_timeout;
    s->next_check = now + check_interval;
    s->ahead = 0;
    if (watch(s, EPOLL_CTL_ADD, SLOT_STDOUT, EPOLLIN) ||
        watch(s, EPOLL_CTL_ADD, SLOT_STDERR, EPOLLIN) ||
        watch(s, EPOLL_CTL_ADD, SLOT_STDIN, 0) || !greet(s))
        fail_and_kill(s, FAILURE_START, "the agent is out of memory or descriptors");
}

/* --- ending ------------------------------------------------------------------------- */

static bool was_ready(const struct slot *s)
{
    return s->state == SLOT_ENDING ? s->was_ready : s->state == SLOT_READY;
}

/* Why it ended, with the last line of its standard error: the reason of most crashes. */
static void explain_end(struct slot *s, int status, char *reason, size_t size)
{
    char how[128], line[256];
    process_describe(status, how, sizeof how);
    read_complaints(s);
    trainer_log_last_line(&s->log, line, sizeof line);
    snprintf(reason, size, "the trainer %s%s%s%s%s",
             WIFSIGNALED(status) ? "was killed by " : "ended with ", how,
             was_ready(s) ? "" : " before it was ready", line[0] ? ": " : "", line);
}

/* What it wrote before it ended still counts. */
static void drain_output(struct slot *s)
{
    while (s->process.out >= 0 && line_reader_fill(&s->from, s->process.out) > 0)
        if (!slot_lines_take(s, NULL))
            return;
}

/* Who ends a job signals all of its processes, and the trainers hear of it first: that is
 * a stop, unless none follows. */
static bool hold(struct slot *s, int status, const char *reason)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM || !s->first)
        return false;
    snprintf(s->held, sizeof s->held, "%s", reason);
    s->held_until = now_of(s) + held_time;
    return true;
}

static void tell_held(struct slot *s)
{
    s->held_until = INFINITY;
    fail_first(s, FAILURE_EXIT, s->held);
    s->due = now_of(s);
}

/* It is reaped; `was_ours`: we killed it and have told why. */
static void ended(struct slot *s, int status, bool was_ours)
{
    char reason[TRIAL_REASON];
    if (!was_ours)
        drain_output(s);
    /* To end in good order between two tasks is nobody's failure. */
    if (!was_ours && (s->first || status || !was_ready(s))) {
        explain_end(s, status, reason, sizeof reason);
        if (!hold(s, status, reason))
            fail_first(s, was_ready(s) ? FAILURE_EXIT : FAILURE_START, reason);
    }
    s->ends++;
    cgroup_kill(&s->group);
    disconnect(s);
    process_close(&s->process);
    slot_tasks_unsend(s);
    pause_before_start(s);
    if (s->held_until < INFINITY)
        s->due = s->held_until;
}

/* One of its ends is closed: it is gone, or has a moment to go. */
static void expect_end(struct slot *s)
{
    if (s->state == SLOT_ENDING)
        return;
    s->was_ready = s->state == SLOT_READY;
    s->state = SLOT_ENDING;
    s->due = now_of(s) + end_grace;
}

static void input_closed(struct slot *s)
{
    close(s->process.in);
    s->process.in = -1;
    line_writer_fini(&s->to);
    expect_end(s);
}

/* Its output is over: most likely it is gone, and waitpid will say how. */
static void output_closed(struct slot *s)
{
    close(s->process.out);
    s->process.out = -1;
    expect_end(s);
}

/* --- events ------------------------------------------------------------------------- */

static void read_output(struct slot *s)
{
    struct error err = {0};
    int got = line_reader_fill(&s->from, s->process.out);
    if (got > 0 && !slot_lines_take(s, &err))
        fail_and_kill(s, FAILURE_PROTOCOL, err.text);
    else if (got < 0)
        output_closed(s);
}

void slot_put_garbage(struct slot *s, const char *text)
{
    struct error err = {0};
    if (line_reader_put(&s->from, text) && !slot_lines_take(s, &err))
        fail_and_kill(s, FAILURE_PROTOCOL, err.text);
}

static void write_input(struct slot *s)
{
    int left = line_writer_flush(&s->to, s->process.in);
    bool wanted = left == 0;
    if (left < 0)
        input_closed(s);
    else if (wanted != s->writable_wanted &&
             watch(s, EPOLL_CTL_MOD, SLOT_STDIN, wanted ? EPOLLOUT : 0) == 0)
        s->writable_wanted = wanted;
}

void slot_handle(struct slot *s, enum slot_stream stream)
{
    if (stream == SLOT_STDOUT && s->process.out >= 0) {
        read_output(s);
    } else if (stream == SLOT_STDERR && s->process.err >= 0) {
        if (trainer_log_read(&s->log, s->process.err) < 0) {
            close(s->process.err);
            s->process.err = -1;
        }
    } else if (stream == SLOT_STDIN && s->process.in >= 0) {
        /* With nothing to write, the only news can be that nobody reads any more. */
        if (s->to.start < s->to.end)
            write_input(s);
        else
            input_closed(s);
    }
}

/* --- what is due -------------------------------------------------------------------- */

static void check_task(struct slot *s, double now)
{
    char limit[32], reason[TRIAL_REASON];
    const struct slot_task *t = s->first;
    if (!t || isnan(t->started))
        return;
    if (t->cancelled && now >= t->kill_at) {
        slot_kill(s, kill_grace);
    } else if (!t->cancelled && now >= t->started + t->task.timeout - t->spent) {
        text_format_duration(t->task.timeout, limit, sizeof limit);
        snprintf(reason, sizeof reason, "no result within %s (run.trial_timeout)", limit);
        fail_and_kill(s, FAILURE_TIMEOUT, reason);
    }
}

static void check_process(struct slot *s, double now)
{
    int64_t limit = s->settings->config->resources.memory_per_trial;
    char used[32], allowed[32], reason[TRIAL_REASON];
    int status;
    if (now < s->next_check)
        return;
    s->next_check = now + check_interval;
    if (process_reap(&s->process, &status)) {
        ended(s, status, false);
        return;
    }
    int64_t bytes = limit > 0 ? process_tree_memory(s->process.pid) : 0;
    if (bytes > limit)
        bytes = process_tree_memory_exact(s->process.pid);
    if (bytes <= limit)
        return;
    text_format_size((double)bytes, used, sizeof used);
    text_format_size((double)limit, allowed, sizeof allowed);
    snprintf(reason, sizeof reason,
             "the trainer used %s of memory (resources.memory_per_trial allows %s)", used,
             allowed);
    fail_and_kill(s, FAILURE_EXIT, reason);
}

static void check_start(struct slot *s, double now)
{
    char limit[32], reason[TRIAL_REASON];
    if (now < s->due)
        return;
    text_format_duration(s->settings->start_timeout, limit, sizeof limit);
    snprintf(reason, sizeof reason, "the trainer was not ready within %s", limit);
    fail_and_kill(s, FAILURE_START, reason);
}

static void wait_for_end(struct slot *s, double now)
{
    int status;
    if (process_reap(&s->process, &status)) {
        ended(s, status, s->state == SLOT_KILLED);
    } else if (now >= s->due && s->state == SLOT_ENDING) {
        fail_and_kill(s, s->was_ready ? FAILURE_EXIT : FAILURE_START,
                      "the trainer closed its input or output and did not end");
    } else if (now >= s->due) {
        process_signal(&s->process, SIGKILL);
        cgroup_kill(&s->group);
        s->due = INFINITY;
    }
}

void slot_step(struct slot *s)
{
    double now = now_of(s);
    if (s->state == SLOT_READY)
        slot_chaos_step(s, now);
    if (now >= s->held_until)
        tell_held(s);
    if (s->state == SLOT_WAITING && !s->stopped && !s->suspending && now >= s->due)
        start(s, now);
    if (s->state == SLOT_ENDING || s->state == SLOT_KILLED)
        wait_for_end(s, now);
    if (s->state == SLOT_STARTING)
        check_start(s, now);
    if (s->state == SLOT_READY)
        check_task(s, now);
    if (s->state == SLOT_STARTING || s->state == SLOT_READY)
        check_process(s, now);
    if (s->state == SLOT_READY && !slot_tasks_send(s, now))
        fail_and_kill(s, FAILURE_START, "the agent is out of memory");
    if (s->process.in >= 0 && s->to.start < s->to.end && !s->writable_wanted)
        write_input(s);
}

double slot_due(const struct slot *s)
{
    const struct slot_task *t = s->first;
    double due = s->due;
    if (s->state == SLOT_WAITING)
        return s->stopped || s->suspending ? INFINITY : due;
    if (s->state == SLOT_ENDING || s->state == SLOT_KILLED)
        return now_of(s) + reap_interval;
    if (s->state == SLOT_READY)
        due = INFINITY;
    if (s->state == SLOT_READY && t && !isnan(t->started))
        due = t->cancelled ? t->kill_at : t->started + t->task.timeout - t->spent;
    return due < s->next_check ? due : s->next_check;
}

void slot_stop(struct slot *s)
{
    s->stopped = true;
    slot_tasks_clear(s);
    if (s->process.pid > 0)
        slot_kill(s, stop_grace);
}

bool slot_gone(const struct slot *s)
{
    return s->process.pid == 0;
}

bool slot_has_process(const struct slot *s, pid_t pid)
{
    return s->process.pid == pid;
}

bool slot_is_current(const struct slot *s, unsigned start)
{
    return s->process.pid > 0 && s->starts == start;
}

unsigned slot_ends(const struct slot *s)
{
    return s->ends;
}

bool slot_busy(const struct slot *s)
{
    return s->first != NULL;
}
