/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher: hands trials of the ledger to the slots of worker ranks and brings back
 * what their attempts gave. It knows no strategy. A rank that is silent for longer than
 * run.silent_after is doubted (its trials are tried elsewhere as well), one that is silent for
 * longer than run.lost_after is given up.
 *
 * Tasks go to idle slots first. A busy slot gets tasks ahead (at most run.prefetch) only
 * while trials take less than a second on average: ahead of a long trial, a task would wait
 * while another slot falls idle. */
#ifndef ARCHWAY_MASTER_DISPATCHER_H
#define ARCHWAY_MASTER_DISPATCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/text.h"
#include "master/engine.h"
#include "master/placement.h"
#include "proto/wire.h"

struct dispatcher; /* opaque */

enum dispatcher_event_type {
    DISPATCHER_PLACED,         /* all known ranks have their slots */
    DISPATCHER_FINISHED,       /* a trial got its result or failed for good */
    DISPATCHER_ATTEMPT_FAILED, /* and will be tried again */
    DISPATCHER_RANK_LOST,
    DISPATCHER_STARTED,     /* the first attempt of the session */
    DISPATCHER_RANK_SILENT, /* may come back; what it runs is tried elsewhere as well */
    DISPATCHER_RANK_BACK,
    DISPATCHER_LATE_RESULT, /* of an attempt that nobody waits for: not counted */
    DISPATCHER_QUARANTINE,  /* a node gets no trials any more; reason says which */
    DISPATCHER_QUARANTINE_OVER,
    DISPATCHER_CHECKPOINT, /* what became of the state of a trial; `what` and `epoch` */
    DISPATCHER_RISKY, /* a trial that starts will probably be cut off; reason says why */
    DISPATCHER_EVENT_COUNT
};
struct dispatcher_event {
    enum dispatcher_event_type type;
    uint64_t trial;
    int rank;
    const char *reason; /* borrowed during the call; or NULL */
    int slot, what;     /* CHECKPOINT: enum trial_checkpoint */
    uint32_t epoch;     /* CHECKPOINT: epochs that are over */
    double seconds;     /* CHECKPOINT: training time behind the state */
    double before;      /* CHECKPOINT: of it, what the attempt itself went on from */
};

struct dispatcher_setup { /* all borrowed for the life of the dispatcher */
    struct engine *engine;
    struct wire *wire;
    const struct clock *clock;
    const char *run_folder; /* absolute */
    bool gangs;     /* ranks can send to each other, and their trainers exchange lanes */
    bool continues; /* a trial that is cut off by the end is continued by the next session */
    void (*notify)(void *context, const struct dispatcher_event *event);
    void *context;
};

/* Trials that wait although a slot is free: they would be cut off. */
struct dispatcher_held {
    uint64_t count, trial; /* one of them */
    double seconds, left;  /* what it is expected to take; until the end */
    bool final;            /* no session follows */
};

int dispatcher_new(const struct dispatcher_setup *setup, struct dispatcher **ret,
                   struct error *err);
void dispatcher_free(struct dispatcher *d); /* NULL is allowed */

/* Take messages, give up silent ranks, make the placement when every rank has reported.
 * Returns 1 when something happened, 0 when not. ERROR_FAILED when the first attempts of
 * the session have failed without a single result. */
int dispatcher_step(struct dispatcher *d, struct error *err);
/* Hand out queued trials to free places. Returns how many. */
int dispatcher_hand_out(struct dispatcher *d, struct error *err);
/* Why nothing can go on, when no rank with slots is left; else NULL. Borrowed. */
const char *dispatcher_alone(const struct dispatcher *d);
/* Queued trials that wait for another node than the one where they failed. */
uint64_t dispatcher_deferred(const struct dispatcher *d);
/* What is not as it should be, a line each, of at most so many ranks: ranks that have not
 * reported or are silent, nodes in quarantine, trials that take far longer than expected,
 * trials that are held. A line tells how long it has been so as "for N s"; what stands
 * before that says what it is. */
void dispatcher_describe(struct dispatcher *d, int most, struct text *out);
/* The session ends at monotonic time `at` (INFINITY: never): a trial that is expected to
 * take longer is held for the next session, unless a whole session like this is too short
 * for it: then it is started while the session is young (DISPATCHER_RISKY). `final`: no
 * session follows, so such a trial is held as well. */
void dispatcher_set_end(struct dispatcher *d, double at, bool final);
/* Does nothing run, and nothing that waits can be started? ret: why. */
bool dispatcher_is_held(const struct dispatcher *d, struct dispatcher_held *ret);
/* Places that could take a trial now. */
int dispatcher_free_places(const struct dispatcher *d);
/* Nothing more will be proposed: idle slots count as the tail from now on. */
void dispatcher_set_tail(struct dispatcher *d, bool tail);
/* The run will stop: have running trials saved where their trainers can. Hand out nothing
 * afterwards; dispatcher_step takes what comes. */
int dispatcher_suspend(struct dispatcher *d, struct error *err);
/* Is any rank still at it? */
bool dispatcher_saves(const struct dispatcher *d);
/* Take back everything that is handed out (stop, budget); seconds count as lost. The
 * attempt of a trial that had about a whole session failed, so that one which never fits
 * is given up after run.retries; others do not count. */
void dispatcher_recall(struct dispatcher *d);
/* Core-seconds (GPU-seconds with devices) that running attempts have used so far. */
double dispatcher_running_cost(const struct dispatcher *d);

/* Tell all ranks to end before there is a dispatcher that could. Blocking, for at most
 * seconds. */
void dispatcher_dismiss(struct wire *wire);
/* Send STOP to every rank. */
int dispatcher_stop(struct dispatcher *d, struct error *err);
/* Have all living ranks said BYE? (call dispatcher_step in between) */
bool dispatcher_stopped(const struct dispatcher *d);
bool dispatcher_lost_any(const struct dispatcher *d);

struct dispatcher_counts {
    int ranks, lost; /* workers that reported; given up */
    int slots, busy, in_flight;
};
struct dispatcher_counts dispatcher_count(const struct dispatcher *d);
/* NULL before placement. */
const struct placement *dispatcher_placement(const struct dispatcher *d);

#endif
