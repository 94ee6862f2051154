/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by cohort.c (what happens to a rank) and cohort_attempt.c (what it works on). */
#ifndef ARCHWAY_MASTER_SIMULATE_COHORT_PRIVATE_H
#define ARCHWAY_MASTER_SIMULATE_COHORT_PRIVATE_H

#include "common/rng.h"
#include "master/simulate/cohort.h"
#include "master/simulate/sim_pool.h"
#include "proto/message.h"

enum timer { TIMER_HELLO, TIMER_BEAT, TIMER_EPOCH, TIMER_END, TIMER_DEATH, TIMER_FAULT };
enum { TIMER_BITS = 3, EPOCHS_MOST = 1000 };

struct order { /* a task that waits or runs */
    uint64_t trial;
    int32_t attempt;
    uint8_t kind;
    struct trial_shared shared;
    float accuracy;
    double seconds, timeout;
};

struct member {
    struct order *orders; /* owned; the first runs */
    uint16_t count, capacity;
    bool working, over;
    uint8_t failure; /* of the running attempt, enum trial_failure */
    uint32_t epoch;  /* of the running attempt, from 0 */
    uint64_t runs;   /* attempts begun */
    float slowness;
    double ends, began;
    double clear_at;          /* no message arrives before */
    struct trial_shared pool; /* how far its shared weights have come */
};

struct cohort {
    struct cohort_setup setup;
    struct wire *wire;
    struct member *members; /* by rank; 0 is not used */
    struct rng rng;
    struct bytes out, beats[2]; /* beats: heartbeats of an idle and of a busy rank */
    struct trial_epoch *curve;  /* `epochs` entries */
    struct sim_pool_states states;
    struct space *space; /* owned */
    int epochs;
    struct cohort_counts counts;
    char kernels[TRIAL_KERNELS]; /* that seem to train */
};

double cohort_now(const struct cohort *c);
/* Does this fault happen now? Then it is counted. */
bool cohort_strikes(struct cohort *c, enum fault fault);
void cohort_arm(struct cohort *c, int rank, double at, enum timer timer, uint64_t number);
void cohort_post(struct cohort *c, int rank, const struct message *m);

/* cohort_attempt.c: of the first order of a rank. It begins; an epoch is over; all of it
 * is; it is forgotten, and the next one begins. */
void cohort_begin(struct cohort *c, int rank);
void cohort_epoch(struct cohort *c, int rank);
void cohort_end(struct cohort *c, int rank);
void cohort_drop_first(struct cohort *c, int rank);

#endif
