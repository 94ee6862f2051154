/* SPDX-License-Identifier: Apache-2.0 */
/* archway help [COMMAND]: the same texts as --help. */
#include "master/cli/commands.h"

#include "master/cli/help.h"
#include "master/cli/output.h"

static int run_help(const struct invocation *in, int *ret_exit, struct error *err)
{
    const struct command *c = NULL;
    struct text out;
    if (in->positional_count > 0 && !(c = command_find(in->positional[0], err)))
        return ERROR_USAGE;
    text_init(&out);
    if (c)
        help_command(c, &out);
    else
        help_program(&out);
    *ret_exit = 0;
    return output_text(&out, err);
}

const struct command command_help = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "explain the commands, or one of them",
    .description = "Without a command: the list of all. With one: the same as archway COMMAND "
                   "--help.",
    .example = "archway help search",
    .least = 0,
    .most = 1,
    .run = run_help};
