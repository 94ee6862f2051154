/* SPDX-License-Identifier: Apache-2.0 */
/* Private to writer and reader of digests. */
#ifndef ARCHWAY_MASTER_STORE_DIGEST_FORMAT_H
#define ARCHWAY_MASTER_STORE_DIGEST_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/trial.h"

enum {
    STORE_DIGEST_MAGIC_SIZE = 8,
    STORE_DIGEST_KERNELS = 255, /* names at most */
    STORE_DIGEST_ROW = 48,      /* bytes of a trial at least */
    STORE_DIGEST_SUM = 16,
    STORE_DIGEST_CONFIG = 1 << 20
};

#define STORE_DIGEST_MAGIC "ARCHWAYD"

struct store_digest_kernels {
    unsigned count;
    char names[STORE_DIGEST_KERNELS][TRIAL_KERNELS];
};

/* Does a trial in this state have attempts, a place and a saved state in its row? */
static inline bool store_digest_in_flight(unsigned state)
{
    return state == TRIAL_QUEUED || state == TRIAL_RUNNING || state == TRIAL_WAITING;
}

#endif
