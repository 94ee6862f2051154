/* SPDX-License-Identifier: Apache-2.0 */
/* The weights that all cells of a space share, trained step by step (Pham et al., ICML
 * 2018, section 2.2). A step is one window of the training text: each of its `samples`
 * lanes takes an architecture of its own through it, the gradients are averaged, and the
 * union of the weights that they touch takes one step of gradient descent with clipping
 * (with more than one lane the Monte-Carlo mean of equation 1). Every lane carries a
 * hidden state from step to step, whatever the architectures; it starts as zeros with the
 * text.
 *
 * With `sync` > 1 lanes train weights of their own for a round of so many steps, each
 * lane a step of descent at a time, and the round ends with the mean of what they came to
 * (local SGD; Stich, ICLR 2019).
 *
 * What a lane gives is kept apart until the round is taken (worker/lanes.h), so lanes may
 * be made in any order and elsewhere, and are added up in their order. Everything random
 * is a function of the seed and the step: the same architectures give the same bits for
 * the same kernels, on any machine, on any number of them, with any number of threads. So
 * weights that are lost are made again from an older state and the record. */
#ifndef ARCHWAY_WORKER_POOL_H
#define ARCHWAY_WORKER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/nn/recurrent.h"
#include "worker/language.h"
#include "worker/lanes.h"

struct pool_settings {
    struct language_settings language; /* patience is not used */
    int nodes, samples;
    int sync; /* steps of a round, 1 and more; with one lane: 1 */
};

struct pool {
    struct pool_settings settings;
    struct language language; /* weights, gradient, windows, evaluation */
    uint64_t step;            /* behind the weights: a multiple of sync */
    int *made;       /* owned; (samples): steps of the round that lanes have made */
    float *states;   /* owned; (samples, batch, H): when the round began */
    float *replicas; /* owned; (samples, count): weights of the lanes, with sync > 1 */
    struct lanes drafts; /* of lanes that are being made here, without values */
    struct lanes lanes;  /* whole ones, from here and elsewhere; none with one lane */
    size_t windows;      /* of the training text */
    struct recurrent_range *ranges; /* owned; room for all */
    int range_count;                /* what some lane of the round touched */
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
/* No lane of the round under way has been made. */
void pool_begin(struct pool *p);

/* Take the cell through the lane's next step of the round (made[part] < sync), at rate lr
 * when lanes train weights of their own. The mean loss per token of the window; not
 * finite: the step (with sync > 1 that of the lane alone) leaves weights as they are, and
 * the lane's hidden state starts anew. */
double pool_train(struct pool *p, int part, const struct recurrent_cell *cell, double lr);
uint64_t pool_round(const struct pool *p);
/* Is there this lane of the round under way in `lanes`, whoever has put it there? Then it
 * counts as made. */
bool pool_accept(struct pool *p, int part);
/* Is there still this lane of the round that begins with so many steps, the one under way
 * or the one before? Then the loss of its last step. */
bool pool_recall(const struct pool *p, uint64_t step, int part, double *ret_loss);
/* Of the lanes that have not come to the end of the round the first of those least far;
 * -1: all have. */
int pool_next(const struct pool *p);
/* All lanes have come to the end of the round: take it (without sync a step at rate lr).
 * Lanes of the next one that are there already count as made. */
void pool_take(struct pool *p, double lr);

/* Mean loss per token of the cell on the validation text with the weights as they are,
 * from a hidden state of zeros: on window `part` of `batch` columns, counted on from the
 * last window to the first, or, part < 0, on all of it in `eval_batch` columns. Batch
 * norm uses the statistics of the columns at hand. NAN with *ret_stopped when watch said
 * so. */
double pool_score(struct pool *p, const struct recurrent_cell *cell, int32_t part,
                  const struct training_watch *watch, bool *ret_stopped);

#endif
