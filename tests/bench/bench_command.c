/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes are read one after the other: what a command prints fits into its pipe, so none
 * of them waits for another one. */
#include "bench_command.h"

#include <stdio.h>

static void read_lines(FILE *pipe,
                       void (*line)(void *context, const char *name, double value),
                       void *context)
{
    char text[256], name[32];
    double value;
    while (fgets(text, sizeof text, pipe))
        if (sscanf(text, "%31s %lf", name, &value) == 2)
            line(context, name, value);
}

bool command_run(const char *command, int copies,
                 void (*line)(void *context, const char *name, double value),
                 void *context)
{
    FILE *pipes[COMMAND_COPIES];
    bool ok = true;
    fflush(NULL);
    for (int i = 0; i < copies; i++)
        pipes[i] = popen(command, "r");
    for (int i = 0; i < copies; i++) {
        if (pipes[i])
            read_lines(pipes[i], line, context);
        ok = pipes[i] && pclose(pipes[i]) == 0 && ok;
    }
    return ok;
}
