/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a training in a file, so that another process goes on with it to the same
 * bits.
 *
 * The file (state_file.h) holds the identity (length and text), the epochs that are over
 * (4), seconds (8), the curve so far, and what the kind of training adds
 * (training_state.c, language_state.c). The identity is text: everything that decides
 * about the bits (data, settings, kernels, threads, seed, architecture). Only a training
 * with exactly the same one goes on from the file. */
#ifndef ARCHWAY_WORKER_TRAINER_STATE_H
#define ARCHWAY_WORKER_TRAINER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/trial.h"
#include "proto/trainer_side.h"
#include "worker/state_file.h"

/* What trainings of one kind add. */
struct trainer_state_kind {
    bool threads_decide;                /* about the bits */
    int (*epoch)(const void *training); /* that is under way, or the next one */
    void (*put)(const void *training, struct state_writer *out);
    /* Read what put wrote for a training of so many epochs that stood in `epoch`. Twice:
     * first only to check it, changing nothing, then with `take` to copy what was found
     * sound. NULL, or what is wrong, to follow the name of the file. */
    const char *(*get)(void *training, int epoch, int epochs, struct state_reader *in,
                       bool take);
    void (*restart)(void *training);        /* where it has not begun */
    uint64_t (*most)(const void *training); /* bytes that put writes at most */
};

struct trainer_state {
    const struct trainer_state_kind *kind;
    void *training;            /* borrowed, what kind's functions are called with */
    int epochs;                /* of the whole training */
    char *identity;            /* owned */
    struct trial_epoch *curve; /* (epochs), owned */
    double seconds;            /* training time so far */
};

/* Of the training of `order`; config has its hyperparameters. `facts`: lines on what else
 * decides about the bits, each with its newline. Borrows training. ERROR_SYSTEM without
 * memory. Release with trainer_state_fini. */
int trainer_state_init(struct trainer_state *ret, const struct trainer_state_kind *kind,
                       void *training, const struct config *config,
                       const struct trainer_order *order, const char *facts,
                       struct error *err);
void trainer_state_fini(struct trainer_state *s);

/* Write it beside `path`, sync and rename. Between two steps of the training only.
 * Blocking. ERROR_SYSTEM; what was at `path` before is then still there. */
int trainer_state_write(const char *path, const struct trainer_state *s,
                        struct error *err);
/* Take the training, which has not begun, to where the file left it, and fill curve and
 * seconds. 1 when it did, 0 when there is no such file; ERROR_CORRUPT when it is damaged,
 * cut off or of another training, with text that says which, ERROR_INPUT when it is of
 * another version or too large, ERROR_SYSTEM when it cannot be read: the training has
 * then not begun either. Takes no memory that grows with the training. */
int trainer_state_read(const char *path, struct trainer_state *s, struct error *err);
/* The same from memory: 1 or an error. `name` stands for the file. */
int trainer_state_decode(const char *name, const void *data, size_t size,
                         struct trainer_state *s, struct error *err);

#endif
