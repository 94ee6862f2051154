/* SPDX-License-Identifier: Apache-2.0 */
/* Does a trainer get ready? Starts one as a slot would, waits for its "ready", ends it.
 */
#ifndef ARCHWAY_WORKER_TRAINER_PROBE_H
#define ARCHWAY_WORKER_TRAINER_PROBE_H

#include "common/config.h"
#include "common/error.h"
#include "proto/trainer_protocol.h"

/* `builtin`: the built-in trainer's program. *ret: its "ready". ERROR_PEER saying why
 * when it ends, breaks the protocol or is silent for so many seconds, with the last line
 * of its standard error. Blocking. SIGPIPE must be ignored. */
int trainer_probe(const struct config *config, const char *builtin, double seconds,
                  struct trainer_line *ret, struct error *err);

#endif
