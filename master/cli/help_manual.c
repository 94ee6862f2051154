/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page. Only macros of man(7) that groff and mandoc both know. Every hyphen is
 * written as a minus sign, so that options can be copied from the page. */
#include "master/cli/help.h"

#include <string.h>

#include "version.h"

/* Text with what roff would read as its own made harmless; newlines become `newline`. */
static void put(struct text *out, const char *words, const char *newline)
{
    bool start = true;
    for (; *words; words++) {
        if (*words == '\n') {
            text_append(out, "%s", newline);
            start = true;
            continue;
        }
        if (start && (*words == '.' || *words == '\''))
            text_append(out, "\\&");
        start = false;
        if (*words == '\\')
            text_append(out, "\\e");
        else if (*words == '-')
            text_append(out, "\\-");
        else
            text_append(out, "%c", *words);
    }
}

static void put_line(struct text *out, const char *words, const char *newline)
{
    put(out, words, newline);
    text_append(out, "\n");
}

static void put_option(struct text *out, const char *name, const char *argument,
                       const char *sentence)
{
    text_append(out, ".TP\n\\fB\\-\\-");
    put(out, name, " ");
    text_append(out, "\\fR");
    if (argument) {
        text_append(out, " \\fI");
        put(out, argument, " ");
        text_append(out, "\\fR");
    }
    text_append(out, "\n");
    put_line(out, sentence, " ");
}

static void put_command(struct text *out, const struct command *c)
{
    text_append(out, ".SS archway %s\n\\fBarchway %s\\fR ", c->name, c->name);
    put_line(out, c->synopsis, " ");
    text_append(out, ".PP\n");
    put_line(out, c->description, "\n.PP\n");
    for (const struct command_option *o = c->options; o && o->name; o++)
        put_option(out, o->name, o->argument, o->help);
    if (!c->example)
        return;
    text_append(out, ".PP\n.nf\n.RS\n");
    put_line(out, c->example, "\n");
    text_append(out, ".RE\n.fi\n");
}

static void put_terms(struct text *out, const char *title, const char *const (*terms)[2])
{
    text_append(out, ".SH %s\n", title);
    for (; (*terms)[0]; terms++) {
        text_append(out, ".TP\n.B ");
        put_line(out, (*terms)[0], " ");
        put_line(out, (*terms)[1], " ");
    }
}

static const char *const statuses[][2] = {
    {"0", "Success."},
    {"1", "The run failed, replay found a difference, or doctor a problem."},
    {"2", "Bad usage or bad input; nothing was changed."},
    {"75", "Stopped early; archway resume continues the run."},
    {NULL, NULL}};
static const char *const files[][2] = {
    {"DIR/config.yaml", "The effective configuration."},
    {"DIR/snapshot.h5, DIR/snapshot.prev.h5", "The newest snapshots, in HDF5."},
    {"DIR/journal", "Everything that happened, in order."},
    {"DIR/log.jsonl", "Events for programs, one JSON object a line."},
    {"DIR/placement.json", "Which slot has which cores and devices."},
    {"DIR/exit.json", "How the last session ended; written last."},
    {"DIR/best/", "The best architecture, as JSON and for Graphviz."},
    {NULL, NULL}};
static const char *const variables[][2] = {
    {"ARCHWAY_TRAINER", "The built-in trainer's program, where it is not beside archway."},
    {"ARCHWAY_KERNELS",
     "avx512, avx2 or generic: children are trained with nothing faster, as if the processor "
     "lacked it. trainer.builtin.kernels chooses among what is left."},
    {"TMPDIR", "Folder of prepared data unless run.cache names another."},
    {"SLURM_JOB_END_TIME",
     "The run stops in order before this time; where SLURM does not set it, squeue is asked."},
    {"CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES", "Devices that slots may be given."},
    {NULL, NULL}};

void help_manual(struct text *out)
{
    text_append(out, ".TH ARCHWAY 1 \"\" \"archway %s\" \"User Commands\"\n", ARCHWAY_VERSION);
    text_append(out, ".SH NAME\narchway \\- search neural\\-network architectures on a "
                     "cluster\n.SH SYNOPSIS\n");
    text_append(out, ".B archway\n.I COMMAND\n[\\fIARGUMENT\\fR]... [\\fIOPTION\\fR]...\n");
    text_append(out, ".SH DESCRIPTION\nArchway searches architectures of neural networks, "
                     "alone or under mpirun or srun, beside a\ncontrol arm of random ones, and "
                     "tells whether the search was worth it.\nEvery command explains itself "
                     "with \\fB\\-\\-help\\fR; \\fBarchway \\-\\-version\\fR tells the "
                     "version.\n.SH COMMANDS\n");
    for (const struct command *const *c = command_table; *c; c++)
        put_command(out, *c);
    put_terms(out, "EXIT STATUS", statuses);
    put_terms(out, "FILES", files);
    put_terms(out, "ENVIRONMENT", variables);
}
