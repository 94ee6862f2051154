/* SPDX-License-Identifier: Apache-2.0 */
/* What a training on a text adds to its state in a file: how far the epoch has come
 * (language_position), the validation losses that decide when averaging begins, the
 * parameters, their average once it has begun, and within an epoch the hidden state that
 * the next window starts from. */
#ifndef ARCHWAY_WORKER_LANGUAGE_STATE_H
#define ARCHWAY_WORKER_LANGUAGE_STATE_H

#include "worker/language.h"
#include "worker/trainer_state.h"

/* Of l, fresh from language_init with the settings of config, for `order`. Otherwise as
 * trainer_state_init. */
int language_state_init(struct trainer_state *ret, struct language *l,
                        const struct config *config, const struct trainer_order *order,
                        struct error *err);

#endif
