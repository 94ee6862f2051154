/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the dispatcher only. */
#ifndef ARCHWAY_MASTER_DISPATCHER_INTERNAL_H
#define ARCHWAY_MASTER_DISPATCHER_INTERNAL_H

#include "master/blame.h"
#include "master/dispatcher.h"
#include "master/forecast.h"
#include "master/work_heap.h"

enum { DISPATCHER_MAX_AHEAD = 256 };

struct flight {
    uint64_t trial;
    int attempt;
    double started; /* at the front of its slot since; 0: waits behind another */
    double spent;   /* seconds of training before, that it goes on from */
    double counted; /* seconds of it that a saved state has brought into the hours */
    bool doubled;   /* its rank was silent: the trial is tried elsewhere as well */
    bool again;     /* a step of shared weights that is made again: attempt 0, doubled */
};

struct dispatcher_slot {
    struct flight *flights; /* owned; oldest first */
    int count, capacity;
    int rank, index; /* index: within its rank */
    struct dispatcher_slot *previous,
        *next; /* in the list of slots as full as this one */
};

/* Where the shared weights are trained. */
struct dispatcher_shared {
    int rank, slot;     /* rank 0: nowhere yet */
    uint64_t next, end; /* steps among these trials are made again there; end 0: none */
    uint64_t from;      /* the first of these steps */
    struct trial_shared by; /* what builds on them, */
    int by_kind;            /* and its kind */
    bool waits;         /* for the trial `next`, a step that runs elsewhere */
    int failures;       /* of them, in a row */
    uint64_t behind;    /* trial for which weights were not there */
    int behinds;        /* how often, in a row */
};

/* Ranks that make the lanes of a step together. */
struct dispatcher_gang {
    int32_t *ranks; /* owned */
    int count;
    bool came, left; /* ranks, since it was formed */
    bool broken;     /* a lane failed: nobody should wait for it */
    bool alone;      /* the only member failed: others may join now */
};

/* Slots of ranks that are ready, by how many flights they hold. */
struct slot_list {
    struct dispatcher_slot *first, *last;
};

enum worker_state {
    WORKER_EXPECTED,
    WORKER_REPORTED,
    WORKER_READY,
    WORKER_SILENT, /* was ready, may come back */
    WORKER_LOST,
    WORKER_GONE
};

struct dispatcher_worker {
    enum worker_state state;
    double heard;                /* last sign of life */
    char *host;                  /* owned; NULL before HELLO */
    struct message_hello *hello; /* owned; from HELLO to the placement, as it is large */
    struct dispatcher_slot *slots;
    int slot_count;
    struct flight
        *ghosts;      /* owned; while silent: what each slot ran, attempt 0: nothing */
    bool quarantined; /* gets no trials */
    bool saves;       /* was told to suspend and has not answered */
};

struct dispatcher {
    struct dispatcher_setup setup;
    struct ledger *ledger;
    struct dispatcher_worker *workers; /* by rank; 0 (the master) is not used */
    struct placement placement;
    struct slot_list lists[DISPATCHER_MAX_AHEAD + 2];
    bool placed, tail, stopping;
    struct bytes in, out;
    double opened, beat_at, idle_at, look_at; /* monotonic */
    double started_sum;                       /* of `started` of all running flights */
    double counted_sum;                       /* likewise of `counted` */
    double mean_seconds; /* of attempts, moving average; negative: none yet */
    struct forecast forecast;
    struct dispatcher_shared shared;
    struct dispatcher_gang gang;
    bool seen_state;        /* a trainer has saved the state of a trial */
    double end_at, span;    /* monotonic end of the session, INFINITY: none; its length */
    bool final, begun;      /* no session follows; a rank has been ready */
    /* Fresh trials by work, and those of them too long for what is left; some of both may
     * have been handed out meanwhile. Trials below `taken` were looked at. */
    struct work_heap waiting, aside;
    uint64_t taken;
    struct dispatcher_held held; /* at the last choice */
    int slots, ready, busy, in_flight; /* ready: slots of ranks that are ready */
    int expected, living, lost;        /* ranks */
    int reported;                      /* ranks that said HELLO, lost ones too */
    int silent, quarantined;           /* likewise */
    int doubled;                       /* flights that are */
    int saving;                        /* ranks that were told to suspend */
    double deferred_since;             /* a retry waits for another node; 0: none does */
    struct blame *blame;               /* owned */
    uint64_t results, failures;        /* of this session */
    char last_lost[MESSAGE_TEXT + 96]; /* which rank, and why */
};

/* dispatcher_shared.c. The slot for the next step, if it has room; another one than so
 * far when that is gone, or `instead` (not NULL). */
struct dispatcher_slot *dispatcher_holder(struct dispatcher *d, int depth,
                                          struct dispatcher_slot *instead);
/* Of all queued steps the one with the lowest id; id: one of them. */
uint64_t dispatcher_first_step(const struct dispatcher *d, uint64_t id);
int dispatcher_take_behind(struct dispatcher *d, int rank, const struct message_behind *m,
                           struct error *err);
/* The result of a step that was made again. */
int dispatcher_take_again(struct dispatcher *d, const struct flight *f,
                          const struct message_result *m, struct error *err);
/* Are steps made again? Meanwhile no trial on shared weights can be handed out. */
bool dispatcher_catches_up(const struct dispatcher *d);
/* Hand out such steps. Returns how many. */
int dispatcher_catch_up(struct dispatcher *d, int depth, struct error *err);
/* The cell that a RELAX step led to, from its message into r->derived, for which there is
 * `room`. One that is none of the space makes the attempt a failed one; `why`, which must
 * live as long as r, then holds the reason. */
