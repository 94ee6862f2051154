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

/* Train what `order` asks for, with its hyperparameters over `config`, and report: a
 * progress line an epoch, then one result line. Whatever is wrong with the task (its
 * architecture, a hyperparameter, memory, a loss that is not finite) ends in a result
 * with status "failed" and the reason. Returns 0 when a result was written, 1 when
 * `watch` stopped the training (no result, *ret_epochs epochs were over), negative only
 * when the output fails: the agent is gone. Blocking. */
int trainer_trial_run(const struct config *config, const struct dataset *data,
                      const struct trainer_order *order,
                      const struct training_watch *watch, struct trainer_output *output,
                      int *ret_epochs, struct error *err);

#endif
