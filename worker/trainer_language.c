/* SPDX-License-Identifier: Apache-2.0 */
/* What a training on a text is to trainer_trial.c. */
#include "worker/trainer_language.h"

#include <stdio.h>

#include "common/kernel_names.h"
#include "common/text.h"
#include "worker/language_state.h"
#include "worker/schedule.h"

struct language_child {
    const struct corpus *corpus;
    const struct config *config;
    struct language_cell cell;
    struct language language;
};

static enum recurrent_output output_of(int output)
{
    return output == OUTPUT_ALL             ? RECURRENT_ALL
           : output == OUTPUT_ALL_BUT_FIRST ? RECURRENT_ALL_BUT_FIRST
                                            : RECURRENT_LEAVES;
}

struct language_settings trainer_language_settings(const struct config *config)
{
    const struct config_builtin_trainer *b = &config->trainer.builtin;
    return (struct language_settings){
        .hidden = b->hidden,
        .batch = b->batch,
        .steps = b->recurrent.bptt,
        .eval_batch = b->recurrent.eval_batch,
        .init = b->recurrent.init,
        .clip = b->recurrent.clip,
        .decay = b->optimizer.weight_decay,
        .state_clip = b->recurrent.state_clip,
        .norm = b->recurrent.norm,
        .output = output_of(b->recurrent.output),
        .dropout = {.embedding = b->recurrent.dropout.embedding,
                    .input = b->recurrent.dropout.input,
                    .state = b->recurrent.dropout.state,
                    .output = b->recurrent.dropout.output,
                    .weight = b->recurrent.dropout.weight},
        .patience = b->recurrent.average_after,
        .threads = config->resources.threads_per_trial,
        .kernels = kernel_names_wanted(config),
    };
}

int trainer_language_fits(const struct config *config, size_t need, struct error *err)
{
    char need_text[32], limit_text[32];
    int64_t limit = config->resources.memory_per_trial;
    if (limit == 0 || need <= (size_t)limit)
        return 0;
    text_format_size((double)need, need_text, sizeof need_text);
    text_format_size((double)limit, limit_text, sizeof limit_text);
    return error_set(err, ERROR_INPUT,
                     "the child network needs %s to be trained, "
                     "resources.memory_per_trial allows %s",
                     need_text, limit_text);
}

static int prepare(void *child, const struct config *config,
                   const struct trainer_order *order, struct error *err)
{
    struct language_child *c = child;
    struct language_settings settings = trainer_language_settings(config);
    c->config = config;
    int status = language_cell_read(order->architecture, &c->cell, err);
    if (!status)
        status = trainer_language_fits(
            config, language_bytes(&settings, c->corpus->vocabulary, &c->cell), err);
    return status ? status
                  : language_init(&c->language, &settings, c->corpus, &c->cell,
                                  order->seed, err);
}

static int state(void *child, const struct config *config,
                 const struct trainer_order *order, struct trainer_state *ret,
                 struct error *err)
{
    struct language_child *c = child;
    return language_state_init(ret, &c->language, config, order, err);
}

static int position(const void *child)
{
    const struct language_child *c = child;
    return c->language.position.epoch;
}

static enum training_outcome epoch(void *child, const struct training_watch *watch,
                                   struct trial_epoch *ret)
{
    struct language_child *c = child;
    double lr = schedule_rate(&c->config->trainer.builtin, c->language.position.epoch);
    return language_epoch(&c->language, lr, watch, ret);
}

static void size(const void *child, double *ret_params, double *ret_flops)
{
    const struct language_child *c = child;
    double h = c->config->trainer.builtin.hidden, v = c->corpus->vocabulary;
    *ret_params = (double)recurrent_count(c->language.model);
    *ret_flops = 2 * (language_cell_matrices(&c->cell) * h * h + v * h);
}

static void explain(const struct trial_epoch *values, char *ret, size_t size)
{
    snprintf(ret, size, "at learning rate %g: loss or gradient is not a finite number",
             (double)values->lr);
}

static const struct trainer_child_kind kind = {.prepare = prepare,
                                               .state = state,
                                               .position = position,
                                               .epoch = epoch,
                                               .size = size,
                                               .explain = explain};

int trainer_language_run(const struct trainer_trial_setup *setup,
                         const struct corpus *corpus, int *ret_epochs, struct error *err)
{
    struct language_child child = {.corpus = corpus};
    int status = trainer_trial_run(setup, &kind, &child, ret_epochs, err);
    language_fini(&child.language);
    return status;
}
