/* SPDX-License-Identifier: Apache-2.0 */
/* One task of the built-in trainer whose child is trained from scratch, from the order to
 * its result, whatever kind of child it is (trainer_images.h, trainer_language.h). */
#ifndef ARCHWAY_WORKER_TRAINER_TRIAL_H
#define ARCHWAY_WORKER_TRAINER_TRIAL_H

#include "common/config.h"
#include "common/error.h"
#include "proto/trainer_side.h"
#include "worker/trainer_output.h"
#include "worker/trainer_state.h"
#include "worker/training.h"

struct trainer_trial_setup { /* all borrowed */
    const struct config *config;
    const struct trainer_order *order; /* of type ORDER_TASK */
    struct training_watch watch;
    bool *suspend; /* why the watch stopped: the state is wanted. NULL: never */
    struct trainer_output *output;
};

/* What trainings of one kind do; `child` is the caller's. */
struct trainer_child_kind {
    /* Make the training of the order. config has its hyperparameters and stays until
     * trainer_trial_run returns. Negative with the reason that becomes the result. */
    int (*prepare)(void *child, const struct config *config,
                   const struct trainer_order *order, struct error *err);
    /* What can be saved of it. ERROR_SYSTEM without memory. */
    int (*state)(void *child, const struct config *config,
                 const struct trainer_order *order, struct trainer_state *ret,
                 struct error *err);
    int (*position)(const void *child); /* the epoch under way, or the next one */
    /* Train that epoch, as training_epoch does. */
    enum training_outcome (*epoch)(void *child, const struct training_watch *watch,
                                   struct trial_epoch *ret);
    void (*size)(const void *child, double *ret_params, double *ret_flops);
    /* Why an epoch that diverged did, in words that follow "diverged in epoch 1 of 2 ".
     */
    void (*explain)(const struct trial_epoch *values, char *ret, size_t size);
};

/* Train what the order asks for, with its hyperparameters over the configuration, and
 * report: a progress line an epoch, then one result line. Whatever is wrong with the task
 * (its architecture, a hyperparameter, memory, a loss that is not finite) ends in a
 * result with status "failed" and the reason. An order that names a file for the state of
 * the trial goes on from what is there; a file that cannot be used is reported, and the
 * trial begins anew. What prepare made in child stays there: the caller releases it.
 *
 * Returns 0 when a result was written or the state was saved because *suspend asked for
 * it, 1 when the watch stopped the training otherwise (no result, *ret_epochs epochs were
 * over), negative only when the output fails: the agent is gone. A state that cannot be
 * saved is complained about on standard error; *suspend becomes false, and training goes
 * on. Blocking. */
int trainer_trial_run(const struct trainer_trial_setup *setup,
                      const struct trainer_child_kind *kind, void *child, int *ret_epochs,
                      struct error *err);

#endif
