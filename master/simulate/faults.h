/* SPDX-License-Identifier: Apache-2.0 */
/* Which faults a simulation injects: by rate, a probability for each attempt (or
 * message), and by schedule, at a time and a rank. */
#ifndef ARCHWAY_MASTER_SIMULATE_FAULTS_H
#define ARCHWAY_MASTER_SIMULATE_FAULTS_H

#include <stddef.h>

#include "common/error.h"

enum fault {
    FAULT_WORKER_LOST, /* the rank ends without a word, amid an attempt */
    FAULT_SLOW,        /* the attempt takes FAULT_SLOWNESS times as long; by schedule: all
                          attempts from now on take `value` times as long */
    FAULT_TRIAL_FAILED, /* the trainer ends amid the attempt */
    FAULT_DELAYED,      /* a message, and so all behind it, is late by up to FAULT_DELAY
                           seconds; by schedule: by `value` */
    FAULT_DUPLICATED,   /* a message arrives twice */
    FAULT_REORDERED,    /* a message is late, but not those behind it */
    FAULT_COUNT
};

enum { FAULT_SLOWNESS = 4, FAULT_DELAY = 20, FAULTS_MAX_SCHEDULE = 1 << 20 };

struct fault_event {
    double at; /* seconds after the start */
    int fault, rank;
    double value;
};

struct faults {
    double rates[FAULT_COUNT];
    struct fault_event *schedule; /* owned */
    size_t count;
};

const char *fault_name(int fault); /* "worker-lost" */
/* "worker-lost=0.001,slow=0.02" into rates. ERROR_USAGE naming the nearest fault. */
int faults_parse_rates(const char *text, struct faults *f, struct error *err);
/* A file with lines "TIME FAULT RANK [VALUE]"; # begins a comment. ERROR_INPUT naming the
 * line; ranks are from 1 to `workers`. */
int faults_read_schedule(const char *path, int workers, struct faults *f,
                         struct error *err);
void faults_fini(struct faults *f);

#endif
