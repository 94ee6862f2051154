/* SPDX-License-Identifier: Apache-2.0 */
/* archway init: from a folder of data to a configuration that can be run as it is. Only
 * the data and the budget are fitted; everything else has its default, explained. */
#include "master/cli/commands.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/cli/estimate.h"
#include "master/cli/output.h"

/* A night of work on this machine, within what makes a search sensible. */
static const double budget_seconds = 8 * 3600;
enum { LEAST_TRIALS = 200, MOST_TRIALS = 10000, LEAST_EPOCHS = 2 };
enum { TEXT_TRIALS = 100, TEXT_EPOCHS = 10 }; /* on a text nothing is timed */

/* "/data/My Images/" -> "My-Images". */
static void name_run(const char *folder, char *name, size_t size)
{
    size_t end = strlen(folder), begin, n = 0;
    while (end > 0 && folder[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && folder[begin - 1] != '/'; begin--)
        ;
    for (; begin < end && n + 1 < size; begin++) {
        unsigned char c = (unsigned char)folder[begin];
        name[n++] = (char)(c < 128 && (isalnum(c) || strchr("._-", c)) ? c : '-');
    }
    name[n] = '\0';
    if (n == 0 || !isalnum((unsigned char)name[0]))
        snprintf(name, size, "archway");
}

/* Train shorter where the least number of trials would not fit the night. */
static void choose_epochs(struct estimate *e, struct config *config)
{
    int epochs = config->trainer.builtin.epochs;
    double share = budget_seconds * e->slots / (e->mean_seconds * LEAST_TRIALS);
    int fit = share >= 1 ? epochs : (int)(epochs * share);
    fit = fit < LEAST_EPOCHS ? LEAST_EPOCHS : fit;
    config->trainer.builtin.epochs = fit;
    if (config->reward.last_epochs > fit)
        config->reward.last_epochs = fit;
    e->mean_seconds *= (double)fit / epochs;
    for (int i = 0; i < ESTIMATE_CHILDREN; i++)
        e->children[i].seconds *= (double)fit / epochs;
}

/* Whole multiples of 100 read well and are no false precision. */
static void choose_budget(struct estimate *e, struct config *config)
{
    if (!isfinite(e->mean_seconds) || e->mean_seconds <= 0)
        return;
    choose_epochs(e, config);
    double trials = floor(budget_seconds * e->slots / e->mean_seconds / 100) * 100;
    trials = trials < LEAST_TRIALS ? LEAST_TRIALS : trials > MOST_TRIALS ? MOST_TRIALS : trials;
    config->search.trials = (int64_t)trials;
}

static void format_text(const char *mark, const struct config *config,
                        const struct data_facts *f, struct text *out)
{
    text_append(
        out,
        "%s%d words of text to train on, %d for validation, %d for test; %d "
        "different ones.\n%sBudget: %lld trials of %d epochs. On a text nothing is "
        "timed beforehand: the first\n%strials tell, see archway status.\n",
        mark, f->train, f->validation, f->test_images, f->vocabulary, mark,
        (long long)config->search.trials, config->trainer.builtin.epochs, mark);
}

static void format_found(const char *mark, const struct config *config,
                         const struct data_facts *f, const struct estimate *e,
                         struct text *out)
{
    char time[32];
    if (config_reads_text(config)) {
        format_text(mark, config, f, out);
        return;
    }
    text_append(out, "%s%d images of %d x %d x %d in %d classes (format %s)", mark,
                f->train_images, f->height, f->width, f->channels, f->classes,
                config_choice_name("task.data.format", config->task.data.format));
    if (f->test_images > 0)
        text_append(out, ", %d more for test", f->test_images);
    text_append(out, "\n%s%d to train on and %d for validation.\n", mark, f->train,
                f->validation);
    text_format_duration(estimate_search_seconds(e, config, e->slots), time, sizeof time);
    text_append(out, "%sBudget: %lld trials of %d epochs, about %s on the %d core%s here.\n",
                mark, (long long)config->search.trials, config->trainer.builtin.epochs, time,
                e->cores, e->cores == 1 ? "" : "s");
}

static void format_next(const char *mark, const char *file, struct text *out)
{
    const struct {
        const char *command, *meaning;
    } steps[] = {{"archway check", "what it will do and cost"},
                 {"archway search", "on this machine"},
                 {"mpirun -n 3 archway search", "a master and two workers"}};
    int width = (int)strlen(steps[2].command) + (int)strlen(file) + 3;
    for (int i = 0; i < 3; i++) {
        int used = (int)out->size;
        text_append(out, "%s  %s %s", mark, steps[i].command, file);
        used = (int)out->size - used - (int)strlen(mark) - 2;
        text_append(out, "%*s%s\n", width - used, "", steps[i].meaning);
    }
}

/* Text of the file; NULL when memory is gone. */
static char *write_config(const struct config *config, const struct data_facts *facts,
                          const struct estimate *e, const char *file)
{
    struct text out;
    char *yaml = config_write(config, true), shown[CONFIG_PATH];
    snprintf(shown, sizeof shown, "%s", file);
    for (char *c = shown; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    text_init(&out);
    text_append(&out, "# An architecture search, written by archway init. What was found:\n");
    format_found("#   ", config, facts, e, &out);
    text_append(&out, "#\n# Next:\n");
    format_next("# ", shown, &out);
    text_append(&out, "#\n# Every key with its default is below; what you leave out keeps "
                      "it.\n\n%s", yaml ? yaml : "");
    out.failed |= !yaml;
    free(yaml);
    return text_take(&out);
}

/* Cells for a text, every one trained on its own, but shorter than the published ones. */
static int choose_recurrent(struct config *config, struct error *err)
{
    struct config_data data = config->task.data;
    int status = config_apply_preset(config, "rnn-scratch", err);
    config->task.data = data;
    config->trainer.builtin.epochs = TEXT_EPOCHS;
    config->search.trials = TEXT_TRIALS;
    return status;
}

static int look(const struct invocation *in, struct config *config, struct data_facts *facts,
                struct estimate *e, struct error *err)
{
    char *folder = realpath(in->positional[0], NULL);
    int status;
    if (!folder)
        return error_set(err, ERROR_INPUT, "'%s' is no folder that can be read: %s",
                         in->positional[0], strerror(errno));
    config_defaults(config);
    name_run(folder, config->name, sizeof config->name);
    status = in->services->detect(folder, config, err);
    free(folder);
    bool text = status == 0 && config_reads_text(config);
    if (text)
        status = choose_recurrent(config, err);
    if (status == 0)
        status = in->services->inspect(config, facts, err);
    if (status == 0)
        status = estimate_make(config, facts, in->services, text ? 0 : 0.3, e, err);
    if (status == 0 && !text)
        choose_budget(e, config);
    return status == 0 ? config_check(config, in->positional[0], err) : status;
}

static int run_init(const struct invocation *in, int *ret_exit, struct error *err)
{
    const char *file = command_value(in, "output");
    struct config *config = calloc(1, sizeof *config);
    struct data_facts facts = {0};
    struct estimate e;
    struct text out;
    char *text = NULL;
    int status = config ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a configuration");
    if (!file)
        file = "config.yaml";
    if (status == 0 && access(file, F_OK) == 0 && !command_value(in, "force"))
        status = error_set(err, ERROR_INPUT, "'%s' exists; --force replaces it, --output "
                           "chooses another name", file);
    if (status == 0)
        status = look(in, config, &facts, &e, err);
    if (status == 0 && !(text = write_config(config, &facts, &e, file)))
        status = error_set(err, ERROR_SYSTEM, "no memory for '%s'", file);
    if (status == 0)
        status = text_write_file(file, text, strlen(text), err);
    if (status == 0) {
        text_init(&out);
        format_found("", config, &facts, &e, &out);
        text_append(&out, "Wrote %s. Next:\n", file);
        format_next("", file, &out);
        status = output_text(&out, err);
    }
    free(text);
    free(config);
    *ret_exit = 0;
    return status;
}

static const struct command_option options[] = {
    {"output", "FILE", false, "Name of the configuration; default config.yaml."},
    {"force", NULL, false, "Replace the file when it exists."},
    {0}};

const struct command command_init = {
    .name = "init",
    .synopsis = "DATA_FOLDER [--output FILE] [--force]",
    .summary = "look at a folder of data, write a configuration",
    .description =
        "Finds out which format the data of a folder has (IDX as of MNIST, plain or .gz, "
        "the "
        "binary version of CIFAR-10 and CIFAR-100, or plain text), checks it, trains "
        "three "
        "small networks for a moment to choose a budget of about a night on this machine "
        "(not on a text), and writes a configuration in which every key is explained.",
    .example = "archway init /usr/share/datasets/fashion-mnist\n"
               "archway init ~/cifar-10-batches-bin --output cifar.yaml",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_init};
