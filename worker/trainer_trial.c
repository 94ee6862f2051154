/* SPDX-License-Identifier: Apache-2.0 */
/* A child that cannot be trained costs its trial and nothing else: every failure becomes
 * a result line, everything allocated for it is released, and the process takes the next
 * task. A diverged child is reported as failed at once, with the epoch and the rate in
 * the reason, and not trained to its end: no later epoch can bring the numbers back. */
#include "worker/trainer_trial.h"

#include <math.h>

#include "common/clock.h"
#include "common/log.h"

struct trial_run {
    const struct trainer_trial_setup *setup;
    const struct trainer_order *order;
    struct trainer_output *output;
    const struct trainer_child_kind *kind;
    void *child;
    struct config config;       /* with the task's hyperparameters */
    struct trainer_state state; /* zeros when the order names no file for it */
    double started, saved_at;   /* monotonic */
    double seconds_before;      /* of earlier attempts */
};

static int position_of(const struct trial_run *run)
{
    return run->kind->position(run->child);
}

static double seconds_of(const struct trial_run *run)
{
    return run->seconds_before + clock_now(&clock_system) - run->started;
}

static int say_checkpoint(struct trial_run *run, int what, const char *reason,
                          struct error *err)
{
    trainer_side_encode_checkpoint(
        run->order->trial, run->order->attempt, what, (uint32_t)position_of(run),
        reason ? NAN : seconds_of(run), reason, &run->output->lines);
    return trainer_output_flush(run->output, err);
}

static int prepare(struct trial_run *run, struct error *err)
{
    int status = trainer_side_override(&run->config, run->order->hyperparameters, err);
    if (!status)
        status = run->kind->prepare(run->child, &run->config, run->order, err);
    return status || !run->order->checkpoint
               ? status
               : run->kind->state(run->child, &run->config, run->order, &run->state, err);
}

static void put_progress(struct trial_run *run, int epoch,
                         const struct trial_epoch *values)
{
    trainer_side_encode_progress(run->order->trial, run->order->attempt,
                                 (uint32_t)epoch + 1, values, &run->output->lines);
}

/* From the file, when there is one: its epochs are reported once more. */
static int go_on(struct trial_run *run, struct error *err)
{
    struct error why = {0};
    if (!run->order->checkpoint)
        return 0;
    int found = trainer_state_read(run->order->checkpoint, &run->state, &why);
    if (found < 0) {
        log_message(LOG_WARNING, "trainer: trial %llu begins anew: %s",
                    (unsigned long long)run->order->trial, why.text);
        return say_checkpoint(run, CHECKPOINT_REFUSED, why.text, err);
    }
    if (found == 0)
        return 0;
    run->seconds_before = run->state.seconds;
    int status = say_checkpoint(run, CHECKPOINT_CONTINUED, NULL, err);
    for (int epoch = 0; epoch < position_of(run); epoch++)
        put_progress(run, epoch, &run->state.curve[epoch]);
    return status ? status : trainer_output_flush(run->output, err);
}

/* Returns 0 when it is saved, 1 when it could not be, negative when the agent is gone. */
static int save(struct trial_run *run, int what, struct error *err)
{
    struct error why = {0};
    run->state.seconds = seconds_of(run);
    run->saved_at = clock_now(&clock_system);
    if (trainer_state_write(run->order->checkpoint, &run->state, &why)) {
        log_message(LOG_WARNING, "trainer: the state of trial %llu is not saved: %s",
                    (unsigned long long)run->order->trial, why.text);
        return 1;
    }
    return say_checkpoint(run, what, NULL, err);
}

enum train_outcome {
    TRAIN_ON, /* it is not over */
    TRAIN_DONE,
    TRAIN_STOPPED,
    TRAIN_SUSPENDED,
    TRAIN_FAILED,
    TRAIN_BROKEN
};

