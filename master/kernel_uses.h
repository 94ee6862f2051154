/* SPDX-License-Identifier: Apache-2.0 */
/* Which compute kernels trained the trials of a run: where there are several, the same
 * architecture and seed need not have given the same bits. */
#ifndef ARCHWAY_MASTER_KERNEL_USES_H
#define ARCHWAY_MASTER_KERNEL_USES_H

#include <jansson.h>

#include "common/text.h"
#include "master/ledger.h"

enum { KERNEL_USES_MAX = 16 };

struct kernel_uses {
    int count;
    struct kernel_use {
        char name[TRIAL_KERNELS]; /* what does not fit is counted together as "others" */
        uint64_t trials;
    } list[KERNEL_USES_MAX]; /* in the order in which they came */
};

/* Of the trials that were trained and whose trainer said what it computes with. */
void kernel_uses_count(const struct ledger *l, struct kernel_uses *ret);
/* Append "avx2", or "avx2 (80 trials), generic (12)" where there are several. */
void kernel_uses_format(const struct kernel_uses *u, struct text *out);
/* {"avx2": 80, "generic": 12}. New reference; NULL when memory is gone. */
json_t *kernel_uses_json(const struct kernel_uses *u);

#endif
