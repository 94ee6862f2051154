/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of the built-in trainer on a relaxed cell: what trainer_shared.h does for weights
 * that architectures share. The answer to a step carries the cell that is derived from
 * alpha after it; the architecture of a task is not looked at. */
#ifndef ARCHWAY_WORKER_TRAINER_RELAXED_H
#define ARCHWAY_WORKER_TRAINER_RELAXED_H

#include "worker/data/corpus.h"
#include "worker/trainer_trial.h"

struct trainer_relaxed; /* opaque */

/* config and folder are copied, corpus is borrowed. */
int trainer_relaxed_new(const struct config *config, const struct corpus *corpus,
                        const char *folder, struct trainer_relaxed **ret,
                        struct error *err);
/* Keeps what has been trained since the last state. */
void trainer_relaxed_free(struct trainer_relaxed *r); /* NULL is allowed */
/* Give its memory back until it is asked again: a child network is next. What was trained
 * since the last state is kept. */
void trainer_relaxed_rest(struct trainer_relaxed *r);
/* As trainer_trial_run. */
int trainer_relaxed_run(struct trainer_relaxed *r,
                        const struct trainer_trial_setup *setup, struct error *err);

#endif
