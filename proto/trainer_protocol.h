/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol between an agent and a trainer process: JSON lines on the trainer's
 * standard input and output, UTF-8, one object a line, at most TRAINER_LINE_MAX bytes.
 *
 *   agent -> trainer
 *     {"type":"hello","protocol":1,"run":NAME,"seed":S,"task":{...},"trainer":{...},
 *      "reward":{"metric":...},"threads":N,"memory":BYTES,"cache":FOLDER,"slot":N}
 *         seed: of the run (splits the data); each task has its own
 *     {"type":"task","trial":ID,"attempt":N,"seed":S,"architecture":{...},
 *      "hyperparameters":{...}}
 *         and, for a trainer that said "checkpoints":
 *      "checkpoint":PATH,"checkpoint_every":S
 *         where the trial's state is kept. A file that is there already continues the
 *         trial, whichever attempt left it
 *         and, in a search with shared weights:
 *      "kind":"train_shared" | "eval_shared" | "relax" | "eval_relax","step":S,"part":P
 *         train_shared: take the shared weights, after S steps, through this
 *         architecture, the P-th of step S; eval_shared: score it with the weights after
 *         S steps, on window P of the validation data, or, P below 0, on all of it;
 *         relax: make step S of the relaxed cell; eval_relax: score it after S steps
 *     {"type":"checkpoint","trial":ID,"attempt":N}
 *         the run stops: save the state and end this attempt without a result
 *     {"type":"cancel","trial":ID,"attempt":N}
 *     {"type":"gang","ranks":N}
 *         so many ranks make the lanes of shared weights together from now on
 *     {"type":"lane","round":R,"part":P}
 *         this lane, made by another rank, is in the shared memory now
 *     {"type":"stop"}                      end of file on standard input means the same
 *   trainer -> agent
 *     {"type":"ready","protocol":1,"name":TEXT,"version":TEXT,"kernels":TEXT,"queue":N,
 *      "checkpoints":true}
 *         kernels: what computes ("avx2"), cut to 31 bytes; with the same, the same seed
 *         gives the same bits; absent: not known
 *         queue: tasks it can be sent ahead of the running one, 0 when absent
 *         checkpoints: it can save the state of a trial, and continue from it
 *     {"type":"behind","trial":ID,"attempt":N,"step":S,"part":P}
 *         answers a task with shared weights: those of this trainer have made S steps and
 *         taken P architectures of the next, which is not what the task needs
 *     {"type":"lanes","fd":N,"stride":BYTES,"samples":M}
 *         of the built-in trainer: lanes of shared weights lie in the memory behind this
 *         descriptor, as worker/lanes.h has it
 *     {"type":"missing","round":R}
 *         it waits for lanes of this round that other ranks make
 *     {"type":"progress","trial":ID,"attempt":N,"epoch":E,"metrics":{"train_loss":...,
 *      "train_accuracy":...,"val_loss":...,"val_accuracy":...,"lr":...},"seconds":S}
 *     {"type":"result","trial":ID,"attempt":N,"status":"ok","metrics":{...},
 *      "params":N,"flops":N,"seconds":S}
 *         of a relax step with "architecture":{...}, as in a task: the cell that the
 *         relaxed one stands for now; and "log_probability":N, how far it has settled on
 *         it (0: altogether)
 *     {"type":"result","trial":ID,"attempt":N,"status":"failed","reason":TEXT}
 *     {"type":"checkpoint","trial":ID,"attempt":N,"status":"saved","epoch":E,"seconds":S}
 *         status is "saved" (and goes on training), "suspended" (saved as the agent
 * asked, and the attempt is over), "continued" (first line of an attempt that goes on
 * from a file) or "refused" (likewise of one that cannot use the file, with "reason", and
 * begins anew). epoch: epochs that are over; seconds: training time of the trial behind
 * that state, all attempts together
 *
 * A state is written under another name, synced and renamed to PATH: a file there is
 * whole, whatever happened. It holds the curve too: an attempt that continues reports the
 * epochs that were over once more, right after "continued". Its result's seconds are
 * those of the whole trial. A trainer that cannot save says nothing and goes on. Asked
 * for a trial whose result has just been sent, it does nothing.
 *
 * A trainer that reports no progress but a result with metrics counts as one epoch. The
 * sections "task", "trainer" and "reward" of hello are the effective configuration as
 * JSON, of "trainer" what applies: {"builtin":{...}} or {"command":[...]}. Every number
 * must be finite where it is used as the reward; NaN/Infinity/null is FAILURE_NAN.
 * Unknown fields are ignored; unknown types, other trials or attempts are
 * FAILURE_PROTOCOL. Numbers: ids and seeds are integers below 2^63 (of a larger seed the
 * highest bit is dropped). */
