/* SPDX-License-Identifier: Apache-2.0 */
/* What a trainer says: lines collected by the encoders of proto/trainer_side.h, written
 * whole. Blocking: an agent that does not read holds its trainer up. */
#ifndef ARCHWAY_WORKER_TRAINER_OUTPUT_H
#define ARCHWAY_WORKER_TRAINER_OUTPUT_H

#include "common/bytes.h"
#include "common/error.h"

struct trainer_output {
    int fd;             /* borrowed */
    struct bytes lines; /* waiting; append here, then flush */
};

void trainer_output_init(struct trainer_output *o, int fd);
void trainer_output_fini(struct trainer_output *o);
/* Write everything and start anew. ERROR_SYSTEM when nobody reads any more (SIGPIPE must
 * be ignored) or a line could not be composed for lack of memory. */
int trainer_output_flush(struct trainer_output *o, struct error *err);

#endif
