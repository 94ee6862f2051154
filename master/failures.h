/* SPDX-License-Identifier: Apache-2.0 */
/* How many of the last trials failed for good: a run in which most do is not worth its
 * hours. */
#ifndef ARCHWAY_MASTER_FAILURES_H
#define ARCHWAY_MASTER_FAILURES_H

#include <stdbool.h>

enum { FAILURES_WINDOW = 50 };

/* Zero is empty. */
struct failures {
    bool failed[FAILURES_WINDOW]; /* a ring */
    int next, sum;
};

static inline void failures_note(struct failures *f, bool failed)
{
    f->sum += failed - f->failed[f->next];
    f->failed[f->next] = failed;
    f->next = (f->next + 1) % FAILURES_WINDOW;
}

/* More than this share of the window? Until that many trials are over, the others count
 * as good. */
static inline bool failures_exceed(const struct failures *f, double share)
{
    return f->sum > share * FAILURES_WINDOW;
}

#endif
