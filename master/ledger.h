/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: every trial of a run with its state, and where the hours went. It is the one
 * owner of trials; it knows no strategy, no transport and no file. All calls are O(1)
 * amortised. Ids are dense, from 0, and ascend with proposal.
 *
 * A call that does not fit the trial's state (the journal may be wrong) changes nothing:
 * those that return int then give ERROR_CORRUPT. */
#ifndef ARCHWAY_MASTER_LEDGER_H
#define ARCHWAY_MASTER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/trial.h"

struct ledger;

/* Core- or GPU-seconds by what became of them, and trainings saved. The ledger only keeps
 * them: the caller adds to them, because it alone knows cores and devices. */
struct ledger_hours {
    double trained;   /* attempts that gave a result, x cores */
    double failed;    /* attempts that failed */
    double lost;      /* attempts cut off: rank lost, run stopped */
    double saved;     /* what duplicates would have cost (their original's seconds) */
    double idle_wait; /* slots idle while the search had no work to give */
    double idle_tail; /* slots idle after the last trial was handed out */
    uint64_t duplicates; /* trials answered from the record */
};

int ledger_new(struct ledger **ret, struct error *err);
void ledger_free(struct ledger *l);

/* Append a trial in any state (a new one, or one of a snapshot): its id must equal
 * ledger_count, else ERROR_CORRUPT. Takes ownership of t->architecture, epochs and reason
 * on success, and copies the first two to where they take less memory; t->told is not
 * taken. QUEUED enters the queue (with attempts behind it or a saved state, as a retry);
 * WAITING and SAVED need same_as, which is an earlier trial. */
int ledger_add(struct ledger *l, const struct trial *t, struct error *err);
uint64_t ledger_count(const struct ledger *l);
/* Borrowed; stays at its place as long as the ledger lives. NULL for an unknown id. */
const struct trial *ledger_trial(const struct ledger *l, uint64_t id);
/* How many trials are in a state; arm -1: both. */
uint64_t ledger_count_state(const struct ledger *l, int arm, int state);

/* The first trial with this hash in this arm that is not FAILED (a WAITING one included)
 * nor a RELAX step;
 * NULL when there is none (or no memory is left: ledger_add fails from then on). The
 * first call after many trials were added takes them in: some 0.3 us each. */
const struct trial *ledger_find(struct ledger *l, enum trial_arm arm,
                                struct architecture_hash hash);

/* Oldest queued trial (first those put in front, in the order in which they were); false
 * when the queue is empty. Peek only. */
bool ledger_next(const struct ledger *l, uint64_t *ret_id);
/* Likewise among those without an attempt behind them. */
bool ledger_next_fresh(const struct ledger *l, uint64_t *ret_id);
/* The one behind queued trial `id` in the queue; false at its end. */
bool ledger_next_after(const struct ledger *l, uint64_t id, uint64_t *ret_id);
/* Queued trials with an attempt behind them. */
uint64_t ledger_count_retries(const struct ledger *l);
/* QUEUED -> RUNNING: the next attempt starts at worker/slot. Returns the attempt number,
 * from 1. */
int ledger_start(struct ledger *l, uint64_t id, int worker, int slot);
/* RUNNING -> QUEUED in front, e.g. when its rank was lost or the run stopped. With
 * `forget` the attempt does not count. */
void ledger_requeue(struct ledger *l, uint64_t id, bool forget);
/* The state of a QUEUED or RUNNING trial is on disk, with so many epochs over after so
 * many seconds of training; 0 seconds: there is none any more. It is gone when the trial
 * is over, and when an attempt fails by its own fault. */
void ledger_keep_state(struct ledger *l, uint64_t id, uint32_t epochs, double seconds);

/* What an attempt brought. Strings and epochs are copied. */
struct ledger_result {
    uint8_t failure; /* enum trial_failure; FAILURE_NONE: a result */
    double val_accuracy, seconds, params, flops, finished_at;
    uint32_t epoch_count;
    const struct trial_epoch *epochs;
    const char *reason;          /* or NULL */
    char kernels[TRIAL_KERNELS]; /* "": the trainer did not say */
    /* Of a RELAX step: the cell behind it, which takes the place of the trial's
     * architecture when that is DONE; copied; NULL: none. */
    const struct architecture *derived;
    struct architecture_hash derived_hash;
    double log_probability; /* of it, likewise */
};
/* RUNNING -> QUEUED in front, keeping failure, seconds and reason of the attempt. */
int ledger_attempt_failed(struct ledger *l, uint64_t id, const struct ledger_result *r,
                          struct error *err);
/* RUNNING (or QUEUED, in replay) -> DONE, with the reward. */
int ledger_done(struct ledger *l, uint64_t id, const struct ledger_result *r,
                double reward, struct error *err);
/* RUNNING, QUEUED or WAITING -> FAILED for good, keeping reason; reward is what the
 * strategy is told (NAN: skip). Trials that wait for it keep waiting: resolve each of them
 * again, by ledger_find (which may find the trial itself): release it or wait on another. */
int ledger_failed(struct ledger *l, uint64_t id, const struct ledger_result *r,
                  double reward, struct error *err);
/* WAITING -> SAVED: copies accuracy, reward, curve and cost of the trial it is same_as,
 * which is DONE or SAVED. finished_at as given. */
int ledger_saved(struct ledger *l, uint64_t id, double finished_at, struct error *err);
/* WAITING -> QUEUED in front: what it waited for failed, so it is trained itself. */
void ledger_release(struct ledger *l, uint64_t id);
/* A WAITING trial waits for `other` from now on: an earlier trial that is not FAILED.
 * ERROR_CORRUPT when it is not so, ERROR_SYSTEM when memory is gone. */
int ledger_wait_on(struct ledger *l, uint64_t id, uint64_t other);
/* Trials that are WAITING for `id`, in ascending order; returns how many (ret borrowed,
 * valid until the next change of the ledger). */
int ledger_waiting(const struct ledger *l, uint64_t id, const uint64_t **ret);

/* Note that the trial's strategy was told of it (t->told). */
void ledger_set_told(struct ledger *l, uint64_t id);

struct ledger_hours *ledger_hours(struct ledger *l);
/* Bytes of the records: a fixed part a trial, its tokens, curve and reason, and its place
 * in the index of architectures. What more the process takes is not for the trials. */
uint64_t ledger_bytes(const struct ledger *l);

#endif
