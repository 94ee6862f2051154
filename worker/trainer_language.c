/* SPDX-License-Identifier: Apache-2.0 */
/* As for images: every failure becomes a result line, everything that was allocated for it
 * is released, and the process takes the next task. */
#include "worker/trainer_language.h"

#include "common/clock.h"
#include "common/kernel_names.h"
#include "common/space/rnn_dag.h"
#include "common/text.h"
#include "worker/language.h"
#include "worker/schedule.h"

struct language_run {
    const struct trainer_trial_setup *setup;
    const struct corpus *corpus;
    struct config config; /* with the task's hyperparameters */
    struct recurrent_cell cell;
    struct language language;
    int matrices; /* of hidden x hidden */
    double started;
};

/* The names of the space are those of the model. */
int trainer_language_cell(const json_t *architecture, struct recurrent_cell *ret,
                          int *ret_matrices, struct error *err)
{
    static const uint8_t activations[RNN_ACTIVATIONS] = {
        [RNN_TANH] = RECURRENT_TANH,
        [RNN_RELU] = RECURRENT_RELU,
        [RNN_IDENTITY] = RECURRENT_IDENTITY,
        [RNN_SIGMOID] = RECURRENT_SIGMOID,
    };
    struct rnn_dag dag;
    int status = rnn_dag_from_json(architecture, &dag, err);
    if (status)
        return status;
    *ret = (struct recurrent_cell){.nodes = dag.node_count};
    for (int j = 0; j < dag.node_count; j++) {
        ret->activation[j] = activations[dag.nodes[j].activation];
        ret->previous[j] = (uint8_t)(j > 0 ? dag.nodes[j].previous : 0);
    }
    if (ret_matrices)
        *ret_matrices = rnn_dag_matrices(&dag);
    return 0;
}

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

static int prepare(struct language_run *run, struct error *err)
{
    const struct trainer_order *order = run->setup->order;
    int status =
        trainer_language_cell(order->architecture, &run->cell, &run->matrices, err);
    if (!status)
        status = trainer_side_override(&run->config, order->hyperparameters, err);
    struct language_settings settings = trainer_language_settings(&run->config);
    if (!status)
        status = trainer_language_fits(
            &run->config, language_bytes(&settings, run->corpus->vocabulary, &run->cell),
            err);
    return status ? status
                  : language_init(&run->language, &settings, run->corpus, &run->cell,
                                  order->seed, err);
}

enum language_outcome { LANGUAGE_DONE, LANGUAGE_STOPPED, LANGUAGE_FAILED, LANGUAGE_BROKEN };

/* `failure` says why when FAILED or BROKEN (the output is). */
static enum language_outcome train(struct language_run *run, int *ret_epochs,
                                   struct error *failure)
{
    const struct trainer_order *order = run->setup->order;
    struct trainer_output *output = run->setup->output;
    const int *position = &run->language.position.epoch;
    int epochs = run->config.trainer.builtin.epochs;
    while (*position < epochs) {
        struct trial_epoch values;
        int epoch = *ret_epochs = *position;
        double lr = schedule_rate(&run->config.trainer.builtin, epoch);
        enum training_outcome outcome =
            language_epoch(&run->language, lr, &run->setup->watch, &values);
        if (outcome == TRAINING_STOPPED && run->setup->suspend && *run->setup->suspend) {
            *run->setup->suspend = false; /* nothing can be saved: on it goes */
            continue;
        }
        if (outcome == TRAINING_STOPPED)
            return LANGUAGE_STOPPED;
        if (outcome == TRAINING_DIVERGED) {
            error_set(failure, ERROR_FAILED,
                      "diverged in epoch %d of %d at learning rate %g: loss or gradient is "
                      "not a finite number",
                      epoch + 1, epochs, lr);
            return LANGUAGE_FAILED;
        }
        trainer_side_encode_progress(order->trial, order->attempt, (uint32_t)epoch + 1,
                                     &values, &output->lines);
        if (trainer_output_flush(output, failure))
            return LANGUAGE_BROKEN;
    }
    return LANGUAGE_DONE;
}

static void report(const struct language_run *run)
{
    const struct trainer_order *order = run->setup->order;
    double h = run->config.trainer.builtin.hidden, v = run->corpus->vocabulary;
    trainer_side_encode_result(order->trial, order->attempt, NULL,
                               clock_now(&clock_system) - run->started,
                               (double)recurrent_count(run->language.model),
                               2 * (run->matrices * h * h + v * h),
                               &run->setup->output->lines);
}

int trainer_language_run(const struct trainer_trial_setup *setup,
                         const struct corpus *corpus, int *ret_epochs, struct error *err)
{
    struct language_run run = {.setup = setup,
                               .corpus = corpus,
                               .config = *setup->config,
                               .started = clock_now(&clock_system)};
    struct error failure = {0};
    enum language_outcome outcome = LANGUAGE_FAILED;
    int status = 0;
    if (prepare(&run, &failure) == 0)
        outcome = train(&run, ret_epochs, &failure);
    if (outcome == LANGUAGE_DONE)
        report(&run);
    else if (outcome == LANGUAGE_FAILED)
        trainer_side_encode_failure(setup->order->trial, setup->order->attempt,
                                    failure.text, &setup->output->lines);
    if (outcome == LANGUAGE_DONE || outcome == LANGUAGE_FAILED)
        status = trainer_output_flush(setup->output, err);
    else if (outcome == LANGUAGE_BROKEN)
        status = error_set(err, failure.status, "%s", failure.text);
    language_fini(&run.language);
    return outcome == LANGUAGE_STOPPED ? 1 : status;
}
