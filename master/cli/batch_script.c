/* SPDX-License-Identifier: Apache-2.0 */
/* The script says why it does what it does, because people will change it. Everything
 * that takes judgement (what ended, whether to start mpirun again) is in archway launch;
 * here is only what SLURM must be told. */
#include "master/cli/batch_script.h"

#include <math.h>
#include <string.h>

void batch_script_quote(const char *word, struct text *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_./,:=+@%-";
    if (*word && word[strspn(word, plain)] == '\0') {
        text_append(out, "%s", word);
        return;
    }
    text_append(out, "'");
    for (; *word; word++)
        text_append(out, *word == '\'' ? "'\\''" : "%c", *word);
    text_append(out, "'");
}

static void put_time(double seconds, struct text *out)
{
    long all = lround(seconds);
    long days = all / 86400, hours = all / 3600 % 24;
    if (days > 0)
        text_append(out, "%ld-", days);
    text_append(out, "%02ld:%02ld:%02ld", hours, all / 60 % 60, all % 60);
}

static void put_title(const struct batch_script *s, struct text *out)
{
    text_append(out,
                "#!/bin/bash\n"
                "# SPDX-License-Identifier: Apache-2.0\n"
                "# An architecture search as a SLURM job, written by archway slurm. It "
                "survives lost nodes\n# and its own time limit, and goes on by itself "
                "until the search is done.\n#\n#   sbatch SCRIPT [CONFIG.yaml "
                "[RUN_FOLDER]]\n#\n");
    text_append(out,
                "# The run's folder, the data and the program must be on a file system "
                "that all nodes see.\n# A new folder starts a search; one that holds a "
                "run is resumed.\n");
    if (s->array)
        text_append(out,
                    "# Every task of the array is a run of its own, with its number as "
                    "the seed.\n");
}

static void put_resources(const struct batch_script *s, struct text *out)
{
    text_append(out, "#SBATCH --job-name=%s\n", s->name);
    if (s->account)
        text_append(out, "#SBATCH --account=%s\n", s->account);
    if (s->partition)
        text_append(out, "#SBATCH --partition=%s\n", s->partition);
    text_append(out, "#SBATCH --nodes=%llu\n", (unsigned long long)s->nodes);
    text_append(out, "# One task a node holds all its cores; archway divides them among "
                     "trainers.\n#SBATCH --ntasks-per-node=1\n");
    if (s->cpus > 0)
        text_append(out, "#SBATCH --cpus-per-task=%llu\n", (unsigned long long)s->cpus);
    else
        text_append(out, "# Whole nodes. For a part of them: --cpus-per-task instead.\n"
                         "#SBATCH --exclusive\n");
    if (s->gpus > 0)
        text_append(out, "#SBATCH --gpus-per-node=%llu\n", (unsigned long long)s->gpus);
    text_append(out, "#SBATCH --time=");
    put_time(s->time, out);
    if (s->array)
        text_append(out,
                    "\n# Seeds. At most four at a time: append %%4.\n#SBATCH --array=%s",
                    s->array);
    text_append(out, "\n");
}

static void put_rules(const struct batch_script *s, struct text *out)
{
    text_append(
        out,
        "# USR1 comes to this script (\"B:\") so many seconds before the time limit. "
        "The run then\n# stops in order, and the job queues itself again.\n"
        "#SBATCH --signal=B:USR1@%ld\n#SBATCH --requeue\n"
        "# What is started again must not wipe the output of before.\n"
        "#SBATCH --open-mode=append\n#SBATCH --output=archway-%s.log\n"
        "# A lost node must not take the whole job with it.\n#SBATCH --no-kill\n"
        "set -u\n\n",
        lround(s->signal_before), s->array ? "%A_%a" : "%j");
}

/* "${1:-default}", with the default quoted for the inside of double quotes. */
static void put_default(const char *name, const char *variable, const char *value,
                        struct text *out)
{
    text_append(out, "%s=", name);
    batch_script_quote(value, out);
    text_append(out, "\n%s=${%s:-$%s}\n", name, variable, name);
}

static void put_names(const struct batch_script *s, struct text *out)
{
    put_default("archway", "ARCHWAY", s->program, out);
    put_default("config", "1", s->config, out);
    put_default("run", "2", s->run, out);
    if (s->array)
        text_append(out, "seed=${SLURM_ARRAY_TASK_ID:-1}\nrun=$run/seed-$seed\n");
    text_append(
        out, "command -v \"$archway\" >/dev/null || { echo \"$archway: no such program\" "
             ">&2 && exit 2; }\n"
             "# Newer SLURMs give what mpirun starts on other nodes a single core "
             "otherwise.\n"
             "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}\n\n");
}

static void put_launch(const struct batch_script *s, struct text *out)
{
    text_append(
        out,
        "# A master, which mostly naps, and a worker on every node, which has all "
        "its cores.\n# mpirun, not srun: SLURM cancels a whole step when one rank is "
        "lost.\n"
        "options=${ARCHWAY_MPIRUN_OPTIONS---oversubscribe --bind-to none --map-by "
        "node \\\n    -n $((SLURM_JOB_NUM_NODES + 1))}\n"
        "# shellcheck disable=SC2086 # a list of options\n"
        "\"$archway\" launch \"$config\" --run \"$run\" ");
    if (s->array)
        text_append(out, "--seed \"$seed\" ");
    for (const char *const *set = s->sets; set && *set; set++) {
        text_append(out, "--set ");
        batch_script_quote(*set, out);
        text_append(out, " ");
    }
    text_append(out,
                "\\\n    --grace \"${ARCHWAY_GRACE:-20s}\" -- $options &\nlaunch=$!\n");
}

static void put_end(struct text *out)
{
    text_append(
        out,
        "# TERM is scancel, or a preemption, after which SLURM itself queues the job "
        "again.\ncancelled=''\n"
        "trap 'kill -USR1 \"$launch\" 2>/dev/null' USR1\n"
        "trap 'cancelled=1; kill -TERM \"$launch\" 2>/dev/null' TERM\n"
        "while kill -0 \"$launch\" 2>/dev/null; do # a trapped signal ends wait early\n"
        "    wait \"$launch\"\ndone\nwait \"$launch\"\nstatus=$?\n\n"
        "# 75: stopped early, to be continued. Everything else is the end: finished, or "
        "failed for\n# good, which also is what launch says when nothing comes of going "
        "on.\n"
        "if [ \"$status\" = 75 ] && [ -z \"$cancelled\" ]; then\n"
        "    scontrol requeue \"$SLURM_JOB_ID\" && sleep 60 # SLURM ends this script\n"
        "fi\nexit \"$status\"\n");
}

void batch_script_write(const struct batch_script *s, struct text *out)
{
    put_title(s, out);
    put_resources(s, out);
    put_rules(s, out);
    put_names(s, out);
    put_launch(s, out);
    put_end(out);
}
