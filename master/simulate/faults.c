/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what shall go wrong. Probabilities count an attempt for what happens to trials
 * and ranks, and a message for what happens on the way. */
#include "master/simulate/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static const char *const names[FAULT_COUNT] = {
    "worker-lost", "slow", "trial-failed", "delayed", "duplicated", "reordered"};

const char *fault_name(int fault)
{
    return fault >= 0 && fault < FAULT_COUNT ? names[fault] : "unknown";
}

static int find_fault(const char *word)
{
    for (int i = 0; i < FAULT_COUNT; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

static int unknown_fault(const char *where, const char *word, int status,
                         struct error *err)
{
    int nearest = text_nearest(word, names, FAULT_COUNT);
    if (nearest >= 0)
        return error_set(err, status, "%s: unknown fault '%.40s'; did you mean '%s'?",
                         where, word, names[nearest]);
    return error_set(
        err, status,
        "%s: unknown fault '%.40s'; allowed: worker-lost, slow, trial-failed, "
        "delayed, duplicated, reordered",
        where, word);
}

static int parse_rate(char *word, struct faults *f, struct error *err)
{
    char *equals = strchr(word, '=');
    double rate = 0;
    if (equals)
        *equals = '\0';
    int fault = find_fault(word);
    if (fault < 0)
        return unknown_fault("--fault", word, ERROR_USAGE, err);
    if (!equals || !text_parse_double(equals + 1, &rate) || rate < 0 || rate > 1)
        return error_set(err, ERROR_USAGE,
                         "--fault: %s needs a probability from 0 to 1, e.g. "
                         "%s=0.01",
                         word, word);
    f->rates[fault] = rate;
    return 0;
}

int faults_parse_rates(const char *text, struct faults *f, struct error *err)
{
    char *copy = strdup(text), *save = NULL;
    int status = copy ? 0 : error_set(err, ERROR_SYSTEM, "no memory for --fault");
    for (char *word = copy ? strtok_r(copy, ",", &save) : NULL; word && status == 0;
         word = strtok_r(NULL, ",", &save))
        status = parse_rate(word, f, err);
    free(copy);
    return status;
}

static int parse_line(const char *where, char *line, int workers, struct fault_event *ret,
                      struct error *err)
{
    char *words[5] = {0}, *save = NULL;
    int count = 0;
    int64_t rank;
    for (char *w = strtok_r(line, " \t\r", &save); w && count < 5;
         w = strtok_r(NULL, " \t\r", &save))
        words[count++] = w;
    if (count < 3 || count > 4)
        return error_set(err, ERROR_INPUT, "%s: a line is TIME FAULT RANK [VALUE]",
                         where);
    *ret = (struct fault_event){.fault = find_fault(words[1])};
    if (ret->fault < 0)
        return unknown_fault(where, words[1], ERROR_INPUT, err);
    if (!text_parse_duration(words[0], &ret->at))
        return error_set(err, ERROR_INPUT, "%s: '%.40s' is no time", where, words[0]);
    if (!text_parse_int64(words[2], &rank) || rank < 1 || rank > workers)
        return error_set(err, ERROR_INPUT, "%s: '%.40s' is no rank from 1 to %d", where,
                         words[2], workers);
    ret->rank = (int)rank;
    ret->value = ret->fault == FAULT_SLOW ? FAULT_SLOWNESS : FAULT_DELAY;
    if (words[3] && (!text_parse_duration(words[3], &ret->value) || ret->value < 0))
        return error_set(err, ERROR_INPUT, "%s: '%.40s' is no number", where, words[3]);
    return 0;
}

static int add_line(const char *path, int number, char *line, int workers,
                    struct faults *f, struct error *err)
{
    char where[300];
    line[strcspn(line, "#")] = '\0';
    if (line[strspn(line, " \t\r")] == '\0')
        return 0;
    snprintf(where, sizeof where, "%.250s:%d", path, number);
    if (f->count == FAULTS_MAX_SCHEDULE)
        return error_set(err, ERROR_INPUT, "%s: more than %d faults", where,
                         FAULTS_MAX_SCHEDULE);
    if ((f->count & (f->count - 1)) == 0) { /* full: it doubles */
        size_t capacity = f->count ? 2 * f->count : 1;
        struct fault_event *grown = realloc(f->schedule, capacity * sizeof *grown);
        if (!grown)
            return error_set(err, ERROR_SYSTEM, "%s: no memory", where);
        f->schedule = grown;
    }
    int status = parse_line(where, line, workers, &f->schedule[f->count], err);
    f->count += status == 0;
    return status;
}

int faults_read_schedule(const char *path, int workers, struct faults *f,
                         struct error *err)
{
    char *text = NULL, *next;
    size_t size;
    int number = 1, status = text_read_file(path, 64 << 20, &text, &size, err);
    for (char *line = text; line && status == 0; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        status = add_line(path, number++, line, workers, f, err);
    }
    free(text);
    return status;
}

void faults_fini(struct faults *f)
{
    free(f->schedule);
    *f = (struct faults){0};
}
