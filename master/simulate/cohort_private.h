/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by cohort.c (what happens to a rank) and cohort_attempt.c (what it works on). */
#ifndef ARCHWAY_MASTER_SIMULATE_COHORT_PRIVATE_H
#define ARCHWAY_MASTER_SIMULATE_COHORT_PRIVATE_H

#include "common/rng.h"
#include "master/simulate/cohort.h"
#include "master/simulate/sim_pool.h"
#include "proto/message.h"

enum timer {
    TIMER_HELLO,
    TIMER_BEAT,
    TIMER_EPOCH,
    TIMER_END,
    TIMER_DEATH,
    TIMER_FAULT,
    TIMER_LANE, /* one of another rank comes */
    TIMER_VAIN  /* lanes that are waited for have not come */
};
enum { TIMER_BITS = 3, EPOCHS_MOST = 1000 };

struct order { /* a task that waits or runs */
    uint64_t trial;
    int32_t attempt;
    uint8_t kind;
    struct trial_shared shared;
    float accuracy;
    double seconds, timeout;
};

/* For lanes of others: the first order, before its work begins, or when it is done. */
enum wait { WAITS_NOT, WAITS_BEFORE, WAITS_AFTER, WAITS_ASKED = 4 /* flag: again */ };

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
    struct sim_pool pool;
    int32_t *gang; /* owned; ranks that make lanes together, or NULL */
    int gang_count;
    uint8_t waits; /* enum wait */
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

/* cohort_lanes.c: lanes between ranks. The first order waits; what it waits for has come,
 * or not; ranks are told of a new gang. */
struct sim_pool_task cohort_task(const struct cohort *c, int rank);
void cohort_wait(struct cohort *c, int rank, enum wait when);
void cohort_send_lane(struct cohort *c, int rank, uint64_t round, int part);
void cohort_take_lane(struct cohort *c, int rank, uint64_t number);
void cohort_wait_vainly(struct cohort *c, int rank);
void cohort_take_gang(struct cohort *c, int rank, const struct message_gang *gang);

/* cohort_attempt.c: of the first order of a rank. It begins; an epoch is over; all of it
 * is; it is forgotten, and the next one begins. */
void cohort_begin(struct cohort *c, int rank);
void cohort_epoch(struct cohort *c, int rank);
void cohort_end(struct cohort *c, int rank);
/* Its work is done: tell the result, unless lanes are waited for. */
void cohort_finish(struct cohort *c, int rank);
void cohort_tell_behind(struct cohort *c, int rank);
void cohort_drop_first(struct cohort *c, int rank);

#endif
