/* SPDX-License-Identifier: Apache-2.0 */
/* archway status [--watch]. On a terminal each view is written over the one before; into a
 * pipe or file one follows the other. Watching ends with the run, or by a signal. */
#include "master/cli/commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/cli/output.h"
#include "master/cli/run_status.h"
#include "master/stop.h"

/* One view; *ret_running: is there more to come? */
static int show(const struct invocation *in, bool watch, bool *ret_running,
                struct error *err)
{
    const char *dir = in->positional[0], *format = command_value(in, "format");
    bool json = format && strcmp(format, "json") == 0;
    struct run_status s;
    struct engine *e = NULL;
    struct text out;
    int status = run_status_read(dir, true, clock_wall(&clock_system), &s, &e, err);
    if (status != 0)
        return status;
    text_init(&out);
    if (watch && !json && isatty(STDOUT_FILENO))
        text_append(&out, "\033[H\033[2J");
    if (json) {
        json_t *o = run_status_json(&s, e, dir);
        char *dump = o ? json_dumps(o, watch ? JSON_COMPACT : JSON_INDENT(2)) : NULL;
        text_append(&out, "%s\n", dump ? dump : "");
        out.failed |= !dump;
        free(dump);
        json_decref(o);
    } else {
        run_status_format(&s, e, dir, &out);
    }
    engine_free(e);
    run_status_fini(&s);
    *ret_running = s.state == RUN_RUNNING;
    return output_text(&out, err);
}

static int run_status_command(const struct invocation *in, int *ret_exit, struct error *err)
{
    const struct timespec pause = {.tv_sec = 2};
    bool watch = command_value(in, "watch") != NULL, running = false;
    *ret_exit = 0;
    if (watch)
        stop_install();
    int status = show(in, watch, &running, err);
    while (watch && running && status == 0) {
        nanosleep(&pause, NULL); /* a signal ends it early */
        if (stop_signalled())
            break;
        status = show(in, watch, &running, err);
    }
    return status;
}

static const struct command_option options[] = {
    {"watch", NULL, false, "Show it again every two seconds until the run ends or Ctrl-C."},
    {"format", "text|json", false,
     "For people (the default), or one JSON object; with --watch one a line."},
    {0}};

const struct command command_status = {
    .name = "status",
    .synopsis = "DIR [--watch] [--format text|json]",
    .summary = "show how a running or stopped run stands",
    .description =
        "Tells from the files of a run whether it is running, stopped, finished or was "
        "killed; how many trials are done; the best and the mean of the last results of both "
        "arms; throughput, busy slots, time left; whether the search is better than random; "
        "and where the hours went. The run is not disturbed, and the command works from any "
        "machine that sees the folder.",
    .example = "archway status runs/first\n"
               "archway status runs/first --watch",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_status_command};
