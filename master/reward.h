/* SPDX-License-Identifier: Apache-2.0 */
/* From a curve to a reward: R = reduce(metric over the last epochs) ^ power, with the
 * maximum of the last 5 epochs and power 3 in Zoph & Le (ICLR 2017, section 4.1), times
 * reward.scale (c / perplexity^2 with c = 80 in section 4.2). */
#ifndef ARCHWAY_MASTER_REWARD_H
#define ARCHWAY_MASTER_REWARD_H

#include <stdbool.h>

#include "common/config.h"
#include "common/trial.h"

/* The reduced metric of a curve of `count` epochs; NAN when a value that counts is not
 * finite or there is no epoch. */
double reward_metric(const struct config_reward *r, const struct trial_epoch *epochs,
                     uint32_t count);
/* Is less more? True for metrics that name a loss, an error or a perplexity; their curve is
 * reduced by the minimum where the configuration says max. */
bool reward_lower_is_better(const struct config_reward *r);
/* The reward of a reduced metric, scale x metric ^ power (a loss: (1 / metric) ^ power, as R grows
 * with 1 / perplexity in the paper's recurrent search); NAN when it is not finite. */
double reward_value(const struct config_reward *r, double metric);

#endif
