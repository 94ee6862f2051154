/* SPDX-License-Identifier: Apache-2.0 */
/* Notices when the trials of a run are not all trained by the same kernels: ranks that
 * differ, trainers that say something else, an earlier session on other machines. */
#ifndef ARCHWAY_MASTER_KERNEL_WATCH_H
#define ARCHWAY_MASTER_KERNEL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/text.h"
#include "master/kernel_uses.h"
#include "master/placement.h"

struct kernel_watch {
    struct kernel_uses earlier; /* trials of earlier sessions */
    int count; /* names of this session, in the order in which they came */
    char names[KERNEL_USES_MAX][TRIAL_KERNELS]; /* "": a trainer that does not say */
    int ranks;
    uint8_t *of_rank; /* (ranks) 1 + index of the rank's name, 0: none yet; owned */
};

/* `l`: the trials of earlier sessions. ERROR_SYSTEM when memory is gone. */
int kernel_watch_init(struct kernel_watch *w, const struct ledger *l, int ranks,
                      struct error *err);
void kernel_watch_fini(struct kernel_watch *w);
/* Rank (of `ranks`) trains with `kernels`. True when they are new to this session and
 * others are known: a reason to tell. */
bool kernel_watch_note(struct kernel_watch *w, int rank, const char *kernels);
/* Append one line, without its end: who trains with what, and the key that makes them the
 * same where there is one. `p` (may be NULL) knows the hosts. */
void kernel_watch_format(const struct kernel_watch *w, const struct placement *p,
                         const struct config *config, struct text *out);

#endif
