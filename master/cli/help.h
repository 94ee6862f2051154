/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that explains the commands, from the one table, and the configuration, from
 * its schema. Each appends to `out`, which remembers a failed allocation. */
#ifndef ARCHWAY_MASTER_CLI_HELP_H
#define ARCHWAY_MASTER_CLI_HELP_H

#include "common/text.h"
#include "master/cli/command.h"

void help_program(struct text *out);                           /* archway --help */
void help_command(const struct command *c, struct text *out);  /* archway C --help */
void help_manual(struct text *out);        /* the page archway(1), in roff's man macros */
void help_completion(struct text *out);    /* completion for bash, to be sourced */
void help_commands(struct text *out);      /* docs/commands.md */
void help_configuration(struct text *out); /* docs/configuration.md */

#endif
