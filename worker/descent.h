/* SPDX-License-Identifier: Apache-2.0 */
/* One step of gradient descent on a child network: forward, backward, update. */
#ifndef ARCHWAY_WORKER_DESCENT_H
#define ARCHWAY_WORKER_DESCENT_H

#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/nn/graph.h"
#include "common/nn/optimizer.h"

struct descent {
    struct nn_graph *graph;                        /* borrowed */
    const struct config_builtin_trainer *settings; /* borrowed */
    struct optimizer optimizer;
};

/* The optimiser that settings names, moments zero. Weight decay applies to the weights of
 * convolutions and linear layers only (nn_parameter.decay), not to scale, shift and bias:
 * in PyTorch's terms two parameter groups, the second with weight_decay 0. */
int descent_init(struct descent *d, struct nn_graph *graph,
                 const struct config_builtin_trainer *settings, struct error *err);
void descent_fini(struct descent *d);
/* One update at rate lr from n images (n, H, W, C) and their labels. Nothing is updated
 * when the loss is not finite. ret: of the batch, before the update. */
void descent_step(struct descent *d, double lr, int n, const float *images,
                  const uint8_t *labels, struct nn_result *ret);

#endif
