/* SPDX-License-Identifier: Apache-2.0 */
/* Formatted by hand where trials come by the thousand; free text goes through jansson,
 * which knows how to escape it. */
#include "master/event_log.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event_log {
    FILE *file;
};

int event_log_open(const char *path, struct event_log **ret, struct error *err)
{
    struct event_log *l = malloc(sizeof *l);
    if (!l)
        return error_set(err, ERROR_SYSTEM, "no memory for the log");
    l->file = fopen(path, "ae");
    if (!l->file) {
        free(l);
        return error_set_errno(err, "cannot open '%s'", path);
    }
    setvbuf(l->file, NULL, _IOFBF, 1 << 16);
    *ret = l;
    return 0;
}

void event_log_close(struct event_log *l)
{
    if (!l)
        return;
    fclose(l->file);
    free(l);
}

void event_log_flush(struct event_log *l)
{
    fflush(l->file);
}

static void put_string(struct event_log *l, const char *name, const char *text)
{
    json_t *string = text ? json_string(text) : NULL;
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    if (quoted)
        fprintf(l->file, ",\"%s\":%s", name, quoted);
    free(quoted);
    json_decref(string);
}

static void put_number(struct event_log *l, const char *name, double v)
{
    if (isfinite(v))
        fprintf(l->file, ",\"%s\":%.9g", name, v);
    else
        fprintf(l->file, ",\"%s\":null", name);
}

void event_log_text(struct event_log *l, double time, const char *event, int rank,
                    const char *text)
{
    fprintf(l->file, "{\"time\":%.3f,\"event\":\"%s\"", time, event);
    if (rank >= 0)
        fprintf(l->file, ",\"rank\":%d", rank);
    put_string(l, "text", text);
    fputs("}\n", l->file);
}

void event_log_usage(struct event_log *l, double time, double cpu_seconds,
                     uint64_t max_rss_bytes, uint64_t record_bytes)
{
    fprintf(l->file,
            "{\"time\":%.3f,\"event\":\"usage\",\"cpu_seconds\":%.6f,"
            "\"max_rss_bytes\":%llu,\"record_bytes\":%llu}\n",
            time, cpu_seconds, (unsigned long long)max_rss_bytes,
            (unsigned long long)record_bytes);
}

void event_log_checkpoint(struct event_log *l, double time,
                          const struct event_log_checkpoint *c)
{
    fprintf(l->file,
            "{\"time\":%.3f,\"event\":\"checkpoint\",\"trial\":%llu,\"status\":\"%s\","
            "\"epoch\":%u,\"seconds\":%.3f,\"before\":%.3f,\"worker\":%d,\"slot\":%d",
            time, (unsigned long long)c->trial, trial_checkpoint_name(c->what), c->epoch,
            c->seconds, c->before, c->worker, c->slot);
    put_string(l, "reason", c->reason);
    fputs("}\n", l->file);
}

static char *put_text(char *at, const char *text)
{
    return stpcpy(at, text);
}

static char *put_unsigned(char *at, uint64_t v)
{
    char digits[20];
    int count = 0;
    do
        digits[count++] = (char)('0' + v % 10);
    while (v /= 10);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

/* "tokens":[...] of up to ARCHITECTURE_MAX_TOKENS numbers of up to 5 digits. */
static char *put_tokens(char *at, const struct architecture *a)
{
    at = put_text(at, ",\"tokens\":[");
    for (unsigned i = 0; i < a->count; i++) {
        if (i > 0)
            *at++ = ',';
        at = put_unsigned(at, a->tokens[i]);
    }
    return put_text(at, "]");
}

void event_log_trial(struct event_log *l, double time, const char *event,
                     const struct trial *t, const char *reason)
{
    char tokens[ARCHITECTURE_MAX_TOKENS * 6 + 32];
    char *end = put_tokens(tokens, t->architecture);
    fprintf(l->file,
            "{\"time\":%.3f,\"event\":\"%s\",\"trial\":%llu,\"arm\":\"%s\",\"state\":\"%s\","
            "\"worker\":%d,\"slot\":%d,\"attempt\":%u",
            time, event, (unsigned long long)t->id, trial_arm_name(t->arm),
            trial_state_name(t->state), t->worker, t->slot, t->attempts);
    fwrite(tokens, 1, (size_t)(end - tokens), l->file);
    put_number(l, "metric", t->val_accuracy);
    put_number(l, "reward", t->reward);
    put_number(l, "seconds", t->seconds);
    put_string(l, "reason", reason);
    fputs("}\n", l->file);
}
