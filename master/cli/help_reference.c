/* SPDX-License-Identifier: Apache-2.0 */
/* The reference pages of docs/, in Markdown: the commands as --help tells them, the
 * configuration from its schema. A test compares the pages in the tree with these. */
#include "master/cli/help.h"

#include <string.h>

#include "common/config.h"

void help_commands(struct text *out)
{
    text_append(out, "# Commands\n\nMade by `archway --commands`; do not edit. Exit status: 0 "
                     "success, 1 the run failed, 2 bad\nusage or bad input, 75 stopped early "
                     "and resumable.\n");
    for (const struct command *const *c = command_table; *c; c++) {
        text_append(out, "\n## archway %s\n\n```\n", (*c)->name);
        help_command(*c, out);
        text_append(out, "```\n");
    }
}

/* "search" of "search.controller.lr"; 0 for a key of the top. */
static size_t section_size(const char *path)
{
    const char *dot = strchr(path, '.');
    return dot ? (size_t)(dot - path) : 0;
}

/* A cell of a table: '|' would end it, and stands for "or" here. */
static void put_cell(struct text *out, const char *words)
{
    for (; *words; words++)
        text_append(out, "%s%c", *words == '|' ? "\\" : "", *words);
}

static void put_when(struct text *out, const char *when)
{
    int size = (int)strcspn(when, "=");
    text_append(out, " Only with `%.*s`:", size, when);
    when += size;
    while (*when) {
        size = (int)strcspn(++when, "|");
        text_append(out, " `%.*s`%s", size, when, when[size] ? " or" : ".");
        when += size;
    }
}

static void put_key(struct text *out, const struct config *defaults,
                    const struct config_key *k)
{
    struct text allowed, value;
    text_init(&allowed);
    text_init(&value);
    config_format_allowed(k, &allowed);
    config_format(defaults, k, &value);
    text_append(out, "| `%s` | `", k->path);
    put_cell(out, value.data ? value.data : "");
    text_append(out, "` | ");
    put_cell(out, allowed.data ? allowed.data : "");
    text_append(out, " | ");
    put_cell(out, k->help);
    if (k->when)
        put_when(out, k->when);
    if (k->may_change)
        text_append(out, " May be changed on resume.");
    text_append(out, " |\n");
    out->failed |= allowed.failed || value.failed;
    text_fini(&allowed);
    text_fini(&value);
}

void help_configuration(struct text *out)
{
    static struct config defaults; /* large */
    const char *before = NULL;
    config_defaults(&defaults);
    text_append(out, "# Configuration\n\nMade by `archway --configuration`; do not edit. A "
                     "configuration is a YAML file; a key that it\nleaves out has its default. "
                     "`a.b: 1` below is `a: {b: 1}` in the file, and `--set a.b=1` on\nthe "
                     "command line. `archway check` shows the whole of it.\n\n## Presets\n\n"
                     "`preset: NAME` fills in published constants; keys of the file override "
                     "them.\n\n");
    for (const struct config_preset *p = config_presets; p->name; p++)
        text_append(out, "- `%s`: %s\n", p->name, p->help);
    for (const struct config_key *k = config_schema; k->path; k++) {
        size_t size = section_size(k->path);
        if (!before || section_size(before) != size || memcmp(before, k->path, size) != 0) {
            text_append(out, "\n## %.*s\n\n", size ? (int)size : 7, size ? k->path : "The run");
            text_append(out, "| key | default | allowed | meaning |\n|---|---|---|---|\n");
        }
        put_key(out, &defaults, k);
        before = k->path;
    }
}
