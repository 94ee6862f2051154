/* SPDX-License-Identifier: Apache-2.0 */
/* exit.json: how a session ended, for launch scripts. mpirun's own exit status is not to
 * be trusted once a rank was lost, so the script waits for this file instead. */
#include "master/run_folder.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "version.h"

/* A JSON string of any bytes: those that are no UTF-8 become '?'. */
static json_t *make_string(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char *copy = strdup(text);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c >= 128)
            *c = '?';
    string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}

static char *format_exit(int status, const char *reason, int finished,
                         unsigned long long trials)
{
    char when[32];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_t *exit =
        json_pack("{s:i, s:o*, s:b, s:I, s:s, s:s}", "status", status, "reason",
                  make_string(reason ? reason : ""), "finished", finished != 0, "trials",
                  (json_int_t)trials, "time", when, "version", ARCHWAY_VERSION);
    char *text = exit ? json_dumps(exit, JSON_INDENT(2)) : NULL;
    json_decref(exit);
    return text;
}

int run_folder_write_exit(const char *dir, int status, const char *reason, int finished,
                          unsigned long long trials, struct error *err)
{
    char *path = run_folder_file(dir, RUN_EXIT);
    char *text = format_exit(status, reason, finished, trials);
    int result = path && text
                     ? text_write_file(path, text, strlen(text), err)
                     : error_set(err, ERROR_SYSTEM, "'%s/exit.json': out of memory", dir);
    free(text);
    free(path);
    return result;
}

int run_folder_clear_exit(const char *dir, struct error *err)
{
    char *path = run_folder_file(dir, RUN_EXIT);
    int status = 0;
    if (!path)
        status = error_set(err, ERROR_SYSTEM, "'%s/exit.json': out of memory", dir);
    else if (unlink(path) != 0 && errno != ENOENT)
        status = error_set_errno(err, "cannot remove '%s'", path);
    free(path);
    return status;
}
