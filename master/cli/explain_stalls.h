/* SPDX-License-Identifier: Apache-2.0 */
/* The states that hold a run up (watch.json, as run_status has read it), each to whom it
 * concerns: "  now: STATE" lines. All return whether there was any. */
#ifndef ARCHWAY_MASTER_CLI_EXPLAIN_STALLS_H
#define ARCHWAY_MASTER_CLI_EXPLAIN_STALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "master/cli/run_status.h"

bool explain_stalls_of_rank(const struct run_status *s, int rank, struct text *out);
/* Those that name the trial; of a queued one also what keeps others waiting. */
bool explain_stalls_of_trial(const struct run_status *s, uint64_t id, bool queued,
                             struct text *out);
/* Those of no rank in particular. */
bool explain_stalls_of_run(const struct run_status *s, struct text *out);

#endif
