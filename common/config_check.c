/* SPDX-License-Identifier: Apache-2.0 */
/* Contradictions between keys that are each allowed by themselves. One function a
 * section; the first contradiction ends the check. The message names the key to look at
 * first, with its line where the file has it, then the values found and what would be
 * allowed. What depends on the data files is checked where they are read. */
#include "common/chaos.h"
#include "common/config_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/architecture.h"
#include "common/space/space.h"

struct check {
    const struct config *config;
    const char *name;
    const struct config_entries *entries; /* NULL: no lines */
    struct error *err;
};

static int __attribute__((format(printf, 3, 4)))
contradiction(const struct check *c, const char *key, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct config_entry *entry = config_entries_find(c->entries, key);
    if (entry)
        return error_set(c->err, ERROR_INPUT, "%s:%d: %s: %s", c->name, entry->line, key,
                         text);
    return error_set(c->err, ERROR_INPUT, "%s: %s: %s", c->name, key, text);
}

bool config_shares_weights(const struct config *config)
{
    return config->search.strategy >= STRATEGY_ENAS;
}

bool config_relaxes(const struct config *config)
{
    return config->search.strategy == STRATEGY_DARTS;
}

int64_t config_relaxed_control(const struct config *config)
{
    double share = config->control.share;
    return share > 0 && share < 1
               ? (int64_t)ceil(config->search.shared.finalists * share / (1 - share) -
                               1e-9)
               : 0;
}

bool config_keeps_state(const struct config_shared *s, uint64_t step)
{
    return step % (uint64_t)s->save_every < (uint64_t)s->sync_every ||
           step % (uint64_t)s->steps == 0;
}

int64_t config_trials(const struct config *config)
{
    const struct config_search *s = &config->search;
    const struct config_shared *c = &s->shared;
    if (!config_shares_weights(config))
        return s->trials;
    if (config_relaxes(config)) /* steps, and a score at the end of an epoch */
        return ((int64_t)c->steps + 1) * c->epochs + c->finalists +
               config_relaxed_control(config);
    int64_t updates = s->strategy == STRATEGY_RANDOM_SHARED ? 0 : c->controller_steps;
    int64_t epoch = (int64_t)c->steps * c->samples + updates * s->batch + c->probes;
    return epoch * c->epochs + c->candidates + c->finalists;
}

bool config_reads_text(const struct config *config)
{
    int format = config->task.data.format;
    return format == DATA_TEXT || format == DATA_GENERATED_TEXT;
}

/* Texts are for language models, and nothing else is. */
static int check_kind(const struct check *c)
{
    const struct config_task *task = &c->config->task;
    bool language = strcmp(task->kind, "language-model") == 0;
    if (language != config_reads_text(c->config))
        return contradiction(c, "task.data.format", "%s; task.kind %s needs %s",
                             config_choice_name("task.data.format", task->data.format),
                             task->kind, language ? "text" : "images");
    if (language && (task->train > 0 || task->validation > 0))
        return contradiction(c, task->train > 0 ? "task.train" : "task.validation",
                             "set; what is for training and for validation in a text its "
                             "files say");
    if (language && task->data.vocabulary == 1)
        return contradiction(c, "task.data.vocabulary",
                             "1 leaves nothing but <unk>; at least 2, or all");
    return 0;
}

static int check_data(const struct check *c)
{
    const struct config_task *task = &c->config->task;
    const struct config_data *data = &task->data;
    const struct config_key *path = config_find("task.data.path");
    if (data->format == DATA_GENERATED_TEXT)
        return 0;
    if (data->format == DATA_GENERATED) {
        if (data->classes > data->images)
            return contradiction(c, "task.data.images",
                                 "%d images cannot show task.data.classes = %d classes",
                                 data->images, data->classes);
        if ((int64_t)task->train + task->validation > data->images)
            return contradiction(c, "task.data.images",
                                 "%d images are fewer than task.train + task.validation "
                                 "= %d + %d",
                                 data->images, task->train, task->validation);
        return 0;
    }
    const char *format = config_choice_name("task.data.format", data->format);
    if (data->path[0] == '\0')
        return contradiction(c, "task.data.path",
                             "empty; format %s needs the folder of its files", format);
    if (data->format != DATA_IDX && strcmp(data->path, path->initial) == 0)
        return contradiction(c, "task.data.path",
                             "still '%s'; must be the folder of the %s files", data->path,
                             format);
    return 0;
}

