/* SPDX-License-Identifier: Apache-2.0 */
/* The order is that of --help: what a newcomer needs first comes first. */
#include "master/cli/commands.h"

#include <stddef.h>

const struct command *const command_table[] = {
    &command_init,
    &command_check,
    &command_doctor,
    &command_search,
    &command_resume,
    &command_launch,
    &command_slurm,
    &command_status,
    &command_trials,
    &command_explain,
    &command_export,
    &command_replay,
    &command_simulate,
    &command_help,
    NULL,
};
