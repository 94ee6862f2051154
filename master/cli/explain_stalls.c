/* SPDX-License-Identifier: Apache-2.0 */
/* A state is known by its words: "rank 7 on n3, trial 412, no heartbeat for 95 s" is
 * about rank 7 and trial 412, and what begins with no rank is about the run as a whole.
 */
#include "master/cli/explain_stalls.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Are these words in the line, and not only the start of a longer number? */
static bool has_words(const char *line, const char *words)
{
    size_t length = strlen(words);
    for (const char *p = line; (p = strstr(p, words)); p += length)
        if (!isdigit((unsigned char)p[length]))
            return true;
    return false;
}

static bool append_if(const char *line, bool wanted, struct text *out)
{
    if (wanted)
        text_append(out, "  now: %s\n", line);
    return wanted;
}

bool explain_stalls_of_rank(const struct run_status *s, int rank, struct text *out)
{
    char words[32];
    bool any = false;
    size_t i;
    const json_t *line;
    int length = snprintf(words, sizeof words, "rank %d ", rank);
    json_array_foreach(s->stalls, i, line)
    {
        const char *text = json_string_value(line);
        any |= append_if(text, strncmp(text, words, (size_t)length) == 0, out);
    }
    return any;
}

bool explain_stalls_of_trial(const struct run_status *s, uint64_t id, bool queued,
                             struct text *out)
{
    char words[40];
    bool any = false;
    size_t i;
    const json_t *line;
    snprintf(words, sizeof words, "trial %llu", (unsigned long long)id);
    json_array_foreach(s->stalls, i, line)
    {
        const char *text = json_string_value(line);
        bool of_run = strstr(text, "no trial is handed out") || strstr(text, " is held: ");
        any |= append_if(text, has_words(text, words) || (queued && of_run), out);
    }
    return any;
}

bool explain_stalls_of_run(const struct run_status *s, struct text *out)
{
    bool any = false;
    size_t i;
    const json_t *line;
    json_array_foreach(s->stalls, i, line)
    {
        const char *text = json_string_value(line);
        any |= append_if(text, strncmp(text, "rank ", 5) != 0, out);
    }
    return any;
}
