/* SPDX-License-Identifier: Apache-2.0 */
/* Faults on purpose (run.chaos). They are done to the trainer or to this process as they
 * would come from outside, so that what answers them is what answers real ones. */
#include "worker/slot_private.h"

#include <math.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

/* Nothing is said for longer than a rank may be silent. */
static void fall_silent(const struct config *config)
{
    double seconds = 1.5 * fmax(config->run.silent_after, 3 * config->run.heartbeat);
    struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    while (nanosleep(&t, &t) != 0)
        continue;
}

static void strike(struct slot *s, int kind)
{
    const struct config *config = s->settings->config;
    switch (kind) {
    case CHAOS_KILL:
        process_signal(&s->process, SIGKILL);
        break;
    case CHAOS_HANG:
        process_signal(&s->process, SIGSTOP);
        break;
    case CHAOS_GARBAGE:
        slot_put_garbage(s, "}{ a rehearsed fault\n");
        break;
    case CHAOS_KILL_RANK:
        kill(getpid(), SIGKILL);
        break;
    default:
        fall_silent(config);
    }
}

void slot_chaos_step(struct slot *s, double now)
{
    struct slot_task *t = s->first;
    if (!t || t->struck || isnan(t->started))
        return;
    struct chaos_fate fate = chaos_draw(&s->settings->chaos, s->settings->config->seed,
                                        t->task.trial, t->task.attempt);
    bool of_rank = fate.kind == CHAOS_KILL_RANK || fate.kind == CHAOS_STOP_RANK;
    t->struck = fate.kind == CHAOS_COUNT || (of_rank && s->settings->alone);
    if (t->struck || now < t->started + fate.after)
        return;
    t->struck = true;
    log_message(LOG_WARNING, "rank %d slot %d: chaos: %s at trial %llu attempt %d",
                s->settings->rank, s->index, chaos_name(fate.kind),
                (unsigned long long)t->task.trial, t->task.attempt);
    strike(s, fate.kind);
}
