/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a training in a file, so that another process goes on with it to the same
 * bits.
 *
 * Little-endian. 8 bytes "ARCHWAYS", version (4), CRC-32 of the payload (4), its size
 * (8); then the payload: the identity (length and text), how far the training has come
 * (training_position), seconds, the curve so far, the parameters, the running statistics,
 * the optimiser's moments and its steps. The identity is text: everything that decides
 * about the bits (data, settings, kernels, threads, seed, architecture). Only a training
 * with exactly the same one goes on from the file. */
#ifndef ARCHWAY_WORKER_CHECKPOINT_H
#define ARCHWAY_WORKER_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "proto/trainer_side.h"
#include "worker/training.h"

enum { CHECKPOINT_VERSION = 1 };

/* What the file holds beside the training. */
struct checkpoint {
    char *identity;            /* owned */
    struct trial_epoch *curve; /* owned; room for every epoch of the training */
    double seconds;            /* training time so far */
};

/* The identity of the training of `order` that t was made for; config has its
 * hyperparameters. Caller frees; NULL when memory is gone. */
char *checkpoint_identity(const struct config *config, const struct training *t,
                          const struct trainer_order *order);
void checkpoint_fini(struct checkpoint *c);

/* Write it beside `path`, sync and rename. Between two steps of t only. Blocking.
 * ERROR_SYSTEM; what was at `path` before is then still there. */
int checkpoint_write(const char *path, const struct training *t,
                     const struct checkpoint *c, struct error *err);
/* Take t, fresh from training_init, to where the file left it, and fill curve and
 * seconds. 1 when it did, 0 when there is no such file; ERROR_CORRUPT when it is damaged,
 * cut off or of another training, with text that says which, ERROR_INPUT when it is of
 * another version or too large, ERROR_SYSTEM when it cannot be read: t and c are then
 * untouched. */
int checkpoint_read(const char *path, struct training *t, struct checkpoint *c,
                    struct error *err);
/* The same from memory: 1 or an error. `name` stands for the file. */
int checkpoint_decode(const char *name, const void *data, size_t size, struct training *t,
                      struct checkpoint *c, struct error *err);

#endif
