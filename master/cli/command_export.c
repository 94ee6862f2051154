/* SPDX-License-Identifier: Apache-2.0 */
/* archway export: one architecture, for programs or as a drawing. */
#include "master/cli/commands.h"

#include <stdlib.h>
#include <string.h>

#include "master/cli/output.h"
#include "master/summary.h"

static int find_trial(const struct invocation *in, struct engine *e,
                      const struct trial **ret, struct error *err)
{
    const char *dir = in->positional[0], *text = command_value(in, "trial");
    uint64_t count = ledger_count(engine_ledger(e)), id = 0;
    if (count == 0)
        return error_set(err, ERROR_INPUT, "%s: the run has no trials yet", dir);
    if (text && (!text_parse_uint64(text, &id) || id >= count))
        return error_set(err, ERROR_USAGE,
                         "archway export: --trial is '%s'; the trials of %s are 0 to %llu",
                         text, dir, (unsigned long long)count - 1);
    if (!text && summary_top(e, 1, &id) == 0)
        return error_set(err, ERROR_INPUT,
                         "%s: no trial has a result yet, so there is no best one; --trial "
                         "chooses one of 0 to %llu",
                         dir, (unsigned long long)count - 1);
    *ret = ledger_trial(engine_ledger(e), id);
    return 0;
}

/* The option's words are checked by the table of options. */
static int check_format(const struct space *space, const char *format, struct error *err)
{
    if (format && strcmp(format, "equations") == 0 && !space_has_equations(space))
        return error_set(err, ERROR_USAGE,
                         "archway export: --format is 'equations', which are written for "
                         "recurrent cells; the space is %s",
                         space_name(space));
    return 0;
}

static char *render(const struct space *space, const struct trial *t, const char *format)
{
    if (format && strcmp(format, "dot") == 0)
        return space_to_dot(space, t->architecture);
    if (format && strcmp(format, "svg") == 0)
        return space_to_svg(space, t->architecture);
    if (format && strcmp(format, "equations") == 0)
        return space_to_equations(space, t->architecture);
    json_t *json = summary_trial_json(space, t);
    char *dump = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return dump;
}

static int run_export(const struct invocation *in, int *ret_exit, struct error *err)
{
    const char *output = command_value(in, "output");
    const struct trial *t = NULL;
    struct engine *e = NULL;
    struct text out;
    text_init(&out);
    int status = output_open_run(in, &e, NULL, err);
    if (status == 0)
        status = find_trial(in, e, &t, err);
    if (status == 0)
        status = check_format(engine_space(e), command_value(in, "format"), err);
    if (status == 0) {
        char *text = render(engine_space(e), t, command_value(in, "format"));
        size_t size = text ? strlen(text) : 0;
        text_append(&out, "%s%s", text ? text : "", size && text[size - 1] == '\n' ? "" : "\n");
        out.failed |= !text;
        free(text);
    }
    if (status == 0 && output && !out.failed)
        status = text_write_file(output, out.data, out.size, err);
    else if (status == 0)
        status = output_text(&out, err);
    text_fini(&out);
    engine_free(e);
    *ret_exit = 0;
    return status;
}

static const struct command_option options[] = {
    {"trial", "N", false, "Which trial; the best one of both arms otherwise."},
    {"format", "json|svg|dot|equations", false,
     "A JSON object with architecture and curve (the default), a picture, a drawing for "
     "Graphviz, or what a recurrent cell computes."},
    {"output", "FILE", false, "Write to this file, whole or not at all."},
    {0}};

const struct command command_export = {
    .name = "export",
    .synopsis = "DIR [--trial N] [--format FORMAT] [--output FILE]",
    .summary = "write one architecture for other programs",
    .description = "Writes the architecture of a trial with what it reached. All formats "
                   "can be read "
                   "without the configuration of the run: layers carry their sizes and "
                   "inputs, -1 being "
                   "the image; the nodes of a cell what they compute and read.",
    .example = "archway export runs/first > best.json\n"
               "archway export runs/first --trial 17 --format svg > 17.svg",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_export};
