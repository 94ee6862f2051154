/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as data: one table says what each command takes and means; the parser, --help,
 * the man page and the shell completion all walk it. */
#ifndef ARCHWAY_MASTER_CLI_COMMAND_H
#define ARCHWAY_MASTER_CLI_COMMAND_H

#include <stdbool.h>

#include "common/error.h"
#include "master/services.h"

enum { COMMAND_MAX_VALUES = 128, COMMAND_MAX_POSITIONAL = 64 };

struct command_option {
    const char *name;     /* "run" for --run */
    /* "DIR"; NULL: a flag. Small words with '|' between them ("table|csv|json") are the only
     * values allowed. */
    const char *argument;
    bool repeatable;
    const char *help; /* one sentence */
};

/* A parsed command line; everything is borrowed from argv. */
struct invocation {
    const struct command *command;
    const struct services *services;
    int positional_count;
    const char *positional[COMMAND_MAX_POSITIONAL];
    int value_count;
    struct {
        const struct command_option *option;
        const char *value; /* "" for a flag */
    } values[COMMAND_MAX_VALUES];
};

struct command {
    const char *name, *synopsis; /* "search", "CONFIG.yaml [--run DIR] ..." */
    const char *summary;         /* half a sentence, for the list */
    const char *description;     /* a paragraph or more, plain text */
    const char *example;         /* lines that can be run; or NULL */
    int least, most;             /* positional arguments */
    const struct command_option *options; /* ends with name == NULL; NULL: none */
    /* Status 0 with *ret_exit set, or a negative status with err filled. */
    int (*run)(const struct invocation *in, int *ret_exit, struct error *err);
};

extern const struct command *const command_table[]; /* ends with NULL */

/* Parse argv (without the program's name and the command's) for `command`; ERROR_USAGE
 * naming the nearest option otherwise. */
int command_parse(const struct command *command, int argc, char **argv,
                  struct invocation *ret, struct error *err);
/* Value of an option ("" for a flag that is set), NULL when it is not given. */
const char *command_value(const struct invocation *in, const char *name);
/* Does the option's argument list the values allowed? */
bool command_option_has_choices(const struct command_option *o);
/* The command of that name; otherwise NULL, with the error naming the nearest one. */
const struct command *command_find(const char *name, struct error *err);

#endif
