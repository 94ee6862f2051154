/* SPDX-License-Identifier: Apache-2.0 */
/* Silence is never the answer: every few seconds whatever holds the run up is named, in
 * watch.json for status and explain, and in log.jsonl when it begins and changes. */
#include "master/session_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WATCH_EVERY = 2, IDLE_NAMED = 30, WATCH_LINES = 20 };

/* Slots without work although the search is not over. */
static void describe_idle(struct session *s, struct text *out)
{
    struct dispatcher_counts c = dispatcher_count(s->dispatcher);
    const struct ledger *l = engine_ledger(s->engine);
    double now = session_now(s);
    bool waits = c.busy < c.slots && !s->exhausted && s->started_trials &&
                 ledger_count_state(l, -1, TRIAL_QUEUED) == 0;
    if (!waits)
        s->idle_since = now;
    if (now - s->idle_since >= IDLE_NAMED)
        text_append(out,
                    "%d of %d slots idle for %.0f s: the search needs results of the %d "
                    "running trials before it proposes more\n",
                    c.slots - c.busy, c.slots, now - s->idle_since, c.busy);
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
        text_write_file(path, dump, strlen(dump), NULL);
    free(dump);
    free(path);
    json_decref(o);
}

static void log_watch(struct session *s, const json_t *lines)
{
    size_t i, count = json_array_size(lines);
    const json_t *line;
    if (count == s->watched)
        return;
    json_array_foreach(lines, i, line)
        event_log_text(s->log, session_wall(s), "stall", -1, json_string_value(line));
    if (count == 0)
        event_log_text(s->log, session_wall(s), "stall_over", -1, NULL);
}

void session_watch(struct session *s)
{
    struct text t;
    if (session_now(s) < s->watch_at)
        return;
    s->watch_at = session_now(s) + WATCH_EVERY;
    text_init(&t);
    dispatcher_describe(s->dispatcher, WATCH_LINES, &t);
    if (s->disk.low)
        text_append(&t, "the disk of the run is nearly full: no trial is handed out\n");
    describe_idle(s, &t);
    json_t *lines = t.failed ? NULL : split_lines(t.data ? t.data : (char[]){""});
    size_t count = json_array_size(lines);
    if (lines && (count > 0 || s->watched > 0)) {
        log_watch(s, lines);
        write_watch(s, lines);
    }
    s->watched = count;
    json_decref(lines);
    text_fini(&t);
}

void session_watch_end(struct session *s)
{
    char *path = run_folder_file(s->setup->dir, RUN_WATCH);
    if (path)
        unlink(path);
    free(path);
}