static int check_list(const struct check *c, const char *key,
                      const struct config_list *list)
{
    for (int i = 0; i < list->count; i++) {
        for (int j = 0; j < i; j++) {
            if (list->values[i] == list->values[j])
                return contradiction(c, key, "%d stands twice; every choice once",
                                     list->values[i]);
        }
    }
    return 0;
}

static int check_depth(const struct check *c)
{
    const struct config_conv_chain *chain = &c->config->space.conv_chain;
    int64_t limit = (int64_t)config_find("space.layers")->max;
    int64_t layers = chain->layers, trials = c->config->search.trials;
    if (chain->grow_every > 0 && trials > 0)
        layers += (trials - 1) / chain->grow_every * chain->grow_by;
    if (layers > limit)
        return contradiction(c, "space.grow.by",
                             "from space.layers = %d the architectures grow to %" PRId64
                             " layers in search.trials = %" PRId64 "; at most %" PRId64,
                             chain->layers, layers, trials, limit);
    int64_t tokens = 4 * layers + layers * (layers - 1) / 2;
    if (chain->skip && tokens > ARCHITECTURE_MAX_TOKENS)
        return contradiction(c, "space.skip",
                             "%" PRId64 " layers with skip connections are %" PRId64
                             " decisions; at most %d (41 layers)",
                             layers, tokens, ARCHITECTURE_MAX_TOKENS);
    return 0;
}

/* Entries of a list of words are checked here, those of numbers where they are used. */
static int check_words(const struct check *c)
{
    const struct config_rnn *rnn = &c->config->space.rnn;
    const struct {
        const char *key;
        const struct config_list *list;
    } lists[] = {{"space.activations", &rnn->activations},
                 {"space.combinations", &rnn->combinations}};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        unsigned seen = 0;
        for (int i = 0; i < lists[l].list->count; i++) {
            int v = lists[l].list->values[i];
            if (seen >> v & 1)
                return contradiction(c, lists[l].key,
                                     "%s stands twice; every choice once",
                                     config_choice_name(lists[l].key, v));
            seen |= 1u << v;
        }
    }
    return 0;
}

static int check_space(const struct check *c)
{
    const struct config_conv_chain *chain = &c->config->space.conv_chain;
    const struct {
        const char *key;
        const struct config_list *list;
    } lists[] = {{"space.filter_heights", &chain->filter_heights},
                 {"space.filter_widths", &chain->filter_widths},
                 {"space.filters", &chain->filters},
                 {"space.strides", &chain->strides}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        int status = check_list(c, lists[i].key, lists[i].list);
        if (status != 0)
            return status;
    }
    if (chain->grow_every > 0 && chain->grow_by == 0)
        return contradiction(c, "space.grow.every",
                             "%d without space.grow.by, the layers to add",
                             chain->grow_every);
    if (chain->grow_by > 0 && chain->grow_every == 0)
        return contradiction(
            c, "space.grow.by",
            "%d without space.grow.every, the proposals between two steps",
            chain->grow_by);
    int status = check_depth(c);
    return status ? status : check_words(c);
}

