/* SPDX-License-Identifier: Apache-2.0 */
/* The messages between master and agents: this header is the specification.
 *
 * Frame: u32 magic "AWM1", u16 version, u16 type, u32 payload size, payload. Several
 * frames may follow each other in one transport message. Little-endian, strings as u32
 * length and bytes. A frame that does not decode is an error of its sender (ERROR_PEER).
 *
 *   agent  -> master  HELLO      once, first: who and where I am
 *   master -> agent   WELCOME    the configuration, your slots
 *   agent  -> master  READY      slots are set up; tasks may come
 *   master -> agent   TASK       train this (queued at the slot when it is busy)
 *   master -> agent   CANCEL     stop this attempt; no RESULT follows
 *   agent  -> master  PROGRESS   an epoch of an attempt is over
 *   agent  -> master  RESULT     an attempt is over, one way or another
 *   agent  -> master  HEARTBEAT  every run.heartbeat seconds
 *   master -> agent   HEARTBEAT  likewise, so that agents notice a dead master
 *   agent  -> master  BEHIND     an attempt on shared weights is over without a result,
 *                                for those of its trainer are of another step
 *   agent  -> master  CHECKPOINT what became of the state of a trial; when it is
 *                                "suspended", the attempt is over and no RESULT follows
 *   master -> agent   SUSPEND    STOP is near: have running trials saved where trainers
 *                                can
 *   agent  -> master  SUSPENDED  what could be saved is; nothing more is started
 *   master -> agent   GANG       ranks that make the lanes of a step of shared weights
 *                                together from now on, and say so to each other
 *   agent  -> agent   LANE       a piece of a lane (worker/lanes.h), in its order
 *   agent  -> agent   WANT       send me your lanes of this round (again)
 *   master -> agent   STOP       kill all trainers, say BYE, end; was any rank lost?
 *   agent  -> master  BYE        nothing runs here any more; reason when it is an error
 */
#ifndef ARCHWAY_PROTO_MESSAGE_H
#define ARCHWAY_PROTO_MESSAGE_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/kernel_names.h"
#include "common/trial.h"

enum {
    MESSAGE_VERSION = 6,
    MESSAGE_HEADER = 12, /* bytes of a frame before its payload */
    MESSAGE_MAX_SLOTS = 1024,
    MESSAGE_TEXT = 256,
    MESSAGE_MAX_JSON = 1 << 18,   /* bytes of an architecture or of hyperparameters */
    MESSAGE_MAX_CONFIG = 1 << 20, /* bytes of the configuration */
    MESSAGE_MAX_GANG = 1024,      /* ranks */
    MESSAGE_MAX_PIECE = 8 << 20   /* bytes of a lane in one message */
};

enum message_type {
    MESSAGE_HELLO = 1,
    MESSAGE_WELCOME,
    MESSAGE_READY,
    MESSAGE_TASK,
    MESSAGE_CANCEL,
    MESSAGE_PROGRESS,
    MESSAGE_RESULT,
    MESSAGE_HEARTBEAT,
    MESSAGE_STOP,
    MESSAGE_BYE,
    MESSAGE_SUSPEND,
    MESSAGE_CHECKPOINT,
    MESSAGE_SUSPENDED,
    MESSAGE_BEHIND,
    MESSAGE_GANG,
    MESSAGE_LANE,
    MESSAGE_WANT
};

struct message_hello {
    char host[MESSAGE_TEXT];
    char version[64];             /* of archway */
    char kernels[KERNEL_NAMES];   /* that may train here, as in common/kernel_names.h */
    int64_t pid;
    char cpus[4096];              /* usable cores after affinity: "0-3,8" */
    int32_t cpu_limit;            /* after cgroup quota: at most so many cores */
    char numa[4096];              /* NUMA nodes of these cores: "0:0-3;1:8" */
    char gpus[1024];              /* devices this rank may use: "0,1" or UUIDs; "" none */
    int64_t memory;               /* bytes this rank may use */
};

