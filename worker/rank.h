/* SPDX-License-Identifier: Apache-2.0 */
/* A worker rank: its agent, driven until it is over. */
#ifndef ARCHWAY_WORKER_RANK_H
#define ARCHWAY_WORKER_RANK_H

#include "worker/agent.h"

/* Blocking. `interrupted` (may be NULL) says whether a signal asked this process to end.
 * *ret_clean: no rank was lost, so the wire may be closed in order. */
int rank_run(struct wire *wire, const struct agent_options *options,
             bool (*interrupted)(void), bool *ret_clean, struct error *err);

#endif
