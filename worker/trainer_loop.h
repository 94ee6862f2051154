/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in trainer's side of a conversation with an agent (proto/trainer_protocol.h):
 * hello -> ready, then tasks, one after the other, until stop or the end of the input. */
#ifndef ARCHWAY_WORKER_TRAINER_LOOP_H
#define ARCHWAY_WORKER_TRAINER_LOOP_H

#include "common/error.h"

/* Tasks that may be sent ahead of the running one (announced in "ready"). */
enum { TRAINER_LOOP_QUEUE = 4 };

/* Serve the agent behind `in` and `out` (both borrowed). Sets the threads of the whole
 * process as the hello says and opens its data before it is ready. kernels_cap: as in
 * worker/kernel_choice.h.
 *
 * While a task is trained, orders are read between its batches without waiting: a
 * cancelled task ends with the batch and is answered as failed, in the order of the
 * tasks; one whose state is asked for ends likewise once that is saved; stop and the end
 * of the input end everything at once, without a result.
 *
 * Returns 0 when told to stop; ERROR_PEER when the agent breaks the protocol, ERROR_INPUT
 * when the data or the kernels of the hello cannot be used, ERROR_SYSTEM when the agent
 * is gone or memory is. Blocking. */
int trainer_loop_run(int in, int out, const char *kernels_cap, struct error *err);

#endif
