/* SPDX-License-Identifier: Apache-2.0 */
/* Inside an agent: its state, and what it says to the master (agent_post.c). */
#ifndef ARCHWAY_WORKER_AGENT_PRIVATE_H
#define ARCHWAY_WORKER_AGENT_PRIVATE_H

#include <limits.h>
#include <signal.h>

#include "common/bytes.h"
#include "common/config.h"
#include "proto/message.h"
#include "worker/agent.h"
#include "worker/exchange.h"
#include "worker/machine.h"
#include "worker/orphans.h"
#include "worker/slot.h"

enum agent_state {
    AGENT_HELLO, /* waits for WELCOME */
    AGENT_WORKING,
    AGENT_STOPPING, /* trainers are being ended */
    AGENT_LEAVING,  /* BYE is on its way */
    AGENT_OVER
};

struct agent {
    struct wire *wire;
    struct agent_options options;
    enum agent_state state;
    struct machine machine;
    struct config config;
    const char *argv[CONFIG_ARGS + 1];
    char *log_folder;
    char *checkpoint_folder; /* NULL: no states are kept */
    char *pool_folder;       /* NULL: no weights are shared */
    char groups[PATH_MAX]; /* where control groups can be made; "": nowhere */
    char cache[CONFIG_PATH];
    struct slot_settings settings;
    struct slot **slots;
    int slot_count;
    int epoll;
    struct bytes in, out;
    struct exchange *exchange;
    struct bytes lane;      /* a message to another agent */
    bool moved;             /* see agent_moved */
    unsigned exchange_ends; /* of the first slot's trainers, when it was opened */
    int send_status; /* of a flush within a callback */
    struct error send_error;
    double last_step, next_heartbeat;
    double silence;        /* seconds since the master's last message */
    double interrupted_at; /* NAN: not */
    double leave_by;
    bool clean; /* of STOP */
    bool suspending, suspended; /* SUSPEND has come; was answered */
    struct orphans *orphans;
    double next_sweep; /* for what trainers left behind */
    unsigned ends_seen;
    struct sigaction old_sigpipe;
    bool sigpipe_set;
};

/* agent_folders.c: those of the run that this node sees. */
void agent_folders_find(struct agent *a, const char *run_folder);
void agent_folders_fini(struct agent *a);
/* Collect a message. */
void agent_post(struct agent *a, const struct message *m);
void agent_post_hello(struct agent *a, const char *kernels);
void agent_post_heartbeat(struct agent *a);
void agent_post_bye(struct agent *a, const char *reason);
/* Of slots: context is the agent. */
void agent_sink_progress(void *context, const struct message_progress *progress);
void agent_sink_result(void *context, const struct message_result *result);
void agent_sink_checkpoint(void *context, const struct message_checkpoint *checkpoint);
void agent_sink_behind(void *context, const struct message_behind *behind);
/* agent_exchange.c: lanes of shared weights. */
int agent_exchange_init(struct agent *a, struct error *err);
void agent_exchange_fini(struct agent *a);
void agent_take_gang(struct agent *a, const struct message_gang *gang);
int agent_take_peer(struct agent *a, int rank, const struct message *m);
void agent_sink_lanes(void *context, int slot, int pid, const struct trainer_line *line,
                      uint64_t step);
void agent_sink_made(void *context, int slot, const struct message_task *task);
void agent_sink_missing(void *context, int slot, uint64_t round);
void agent_exchange_behind(struct agent *a, const struct message_behind *behind);
void agent_exchange_step(struct agent *a);
/* Send what was collected. */
int agent_flush(struct agent *a, struct error *err);

#endif