/* What the built-in trainer does with texts. */
static int check_language(const struct check *c)
{
    const struct config_builtin_trainer *t = &c->config->trainer.builtin;
    const char *metric = c->config->reward.metric;
    if (space_reads_of(c->config->space.name) != SPACE_INPUT_TEXT)
        return contradiction(
            c, "space.name",
            "%s; on texts the built-in trainer trains cells of rnn-dag or "
            "rnn-tree, and trainer.command names a program for others",
            config_choice_name("space.name", c->config->space.name));
    if (t->optimizer.name != OPTIMIZER_SGD)
        return contradiction(c, "trainer.builtin.optimizer.name",
                             "%s; recurrent cells are trained by sgd",
                             config_choice_name("trainer.builtin.optimizer.name",
                                                t->optimizer.name));
    if (t->optimizer.momentum > 0)
        return contradiction(c, "trainer.builtin.optimizer.momentum",
                             "%g; recurrent cells are trained without, say 0",
                             t->optimizer.momentum);
    if (strcmp(metric, "val_loss") != 0 && strcmp(metric, "val_perplexity") != 0)
        return contradiction(c, "reward.metric",
                             "'%.60s' is unknown to the built-in trainer; of a text it "
                             "reports val_loss and val_perplexity",
                             metric);
    return 0;
}

/* What it does with images. */
static int check_images(const struct check *c)
{
    const struct config_builtin_trainer *t = &c->config->trainer.builtin;
    int train = c->config->task.train;
    if (space_reads_of(c->config->space.name) != SPACE_INPUT_IMAGES)
        return contradiction(c, "space.name",
                             "%s, whose children read texts: task.kind is %s",
                             config_choice_name("space.name", c->config->space.name),
                             c->config->task.kind);
    if (train > 0 && t->batch > train)
        return contradiction(c, "trainer.builtin.batch",
                             "%d is more than task.train = %d images", t->batch, train);
    if (t->optimizer.name == OPTIMIZER_SGD && t->optimizer.nesterov &&
        t->optimizer.momentum == 0)
        return contradiction(c, "trainer.builtin.optimizer.nesterov",
                             "true with momentum 0; needs a momentum above 0");
    if (strcmp(c->config->reward.metric, "val_accuracy") != 0)
        return contradiction(c, "reward.metric",
                             "'%.60s' is unknown to the built-in trainer; it reports "
                             "val_accuracy",
                             c->config->reward.metric);
    return 0;
}

static int check_trainer(const struct check *c)
{
    const struct config_builtin_trainer *t = &c->config->trainer.builtin;
    const struct config_reward *reward = &c->config->reward;
    if (c->config->trainer.command_count > 0)
        return 0;
    int status = config_reads_text(c->config) ? check_language(c) : check_images(c);
    if (status)
        return status;
    if (reward->last_epochs > t->epochs)
        return contradiction(c, "reward.last_epochs",
                             "%d is more than trainer.builtin.epochs = %d",
                             reward->last_epochs, t->epochs);
    return 0;
}

/* What a relaxed cell mixes must be in the space, and its output that of the cells that
 * are derived from it. */
static int check_relaxed(const struct check *c)
{
    const struct config_rnn *rnn = &c->config->space.rnn;
    const struct config_builtin_trainer *t = &c->config->trainer.builtin;
    int words = 0;
    while (config_find("space.activations")->choices[words])
        words++;
    if (rnn->nodes < 2)
        return contradiction(
            c, "space.nodes",
            "%d; darts needs 2 at least: the first node reads the input, "
            "the others are relaxed",
            rnn->nodes);
    if (rnn->activations.count != words)
        return contradiction(
            c, "space.activations",
            "%d of them; darts mixes tanh, relu, identity and sigmoid, so "
            "all must be in the space",
            rnn->activations.count);
    if (t->recurrent.output != OUTPUT_ALL_BUT_FIRST)
        return contradiction(
            c, "trainer.builtin.recurrent.output",
            "%s; the cell that darts relaxes has all-but-first",
            config_choice_name("trainer.builtin.recurrent.output", t->recurrent.output));
    if (c->config->search.shared.samples != 1)
        return contradiction(c, "search.shared.samples",
                             "%d; a step of darts takes no architectures, say 1",
                             c->config->search.shared.samples);
    return 0;
}

