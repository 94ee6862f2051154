/* SPDX-License-Identifier: Apache-2.0 */
/* Training a recurrent cell on a text, epoch by epoch: truncated back-propagation through
 * windows of `steps` words, the hidden state carried from window to window, plain gradient
 * descent with clipping; once the validation stops improving, the weights are averaged
 * (NT-ASGD; Merity et al., ICLR 2018, algorithm 1).
 *
 * Everything random is a function of the seed and the position. The same seed gives the
 * same bits for the same kernels, whatever the number of threads. */
#ifndef ARCHWAY_WORKER_LANGUAGE_H
#define ARCHWAY_WORKER_LANGUAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/nn/recurrent.h"
#include "common/trial.h"
#include "worker/language_cell.h"
#include "worker/text_columns.h"
#include "worker/training.h"

enum { LANGUAGE_MAX_PATIENCE = 1000 };

struct language_settings {
    int hidden, batch, steps;
    int eval_batch; /* columns of the validation text */
    double init;    /* weights start uniform in [-init, init] */
    double clip, decay;
    double state_clip;
    bool norm;
    enum recurrent_output output;
    struct recurrent_dropout dropout; /* shares only */
    int patience; /* averaging starts when the validation loss is worse than the best one
                     that is more than so many epochs old; 0: never */
    int threads;
    const char *kernels;
};

/* How far it has come. With the parameters, their average, the hidden state and the
 * losses it is all that decides about the rest (worker/language_state.h). */
struct language_position {
    int epoch;         /* under way, or the next one */
    uint64_t window;   /* of it, the next one */
    uint64_t updates;  /* of all epochs */
    uint64_t averaged; /* parameters in the average; 0: not begun */
    double loss;       /* sum over this epoch's tokens so far */
    uint64_t tokens;
    double seconds; /* that the epoch has taken */
};

struct language {
    struct language_settings settings;
    const struct corpus *corpus; /* borrowed */
    struct recurrent_cell cell;  /* not looked at where the child is a tree */
    uint64_t seed;
    struct recurrent *model; /* owned, as all below */
    float *parameters, *gradient, *average; /* average: NULL without patience */
    float *state; /* recurrent_state of the wider batch: between an epoch's windows */
    int32_t *inputs, *targets;
    double *losses; /* of validation, an epoch each; room for patience + 1 */
    int loss_count;
    struct language_position position;
};

/* ERROR_INPUT when the text is too short for the batch, or a size is out of bounds,
 * ERROR_SYSTEM without memory. Borrows corpus. Release with language_fini. */
int language_init(struct language *l, const struct language_settings *settings,
                  const struct corpus *corpus, const struct language_cell *cell,
                  uint64_t seed, struct error *err);
/* The same for a pool of the weights of all cells of so many nodes: what it evaluates is
 * `cell`, which the caller sets. */
int language_init_pool(struct language *l, const struct language_settings *settings,
                       const struct corpus *corpus, int nodes, uint64_t seed,
                       struct error *err);
void language_fini(struct language *l);
/* Draw the parameters that it starts with. */
void language_draw(struct language *l);
/* Bytes that language_init takes for a model with so many words. */
size_t language_bytes(const struct language_settings *settings, int vocabulary,
                      const struct language_cell *cell);
size_t language_pool_bytes(const struct language_settings *settings, int vocabulary,
                           int nodes);

/* Train the epoch that is under way or the next one at rate lr, then validate. ret: mean
 * losses per token of both texts (val_loss NAN without one), lr, seconds. Outcomes as in
 * worker/training.h; a stopped epoch goes on where it was when it is asked for again. */
enum training_outcome language_epoch(struct language *l, double lr,
                                     const struct training_watch *watch,
                                     struct trial_epoch *ret);
/* Mean loss per token over a whole part of the corpus, in `batch` columns, the hidden state
 * carried from its beginning; from the average where there is one. The perplexity is e to
 * this. NAN when the part is too short, or when watch stopped it: then *ret_stopped is true
 * (false otherwise; may be NULL). batch: at most the larger of the settings. */
double language_evaluate(struct language *l, enum corpus_part_name part, int batch,
                         const struct training_watch *watch, bool *ret_stopped);

#endif
