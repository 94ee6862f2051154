/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that explains the commands, from the one table. */
#ifndef ARCHWAY_MASTER_CLI_HELP_H
#define ARCHWAY_MASTER_CLI_HELP_H

#include "common/text.h"
#include "master/cli/command.h"

void help_program(struct text *out);                           /* archway --help */
void help_command(const struct command *c, struct text *out);  /* archway C --help */

#endif
