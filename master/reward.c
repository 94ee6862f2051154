/* SPDX-License-Identifier: Apache-2.0 */
/* Rewards are computed by the master, from the curve in the record, and never by a trainer:
 * a trainer reports what it measured, and the same record gives the same rewards again. */
#include "master/reward.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* A metric that has a column of its own in the curve, else what stands in for it. */
static float reward_epoch_value(const struct config_reward *r, const struct trial_epoch *e)
{
    if (strcmp(r->metric, "val_loss") == 0)
        return e->val_loss;
    if (strcmp(r->metric, "train_accuracy") == 0)
        return e->train_accuracy;
    if (strcmp(r->metric, "train_loss") == 0)
        return e->train_loss;
    return e->val_accuracy;
}

bool reward_lower_is_better(const struct config_reward *r)
{
    return strstr(r->metric, "loss") || strstr(r->metric, "error") ||
           strstr(r->metric, "perplexity");
}

double reward_metric(const struct config_reward *r, const struct trial_epoch *epochs,
                     uint32_t count)
{
    uint32_t last = r->last_epochs > 0 ? (uint32_t)r->last_epochs : count;
    uint32_t first = count > last ? count - last : 0;
    bool lower = reward_lower_is_better(r);
    double best = lower ? INFINITY : -INFINITY, sum = 0, value = NAN;
    for (uint32_t i = first; i < count; i++) {
        value = (double)reward_epoch_value(r, &epochs[i]);
        if (!isfinite(value))
            return NAN;
        best = lower ? fmin(best, value) : fmax(best, value);
        sum += value;
    }
    if (count == 0)
        return NAN;
    if (r->reduce == REDUCE_MAX)
        return best;
    return r->reduce == REDUCE_MEAN ? sum / (count - first) : value;
}

double reward_value(const struct config_reward *r, double metric)
{
    double value =
        r->scale * pow(reward_lower_is_better(r) ? 1 / metric : metric, r->power);
    return isfinite(metric) && isfinite(value) ? value : NAN;
}
