/* SPDX-License-Identifier: Apache-2.0 */
/* A child that cannot be trained costs its trial and nothing else: every failure becomes
 * a result line, everything allocated for it is released, and the process takes the next
 * task. A diverged child is reported as failed at once, with the epoch and the rate in
 * the reason, and not trained to its end: no later epoch can bring the numbers back. */
#include "worker/trainer_trial.h"

#include "common/clock.h"
#include "common/space/conv_chain.h"

struct trial_run {
    const struct trainer_order *order;
    const struct training_watch *watch;
    struct trainer_output *output;
    struct config config; /* with the task's hyperparameters */
    struct conv_chain chain;
    struct training training;
};

static int prepare(struct trial_run *run, const struct dataset *data, struct error *err)
{
    int status = conv_chain_from_json(run->order->architecture, &run->chain, err);
    if (!status)
        status = trainer_side_override(&run->config, run->order->hyperparameters, err);
    if (!status)
        status = training_init(&run->training, &run->config, data, &run->chain,
                               run->order->seed, err);
    return status;
}

enum train_outcome { TRAIN_DONE, TRAIN_STOPPED, TRAIN_FAILED, TRAIN_BROKEN };

/* All epochs; `failure` says why when TRAIN_FAILED or TRAIN_BROKEN (the output is). */
static enum train_outcome train(struct trial_run *run, int *ret_epochs,
                                struct error *failure)
{
    int epochs = run->config.trainer.builtin.epochs;
    for (int epoch = 0; epoch < epochs; epoch++) {
        struct trial_epoch values;
        *ret_epochs = epoch;
        enum training_outcome outcome =
            training_epoch(&run->training, epoch, run->watch, &values);
        if (outcome == TRAINING_STOPPED)
            return TRAIN_STOPPED;
        if (outcome == TRAINING_DIVERGED) {
            error_set(failure, ERROR_FAILED,
                      "diverged in epoch %d of %d: the training loss is %g at learning "
                      "rate %g",
                      epoch + 1, epochs, (double)values.train_loss, (double)values.lr);
            return TRAIN_FAILED;
        }
        trainer_side_encode_progress(run->order->trial, run->order->attempt,
                                     (uint32_t)epoch + 1, &values, &run->output->lines);
        if (trainer_output_flush(run->output, failure))
            return TRAIN_BROKEN;
    }
    return TRAIN_DONE;
}

static int report(const struct trial_run *run, double seconds, struct error *err)
{
    trainer_side_encode_result(run->order->trial, run->order->attempt, NULL, seconds,
                               (double)nn_graph_parameter_count(run->training.graph),
                               nn_graph_flops(run->training.graph), &run->output->lines);
    return trainer_output_flush(run->output, err);
}

static int report_failure(const struct trial_run *run, const char *reason,
                          struct error *err)
{
    trainer_side_encode_failure(run->order->trial, run->order->attempt, reason,
                                &run->output->lines);
    return trainer_output_flush(run->output, err);
}

int trainer_trial_run(const struct config *config, const struct dataset *data,
                      const struct trainer_order *order,
                      const struct training_watch *watch, struct trainer_output *output,
                      int *ret_epochs, struct error *err)
{
    struct trial_run run = {
        .order = order, .watch = watch, .output = output, .config = *config};
    struct error failure = {0};
    double start = clock_now(&clock_system);
    enum train_outcome outcome = TRAIN_FAILED;
    int status = 0;
    if (prepare(&run, data, &failure) == 0)
        outcome = train(&run, ret_epochs, &failure);
    if (outcome == TRAIN_DONE)
        status = report(&run, clock_now(&clock_system) - start, err);
    else if (outcome == TRAIN_FAILED)
        status = report_failure(&run, failure.text, err);
    else if (outcome == TRAIN_BROKEN)
        status = error_set(err, failure.status, "%s", failure.text);
    training_fini(&run.training);
    return outcome == TRAIN_STOPPED ? 1 : status;
}
