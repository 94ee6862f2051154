/* SPDX-License-Identifier: Apache-2.0 */
/* archway check: what a search would do, without doing it. All output together is YAML (the
 * findings are comments), so it can be kept as the configuration itself. */
#include "master/cli/commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/kernel_names.h"
#include "master/cli/estimate.h"
#include "master/cli/output.h"
#include "master/cli/run_common.h"

static void format_data(const struct data_facts *f, struct text *out)
{
    if (f->vocabulary > 0) {
        text_append(
            out,
            "# data       %d different words: %d for training, %d for validation, %d "
            "for test\n",
            f->vocabulary, f->train, f->validation, f->test_images);
        if (f->entropy > 0)
            text_append(out, "# entropy    %.4f nats a word: no perplexity below %.3f\n",
                        f->entropy, exp(f->entropy));
        return;
    }
    if (f->height == 0) {
        text_append(out, "# data       unknown here; the external trainer reads it\n");
        return;
    }
    text_append(out, "# data       %d x %d x %d, %d classes: %d for training, %d for validation",
                f->height, f->width, f->channels, f->classes, f->train, f->validation);
    if (f->test_images > 0)
        text_append(out, ", %d for test", f->test_images);
    text_append(out, "\n");
}

/* What would train here, "" with an external trainer. On the nodes of a cluster it may be
 * something else; a search tells. */
static int pick_kernels(const struct config *config, const struct services *services,
                        char ret[TRIAL_KERNELS], struct error *err)
{
    char names[KERNEL_NAMES];
    ret[0] = '\0';
    int status = services->list_kernels(names, sizeof names, err);
    if (status == 0 && config->trainer.command_count == 0)
        status = kernel_names_pick(config, names, ret, err);
    return status;
}

static void format_space(const struct estimate *e, struct text *out)
{
    text_append(out, "# space      10^%.1f architectures of %d %s", e->log10_first,
                e->depth_first, e->units);
    if (e->depth_last != e->depth_first)
        text_append(out, ", growing to 10^%.1f of %d %s", e->log10_last, e->depth_last,
                    e->units);
    text_append(out, "\n");
}

static void format_children(const struct estimate *e, bool timed, struct text *out)
{
    static const char *const names[] = {"smallest", "median", "largest"};
    if (!e->has_cost)
        return;
    text_append(out, "#\n# Of 199 random architectures, by FLOPs of %s (forward):\n",
                e->of);
    text_append(out, "# %10s %8s %8s", "", "params", "flops");
    if (timed)
        text_append(out, " %10s %12s", "images/s", "a trial");
    text_append(out, "\n");
    for (int i = 0; i < ESTIMATE_CHILDREN; i++) {
        const struct estimate_child *c = &e->children[i];
        char params[32], flops[32], time[32];
        text_format_count(c->cost.params, params, sizeof params);
        text_format_count(c->cost.flops, flops, sizeof flops);
        text_append(out, "# %-10s %8s %8s", names[i], params, flops);
        if (timed) {
            text_format_duration(c->seconds, time, sizeof time);
            text_append(out, " %10.0f %12s", c->images_per_second, time);
        }
        text_append(out, "\n");
    }
}

static void format_slots(const struct estimate *e, const struct config *config, int slots,
                         struct text *out)
{
    char time[32];
    text_format_duration(estimate_search_seconds(e, config, slots), time, sizeof time);
    text_append(out, "#   on %d slot%s %*s%s", slots, slots == 1 ? " " : "s",
                slots < 10 ? 2 : 1, "", time);
    if (slots > 1 && config->run.slots == 0)
        text_append(out, "   (as many as the %d cores here have room for)", e->cores);
    text_append(out, "\n");
}

static void format_time(const struct estimate *e, const struct config *config,
                        struct text *out)
{
    char time[32], limit[32];
    double largest = e->children[ESTIMATE_LARGE].seconds;
    text_format_duration(e->mean_seconds, time, sizeof time);
    text_append(out, "#\n# A random trial takes about %s.", time);
    if (config->search.trials > 0) {
        text_append(out, " The %lld trials take, at most about:\n",
                    (long long)config->search.trials);
        format_slots(e, config, 1, out);
        if (e->slots > 1)
            format_slots(e, config, e->slots, out);
    } else {
        text_append(out, "\n");
    }
    text_append(out, "# Timed one at a time on random images: slots side by side share caches "
                     "and memory\n# and are somewhat slower each; duplicates cost nothing.\n");
    if (largest <= config->run.trial_timeout)
        return;
    text_format_duration(config->run.trial_timeout, limit, sizeof limit);
    text_append(out, "#\n# Warning: the largest takes longer than run.trial_timeout (%s) and "
                     "would fail.\n", limit);
}

