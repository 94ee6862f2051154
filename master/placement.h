/* SPDX-License-Identifier: Apache-2.0 */
/* Which trainer runs where: one table of slots (host, rank, slot, cores, NUMA node,
 * devices), made once at the start from what every worker rank says of its machine.
 *
 * Ranks of one host that were given the same cores (or devices) share them: each gets its
 * own part. No core and no device stands in two slots, unless resources.oversubscribe. */
#ifndef ARCHWAY_MASTER_PLACEMENT_H
#define ARCHWAY_MASTER_PLACEMENT_H

#include "common/config.h"
#include "common/error.h"
#include "proto/message.h"

struct placement_worker {
    int rank;
    const struct message_hello *hello; /* borrowed during placement_make */
};

struct placement_slot {
    int rank, slot; /* slot: from 0 within the rank */
    char host[MESSAGE_TEXT];
    char kernels[TRIAL_KERNELS]; /* that will train; "" with an external trainer */
    struct message_slot where;
};

struct placement {
    int count;
    struct placement_slot *slots; /* owned; ordered by rank and slot */
};

/* ERROR_INPUT naming rank, host and keys when the configuration asks for more than a rank
 * was given, for kernels that it cannot use, or when nobody can run a single trial.
 * Caller frees with placement_fini. */
int placement_make(const struct config *config, const struct placement_worker *workers,
                   int count, struct placement *ret, struct error *err);
void placement_fini(struct placement *p);
/* Does a core or device stand in two slots of one host? ERROR_INPUT naming both. */
int placement_check(const struct placement *p, struct error *err);
/* As a table for people / as JSON. Caller frees; NULL when memory is gone. */
char *placement_format(const struct placement *p);
char *placement_json(const struct placement *p);

#endif