void dispatcher_read_derived(const struct dispatcher *d, const struct message_result *m,
                             struct architecture *room, struct ledger_result *r,
                             struct error *why);
void dispatcher_describe_shared(const struct dispatcher *d, struct text *out);
/* dispatcher_gang.c. Are lanes of steps made by several ranks? */
bool dispatcher_has_gang(const struct dispatcher *d);
/* The slot for a lane, if it has room; else NULL. */
int dispatcher_pair_lane(struct dispatcher *d, int depth, const struct trial *t,
                         struct dispatcher_slot **ret, struct error *err);
/* An attempt failed: if it was of a lane, whoever waits for it need not wait. */
void dispatcher_break_gang(struct dispatcher *d, const struct trial *t);
void dispatcher_gang_fini(struct dispatcher *d);
/* Tell a rank. attempt 0: a step that is made again. */
int dispatcher_send_task(struct dispatcher *d, const struct trial *t,
                         const struct dispatcher_slot *s, int attempt, struct error *err);

double dispatcher_now(const struct dispatcher *d);
double dispatcher_wall(const struct dispatcher *d);
void dispatcher_notify(struct dispatcher *d, enum dispatcher_event_type type,
                       uint64_t trial, int rank, const char *reason);
int dispatcher_send(struct dispatcher *d, int rank, const struct message *m,
                    struct error *err);
/* A ready slot into the list it belongs to (the last of it) and out again. */
void dispatcher_list(struct dispatcher *d, struct dispatcher_slot *s);
void dispatcher_unlist(struct dispatcher *d, struct dispatcher_slot *s);
/* The least full slot with fewer than `depth` flights, the one that has been so for the
 * longest; NULL when there is none. */
struct dispatcher_slot *dispatcher_roomiest(struct dispatcher *d, int depth);
/* One flight more. ERROR_SYSTEM when memory is gone. */
int dispatcher_board(struct dispatcher *d, struct dispatcher_slot *s, struct flight f,
                     struct error *err);
/* Take flight `index` of a slot off the books. */
struct flight dispatcher_land(struct dispatcher *d, int rank, int slot, int index);
/* Requeue everything a rank had. `forget`: the attempts do not count. */
int dispatcher_take_back(struct dispatcher *d, int rank, bool forget, struct error *err);
/* Index of a flight in its slot; -1: nobody waits for it. */
int dispatcher_find_flight(const struct dispatcher *d, int rank, int slot, uint64_t trial,
                           int attempt);
/* dispatcher_results.c */
int dispatcher_take_result(struct dispatcher *d, int rank, const struct message_result *m,
                           struct error *err);
/* dispatcher_suspend.c */
int dispatcher_take_checkpoint(struct dispatcher *d, int rank,
                               const struct message_checkpoint *m, struct error *err);
void dispatcher_take_suspended(struct dispatcher *d, int rank);
/* The state of a trial is of no use any more. */
void dispatcher_drop_state(struct dispatcher *d, uint64_t trial);
/* Do slots of this rank take trials (and stand in the lists)? */
bool dispatcher_is_open(const struct dispatcher_worker *w);
/* All slots of a rank into the lists, if it is open; out of them, if it was. */
void dispatcher_offer(struct dispatcher *d, int rank);
void dispatcher_withdraw(struct dispatcher *d, int rank);
/* Give no more trials to a node, and to none else when it is the last one. */
void dispatcher_quarantine(struct dispatcher *d, const char *host);
void dispatcher_end_quarantine(struct dispatcher *d);
/* dispatcher_silence.c. A ready rank falls silent; a silent one speaks again after so
 * many seconds; one is given up. */
double dispatcher_silence_limit(const struct dispatcher *d);
int dispatcher_doubt(struct dispatcher *d, int rank, struct error *err);
int dispatcher_welcome_back(struct dispatcher *d, int rank, double silence,
                            struct error *err);
/* Give up attempts of a rank that ran far longer than they may. */
double dispatcher_overdue_after(const struct dispatcher *d); /* seconds */
int dispatcher_end_overdue(struct dispatcher *d, int rank, struct error *err);
void dispatcher_drop_ghosts(struct dispatcher *d, int rank);
/* A trial is over: whoever still runs it stops. */
int dispatcher_cancel_others(struct dispatcher *d, uint64_t trial, struct error *err);
int dispatcher_place(struct dispatcher *d, struct error *err);
/* dispatcher_choice.c: the trial to hand out next; `fresh`: among those without an attempt
 * behind them. False when there is none, or none may start now. */
bool dispatcher_choose(struct dispatcher *d, bool fresh, uint64_t *ret_id);
/* A rank is ready. */
void dispatcher_begin(struct dispatcher *d);
/* Is a trial that may start expected to be cut off by the end? In words. */
bool dispatcher_is_risky(struct dispatcher *d, const struct trial *t, char *ret_why,
                         size_t size);
/* Was an attempt that ran for so many seconds given about all that a session has, and
 * leaves nothing to continue from? In words, as the reason of its failure. */
bool dispatcher_had_all(const struct dispatcher *d, const struct trial *t, double seconds,
                        char *ret_why, size_t size);
/* A trial is over: its duration is worth knowing. */
void dispatcher_learn(struct dispatcher *d, const struct trial *t);
/* Seconds that the rest of a trial takes with this probability; NAN: nobody knows yet. */
double dispatcher_expected(struct dispatcher *d, const struct trial *t, double quantile);
void dispatcher_describe_held(const struct dispatcher *d, struct text *out);

#endif
