/* SPDX-License-Identifier: Apache-2.0 */
/* MPI has no descriptor to sleep on, so the rank naps on its trainers' pipes, which also
 * bounds how late a message is seen: for a hundredth of the time in which nothing has
 * come, between NAP_MS and NAP_LONGEST_MS. Right after something moved it looks again at
 * once, since messages come in bursts. What does not move at all, since its receiver is
 * stopped, is no reason to look for ever. */
#include "worker/rank.h"

#include <sched.h>
#include <time.h>

enum {
    NAP_MS = 1,
    NAP_LONGEST_MS = 5,
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

static int nap_after(double idle_seconds)
{
    double nap = idle_seconds * 1000 / 100;
    return nap < NAP_MS ? NAP_MS : nap > NAP_LONGEST_MS ? NAP_LONGEST_MS : (int)nap;
}

/* What came in a step, or leaves with the next one. */
struct pace {
    double moved_at;
    int idle, looks;
};

static void pause_between(struct agent *a, struct pace *p, const struct clock *clock)
{
    double now = clock_now(clock);
    if (agent_moved(a)) {
        p->moved_at = now;
        p->looks = 0;
    } else {
        p->looks++;
    }
    if (p->looks < RANK_TRAVEL_LOOKS && agent_travels(a))
        p->idle = 0;
    int nap = p->idle < RANK_EAGER_LOOKS ? 0 : nap_after(now - p->moved_at);
    bool woken = agent_wait(a, -1, nap);
    p->idle = woken ? 0 : p->idle + 1;
    if (woken)
        p->moved_at = now;
    if (p->idle > 0 && p->idle < RANK_EAGER_LOOKS)
        sched_yield();
}

int rank_run(struct wire *wire, const struct agent_options *options,
             bool (*interrupted)(void), bool *ret_clean, struct error *err)
{
    struct agent *a = NULL;
    bool told = false;
    struct pace pace = {.moved_at = clock_now(options->clock)};
    int status = agent_new(wire, options, &a, err);
    while (status == 0 && (status = agent_step(a, err)) == 1) {
        if (!told && interrupted && interrupted()) {
            agent_interrupt(a);
            told = true;
        }
        pause_between(a, &pace, options->clock);
        status = 0;
    }
    let_messages_leave(wire);
    *ret_clean = a && agent_clean(a);
    agent_free(a);
    return status;
}
