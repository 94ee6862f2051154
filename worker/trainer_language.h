/* SPDX-License-Identifier: Apache-2.0 */
/* One task of the built-in trainer whose child is a recurrent cell that is trained on a
 * text. */
#ifndef ARCHWAY_WORKER_TRAINER_LANGUAGE_H
#define ARCHWAY_WORKER_TRAINER_LANGUAGE_H

#include "worker/data/corpus.h"
#include "worker/language.h"
#include "worker/trainer_trial.h"

struct language_settings trainer_language_settings(const struct config *config);
/* ERROR_INPUT when so many bytes are more than a trainer may use. */
int trainer_language_fits(const struct config *config, size_t need, struct error *err);

/* corpus is borrowed. Everything else as trainer_trial_run. */
int trainer_language_run(const struct trainer_trial_setup *setup,
                         const struct corpus *corpus, int *ret_epochs, struct error *err);

#endif
