/* SPDX-License-Identifier: Apache-2.0 */
/* archway slurm: a batch script for a configuration, checked against it. What SLURM would
 * read as several words or as an option is refused, since the lines cannot quote. */
#include "master/cli/commands.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/cli/batch_script.h"
#include "master/cli/output.h"
#include "master/cli/run_common.h"
#include "master/probe.h"

struct slurm_request {
    struct batch_script script;
    struct config config;
    char program[PATH_MAX], name[CONFIG_TEXT], run[CONFIG_PATH];
    const char *sets[COMMAND_MAX_VALUES + 1];
};

static int read_time(const struct invocation *in, const char *name, double least,
                     double most, double *ret, struct error *err)
{
    const char *value = command_value(in, name);
    if (!value)
        return 0;
    /* SLURM takes a plain number for minutes, archway for seconds: neither is taken here.
     */
    if (value[strspn(value, "0123456789.")] == '\0' || !text_parse_duration(value, ret) ||
        *ret < least || *ret > most)
        return error_set(
            err, ERROR_USAGE,
            "archway slurm: --%s is '%s'; allowed: a time with its unit, such as "
            "90s, 30m, 4h, 2d or 04:00:00, from %.0fs to %.0fs",
            name, value, least, most);
    return 0;
}

static int read_word(const struct invocation *in, const char *name, const char *also,
                     const char **ret, struct error *err)
{
    const char *value = command_value(in, name);
    for (const char *c = value; c && *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(also, *c))
            return error_set(
                err, ERROR_USAGE,
                "archway slurm: --%s is '%s'; allowed: letters, digits and %s", name,
                value, also);
    if (value && (!*value || *value == '-'))
        return error_set(err, ERROR_USAGE,
                         "archway slurm: --%s is empty or begins with '-'", name);
    *ret = value;
    return 0;
}

static int read_options(const struct invocation *in, struct batch_script *s,
                        struct error *err)
{
    s->nodes = 0;
    s->time = 0;
    s->signal_before = 60;
    int status = output_option_count(in, "nodes", 1, 1000000, &s->nodes, err);
    if (status == 0)
        status = output_option_count(in, "cpus", 1, 100000, &s->cpus, err);
    if (status == 0)
        status = output_option_count(in, "gpus", 1, 1000, &s->gpus, err);
    if (status == 0)
        status = read_time(in, "time", 60, 366 * 86400.0, &s->time, err);
    if (status == 0)
        status = read_time(in, "signal-before", 1, 65535, &s->signal_before, err);
    if (status == 0)
        status = read_word(in, "account", "_.-", &s->account, err);
    if (status == 0)
        status = read_word(in, "partition", "_.,-", &s->partition, err);
    if (status == 0)
        status = read_word(in, "array", ",:%-", &s->array, err);
    if (status != 0)
        return status;
    if (s->nodes == 0 || s->time <= 0)
        return error_set(err, ERROR_USAGE, "archway slurm: --%s is missing",
                         s->nodes == 0 ? "nodes N" : "time T");
    if (s->signal_before > s->time / 2)
        return error_set(
            err, ERROR_USAGE,
            "archway slurm: --signal-before is more than half of --time, which "
            "leaves too little of the job");
    return 0;
}

static int check_devices(const struct slurm_request *r, const char *file,
                         struct error *err)
{
    int wanted = r->config.resources.gpus_per_trial;
    uint64_t given = r->script.gpus;
    if (wanted > 0 && given < (uint64_t)wanted)
        return error_set(
            err, ERROR_INPUT,
            "%s: resources.gpus_per_trial is %d, but the nodes are asked for %llu "
            "devices: give --gpus N",
            file, wanted, (unsigned long long)given);
    if (wanted == 0 && given > 0)
        return error_set(
            err, ERROR_INPUT,
            "%s: resources.gpus_per_trial is 0, so the devices of --gpus would "
            "lie idle: set it, or leave --gpus out",
            file);
    return 0;
}