/* The relaxed cell, and what a search by it is made of. */
static void format_relaxed(const struct config *config, const struct data_facts *facts,
                           struct text *out)
{
    const struct config_shared *c = &config->search.shared;
    double h = config->trainer.builtin.hidden, nodes = config->space.rnn.nodes;
    double weights = facts->vocabulary * h + (nodes + 1) * 2 * h * h;
    char count[32];
    text_format_count(weights, count, sizeof count);
    text_append(
        out,
        "#\n# relaxed    %s weights, and a choice of 5 operations on each of %.0f "
        "edges\n# an epoch   %d steps of order %d, then a score on the whole "
        "validation text\n# the end    the derived cell trained with %d seeds, and "
        "%lld random cells; %lld trials in all\n",
        count, nodes * (nodes - 1) / 2, c->steps, c->order, c->finalists,
        (long long)config_relaxed_control(config), (long long)config_trials(config));
}

/* The pool, and what a search with it is made of. */
static void format_shared(const struct config *config, const struct data_facts *facts,
                          struct text *out)
{
    const struct config_shared *c = &config->search.shared;
    double h = config->trainer.builtin.hidden, nodes = config->space.rnn.nodes;
    double pairs = 2 + nodes * (nodes - 1) / 2;
    double weights = facts->vocabulary * h + pairs * 2 * h * h;
    int64_t updates = config->search.strategy == STRATEGY_RANDOM_SHARED
                          ? 0
                          : (int64_t)c->controller_steps * config->search.batch;
    char count[32], size[32];
    text_format_count(weights, count, sizeof count);
    text_format_size(2 * weights * sizeof(float), size, sizeof size);
    text_append(
        out,
        "#\n# shared     %s weights in %.0f pairs of matrices and the embedding; with "
        "their gradient\n#            %s a trainer, besides what a window needs\n",
        count, pairs, size);
    text_append(
        out,
        "# an epoch   %d steps of %d, %lld scores for the policy, %d of the whole "
        "validation text\n# the end    %d candidates, the %d best of them scored "
        "again; %lld trials in all\n",
        c->steps, c->samples, (long long)updates, c->probes, c->candidates, c->finalists,
        (long long)config_trials(config));
}

static void format_findings(const struct config *config, const struct data_facts *facts,
                            const char *kernels, const struct estimate *e,
                            struct text *out)
{
    bool timed = isfinite(e->mean_seconds);
    text_append(out, "\n# Findings\n#\n");
    format_data(facts, out);
    if (*kernels)
        text_append(out, "# kernels    %s on this machine\n", kernels);
    format_space(e, out);
    format_children(e, timed, out);
    if (timed)
        format_time(e, config, out);
    if (config->trainer.command_count > 0)
        text_append(out, "#\n# The trainer is a program of your own: what a trial takes is not "
                         "known here.\n# Run one by itself, or start with --max-trials 2 and "
                         "see archway status.\n");
    else if (config_relaxes(config))
        format_relaxed(config, facts, out);
    else if (config_shares_weights(config))
        format_shared(config, facts, out);
    else if (config_reads_text(config))
        text_append(out, "#\n# Training on a text is not timed here: start with --max-trials 2 "
                         "and see archway status.\n");
}

static int run_check(const struct invocation *in, int *ret_exit, struct error *err)
{
    const char *file = in->positional[0];
    struct config *config = calloc(1, sizeof *config);
    struct data_facts facts = {0};
    struct estimate estimate;
    char kernels[TRIAL_KERNELS];
    struct text out;
    text_init(&out);
    int status = config ? config_read(file, config, err)
                        : error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    if (status == 0)
        status = run_apply_options(in, file, config, err);
    if (status == 0)
        status = pick_kernels(config, in->services, kernels, err);
    if (status == 0)
        status = in->services->inspect(config, &facts, err);
    bool timing = !command_value(in, "no-timing") && status == 0 &&
                  config->trainer.command_count == 0 && !config_reads_text(config);
    if (status == 0)
        status = estimate_make(config, &facts, in->services, timing ? 1 : 0, &estimate, err);
    if (status == 0) {
        char *yaml = config_write(config, false);
        text_append(&out, "%s", yaml ? yaml : "");
        out.failed |= !yaml;
        free(yaml);
        format_findings(config, &facts, kernels, &estimate, &out);
        status = output_text(&out, err);
    }
    free(config);
    *ret_exit = 0;
    return status;
}

static const struct command_option options[] = {
    {"set", "KEY=VALUE", true, "Set a key of the configuration, e.g. space.layers=8."},
    {"seed", "N", false, "Seed of the run: --set seed=N."},
    {"max-trials", "N", false, "Budget of trials: --set search.trials=N."},
    {"no-timing", NULL, false, "Do not train for a moment to estimate the cost."},
    {0}};

const struct command command_check = {
    .name = "check",
    .synopsis = "CONFIG.yaml [--set KEY=VALUE]... [--no-timing]",
    .summary = "check a configuration and its data, estimate the cost",
    .description =
        "Checks every key, what contradicts what, and the data files, and writes the effective "
        "configuration with the defaults filled in. Then, as comments: what the data holds, "
        "how large the space is, what random architectures of it cost, and from training "
        "three of them for a second each, how long the search will take. Nothing is written "
        "to disk.",
    .example = "archway check config.yaml\n"
               "archway check config.yaml --set space.layers=12 --no-timing",
    .least = 1,
    .most = 1,
    .options = options,
    .run = run_check};
