/* SPDX-License-Identifier: Apache-2.0 */
/* What a session says while it runs. On a terminal one line that is written over; in a
 * batch log a line a minute. Open MPI gives every rank a pseudo-terminal, also when
 * mpirun's own output goes to a file, so under it the launcher's output decides. */
#include "master/session_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

static bool launcher_has_terminal(void)
{
    char link[64], target[256];
    snprintf(link, sizeof link, "/proc/%ld/fd/1", (long)getppid());
    ssize_t size = readlink(link, target, sizeof target - 1);
    if (size < 0)
        return false;
    target[size] = '\0';
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

void session_display_start(struct session *s)
{
    s->terminal = isatty(STDOUT_FILENO) &&
                  (!getenv("OMPI_COMM_WORLD_SIZE") || launcher_has_terminal());
    s->minute_at = session_now(s) + 60;
    const struct config *c = engine_config(s->engine);
    if (*c->run.chaos && strcmp(c->run.chaos, "none") != 0) {
        session_say(s, "A rehearsal: faults on purpose, %s, seed %llu", c->run.chaos,
                    (unsigned long long)c->seed);
        event_log_text(s->log, session_wall(s), "chaos", -1, c->run.chaos);
    }
}

void session_display_clear(struct session *s)
{
    if (s->live)
        fputs("\r\033[K", stdout);
    s->live = false;
}

void session_say(struct session *s, const char *format, ...)
{
    va_list args;
    if (s->setup->quiet)
        return;
    session_display_clear(s);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void session_display(struct session *s)
{
    char line[256];
    double now = session_now(s);
    if (s->setup->quiet || !dispatcher_placement(s->dispatcher))
        return;
    if (now < (s->terminal ? s->display_at : s->minute_at))
        return;
    struct dispatcher_counts c = dispatcher_count(s->dispatcher);
    progress_format(&s->progress, now, c.busy, c.slots, s->terminal, line, sizeof line);
    printf(s->terminal ? "\r%s\033[K" : "%s\n", line);
    fflush(stdout);
    s->live = s->terminal;
    s->display_at = now + 0.2;
    s->minute_at = now + 60;
}

static void warn_of_kernels(struct session *s)
{
    struct text t;
    text_init(&t);
    kernel_watch_format(&s->kernels, dispatcher_placement(s->dispatcher),
                        engine_config(s->engine), &t);
    if (!t.failed) {
        session_say(s, "warning: %s", t.data);
        event_log_text(s->log, session_wall(s), "kernels", -1, t.data);
    }
    text_fini(&t);
}

/* An external trainer says what it computes with when it trains, the built-in one would
 * say what is known already. */
static void note_placement(struct session *s, const struct placement *p)
{
    bool differ = false;
    for (int i = 0; i < p->count; i++)
        if (*p->slots[i].kernels)
            differ |=
                kernel_watch_note(&s->kernels, p->slots[i].rank, p->slots[i].kernels);
    if (differ)
        warn_of_kernels(s);
}

static void placed(struct session *s)
{
    const struct placement *p = dispatcher_placement(s->dispatcher);
    char *table = placement_format(p), *json = placement_json(p);
    char *path = run_folder_file(s->setup->dir, RUN_PLACEMENT);
    if (table && *table)
        session_say(s, "%.*s", (int)strlen(table) - 1, table);
    if (json && path)
        text_write_file(path, json, strlen(json), NULL);
    event_log_text(s->log, session_wall(s), "placement", -1, table);
    free(table);
    free(json);
    free(path);
    note_placement(s, p);
}

static void attempt_failed(struct session *s, const struct dispatcher_event *e)
{
    const struct trial *t = ledger_trial(engine_ledger(s->engine), e->trial);
    const char *reason = e->reason ? e->reason : "no reason";
    event_log_trial(s->log, session_wall(s), "attempt_failed", t, e->reason);
    if (s->warnings++ < 5)
        session_say(s, "trial %llu: attempt %u failed: %.*s", (unsigned long long)t->id,
                    t->attempts, (int)strcspn(reason, "\n"), reason);
    if (s->warnings == 5)
        session_say(s, "further failed attempts are only logged, in log.jsonl");
}

static void late_result(struct session *s, const struct dispatcher_event *e)
{
    char text[64];
    snprintf(text, sizeof text, "trial %llu: not counted", (unsigned long long)e->trial);
    event_log_text(s->log, session_wall(s), "late_result", e->rank, text);
}

static void checkpoint(struct session *s, const struct dispatcher_event *e)
{
    const struct event_log_checkpoint c = {.trial = e->trial,
                                           .what = e->what,
                                           .epoch = e->epoch,
                                           .seconds = e->seconds,
                                           .before = e->before,
                                           .worker = e->rank,
                                           .slot = e->slot,
                                           .reason = e->reason};
    if (e->what == CHECKPOINT_SAVED) /* many, and the journal has them */
        return;
    event_log_checkpoint(s->log, session_wall(s), &c);
    if (e->what == CHECKPOINT_REFUSED)
        session_say(s, "trial %llu begins anew: %s", (unsigned long long)e->trial,
                    e->reason ? e->reason : "the trainer cannot use its state");
}

void session_event(void *context, const struct dispatcher_event *e)
{
    struct session *s = context;
    switch (e->type) {
    case DISPATCHER_PLACED:
        placed(s);
        break;
    case DISPATCHER_STARTED:
        s->started_trials = true;
        event_log_text(s->log, session_wall(s), "first_trial", e->rank, NULL);
        break;
    case DISPATCHER_ATTEMPT_FAILED:
        attempt_failed(s, e);
        break;
    case DISPATCHER_RANK_LOST:
        event_log_text(s->log, session_wall(s), "rank_lost", e->rank, e->reason);
        session_say(s, "rank %d is given up: %s; its trials go back to the queue", e->rank,
                    e->reason);
        break;
    case DISPATCHER_RANK_SILENT:
    case DISPATCHER_RANK_BACK:
        event_log_text(s->log, session_wall(s),
                       e->type == DISPATCHER_RANK_BACK ? "rank_back" : "rank_silent", e->rank,
                       e->reason);
        session_say(s, "rank %d: %s", e->rank, e->reason);
        break;
    case DISPATCHER_LATE_RESULT:
        late_result(s, e);
        break;
    case DISPATCHER_QUARANTINE:
    case DISPATCHER_QUARANTINE_OVER:
        event_log_text(s->log, session_wall(s), "quarantine", -1, e->reason);
        session_say(s, "warning: %s", e->reason);
        break;
    case DISPATCHER_RISKY:
        event_log_text(s->log, session_wall(s), "risky", e->rank, e->reason);
        if (!s->said_risk)
            session_say(s, "note: %s", e->reason);
        s->said_risk = true;
        break;
    case DISPATCHER_CHECKPOINT:
        checkpoint(s, e);
        break;
    case DISPATCHER_FINISHED:
    case DISPATCHER_EVENT_COUNT:
        break;
    }
}

void session_over(void *context, const struct trial *t)
{
    struct session *s = context;
    progress_note(&s->progress, t);
    if (t->state != TRIAL_SAVED)
        failures_note(&s->failures, t->state == TRIAL_FAILED);
    if (t->state == TRIAL_FAILED)
        s->last_failed = t;
    if (t->state == TRIAL_DONE && kernel_watch_note(&s->kernels, t->worker, t->kernels))
        warn_of_kernels(s);
    event_log_trial(s->log, session_wall(s), "trial", t, t->reason);
}
