/* SPDX-License-Identifier: Apache-2.0 */
/* One task of the built-in trainer, from the order to its result. */
#ifndef ARCHWAY_WORKER_TRAINER_TRIAL_H
#define ARCHWAY_WORKER_TRAINER_TRIAL_H

#include "common/config.h"
#include "common/error.h"
#include "proto/trainer_side.h"
#include "worker/data/data.h"
#include "worker/trainer_output.h"
#include "worker/training.h"

struct trainer_trial_setup { /* all borrowed */
    const struct config *config;
    const struct dataset *data;
    const struct trainer_order *order; /* of type ORDER_TASK */
    struct training_watch watch;
    bool *suspend; /* why the watch stopped: the state is wanted. NULL: never */
    struct trainer_output *output;
};

/* Train what the order asks for, with its hyperparameters over the configuration, and
 * report: a progress line an epoch, then one result line. Whatever is wrong with the task
 * (its architecture, a hyperparameter, memory, a loss that is not finite) ends in a
 * result with status "failed" and the reason. An order that names a file for the state of
 * the trial goes on from what is there; a file that cannot be used is reported, and the
 * trial begins anew.
 *
 * Returns 0 when a result was written or the state was saved because *suspend asked for
 * it, 1 when the watch stopped the training otherwise (no result, *ret_epochs epochs were
 * over), negative only when the output fails: the agent is gone. A state that cannot be
 * saved is complained about on standard error; *suspend becomes false, and training goes
 * on. Blocking. */
int trainer_trial_run(const struct trainer_trial_setup *setup, int *ret_epochs,
                      struct error *err);

#endif