/* What shares weights needs; they say themselves how long they take. */
static int check_shared(const struct check *c)
{
    const struct config_search *s = &c->config->search;
    const char *name = config_choice_name("search.strategy", s->strategy);
    if (!config_shares_weights(c->config))
        return 0;
    if (s->trials > 0)
        return contradiction(c, "search.trials",
                             "%" PRId64
                             "; how much %s does search.shared.epochs and steps "
                             "say, so this must be unlimited",
                             s->trials, name);
    if (c->config->space.name != SPACE_RNN_DAG)
        return contradiction(
            c, "search.strategy",
            "%s, which shares weights between cells of space rnn-dag; the "
            "space is %s",
            name, config_choice_name("space.name", c->config->space.name));
    if (c->config->trainer.command_count > 0)
        return contradiction(c, "trainer.command",
                             "set; the weights that %s shares are held by the built-in "
                             "trainer, say []",
                             name);
    if (s->shared.sync_every > 1 && s->shared.samples == 1)
        return contradiction(c, "search.shared.sync_every",
                             "%d, but with search.shared.samples = 1 there is nothing to "
                             "average",
                             s->shared.sync_every);
    if (s->shared.steps % s->shared.sync_every != 0)
        return contradiction(c, "search.shared.sync_every",
                             "%d, which does not divide search.shared.steps = %d",
                             s->shared.sync_every, s->shared.steps);
    if (config_relaxes(c->config))
        return check_relaxed(c);
    if (s->shared.finalists > s->shared.candidates)
        return contradiction(c, "search.shared.finalists",
                             "%d are more than search.shared.candidates = %d",
                             s->shared.finalists, s->shared.candidates);
    return 0;
}

static int check_budget(const struct check *c)
{
    const struct config_search *s = &c->config->search;
    if (!config_shares_weights(c->config) && s->trials == 0 && s->hours == 0 &&
        s->core_hours == 0 && s->gpu_hours == 0)
        return contradiction(c, "search.trials",
                             "unlimited, and so are hours, core_hours and gpu_hours; one "
                             "of them must end the search");
    if (s->gpu_hours > 0 && c->config->resources.gpus_per_trial == 0)
        return contradiction(c, "search.gpu_hours",
                             "a budget that is never used up, for "
                             "resources.gpus_per_trial is 0");
    return 0;
}

static int check_control(const struct check *c)
{
    if (c->config->control.strategy != STRATEGY_RANDOM)
        return contradiction(
            c, "control.strategy", "%s; only random can be the control",
            config_choice_name("control.strategy", c->config->control.strategy));
    if (c->config->control.share >= 1)
        return contradiction(c, "control.share",
                             "1 leaves nothing to the search; must be below 1");
    return 0;
}

static int check_run(const struct check *c)
{
    const struct config_run *run = &c->config->run;
    struct chaos chaos;
    struct error why = {0};
    if (chaos_parse(run->chaos, &chaos, &why) != 0)
        return contradiction(c, "run.chaos", "%s", why.text);
    if (run->lost_after < 2 * run->heartbeat)
        return contradiction(
            c, "run.lost_after",
            "%g s is less than twice run.heartbeat = %g s; one late sign "
            "of life would lose a rank",
            run->lost_after, run->heartbeat);
    return 0;
}

int config_check_entries(const struct config *config, const char *name,
                         const struct config_entries *entries, struct error *err)
{
    static int (*const checks[])(const struct check *) = {
        check_kind,   check_data,   check_space,   check_trainer,
        check_shared, check_budget, check_control, check_run};
    struct check c = {config, name, entries, err};
    int status = 0;
    if (config->name[0] == '\0')
        return contradiction(&c, "name", "empty; a run needs a name");
    if (config->reward.metric[0] == '\0')
        return contradiction(&c, "reward.metric", "empty; must name a metric");
    for (size_t i = 0; status == 0 && i < sizeof checks / sizeof *checks; i++)
        status = checks[i](&c);
    return status;
}

int config_check(const struct config *config, const char *name, struct error *err)
{
    return config_check_entries(config, name, NULL, err);
}