#ifndef ARCHWAY_PROTO_TRAINER_PROTOCOL_H
#define ARCHWAY_PROTO_TRAINER_PROTOCOL_H

#include <stdint.h>
#include <jansson.h>

#include "common/config.h"
#include "common/error.h"
#include "common/trial.h"

enum { TRAINER_PROTOCOL = 1, TRAINER_LINE_MAX = 1 << 20, TRAINER_MAX_LANES = 1024 };

enum trainer_line_type {
    TRAINER_READY,
    TRAINER_PROGRESS,
    TRAINER_RESULT,
    TRAINER_CHECKPOINT,
    TRAINER_BEHIND,
    TRAINER_LANES,
    TRAINER_MISSING
};

/* A decoded line of a trainer. */
struct trainer_line {
    enum trainer_line_type type;
    uint64_t trial;
    int32_t attempt;
    int32_t queue;               /* ready */
    char name[256];              /* ready: name and version */
    char kernels[TRIAL_KERNELS]; /* ready; "": not said */
    int checkpoints;             /* ready: it can save states */
    int checkpoint;              /* checkpoint: enum trial_checkpoint */
    struct trial_shared at;      /* behind */
    int32_t fd, samples;         /* lanes */
    int64_t stride;              /* lanes: bytes */
    uint64_t round;              /* missing */
    uint32_t epoch;              /* progress; checkpoint: epochs that are over */
    struct trial_epoch values;   /* progress; result: last values when it has metrics */
    int has_metrics;             /* progress, result: at least one value of `values` */
    int not_finite;              /* progress, result: the reward metric is there but NaN,
                                    infinite or null: FAILURE_NAN */
    int failed;                  /* result */
    double seconds, params, flops; /* result (seconds: checkpoint too); NAN when absent */
    const char *architecture;      /* result: its text in the line, not ended by a 0; NULL
                                      when absent */
    size_t architecture_size;
    double log_probability;        /* result; NAN when absent */
    char reason[TRIAL_REASON];     /* result, failed; checkpoint, refused */
};

/* Lines for a trainer, without the newline. Caller frees; NULL when memory is gone. The JSON
 * texts must be on one line; NULL and "" count as {}. */
/* pool: folder of the states of shared weights; NULL: the search has none. */
char *trainer_encode_hello(const struct config *config, int slot, const char *cache,
                           const char *pool);
struct trainer_checkpoint {
    const char *path; /* NULL: none */
    double every;     /* seconds between two states that are saved unasked; 0: never */
};
struct trainer_task {
    uint64_t trial, seed;
    int attempt;
    uint8_t kind; /* enum trial_kind */
    struct trial_shared shared;
    const char *architecture, *hyperparameters; /* JSON */
    struct trainer_checkpoint checkpoint;
};
char *trainer_encode_task(const struct trainer_task *task);
char *trainer_encode_checkpoint(uint64_t trial, int attempt);
char *trainer_encode_cancel(uint64_t trial, int attempt);
char *trainer_encode_stop(void);
char *trainer_encode_gang(int ranks);
char *trainer_encode_lane(uint64_t round, int part);

/* Decode one line of size bytes. `metric` is the configured reward metric: when it is
 * none of the named ones (val_accuracy, ...), its value is stored as val_accuracy.
 * ret->architecture borrows from the line. ERROR_PEER with a text fit for a user when the
 * line breaks the protocol; ret is then untouched. Takes no memory. */
int trainer_decode_line(const char *line, size_t size, const char *metric,
                        struct trainer_line *ret, struct error *err);

#endif
