/* SPDX-License-Identifier: Apache-2.0 */
/* Learning-rate schedules, one value an epoch (trainer.builtin.schedule). */
#ifndef ARCHWAY_WORKER_SCHEDULE_H
#define ARCHWAY_WORKER_SCHEDULE_H

#include "common/config.h"

/* The rate of an epoch in {0, ..., settings->epochs - 1}, from optimizer.lr:
 *   constant  lr
 *   step      lr * factor^floor(max(0, epoch - start) / every); every 0 never drops
 *   cosine    lr * (final + (1 - final) * (1 + cos(pi * epoch / epochs)) / 2), as
 *             torch.optim.lr_scheduler.CosineAnnealingLR stepped once an epoch
 *             (Loshchilov & Hutter, ICLR 2017, equation 5, without restarts) */
double schedule_rate(const struct config_builtin_trainer *settings, int epoch);

#endif
