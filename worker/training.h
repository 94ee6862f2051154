/* SPDX-License-Identifier: Apache-2.0 */
/* Training a child network on a data set, epoch by epoch.
 *
 * Everything random is a function of (seed, purpose, epoch): initial weights, the order
 * of the images, crops and flips. The same seed gives the same bits for the same kernels
 * and number of threads, whatever was trained before in the same process. */
#ifndef ARCHWAY_WORKER_TRAINING_H
#define ARCHWAY_WORKER_TRAINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/nn/graph.h"
#include "common/rng.h"
#include "common/space/conv_chain.h"
#include "common/trial.h"
#include "worker/data/data.h"
#include "worker/descent.h"

/* How far a training has come. With the parameters, the running statistics and the state
 * of the optimiser it is all that decides about the rest (worker/training_state.h). */
struct training_position {
    int epoch;          /* under way, or the next one */
    int at;             /* images of it that were trained on */
    struct rng augment; /* from there on; of no meaning while at is 0 */
    double loss;        /* sums over these images */
    int64_t correct, images;
    double seconds; /* that the epoch has taken */
};

struct training {
    const struct config_builtin_trainer *settings; /* borrowed */
    const struct dataset *data;                    /* borrowed */
    uint64_t seed;
    int batch;              /* images a step: settings->batch, at most what there is */
    struct nn_graph *graph; /* owned, as all below */
    struct descent descent;
    float *images;   /* (batch, H, W, C) */
    uint8_t *labels; /* (batch) */
    uint32_t *order; /* images of the larger part */
    struct training_position position;
};

/* Asked between batches; true ends the training early. NULL: never. */
struct training_watch {
    bool (*stop)(void *context);
    void *context;
};

enum training_outcome {
    TRAINING_DONE,    /* the epoch is over */
    TRAINING_STOPPED, /* watch said so */
    TRAINING_DIVERGED /* the loss is not finite: going on is pointless */
};

/* Build and initialise the child of `chain` for `data`. Everything that the training
 * allocates (network, optimiser, a batch) has to fit into config's memory_per_trial.
 * ERROR_INPUT when it does not, saying how much is needed. Borrows config and data.
 * Release with training_fini. */
int training_init(struct training *t, const struct config *config,
                  const struct dataset *data, const struct conv_chain *chain,
                  uint64_t seed, struct error *err);
void training_fini(struct training *t);

/* Train epoch {0, ..., settings->epochs - 1} on the training part, every image once in
 * random order, then validate with the running statistics. A last batch smaller than the
 * others is trained like them, but a last batch of one image is left out: batch norm has
 * no variance over one value. ret: metrics of the epoch (val_* are NAN without validation
 * images; after a divergence train_loss is not finite and val_* are NAN); untouched when
 * stopped. A stopped epoch goes on where it was when it is asked for again, to the same
 * bits. */
enum training_outcome training_epoch(struct training *t, int epoch,
                                     const struct training_watch *watch,
                                     struct trial_epoch *ret);

#endif
