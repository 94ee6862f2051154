/* SPDX-License-Identifier: Apache-2.0 */
/* A trial: one architecture trained once, at one seed and fidelity, or taken through one
 * step of weights that all share. Plain data shared by ledger, strategies, journal, store
 * and messages. */
#ifndef ARCHWAY_COMMON_TRIAL_H
#define ARCHWAY_COMMON_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/architecture.h"

/* What is done with the architecture. Part of the file format: append only. */
enum trial_kind {
    TRIAL_TRAIN_CHILD = 0,  /* a child network trained from scratch */
    TRIAL_TRAIN_SHARED = 1, /* the shared weights take a step through it */
    TRIAL_EVAL_SHARED = 2,  /* scored with the shared weights as they are */
    TRIAL_RELAX = 3,        /* the relaxed cell takes a step; the architecture is the cell
                               that is derived from it, before the step and, once DONE,
                               after it */
    TRIAL_EVAL_RELAX = 4,   /* the relaxed cell is scored as it is */
    TRIAL_KIND_COUNT
};

/* Of a trial with shared weights, which are the product of the steps made so far. */
struct trial_shared {
    uint64_t step; /* of a step: which one, from 0; EVAL: steps made before */
    int32_t part; /* TRAIN: which architecture of the step; RELAX: 0; EVAL: the validation
                     window, counted on beyond the last one, or -1: all of them */
};

enum trial_arm { ARM_SEARCH = 0, ARM_CONTROL = 1, ARM_COUNT = 2 };

/* Part of the file format: append only. */
enum trial_state {
    TRIAL_QUEUED = 0,  /* proposed, waits for a slot */
    TRIAL_RUNNING = 1, /* handed to a worker */
    TRIAL_WAITING = 2, /* a duplicate of a trial that has no result yet */
    TRIAL_DONE = 3,
    TRIAL_FAILED = 4,  /* all attempts failed */
    TRIAL_SAVED = 5    /* a duplicate, answered from the record */
};

/* Why an attempt ended without a result. Part of the file format: append only. */
enum trial_failure {
    FAILURE_NONE = 0,
    FAILURE_TRAINER = 1,  /* the trainer reported it */
    FAILURE_EXIT = 2,     /* the trainer ended or was killed by a signal */
    FAILURE_TIMEOUT = 3,
    FAILURE_PROTOCOL = 4, /* it wrote what the protocol does not allow */
    FAILURE_NAN = 5,      /* not a number where a metric should be */
    FAILURE_LOST = 6,     /* its rank was lost */
    FAILURE_START = 7     /* the trainer could not be started */
};

/* What became of the state of a running trial. Part of the file format: append only. */
enum trial_checkpoint {
    CHECKPOINT_SAVED = 0,     /* and it goes on */
    CHECKPOINT_SUSPENDED = 1, /* and its attempt ended with that, without a result */
    CHECKPOINT_CONTINUED = 2, /* an attempt goes on from it */
    CHECKPOINT_REFUSED = 3    /* an attempt could not use it and began anew */
};

enum { TRIAL_MAX_EPOCHS = 10000, TRIAL_REASON = 1024, TRIAL_KERNELS = 32 };

/* One epoch of a curve; NAN where the trainer did not report a value. */
struct trial_epoch {
    float train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds;
};

struct trial {
    uint64_t id;
    uint8_t kind, arm, state; /* enums above */
    uint8_t failure;          /* enum trial_failure of the last attempt */
    uint16_t attempts;        /* attempts started */
    bool told;                /* its strategy knows the result; kept by the ledger */
    int32_t worker, slot;     /* rank and slot of the last attempt; -1: none */
    uint64_t arm_index;       /* position within its arm, from 0 */
    uint64_t seed;            /* handed to the trainer */
    uint32_t policy_version;  /* updates that the policy had seen when it was proposed */
    uint32_t epoch_count;     /* of the curve, below */
    int64_t same_as;          /* id of the trial that answers it, or -1 */
    struct trial_shared shared;        /* zeros of TRAIN_CHILD */
    struct architecture *architecture; /* owned by the trial's holder; may be packed */
    struct architecture_hash hash;
    double log_probability; /* of the proposal under its policy; of a RELAX step that is
                               DONE: how far alpha has settled on its cell
                               (relaxed_settled); NAN when not meaningful */
    /* results */
    double val_accuracy, reward; /* NAN until told; val_accuracy is the reduced metric */
    double seconds;              /* training time of the last attempt */
    double params, flops;
    char kernels[TRIAL_KERNELS]; /* that trained the last attempt, as its trainer said */
    double proposed_at, finished_at; /* Unix time, seconds */
    /* while QUEUED or RUNNING: the state of it that was saved last */
    double saved_seconds;  /* training time behind it, all attempts; 0: there is none */
    uint32_t saved_epochs; /* that were over */
    struct trial_epoch *epochs; /* owned; epoch_count entries */
    char *reason; /* owned; why it failed, or NULL: a line, and if there were any, the
                   * last lines of the trainer's standard error, a line each */
};

/* Does its reward stand for the architecture as a whole, comparable with others of its
 * kind? Not a step of shared weights, nor a glance at one validation window. */
bool trial_is_evaluation(const struct trial *t);
/* Does a trial of this kind change weights that later ones build on? Such steps are made
 * in their order; they have a loss and no reward. */
bool trial_kind_is_step(int kind);

const char *trial_kind_name(int kind); /* "train_child", ... */
const char *trial_state_name(int state);
const char *trial_arm_name(int arm);         /* "search", "control" */
const char *trial_failure_name(int failure); /* "trainer", "timeout", ... */
const char *trial_checkpoint_name(int checkpoint); /* "saved", "suspended", ... */

#endif
