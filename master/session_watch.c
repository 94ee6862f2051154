/* SPDX-License-Identifier: Apache-2.0 */
/* Silence is never the answer: every few seconds whatever holds the run up is named, in
 * watch.json for status and explain, and in log.jsonl when it begins and changes. The
 * words are those of the states; how long one has lasted stands behind " for ", and is no
 * change. watch.json is not synced: a disk that hangs is one of the states. */
#include "master/session_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WATCH_EVERY = 2, IDLE_NAMED = 10, DISK_NAMED = 5, WATCH_LINES = 20 };

void session_watch_start(struct session *s)
{
    s->idle_since = s->written_at = session_now(s);
}

/* Sync searches take results in the order of their trials: the first one without. */
static bool waits_for_first(const struct session *s, char *text, size_t size)
{
    const struct trial *t =
        ledger_trial(engine_ledger(s->engine), engine_told(s->engine));
    if (engine_config(s->engine)->run.mode != MODE_SYNC || !t ||
        t->state != TRIAL_RUNNING)
        return false;
    snprintf(text, size, "the search waits for trial %llu, which runs on rank %d slot %d",
             (unsigned long long)t->id, t->worker, t->slot);
    return true;
}

/* Why slots have no work; "" when they will get some at once, or another line tells. */
static void why_idle(const struct session *s, struct dispatcher_counts c, char *text,
                     size_t size)
{
    bool queued = ledger_count_state(engine_ledger(s->engine), -1, TRIAL_QUEUED) > 0;
    *text = '\0';
    if (s->disk.low || !s->started_trials)
        return;
    if (queued && dispatcher_deferred(s->dispatcher) > 0)
        snprintf(text, size,
                 "a trial waits for another node than the one where it failed");
    else if (!queued && s->exhausted)
        snprintf(text, size, "all trials of the search are handed out, %d still run",
                 c.busy);
    else if (!queued && !waits_for_first(s, text, size))
        snprintf(text, size,
                 "the search needs results of the %d running trials before it proposes "
                 "more",
                 c.busy);
}

/* Slots without work although the search is not over. Where trials end all the time, some
 * slot is idle at any moment, and that means nothing. */
static void describe_idle(struct session *s, struct text *out)
{
    struct dispatcher_counts c = dispatcher_count(s->dispatcher);
    double now = session_now(s);
    bool lively = s->progress.over - s->over_then >= (uint64_t)c.slots;
    char why[160];
    why_idle(s, c, why, sizeof why);
    s->over_then = s->progress.over;
    if (c.busy >= c.slots || lively || !*why)
        s->idle_since = now;
    if (now - s->idle_since >= IDLE_NAMED)
        text_append(out, "%d of %d slots idle, %s, for %.0f s\n", c.slots - c.busy,
                    c.slots, why, now - s->idle_since);
}

static void describe_disk(struct session *s, struct text *out)
{
    uint64_t backlog = journal_backlog(s->journal);
    uint64_t written = journal_end(s->journal) - backlog;
    double now = session_now(s);
    char room[32], reserve[32], size[32];
    text_format_size(s->disk.room, room, sizeof room);
    text_format_size((double)engine_config(s->engine)->run.reserve, reserve,
                     sizeof reserve);
    text_format_size((double)backlog, size, sizeof size);
    if (s->disk.low)
        text_append(
            out,
            "the disk of the run is nearly full, so no trial is handed out: %s are "
            "free, run.reserve is %s\n",
            room, reserve);
    if (backlog >= SESSION_BACKLOG_MOST)
        text_append(out,
                    "the disk of the run is slow, so no trial is handed out: %s of the "
                    "journal wait for it\n",
                    size);
    if (backlog == 0 || written != s->written)
        s->written_at = now;
    s->written = written;
    if (now - s->written_at >= DISK_NAMED)
        text_append(out,
                    "the disk of the run has taken nothing, and the search hears of no "
                    "result, for %.0f s\n",
                    now - s->written_at);
}

static json_t *split_lines(char *text)
{
    json_t *list = json_array();
    char *rest = text;
    for (char *line; list && (line = strsep(&rest, "\n"));)
        if (*line && json_array_size(list) < WATCH_LINES)
            json_array_append_new(list, json_string(line));
    return list;
}

static void write_watch(struct session *s, json_t *lines)
{
    json_t *o = json_pack("{s:f, s:O}", "time", session_wall(s), "states", lines);
    char *dump = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    char *path = run_folder_file(s->setup->dir, RUN_WATCH);
    if (dump && path)
        text_publish_file(path, dump, strlen(dump), NULL);
    free(dump);
    free(path);
    json_decref(o);
}

/* Length of what says which state it is: up to " for 12 s", or to a colon. */
static size_t identity(const char *line)
{
    for (const char *p = line; (p = strstr(p, " for ")); p++)
        if (isdigit((unsigned char)p[5]))
            return (size_t)(p - line);
    return strcspn(line, ":");
}

static bool was_named(const json_t *before, const char *line)
{
    size_t i, length = identity(line);
    const json_t *old;
    json_array_foreach(before, i, old)
    {
        const char *text = json_string_value(old);
        if (identity(text) == length && strncmp(text, line, length) == 0)
            return true;
    }
    return false;
}

static void log_watch(struct session *s, const json_t *lines)
{
    size_t i;
    const json_t *line;
    json_array_foreach(lines, i, line)
    {
        const char *text = json_string_value(line);
        if (!was_named(s->stalls, text))
            event_log_text(s->log, session_wall(s), "stall", -1, text);
    }
    if (json_array_size(lines) == 0)
        event_log_text(s->log, session_wall(s), "stall_over", -1, NULL);
}

void session_watch(struct session *s)
{
    struct text t;
    if (session_now(s) < s->watch_at)
        return;
    s->watch_at = session_now(s) + WATCH_EVERY;
    text_init(&t);
    describe_disk(s, &t);
    describe_idle(s, &t);
    dispatcher_describe(s->dispatcher, WATCH_LINES, &t);
    json_t *lines = t.failed ? NULL : split_lines(t.data ? t.data : (char[]){""});
    if (lines && json_array_size(lines) + json_array_size(s->stalls) > 0) {
        log_watch(s, lines);
        write_watch(s, lines);
    }
    json_decref(s->stalls);
    s->stalls = lines;
    text_fini(&t);
}

void session_watch_end(struct session *s)
{
    char *path = run_folder_file(s->setup->dir, RUN_WATCH);
    if (path)
        unlink(path);
    free(path);
    json_decref(s->stalls);
    s->stalls = NULL;
}
