/* SPDX-License-Identifier: Apache-2.0 */
/* Search arm against random control arm, honestly: over distinct trained architectures
 * only (an answer from the record is no new evidence), the best of equally many trials, the
 * difference of means with a bootstrap interval, and a Mann-Whitney test. */
#ifndef ARCHWAY_MASTER_ANALYSIS_COMPARISON_H
#define ARCHWAY_MASTER_ANALYSIS_COMPARISON_H

#include <stdbool.h>

#include "common/config.h"
#include "common/error.h"
#include "common/stats.h"
#include "common/text.h"
#include "master/ledger.h"

enum comparison_verdict {
    COMPARISON_NO_CONTROL,  /* the run has no control arm */
    COMPARISON_CANNOT_TELL, /* too few trials, or the difference may be chance */
    COMPARISON_BETTER,      /* search above random */
    COMPARISON_WORSE
};

enum {
    COMPARISON_LEAST = 8,    /* trained trials an arm, below which nothing is claimed */
    COMPARISON_SAMPLE = 4000 /* newest ones of an arm that the bootstrap resamples */
};

struct comparison_arm {
    uint64_t trained, failed, saved;
    double best, mean; /* of the metric; NAN without trials */
    int64_t best_id;   /* -1: none */
};

struct comparison {
    enum comparison_verdict verdict;
    struct comparison_arm arms[ARM_COUNT];
    uint64_t equal;           /* trials of each arm that the best is compared over */
    double best_of[ARM_COUNT]; /* expected best of `equal` trials; NAN when 0 */
    bool has_difference, has_test;
    struct stats_interval difference; /* mean(search) - mean(control) of the newest
                                         COMPARISON_SAMPLE trained ones each, 95 % */
    struct stats_mann_whitney test;
    bool lower_is_better;
    bool shared; /* over scores with the same shared weights, see evaluations.h */
};

/* ERROR_SYSTEM when memory is gone. */
int comparison_make(const struct ledger *l, const struct config *config,
                    struct comparison *ret, struct error *err);
/* A few lines for people, verdict in words first. */
void comparison_format(const struct comparison *c, struct text *out);

#endif
