/* SPDX-License-Identifier: Apache-2.0 */
/* The learning rate is a closed form of the epoch, not a running product: an epoch has
 * the same rate whoever asks, in any order, and no error builds up over long trainings.
 */
#include "worker/schedule.h"

#include <math.h>

double schedule_rate(const struct config_builtin_trainer *settings, int epoch)
{
    double lr = settings->optimizer.lr;
    switch (settings->schedule.name) {
    case SCHEDULE_STEP:
        if (settings->schedule.every <= 0)
            return lr;
        epoch = epoch > settings->schedule.start ? epoch - settings->schedule.start : 0;
        return lr * pow(settings->schedule.factor, epoch / settings->schedule.every);
    case SCHEDULE_COSINE: {
        double end = settings->schedule.final;
        double turn = 3.14159265358979323846 * epoch / settings->epochs;
        return lr * (end + (1 - end) * (1 + cos(turn)) / 2);
    }
    default:
        return lr;
    }
}
