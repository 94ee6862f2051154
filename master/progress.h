/* SPDX-License-Identifier: Apache-2.0 */
/* How a run goes: numbers kept up to date trial by trial, one line for people, and
 * DIR/log.jsonl for machines. */
#ifndef ARCHWAY_MASTER_PROGRESS_H
#define ARCHWAY_MASTER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "common/trial.h"

enum { PROGRESS_RECENT = 50 };

struct progress_arm {
    uint64_t results;  /* trials with a metric */
    double best;       /* NAN: none yet */
    uint64_t best_id;
    double recent[PROGRESS_RECENT]; /* ring of the last metrics */
};

struct progress {
    uint64_t over, total; /* trials; total 0: no limit */
    bool lower_is_better; /* the metric is a loss */
    struct progress_arm arms[ARM_COUNT];
    double started; /* monotonic, of this session */
    double until;   /* monotonic end of the budget search.hours; INFINITY: none */
    uint64_t over_before; /* of earlier sessions */
};

void progress_init(struct progress *p, const struct config *config, double now);
/* A trial is over (DONE, SAVED or FAILED). */
void progress_note(struct progress *p, const struct trial *t);
/* Mean of the last 50 metrics of an arm; NAN when there is none. */
double progress_recent_mean(const struct progress *p, enum trial_arm arm);
/* Trials a second of this session; seconds that the rest will take, NAN when unknown. */
double progress_rate(const struct progress *p, double now);
double progress_left(const struct progress *p, double now);
/* One line without newline; `bar` adds the bar for terminals. */
void progress_format(const struct progress *p, double now, int busy, int slots, bool bar,
                     char *text, unsigned size);

#endif
