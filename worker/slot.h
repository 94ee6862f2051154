/* SPDX-License-Identifier: Apache-2.0 */
/* A slot: one trainer process after another, and the tasks that wait for it.
 *
 *   WAITING --start--> STARTING --ready--> READY --its end--> ENDING --reaped--> WAITING
 *                          \___________________\--we kill--> KILLED --reaped--> WAITING
 *
 * Tasks stay with the slot, whatever becomes of the process: only the one that ran when it
 * ended fails; those that were sent ahead are sent again to the next process. Nothing here
 * blocks. Call slot_handle for the events that epoll reports, then slot_step. */
#ifndef ARCHWAY_WORKER_SLOT_H
#define ARCHWAY_WORKER_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/chaos.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/error.h"
#include "proto/message.h"
#include "proto/trainer_protocol.h"

struct slot;

/* Where a slot's news go; what is passed is borrowed for the call. */
struct slot_sink {
    void (*progress)(void *context, const struct message_progress *progress);
    void (*result)(void *context, const struct message_result *result);
    void (*checkpoint)(void *context, const struct message_checkpoint *checkpoint);
    void (*behind)(void *context, const struct message_behind *behind);
    /* Of shared weights. The trainer (process pid) keeps lanes in this memory, and is at
     * this step; it has made the lane of this task; it waits for lanes of a round. */
    void (*lanes)(void *context, int slot, int pid, const struct trainer_line *line,
                  uint64_t step);
    void (*made)(void *context, int slot, const struct message_task *task);
    void (*missing)(void *context, int slot, uint64_t round);
    void *context;
};

/* The same for all slots; borrowed, must outlive them. */
struct slot_settings {
    const struct config *config;
    const struct clock *clock;
    const char *const *argv;  /* the trainer's command, ends with NULL */
    const char *log_folder;   /* or NULL */
    const char *checkpoint_folder; /* of states of trials; or NULL */
    const char *pool_folder;       /* of states of shared weights; or NULL */
    const char *cache;        /* folder of prepared data */
    const char *groups;       /* where control groups can be made, or NULL */
    int rank;
    int epoll;                /* descriptors are registered here, see SLOT_EVENT */
    bool rocm;                /* devices are AMD's */
    double start_timeout;     /* seconds from start to "ready" */
    struct chaos chaos;       /* rehearsed faults */
    bool alone;               /* this process is the master as well: spare it */
    struct slot_sink sink;
};

enum slot_stream { SLOT_STDIN, SLOT_STDOUT, SLOT_STDERR };
/* epoll's data.u64 of a slot's stream, and back. */
#define SLOT_EVENT(index, stream) ((uint64_t)(index) << 2 | (uint64_t)(stream))
#define SLOT_EVENT_INDEX(event) ((size_t)((event) >> 2))
#define SLOT_EVENT_STREAM(event) ((enum slot_stream)((event)&3))

/* `place` is copied. The first process is started by the first slot_step. */
int slot_new(const struct slot_settings *settings, int index,
             const struct message_slot *place, struct slot **ret, struct error *err);
/* Queue a task; takes over its strings (task's pointers become NULL). */
void slot_give(struct slot *s, struct message_task *task);
/* Forget an attempt; no result follows. Unknown ones are ignored. */
void slot_cancel(struct slot *s, uint64_t trial, int attempt);
/* A line that is no task, for a trainer that is ready. */
void slot_tell(struct slot *s, const char *line);
/* Something happened to a stream. */
void slot_handle(struct slot *s, enum slot_stream stream);
/* Start, send tasks, enforce deadlines, reap: whatever is due. */
void slot_step(struct slot *s);
/* When slot_step is due next if nothing happens; monotonic seconds or INFINITY. */
double slot_due(const struct slot *s);
/* Start nothing more, and ask the trainer for the state of what runs, if it can save it.
 * What goes wrong with the attempt from now on is not its failure. */
void slot_suspend(struct slot *s);
bool slot_saves(const struct slot *s); /* it was asked and has not answered */
/* End the process and start no other; tasks are dropped without a result. */
void slot_stop(struct slot *s);
bool slot_gone(const struct slot *s); /* no process */
bool slot_has_process(const struct slot *s, pid_t pid);
/* Does the START-th trainer of this slot live? */
bool slot_is_current(const struct slot *s, unsigned start);
/* Trainers that have ended here so far. */
unsigned slot_ends(const struct slot *s);
bool slot_busy(const struct slot *s); /* a task is running or waiting */
void slot_free(struct slot *s);       /* kills what runs; NULL is allowed */

#endif
