/* SPDX-License-Identifier: Apache-2.0 */
/* The trainer's end of the protocol in trainer_protocol.h: what the built-in trainer reads
 * from its standard input and writes to its standard output. Nothing here does I/O. */
#ifndef ARCHWAY_PROTO_TRAINER_SIDE_H
#define ARCHWAY_PROTO_TRAINER_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "common/bytes.h"
#include "common/config.h"
#include "common/error.h"
#include "common/trial.h"

enum trainer_order_type {
    ORDER_HELLO,
    ORDER_TASK,
    ORDER_CANCEL,
    ORDER_STOP,
    ORDER_CHECKPOINT,
    ORDER_GANG,
    ORDER_LANE
};

/* A decoded line of the agent. */
struct trainer_order {
    enum trainer_order_type type;
    int32_t slot;            /* hello */
    uint64_t trial;          /* task, cancel, checkpoint */
    int32_t attempt;         /* task, cancel, checkpoint */
    uint64_t seed;           /* task */
    json_t *architecture;    /* task: an object as space_to_json writes it; owned */
    json_t *hyperparameters; /* task: an object, empty when absent; owned */
    char *checkpoint;        /* task: file of its state, NULL when absent; owned */
    uint8_t kind;            /* task: enum trial_kind */
    struct trial_shared shared; /* task: of one with shared weights */
    char *pool; /* hello: folder of the states of shared weights, or NULL; owned */
    int32_t ranks;           /* gang */
    uint64_t round;          /* lane */
    int32_t part;            /* lane */
    double checkpoint_every; /* task: seconds between states saved unasked; 0: never */
};

/* Decode one line of size bytes, without its newline; call trainer_order_fini afterwards.
 * A hello fills *config: the defaults, then name, seed, task.*, trainer.*, reward.*,
 * resources.threads_per_trial, resources.memory_per_trial and run.cache as the agent sent
 * them, and space.* and search.* in a search with shared weights. Other lines leave it
 * alone. ERROR_PEER with a text fit for a user when the line breaks the protocol or a
 * value is out of its range; ret and config are then untouched. */
int trainer_side_decode(const char *line, size_t size, struct config *config,
                        struct trainer_order *ret, struct error *err);
void trainer_order_fini(struct trainer_order *order);

/* Put a task's hyperparameters over the built-in trainer's configuration. Keys are those
 * below trainer.builtin, nested or dotted: {"epochs": 3, "optimizer": {"lr": 0.05}} or
 * {"optimizer.lr": 0.05}, but not `kernels`, which is the trainer's. ERROR_PEER naming an
 * unknown key or a value that does not fit; config is then untouched. */
int trainer_side_override(struct config *config, const json_t *hyperparameters,
                          struct error *err);

/* Append one line, newline included, to out; the caller writes it and clears out. Values
 * that are not finite are written as null: an epoch whose reward metric is null fails the
 * attempt (FAILURE_NAN). `values` may be NULL in a result whose curve was sent as progress,
 * `kernels` where it is not known what computes. Of a curve without accuracies, a text's,
 * val_perplexity is e to val_loss. checkpoints: states of trials can be saved. */
void trainer_side_encode_ready(const char *name, const char *version, const char *kernels,
                               int queue, bool checkpoints, struct bytes *out);
/* What became of a state: enum trial_checkpoint. reason: of a refusal, else NULL. */
void trainer_side_encode_checkpoint(uint64_t trial, int attempt, int checkpoint,
                                    uint32_t epoch, double seconds, const char *reason,
                                    struct bytes *out);
/* The weights are after so many steps, and architectures of the next. */
void trainer_side_encode_behind(uint64_t trial, int attempt,
                                const struct trial_shared *at, struct bytes *out);
/* Lanes of shared weights lie in the memory behind this descriptor of the trainer. */
void trainer_side_encode_lanes(int fd, size_t stride, int samples, struct bytes *out);
/* Lanes of this round that other ranks have made did not come. */
void trainer_side_encode_missing(uint64_t round, struct bytes *out);
void trainer_side_encode_progress(uint64_t trial, int attempt, uint32_t epoch,
                                  const struct trial_epoch *values, struct bytes *out);
void trainer_side_encode_result(uint64_t trial, int attempt,
                                const struct trial_epoch *values, double seconds,
                                double params, double flops, struct bytes *out);
/* A result with the cell that a relax step leads to, "architecture": a JSON object in one
 * line, and how far alpha has settled on it. */
void trainer_side_encode_derived(uint64_t trial, int attempt,
                                 const struct trial_epoch *values, double seconds,
                                 double params, double flops, const char *architecture,
                                 double log_probability, struct bytes *out);
void trainer_side_encode_failure(uint64_t trial, int attempt, const char *reason,
                                 struct bytes *out);

#endif
