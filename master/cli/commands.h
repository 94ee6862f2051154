/* SPDX-License-Identifier: Apache-2.0 */
/* The commands themselves, one or two a file; command_table.c puts them in order. */
#ifndef ARCHWAY_MASTER_CLI_COMMANDS_H
#define ARCHWAY_MASTER_CLI_COMMANDS_H

#include "master/cli/command.h"

extern const struct command command_check, command_doctor, command_explain,
    command_export, command_help, command_init, command_launch, command_replay,
    command_resume, command_search, command_simulate, command_slurm, command_status,
    command_trials;

#endif