/* Plain "archway" where the PATH leads to this very program. */
static void name_program(char ret[PATH_MAX])
{
    char found[PATH_MAX], real[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    ret[size > 0 ? size : 0] = '\0';
    if (size <= 0 || (probe_find("archway", found, sizeof found) &&
                      realpath(found, real) && strcmp(real, ret) == 0))
        snprintf(ret, PATH_MAX, "archway");
}

static void name_job(const char *name, char ret[CONFIG_TEXT])
{
    int used = 0;
    for (; *name && used + 1 < CONFIG_TEXT; name++) {
        unsigned char c = (unsigned char)*name;
        ret[used++] = (char)(c < 128 && (isalnum(c) || strchr("._-", c)) ? c : '-');
    }
    ret[used] = '\0';
}

static int fill(const struct invocation *in, struct slurm_request *r, struct error *err)
{
    const char *file = in->positional[0], *run = command_value(in, "run");
    int sets = 0, status = read_options(in, &r->script, err);
    if (status == 0)
        status = config_read(file, &r->config, err);
    if (status == 0)
        status = run_apply_options(in, file, &r->config, err);
    if (status == 0)
        status = check_devices(r, file, err);
    if (status != 0)
        return status;
    for (int i = 0; i < in->value_count; i++)
        if (strcmp(in->values[i].option->name, "set") == 0)
            r->sets[sets++] = in->values[i].value;
    name_program(r->program);
    name_job(r->config.name, r->name);
    if (run)
        snprintf(r->run, sizeof r->run, "%s", run);
    else
        snprintf(r->run, sizeof r->run, "runs/%.200s", r->config.name);
    r->script.name = r->name;
    r->script.program = r->program;
    r->script.config = file;
    r->script.run = r->run;
    r->script.sets = r->sets;
    return 0;
}

/* A new file only, so that a script that somebody has changed is not lost. */
static int write_file(const char *file, struct text *text, struct error *err)
{
    FILE *f = fopen(file, "wxe");
    if (!f && errno == EEXIST)
        return error_set(err, ERROR_INPUT,
                         "'%s' exists; choose another name with --output", file);
    if (!f)
        return error_set_errno(err, "cannot write '%s'", file);
    size_t done = fwrite(text->data, 1, text->size, f);
    if (fclose(f) != 0 || done != text->size) {
        int status = error_set_errno(err, "cannot write '%s'", file);
        unlink(file);
        return status;
    }
    chmod(file, 0755);
    return 0;
}

static void format_next(const char *file, struct text *out)
{
    text_append(out, "Written: %s. Look it over, then:\n  sbatch ", file);
    batch_script_quote(file, out);
    text_append(out,
                "\nThe job queues itself again until the search is done; `squeue --me` "
                "shows it, and\n`archway status DIR` how far the search is.\n");
}

static int put(const struct invocation *in, struct text *script, struct error *err)
{
    const char *file = command_value(in, "output");
    struct text next;
    if (!file)
        return output_text(script, err);
    int status = script->failed ? error_set(err, ERROR_SYSTEM, "no memory for the script")
                                : write_file(file, script, err);
    text_fini(script);
    if (status != 0)
        return status;
    text_init(&next);
    format_next(file, &next);
    return output_text(&next, err);
}

static int run_slurm(const struct invocation *in, int *ret_exit, struct error *err)
{
    struct slurm_request *r = calloc(1, sizeof *r);
    struct text script;
    int status = r ? fill(in, r, err) : error_set(err, ERROR_SYSTEM, "no memory");
    *ret_exit = 0;
    if (status == 0) {
        text_init(&script);
        batch_script_write(&r->script, &script);
        status = put(in, &script, err);
    }
    if (status == 0 && !command_value(in, "output") && isatty(STDOUT_FILENO))
        fprintf(stderr, "Keep it with --output FILE, then: sbatch FILE\n");
    free(r);
    return status;
}

static const struct command_option options[] = {
    {"nodes", "N", false, "Nodes of the job."},
    {"time", "TIME", false, "Time limit of the job with its unit, e.g. 4h or 04:00:00."},
    {"cpus", "N", false, "Cores of each node; default: whole nodes (--exclusive)."},
    {"gpus", "N", false, "Devices of each node, for resources.gpus_per_trial."},
    {"account", "NAME", false, "Whom SLURM charges."},
    {"partition", "NAME", false, "Partition of the job."},
    {"array", "SEEDS", false, "One run for every seed, each a job, e.g. 1-8 or 1-8%4."},
    {"signal-before", "TIME", false, "Stop so long before the time limit; default 60s."},
    {"run", "DIR", false, "Folder of the run; default runs/NAME."},
    {"set", "KEY=VALUE", true, "Set a key of the configuration, e.g. run.slots=4."},
    {"output", "FILE", false, "Write the script there, a new file; default: print it."},
    {0}};

const struct command command_slurm = {
    .name = "slurm",
    .synopsis = "CONFIG.yaml --nodes N --time TIME [options]",
    .summary = "write a batch script that goes on until the search is done",
    .description =
        "Writes a commented script for sbatch. It asks for whole nodes, stops the run in "
        "order before the time limit, queues the job again and resumes, until the search "
        "is "
        "done; what fails for good, or brings nothing, is not queued again. Lost nodes "
        "are "
        "left to archway launch, which the script starts. The folders that it names are "
        "relative to where sbatch is called.",
    .example = "archway slurm config.yaml --nodes 4 --time 12h --output search.sbatch\n"
               "archway slurm config.yaml --nodes 1 --time 4h --array 1-8 --account nas",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_slurm};
