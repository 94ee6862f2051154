/* SPDX-License-Identifier: Apache-2.0 */
/* archway launch: mpirun with somebody who watches over it. */
#include "master/cli/commands.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "master/cli/output.h"
#include "master/launch/launch.h"

static int read_numbers(const struct invocation *in, struct launch_setup *setup,
                        struct error *err)
{
    const char *grace = command_value(in, "grace"), *least = command_value(in, "least");
    uint64_t restarts = 5;
    int status = output_option_count(in, "restarts", 0, 1000, &restarts, err);
    setup->restarts = (int)restarts;
    setup->grace = 20;
    setup->least = 0.5;
    if (status == 0 && grace && !text_parse_duration(grace, &setup->grace))
        status = error_set(err, ERROR_USAGE,
                           "archway launch: --grace is '%s'; allowed: a time such as 20s",
                           grace);
    if (status == 0 && least &&
        (!text_parse_double(least, &setup->least) || setup->least < 0 ||
         setup->least > 1))
        status = error_set(
            err, ERROR_USAGE,
            "archway launch: --least is '%s'; allowed: a share from 0 to 1", least);
    return status;
}

/* Options that archway search takes for a new run. */
static void pass_on(const struct invocation *in, const char **arguments)
{
    static const char *const names[][2] = {
        {"set", "--set"}, {"seed", "--seed"}, {"slots", "--slots"}};
    int count = 0;
    for (int i = 0; i < in->value_count; i++)
        for (unsigned k = 0; k < sizeof names / sizeof *names; k++)
            if (strcmp(in->values[i].option->name, names[k][0]) == 0) {
                arguments[count++] = names[k][1];
                arguments[count++] = in->values[i].value;
            }
    arguments[count] = NULL;
}

static int run_launch(const struct invocation *in, int *ret_exit, struct error *err)
{
    char program[PATH_MAX];
    const char *arguments[2 * COMMAND_MAX_VALUES + 1],
        *options[COMMAND_MAX_POSITIONAL + 1];
    struct launch_setup setup = {.program = program,
                                 .config = in->positional[0],
                                 .run = command_value(in, "run"),
                                 .time_limit = command_value(in, "time-limit"),
                                 .arguments = arguments,
                                 .options = options,
                                 .clock = &clock_system};
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    int status = read_numbers(in, &setup, err);
    if (status == 0 && (!setup.run || !*setup.run))
        status = error_set(err, ERROR_USAGE, "archway launch: --run DIR is missing");
    if (status == 0 && size <= 0)
        status = error_set_errno(err, "cannot find this program");
    if (status != 0)
        return status;
    program[size] = '\0';
    for (int i = 1; i <= in->positional_count; i++)
        options[i - 1] = i < in->positional_count ? in->positional[i] : NULL;
    pass_on(in, arguments);
    return launch_run(&setup, ret_exit, err);
}

static const struct command_option options_of_launch[] = {
    {"run", "DIR", false, "Folder of the run: a new one, or one to be resumed."},
    {"seed", "N", false, "Seed of a new run."},
    {"set", "KEY=VALUE", true, "Set a key of the configuration of a new run."},
    {"slots", "N", false, "Trainers a rank of a new run."},
    {"time-limit", "TIME", false, "Stop each session in order after this time, e.g. 2h."},
    {"grace", "TIME", false, "For mpirun to end by itself after the run; default 20s."},
    {"least", "SHARE", false,
     "Start mpirun again when fewer of the workers are left; default 0.5, 0: never."},
    {"restarts", "N", false, "At most so many times; default 5."},
    {0}};

const struct command command_launch = {
    .name = "launch",
    .synopsis = "CONFIG.yaml --run DIR [options] [-- MPIRUN OPTIONS]",
    .summary = "search or resume under mpirun, and survive lost ranks",
    .description =
        "Starts mpirun with what lets a run outlive its ranks, and archway search in it, "
        "or "
        "archway resume when DIR holds a run already. mpirun's own exit status is worth "
        "nothing once a rank was lost, and over several nodes it then never ends: the "
        "end of "
        "the run is DIR/exit.json, after which mpirun gets a grace period, SIGTERM, "
        "SIGKILL, "
        "and the exit status is that of the run.\n"
        "When the master has died, or too many ranks are gone, mpirun is started again "
        "in the "
        "same allocation, without hosts that lost all of their ranks. SIGTERM, SIGINT "
        "and "
        "SIGUSR1 stop the run in order. The status is 75 when it can be resumed, and 1 "
        "when "
        "three sessions in a row brought not one trial and none further, so that a job "
        "that queues itself again does not do so for ever.",
    .example = "archway launch config.yaml --run first -- -n 9 --map-by slot:PE=4",
    .least = 1,
    .most = COMMAND_MAX_POSITIONAL - 1,
    .options = options_of_launch,
    .run = run_launch};
