/* SPDX-License-Identifier: Apache-2.0 */
/* Why things of a run are as they are, in words, from its files alone. All append to
 * `out`, which remembers a failed allocation. */
#ifndef ARCHWAY_MASTER_CLI_EXPLAIN_H
#define ARCHWAY_MASTER_CLI_EXPLAIN_H

#include "common/text.h"
#include "master/cli/run_status.h"

/* Everything the explanations are made of; borrowed. */
struct explain {
    const char *dir;
    struct engine *engine;
    const struct run_status *status;
};

/* Why was it proposed, what has it been through, what does it wait for, why did it fail?
 * ERROR_USAGE when there is no such trial. */
int explain_trial(const struct explain *x, uint64_t id, struct text *out,
                  struct error *err);
/* What has a rank done, what happened to it, why is it idle? ERROR_USAGE for none of the
 * run's last session. */
int explain_rank(const struct explain *x, int rank, struct text *out, struct error *err);
/* The run as a whole: what holds it up, and a line a rank. */
int explain_run(const struct explain *x, struct text *out, struct error *err);

#endif
