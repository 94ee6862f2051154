/* SPDX-License-Identifier: Apache-2.0 */
/* One task of the built-in trainer whose child is a recurrent cell on a text: what
 * trainer_trial.h does for images. States are not saved: a trial that is cut off begins
 * anew. */
#ifndef ARCHWAY_WORKER_TRAINER_LANGUAGE_H
#define ARCHWAY_WORKER_TRAINER_LANGUAGE_H

#include "worker/data/corpus.h"
#include "worker/trainer_trial.h"

/* setup->data is not used; corpus is borrowed. Everything else as trainer_trial_run. */
int trainer_language_run(const struct trainer_trial_setup *setup,
                         const struct corpus *corpus, int *ret_epochs, struct error *err);

#endif
