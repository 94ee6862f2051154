/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of the built-in trainer on weights that architectures share: steps of training,
 * and scores. The trainer holds the weights from task to task, and keeps states of them
 * in a folder (worker/pool_file.h), where other trainers find what they score with.
 *
 * A step is made only by weights that have come exactly so far, a score only with weights
 * of exactly so many steps. A trainer whose weights are not there yet reads the newest
 * state that helps; where that is not enough it answers "behind" and says how far it has
 * come. */
#ifndef ARCHWAY_WORKER_TRAINER_SHARED_H
#define ARCHWAY_WORKER_TRAINER_SHARED_H

#include "worker/data/corpus.h"
#include "worker/trainer_trial.h"

struct trainer_shared; /* opaque */

/* config and folder are copied, corpus is borrowed. */
int trainer_shared_new(const struct config *config, const struct corpus *corpus,
                       const char *folder, struct trainer_shared **ret,
                       struct error *err);
/* Keeps what has been trained since the last state, as far as whole steps go. */
void trainer_shared_free(struct trainer_shared *s); /* NULL is allowed */
/* As trainer_trial_run. */
int trainer_shared_run(struct trainer_shared *s, const struct trainer_trial_setup *setup,
                       struct error *err);

#endif
