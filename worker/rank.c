/* SPDX-License-Identifier: Apache-2.0 */
/* MPI has no descriptor to sleep on, so the rank naps on its trainers' pipes for a
 * millisecond at most, which also bounds how late a message is seen; right after
 * something moved it looks again at once, since messages come in bursts. What does not
 * move at all, since its receiver is stopped, is no reason to look for ever. */
#include "worker/rank.h"

#include <sched.h>
#include <time.h>

enum {
    RANK_EAGER_LOOKS = 20,
    RANK_TRAVEL_LOOKS = 5000 /* while a lane travels: its parts leave look by look */
};

static void let_messages_leave(struct wire *wire)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    for (int i = 0; i < 500 && !wire_idle(wire); i++) {
        if (wire_progress(wire, NULL) < 0)
            return;
        nanosleep(&nap, NULL);
    }
}

int rank_run(struct wire *wire, const struct agent_options *options,
             bool (*interrupted)(void), bool *ret_clean, struct error *err)
{
    struct agent *a = NULL;
    bool told = false;
    int idle = 0, looks = 0, status = agent_new(wire, options, &a, err);
    while (status == 0 && (status = agent_step(a, err)) == 1) {
        if (!told && interrupted && interrupted()) {
            agent_interrupt(a);
            told = true;
        }
        looks = agent_moved(a) ? 0 : looks + 1;
        if (looks < RANK_TRAVEL_LOOKS && agent_travels(a))
            idle = 0;
        idle = agent_wait(a, -1, idle < RANK_EAGER_LOOKS ? 0 : 1) ? 0 : idle + 1;
        if (idle > 0 && idle < RANK_EAGER_LOOKS)
            sched_yield();
        status = 0;
    }
    let_messages_leave(wire);
    *ret_clean = a && agent_clean(a);
    agent_free(a);
    return status;
}
