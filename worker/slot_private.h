/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by slot.c (the process), slot_tasks.c (the queue) and slot_lines.c (what a trainer
 * says). */
#ifndef ARCHWAY_WORKER_SLOT_PRIVATE_H
#define ARCHWAY_WORKER_SLOT_PRIVATE_H

#include "worker/slot.h"

#include "worker/cgroup.h"
#include "worker/line_pipe.h"
#include "worker/orphans.h"
#include "worker/process.h"
#include "worker/trainer_log.h"

enum slot_state { SLOT_WAITING, SLOT_STARTING, SLOT_READY, SLOT_ENDING, SLOT_KILLED };

enum { SLOT_AHEAD_MAX = 1024 };

struct slot_task {
    struct slot_task *next;
    struct message_task task; /* strings owned */
    bool sent, cancelled;
    bool kept;      /* the trainer knows a file for its state */
    bool asked;     /* for its state: the run stops */
    double spent;   /* training time of earlier attempts that it goes on from */
    bool struck;    /* by chaos, or spared */
    double started; /* it is the trainer's first since then; NAN: not yet */
    double kill_at; /* cancelled: the trainer has to react by then */
    struct trial_epoch *epochs; /* owned */
    uint32_t epoch_count, epoch_capacity;
    char *derived; /* owned; JSON of the cell that a relax step led to, or NULL */
    double log_probability; /* of it */
};

struct slot {
    const struct slot_settings *settings;
    int index;
    struct message_slot place;
    char **environment; /* the mark comes first */
    unsigned starts, ends; /* trainers so far */
    enum slot_state state;
    bool stopped;         /* start no other process */
    bool was_ready;       /* ENDING: it had been ready */
    bool writable_wanted; /* registered for the trainer's standard input */
    struct process process;
    struct cgroup group; /* of all its processes, if the system allows */
    struct line_reader from;
    struct line_writer to;
    struct trainer_log log;
    double due;        /* WAITING: start; STARTING: ready by; ENDING, KILLED: kill at */
    double next_check; /* look whether it lives and how much memory it has */
    int failures;      /* ends in a row without a result between */
    double held_until; /* SIGTERM of somebody else ended it: its failure is told then */
    char held[TRIAL_REASON];     /* as what */
    char kernels[TRIAL_KERNELS]; /* as the trainer said when it got ready */
    bool checkpoints;            /* the trainer can save states */
    bool suspending;             /* send no more tasks */
    int ahead;                   /* tasks the trainer takes beyond the running one */
    int sent;                    /* tasks it has */
    struct slot_task *first;     /* in order; those that are sent come first */
    struct slot_task **end;
};

/* slot_tasks.c */
void slot_tasks_init(struct slot *s);
void slot_tasks_drop_first(struct slot *s);
void slot_tasks_clear(struct slot *s);
/* The process is gone: nothing is sent any more; cancelled tasks are forgotten. */
void slot_tasks_unsend(struct slot *s);
/* The sent task that a line may be about: the first, or one behind cancelled ones, which are
 * then forgotten; NULL when the trainer may not speak of it now. */
struct slot_task *slot_tasks_find(struct slot *s, uint64_t trial, int attempt);
/* Training time of the first task so far, all its attempts together. */
double slot_tasks_seconds(const struct slot *s);
/* What became of the state of the first task. NAN for seconds: as measured here. */
void slot_tasks_checkpoint(struct slot *s, int what, uint32_t epoch, double seconds,
                           const char *reason);
/* The first task runs from now on, unless it did already. */
void slot_tasks_begin(struct slot *s, double now);
/* Epoch `epoch` of a curve, filling up what was left out with NAN; false when memory is
 * gone. */
bool slot_task_put_epoch(struct slot_task *t, uint32_t epoch,
                         const struct trial_epoch *values);
/* Tell the result of the first task, nothing when it was cancelled. NAN for seconds: as
 * measured here. */
void slot_tasks_tell(struct slot *s, int failure, double seconds, double params,
                     double flops, const char *reason);
/* Tell it and forget the task. */
void slot_tasks_finish(struct slot *s, int failure, double seconds, double params,
                       double flops, const char *reason);
/* Encode and queue as many tasks as the trainer takes; false when memory is gone. */
bool slot_tasks_send(struct slot *s, double now);

/* slot_chaos.c: do to the running attempt what its fate is. */
void slot_chaos_step(struct slot *s, double now);
/* As if the trainer had written it. */
void slot_put_garbage(struct slot *s, const char *text);

/* slot_lines.c: false when the trainer broke the protocol, with the reason in err. */
bool slot_lines_take(struct slot *s, struct error *err);

#endif
