/* SPDX-License-Identifier: Apache-2.0 */
/* One task of the built-in trainer whose child is a chain of layers that is trained on
 * images. */
#ifndef ARCHWAY_WORKER_TRAINER_IMAGES_H
#define ARCHWAY_WORKER_TRAINER_IMAGES_H

#include "worker/data/data.h"
#include "worker/trainer_trial.h"

/* data is borrowed. Everything else as trainer_trial_run. */
int trainer_images_run(const struct trainer_trial_setup *setup,
                       const struct dataset *data, int *ret_epochs, struct error *err);

#endif
