/* SPDX-License-Identifier: Apache-2.0 */
/* archway doctor: before hours are spent. Alone it runs the table of checks; started by
 * mpirun or srun, its ranks tell each other what they were given. */
#include "master/cli/commands.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/cli/output.h"
#include "master/cli/run_common.h"
#include "master/doctor/doctor.h"
#include "master/doctor/doctor_ranks.h"

/* The configuration, or the defaults over data that need no files. */
static int read_config(const struct invocation *in, struct config *config,
                       struct error *err)
{
    const char *file = in->positional_count ? in->positional[0] : "the defaults";
    int status = 0;
    config_defaults(config);
    if (in->positional_count)
        status = config_read(file, config, err);
    else
        status = config_set(config, "task.data.format=generated", err);
    return status == 0 ? run_apply_options(in, file, config, err) : status;
}

/* The nearest part of the run's path that is there already. */
static int find_folder(const struct invocation *in, const struct config *config,
                       char ret[CONFIG_PATH], struct error *err)
{
    const char *run = command_value(in, "run");
    struct stat st;
    int size = run ? snprintf(ret, CONFIG_PATH, "%s", run)
                   : snprintf(ret, CONFIG_PATH, "runs/%s", config->name);
    if (size <= 0 || size >= CONFIG_PATH)
        return error_set(err, ERROR_USAGE,
                         "archway doctor: --run: the path is empty or too long");
    while (stat(ret, &st) != 0) {
        char *slash = strrchr(ret, '/');
        if (errno != ENOENT && errno != ENOTDIR)
            return error_set_errno(err, "cannot look at '%s'", ret);
        if (!slash)
            snprintf(ret, CONFIG_PATH, ".");
        else
            slash[slash == ret] = '\0';
    }
    return S_ISDIR(st.st_mode) ? 0
                               : error_set(err, ERROR_INPUT, "'%s' is not a folder", ret);
}

static int say(const struct invocation *in, const struct doctor_finding *findings,
               struct error *err)
{
    const char *format = command_value(in, "format");
    struct text out;
    if (format && strcmp(format, "json") == 0)
        return output_json(doctor_json(findings), err);
    text_init(&out);
    doctor_format(findings, &out);
    return output_text(&out, err);
}

static int examine(const struct invocation *in, const struct config *config,
                   int *ret_exit, struct error *err)
{
    char folder[CONFIG_PATH], program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    struct doctor_finding *findings = calloc((size_t)doctor_count(), sizeof *findings);
    struct doctor_setup setup = {.config = config,
                                 .has_config = in->positional_count > 0,
                                 .services = in->services,
                                 .folder = folder,
                                 .program = program,
                                 .clock = &clock_system};
    program[size > 0 ? size : 0] = '\0';
    int status = findings ? find_folder(in, config, folder, err)
                          : error_set(err, ERROR_SYSTEM, "no memory for the findings");
    if (status == 0) {
        doctor_run(&setup, findings);
        *ret_exit = doctor_worst(findings) == DOCTOR_PROBLEM ? 1 : 0;
        status = say(in, findings, err);
    }
    free(findings);
    return status;
}

static int run_doctor(const struct invocation *in, int *ret_exit, struct error *err)
{
    struct config *config = NULL;
    int status = 0;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* what is too large is found by its errno */
    *ret_exit = 0;
    if (wire_mpi_launched())
        return doctor_meet_ranks(in->services, ret_exit, err);
    config = calloc(1, sizeof *config);
    status = config ? read_config(in, config, err)
                    : error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    if (status == 0)
        status = examine(in, config, ret_exit, err);
    free(config);
    return status;
}

static const struct command_option options[] = {
    {"run", "DIR", false,
     "Where the run will be; default runs/NAME. Nothing is kept there."},
    {"set", "KEY=VALUE", true, "Set a key of the configuration, e.g. run.slots=4."},
    {"format", "text|json", false, "For people (the default), or one JSON object."},
    {0}};

const struct command command_doctor = {
    .name = "doctor",
    .synopsis = "[CONFIG.yaml] [--run DIR] [--format text|json] [options]",
    .summary = "is this place fit for a run? one line a check",
    .description = "Looks, in less than a minute, at what a run rests on: mpirun and two "
                   "ranks of it, the "
                   "cores and quotas it gets, file locks, rename and fsync on the run's "
                   "file system and "
                   "how long they take, room on the disk, HDF5, SLURM and the end of the "
                   "job, the data, "
                   "the trainer and its kernels, and the devices of each slot. Every "
                   "line is ok, skipped "
                   "(does not apply here), a warning, or a PROBLEM, the last two with "
                   "what to do. The "
                   "exit status is 1 when there is a problem. Run it where the run will "
                   "be: on a compute "
                   "node, in a job.\n"
                   "Under mpirun or srun every worker rank says instead which cores, "
                   "memory and devices "
                   "it was given.",
    .example = "archway doctor config.yaml --run runs/first\n"
               "mpirun -n 3 archway doctor",
    .least = 0,
    .most = 1,
    .options = options,
    .run = run_doctor};
