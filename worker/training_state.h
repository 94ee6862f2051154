/* SPDX-License-Identifier: Apache-2.0 */
/* What a training on images adds to its state in a file: how far the epoch has come
 * (training_position), the parameters, the running statistics, the optimiser's moments
 * and its steps. */
#ifndef ARCHWAY_WORKER_TRAINING_STATE_H
#define ARCHWAY_WORKER_TRAINING_STATE_H

#include "worker/trainer_state.h"
#include "worker/training.h"

/* Of t, fresh from training_init with config, for `order`. Otherwise as
 * trainer_state_init. */
int training_state_init(struct trainer_state *ret, struct training *t,
                        const struct config *config, const struct trainer_order *order,
                        struct error *err);

#endif
