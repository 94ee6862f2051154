/* SPDX-License-Identifier: Apache-2.0 */
/* Which trials of a run can be compared with each other. Children that were trained on
 * their own all can, and only they in a search by a relaxed cell. Scores with shared
 * weights only when the weights and the data were the same: those after the newest step.
 * There, a sample is what was drawn to be scored, and a final score is one on the whole
 * validation set, which also those have that were selected for it: the best of them is
 * the answer, but they are no sample. */
#ifndef ARCHWAY_MASTER_ANALYSIS_EVALUATIONS_H
#define ARCHWAY_MASTER_ANALYSIS_EVALUATIONS_H

#include <stdbool.h>

#include "common/config.h"
#include "master/ledger.h"

struct evaluations {
    bool shared; /* cells are scored with shared weights (darts only trains): the rest
                    counts */
    uint64_t sample_step; /* of a sample, and on which window */
    int32_t sample_part;
    uint64_t final_step; /* of final scores */
};

struct evaluations evaluations_find(const struct ledger *l, const struct config *config);
/* Is it one of the sample (whatever its state)? */
bool evaluations_is_sample(const struct evaluations *e, const struct trial *t);
/* May the best architecture be chosen by its score? */
bool evaluations_is_final(const struct evaluations *e, const struct trial *t);

#endif