struct message_slot {
    char cpus[1024];    /* cores of this slot; "": not pinned */
    char devices[256];  /* value of CUDA_VISIBLE_DEVICES/ROCR_VISIBLE_DEVICES; "": none */
    int32_t numa;       /* node, or -1 */
};

struct message_welcome {
    char *config;     /* effective YAML; owned after decode */
    char *run_folder; /* absolute path; owned after decode */
    int32_t slot_count;
    struct message_slot *slots; /* owned after decode */
};

struct message_task {
    uint64_t trial, seed;
    int32_t attempt, slot;
    uint8_t kind;
    struct trial_shared shared; /* zeros of TRAIN_CHILD */
    double timeout;        /* seconds */
    double spent; /* training time behind the state of it that was saved; 0: none */
    char *architecture;    /* JSON, see space_to_json; owned after decode */
    char *hyperparameters; /* JSON object that overrides trainer keys; owned after decode */
};

struct message_progress {
    uint64_t trial;
    int32_t attempt, slot;
    uint32_t epoch; /* from 1 */
    struct trial_epoch values;
};

struct message_result {
    uint64_t trial;
    int32_t attempt, slot;
    uint8_t failure;  /* enum trial_failure */
    double seconds, params, flops;
    uint32_t epoch_count;
    struct trial_epoch *epochs;  /* owned after decode */
    char *reason;                /* owned after decode; "" when there is none */
    char kernels[TRIAL_KERNELS]; /* that trained; "": the trainer did not say */
    char *architecture; /* of a RELAX step: the cell behind it, JSON; owned after decode;
                           "" when there is none */
    double log_probability; /* of that; NAN when not said */
};

struct message_checkpoint {
    uint64_t trial;
    int32_t attempt, slot;
    uint8_t what;   /* enum trial_checkpoint */
    uint32_t epoch; /* that are over */
    double seconds; /* training time of the trial behind it, all attempts together */
    char reason[MESSAGE_TEXT]; /* refused: why; else "" */
};

struct message_behind {
    uint64_t trial;
    int32_t attempt, slot;
    struct trial_shared at; /* steps made; architectures of the next one taken */
};

struct message_gang {
    int32_t count;
    int32_t *ranks; /* owned after decode; a rank that is not among them is not in it */
};

struct message_lane {
    uint64_t round;
    int32_t part;
    uint64_t offset, total; /* bytes: where the piece begins, of the whole lane */
    uint32_t size;          /* of the piece; it ends within the lane */
    const uint8_t *data;    /* borrowed; after decode from the input */
};

struct message_want {
    uint64_t round;
};

struct message_heartbeat {
    int32_t busy_slots;
    int32_t slot_count;
};

struct message {
    enum message_type type;
    union {
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_task task;
        struct message_progress progress;
        struct message_result result;
        struct message_heartbeat heartbeat;
        struct message_checkpoint checkpoint;
        struct message_behind behind;
        struct message_gang gang;
        struct message_lane lane;
        struct message_want want;
        struct {
            uint64_t trial;
            int32_t attempt;
        } cancel;
        struct {
            uint8_t clean; /* 1: no rank was lost, so close the wire with clean = true */
        } stop;
        struct {
            char reason[MESSAGE_TEXT];
        } bye;
    };
};

/* Append one frame to out. Borrows everything; NULL texts count as "", a reason is cut to
 * what fits. What no receiver would accept (a text beyond its limit, too many slots or
 * epochs) sets out->failed, as a failed allocation does. */
void message_encode(const struct message *m, struct bytes *out);
/* Decode the next frame; 1 with ret filled (message_fini it), 0 at the end of the input,
 * ERROR_PEER when it is malformed or of another version; ret is then untouched and the
 * rest of the input is of no use. */
int message_decode(struct bytes_reader *in, struct message *ret, struct error *err);
void message_fini(struct message *m);
const char *message_name(int type);

#endif
