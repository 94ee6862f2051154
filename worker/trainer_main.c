/* SPDX-License-Identifier: Apache-2.0 */
/* archway-trainer, the built-in trainer. An agent starts it and speaks JSON lines with
 * it; people use it only to time a child network. Composes and reports, nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"
#include "common/text.h"
#include "version.h"
#include "worker/data/data.h"
#include "worker/kernel_choice.h"
#include "worker/trainer_loop.h"
#include "worker/trainer_time.h"

static const char usage[] =
    "usage: archway-trainer\n"
    "       archway-trainer --time CONFIG.yaml [SECONDS] < ARCHITECTURE.json\n"
    "\n"
    "Trains child networks for an archway agent: tasks come as JSON lines on standard\n"
    "input, progress and results leave on standard output (proto/trainer_protocol.h).\n"
    "\n"
    "  --time     train one architecture for SECONDS (default 2) on random images of "
    "the\n"
    "             configured data's shape and print images a second and more as JSON\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "\n"
    "ARCHWAY_KERNELS=NAME in the environment forces faster instruction sets off.\n";

static int time_architecture(const char *path, double seconds, struct error *err)
{
    struct config config;
    struct data_facts facts;
    struct trainer_time time;
    json_error_t wrong;
    int status = config_read(path, &config, err);
    if (!status)
        status = kernel_choice_settle(&config, getenv(KERNEL_CHOICE_VARIABLE), err);
    if (!status)
        status = data_inspect(&config, &facts, err);
    if (status)
        return status;
    json_t *architecture = json_loadf(stdin, JSON_REJECT_DUPLICATES, &wrong);
    if (!architecture)
        return error_set(
            err, ERROR_INPUT,
            "standard input, line %d: %s; an architecture as JSON is expected",
            wrong.line, wrong.text);
    status = trainer_time(&config, &facts, architecture, seconds, &time, err);
    json_decref(architecture);
    if (status)
        return status;
    json_t *json = trainer_time_to_json(&time);
    if (!json || json_dumpf(json, stdout, JSON_INDENT(2)) || puts("") < 0 ||
        fflush(stdout))
        status = error_set(err, ERROR_SYSTEM, "cannot write to standard output");
    json_decref(json);
    return status;
}

static int run(int argc, char **argv, struct error *err)
{
    double seconds = 2;
    if (argc == 1)
        return trainer_loop_run(STDIN_FILENO, STDOUT_FILENO,
                                getenv(KERNEL_CHOICE_VARIABLE), err);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("archway-trainer " ARCHWAY_VERSION) < 0;
    if (argc < 3 || argc > 4 || strcmp(argv[1], "--time") != 0)
        return error_set(err, ERROR_USAGE, "wrong arguments\n%s", usage);
    if (argc == 4 &&
        (!text_parse_double(argv[3], &seconds) || seconds <= 0 || seconds > 3600))
        return error_set(err, ERROR_USAGE,
                         "--time: '%s' is not a number of seconds in "
                         "(0, 3600]",
                         argv[3]);
    return time_architecture(argv[2], seconds, err);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    signal(SIGPIPE, SIG_IGN); /* an agent that is gone is an error of write() */
    /* A scheduler that ends a job signals all of its processes, but the state of a trial
     * is still to be saved. The end of the input says the same, and SIGKILL follows. */
    signal(SIGTERM, SIG_IGN);
    int status = run(argc, argv, &err);
    if (status < 0)
        log_message(LOG_ERROR, "trainer: %s", err.text);
    return error_exit_status(status);
}
