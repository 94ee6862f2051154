/* SPDX-License-Identifier: Apache-2.0 */
/* The relaxed cell (common/nn/relaxed.h) while it is searched with (DARTS; Liu et al.,
 * ICLR 2019, algorithm 1). A step is
 *
 *   1. alpha, by Adam with betas 0.9 and 0.999, along the gradient of the loss on a
 *      window of the validation text: at the weights as they are (order 1), or at those
 *      one step further on the training window (order 2, section 2.3);
 *   2. the weights, by gradient descent with clipping on a window of the training text,
 *      under the new alpha.
 *
 * Both texts are read window by window in `batch` columns and begun again at their ends,
 * each with a hidden state that is carried on and starts as zeros with the text. Both
 * gradients are taken with dropout.
 *
 * Two things of the published code are not done: its penalty on changes of the hidden
 * state from step to step, and windows of random lengths.
 *
 * Weights start as those of shared weights do, alpha normal with deviation 1e-3.
 * Everything random is a function of the seed and the step: so many steps give the same
 * bits for the same kernels, on any machine, with any number of threads. */
#ifndef ARCHWAY_WORKER_RELAXED_POOL_H
#define ARCHWAY_WORKER_RELAXED_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/nn/optimizer.h"
#include "common/nn/relaxed.h"
#include "worker/language.h"

struct relaxed_pool_settings {
    struct language_settings language; /* patience, output, state_clip and dropout.weight
                                          are not used; norm: of the nodes */
    int nodes;                         /* N, without node 0 */
    int order;                         /* 1 or 2 */
    double alpha_lr, alpha_decay;      /* of Adam */
};

struct relaxed_pool {
    struct relaxed_pool_settings settings;
    const struct corpus *corpus; /* borrowed */
    uint64_t seed, step;         /* steps made */
    struct relaxed *model;       /* owned, as all below */
    float *parameters, *gradient;
    float *alpha, *alpha_gradient;    /* (edges, RELAXED_OPERATIONS) */
    float *kept;                      /* (3, edges, RELAXED_OPERATIONS): alpha and moments
                                         before a step that may fail */
    struct optimizer adam;            /* of alpha */
    float *train_state, *valid_state; /* (batch, H) */
    float *score_state;               /* (eval_batch, H) */
    int32_t *inputs, *targets;        /* (steps, wider batch) */
    int32_t *valid_inputs, *valid_targets; /* (steps, batch) */
    size_t train_windows, valid_windows;
};

/* ERROR_INPUT for sizes out of bounds or a text too short for the columns, ERROR_SYSTEM
 * without memory. Borrows corpus. Starts at step 0. Release with relaxed_pool_fini. */
int relaxed_pool_init(struct relaxed_pool *p,
                      const struct relaxed_pool_settings *settings,
                      const struct corpus *corpus, uint64_t seed, struct error *err);
void relaxed_pool_fini(struct relaxed_pool *p);
/* Bytes that relaxed_pool_init takes for a vocabulary of so many words. */
size_t relaxed_pool_bytes(const struct relaxed_pool_settings *settings, int vocabulary);
/* Back to step 0. */
void relaxed_pool_restart(struct relaxed_pool *p);
/* Floats of alpha. */
size_t relaxed_pool_alphas(const struct relaxed_pool *p);

/* Make the next step, the weights' at rate lr. Returns the mean loss per token of the
 * training window, ret_valid that of the validation window. Not finite where one of them
 * or a gradient was not: weights and alpha are then as before, both hidden states start
 * anew, and the step counts as made. */
double relaxed_pool_step(struct relaxed_pool *p, double lr, double *ret_valid);
/* Mean loss per token of the mixture on the validation text in `eval_batch` columns, from
 * a hidden state of zeros; batch norm uses the columns at hand. NAN with *ret_stopped
 * when watch, which may be NULL, said so. */
double relaxed_pool_score(struct relaxed_pool *p, const struct training_watch *watch,
                          bool *ret_stopped);

#endif