static int fail_diverged(const struct trial_run *run, int epoch,
                         const struct trial_epoch *values, struct error *err)
{
    char why[128];
    run->kind->explain(values, why, sizeof why);
    return error_set(err, ERROR_FAILED, "diverged in epoch %d of %d %s", epoch + 1,
                     run->config.trainer.builtin.epochs, why);
}

/* An epoch is over: say so, and save what is due. Not after the last one, when the result
 * is as good as there. */
static int close_epoch(struct trial_run *run, int epoch, const struct trial_epoch *values,
                       struct error *err)
{
    put_progress(run, epoch, values);
    int status = trainer_output_flush(run->output, err);
    double every = run->order->checkpoint_every;
    if (status || !run->order->checkpoint)
        return status;
    run->state.curve[epoch] = *values;
    bool due = every > 0 && clock_now(&clock_system) - run->saved_at >= every &&
               epoch + 1 < run->config.trainer.builtin.epochs;
    status = due ? save(run, CHECKPOINT_SAVED, err) : 0;
    return status < 0 ? status : 0;
}

/* The watch stopped it: for its state, or for good? */
static enum train_outcome stopped(struct trial_run *run, struct error *failure)
{
    bool *suspend = run->setup->suspend;
    if (!suspend || !*suspend)
        return TRAIN_STOPPED;
    *suspend = false;
    int status = save(run, CHECKPOINT_SUSPENDED, failure);
    return status < 0 ? TRAIN_BROKEN : status == 0 ? TRAIN_SUSPENDED : TRAIN_ON;
}

/* All epochs that are left; `failure` says why when TRAIN_FAILED or TRAIN_BROKEN (the
 * output is). */
static enum train_outcome train(struct trial_run *run, int *ret_epochs,
                                struct error *failure)
{
    int now, epochs = run->config.trainer.builtin.epochs;
    while ((now = position_of(run)) < epochs) {
        struct trial_epoch values;
        *ret_epochs = now;
        enum training_outcome outcome =
            run->kind->epoch(run->child, &run->setup->watch, &values);
        if (outcome == TRAINING_STOPPED) {
            enum train_outcome end = stopped(run, failure);
            if (end == TRAIN_ON)
                continue;
            return end;
        }
        if (outcome == TRAINING_DIVERGED)
            return fail_diverged(run, now, &values, failure), TRAIN_FAILED;
        if (close_epoch(run, now, &values, failure))
            return TRAIN_BROKEN;
    }
    return TRAIN_DONE;
}

static int report(const struct trial_run *run, struct error *err)
{
    double params, flops;
    run->kind->size(run->child, &params, &flops);
    trainer_side_encode_result(run->order->trial, run->order->attempt, NULL,
                               seconds_of(run), params, flops, &run->output->lines);
    return trainer_output_flush(run->output, err);
}

static int report_failure(const struct trial_run *run, const char *reason,
                          struct error *err)
{
    trainer_side_encode_failure(run->order->trial, run->order->attempt, reason,
                                &run->output->lines);
    return trainer_output_flush(run->output, err);
}

int trainer_trial_run(const struct trainer_trial_setup *setup,
                      const struct trainer_child_kind *kind, void *child, int *ret_epochs,
                      struct error *err)
{
    struct trial_run run = {.setup = setup,
                            .order = setup->order,
                            .output = setup->output,
                            .kind = kind,
                            .child = child,
                            .config = *setup->config};
    struct error failure = {0};
    enum train_outcome outcome = TRAIN_FAILED;
    int status = 0;
    run.started = run.saved_at = clock_now(&clock_system);
    if (prepare(&run, &failure) == 0)
        outcome =
            go_on(&run, &failure) < 0 ? TRAIN_BROKEN : train(&run, ret_epochs, &failure);
    if (outcome == TRAIN_DONE)
        status = report(&run, err);
    else if (outcome == TRAIN_FAILED)
        status = report_failure(&run, failure.text, err);
    else if (outcome == TRAIN_BROKEN)
        status = error_set(err, failure.status, "%s", failure.text);
    trainer_state_fini(&run.state);
    return outcome == TRAIN_STOPPED ? 1 : status;
}
