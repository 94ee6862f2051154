/* SPDX-License-Identifier: Apache-2.0 */
/* Optimisers over one flat parameter vector. State is caller-visible so that it can be
 * saved: `m` and `v` are count floats each (NULL where the method has none). */
#ifndef ARCHWAY_COMMON_NN_OPTIMIZER_H
#define ARCHWAY_COMMON_NN_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct optimizer {
    size_t count;
    float *m, *v;  /* owned: momentum or first moment; second moment (Adam only) */
    uint64_t step; /* updates made */
};

/* `adam`: allocate both moments. All zero at the start. */
int optimizer_init(struct optimizer *o, size_t count, bool adam, struct error *err);
void optimizer_fini(struct optimizer *o);

struct optimizer_sgd {
    float lr, momentum, weight_decay;
    bool nesterov;
};
/* As torch.optim.SGD (dampening 0): g += decay * p; m = momentum * m + g; p -= lr * (g +
 * momentum * m) with nesterov, lr * m without. Decay applies to [offset, offset + n) ranges
 * the caller asks for: call once per range with the same `step`. */
void optimizer_sgd_range(struct optimizer *o, const struct optimizer_sgd *s, size_t offset,
                         size_t n, float *parameters, const float *gradients);
struct optimizer_adam {
    float lr, beta1, beta2, epsilon, weight_decay; /* 1e-3, 0.9, 0.999, 1e-8, 0 */
};
/* As torch.optim.Adam (L2 added to the gradient, bias-corrected). One step, all floats. */
void optimizer_adam_step(struct optimizer *o, const struct optimizer_adam *a,
                         float *parameters, const float *gradients);
/* Scale gradients so that their L2 norm is at most `limit`; returns the norm before. */
double optimizer_clip(float *gradients, size_t count, double limit);

#endif
