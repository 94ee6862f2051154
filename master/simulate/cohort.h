/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated agents: a few dozen bytes a rank that answer the master as agents do, one
 * slot each, on a simulated wire. They train nothing: a model says what a trial takes and
 * brings, and faults what goes wrong. */
#ifndef ARCHWAY_MASTER_SIMULATE_COHORT_H
#define ARCHWAY_MASTER_SIMULATE_COHORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "master/simulate/faults.h"
#include "master/simulate/model.h"
#include "proto/wire.h"

struct cohort;

struct cohort_setup { /* borrowed for the life of the cohort */
    const struct config *config;
    const struct model *model;
    const struct faults *faults;
    int workers;
    uint64_t seed;
    double starts; /* Unix time of the first instant; 0: 1e9 */
};

struct cohort_counts {
    uint64_t attempts, failed; /* attempts started; ended by a fault or the time limit */
    int lost;                  /* ranks that ended without a word */
    uint64_t faults[FAULT_COUNT];
};

/* Opens the wire as well; the ranks say HELLO within its first second. Caller closes with
 * cohort_free, after the master is through. */
int cohort_new(const struct cohort_setup *setup, struct cohort **ret, struct error *err);
void cohort_free(struct cohort *c);         /* NULL is allowed */
struct wire *cohort_wire(struct cohort *c); /* the master's end; belongs to the cohort */
struct cohort_counts cohort_count(const struct cohort *c);

#endif
