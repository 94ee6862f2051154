/* SPDX-License-Identifier: Apache-2.0 */
/* The weights that all cells of a space share, trained step by step (Pham et al., ICML
 * 2018, section 2.2). A step is one window of the training text: each of its `samples`
 * lanes takes an architecture of its own through it, the gradients are averaged, and the
 * union of the weights that they touch takes one step of gradient descent with clipping
 * (with more than one lane the Monte-Carlo mean of equation 1). Every lane carries a
 * hidden state from step to step, whatever the architectures; it starts as zeros with the
 * text.
 *
 * Everything random is a function of the seed and the step: the same architectures in the
 * same order give the same bits for the same kernels, on any machine, with any number of
 * threads. So weights that are lost are made again from an older state and the record. */
#ifndef ARCHWAY_WORKER_POOL_H
#define ARCHWAY_WORKER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/nn/recurrent.h"
#include "worker/language.h"

struct pool_settings {
    struct language_settings language; /* patience is not used */
    int nodes, samples;
};

/* How far the weights have come: steps made, and lanes of the one under way. */
struct pool_position {
    uint64_t step;
    int part;
};

struct pool {
    struct pool_settings settings;
    struct language language; /* weights, gradient, windows, evaluation */
    struct pool_position at;
    float *states;  /* owned; (samples, batch, H) */
    size_t windows; /* of the training text */
    bool spoiled;   /* the loss of a lane was not finite: the step will be left out */
    struct recurrent_range *ranges; /* owned; what the lanes of this step touched */
    int range_count;
};

/* ERROR_INPUT for sizes out of bounds or a text too short for the columns, ERROR_SYSTEM
 * without memory. Borrows corpus. Starts at step 0. Release with pool_fini. */
int pool_init(struct pool *p, const struct pool_settings *settings,
              const struct corpus *corpus, uint64_t seed, struct error *err);
void pool_fini(struct pool *p);
/* Bytes that pool_init takes for a vocabulary of so many words. */
size_t pool_bytes(const struct pool_settings *settings, int vocabulary);
/* Back to the weights of step 0. */
void pool_restart(struct pool *p);

/* Take the cell through the next lane, and after the last lane make the step at rate lr.
 * The mean loss per token of the window; not finite: the whole step will leave the
 * weights as they are, and that lane's hidden state starts anew. */
double pool_train(struct pool *p, const struct recurrent_cell *cell, double lr);
/* Mean loss per token of the cell on the validation text with the weights as they are,
 * from a hidden state of zeros: on window `part` of `batch` columns, counted on from the
 * last window to the first, or, part < 0, on all of it in `eval_batch` columns. Batch
 * norm uses the statistics of the columns at hand. NAN with *ret_stopped when watch said
 * so. */
double pool_score(struct pool *p, const struct recurrent_cell *cell, int32_t part,
                  const struct training_watch *watch, bool *ret_stopped);

#endif
