/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of a slot, first in, first out. A trainer works in the order in which it was
 * sent tasks, so only the first can be running, and its time starts when the one before
 * it is over. */
#include "worker/slot_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/trainer_protocol.h"

static const double cancel_grace = 2; /* seconds to react to a cancel */

void slot_tasks_init(struct slot *s)
{
    s->first = NULL;
    s->end = &s->first;
    s->sent = 0;
}

static void unlink_task(struct slot *s, struct slot_task **link)
{
    struct slot_task *t = *link;
    *link = t->next;
    if (!*link)
        s->end = link;
    s->sent -= t->sent;
    free(t->task.architecture);
    free(t->task.hyperparameters);
    free(t->epochs);
    free(t);
}

void slot_tasks_drop_first(struct slot *s)
{
    unlink_task(s, &s->first);
}

void slot_tasks_clear(struct slot *s)
{
    while (s->first)
        slot_tasks_drop_first(s);
}

void slot_tasks_unsend(struct slot *s)
{
    for (struct slot_task **link = &s->first; *link;) {
        struct slot_task *t = *link;
        if (t->cancelled) {
            unlink_task(s, link);
            continue;
        }
        t->sent = false;
        t->struck = false;
        t->started = NAN;
        t->epoch_count = 0;
        link = &t->next;
    }
    s->sent = 0;
}

static void refuse(struct slot *s, const struct message_task *task, const char *reason)
{
    struct message_result result = {.trial = task->trial,
                                    .attempt = task->attempt,
                                    .slot = s->index,
                                    .failure = FAILURE_START,
                                    .params = NAN,
                                    .flops = NAN,
                                    .reason = (char *)reason};
    s->settings->sink.result(s->settings->sink.context, &result);
}

void slot_give(struct slot *s, struct message_task *task)
{
    struct slot_task *t = calloc(1, sizeof *t);
    if (!t) {
        refuse(s, task, "the agent is out of memory");
        return;
    }
    t->task = *task;
    t->started = t->kill_at = NAN;
    if (!(t->task.timeout > 0))
        t->task.timeout = INFINITY;
    task->architecture = task->hyperparameters = NULL;
    *s->end = t;
    s->end = &t->next;
}

void slot_cancel(struct slot *s, uint64_t trial, int attempt)
{
    for (struct slot_task **link = &s->first; *link; link = &(*link)->next) {
        struct slot_task *t = *link;
        if (t->task.trial != trial || t->task.attempt != attempt || t->cancelled)
            continue;
        if (!t->sent) {
            unlink_task(s, link);
            return;
        }
        char *line = trainer_encode_cancel(trial, attempt);
        if (line)
            line_writer_put(&s->to, line);
        free(line);
        t->cancelled = true;
        if (t == s->first)
            t->kill_at = clock_now(s->settings->clock) + cancel_grace;
        return;
    }
}

struct slot_task *slot_tasks_find(struct slot *s, uint64_t trial, int attempt)
{
    struct slot_task *t = s->first;
    while (t && t->sent && t->cancelled &&
           (t->task.trial != trial || t->task.attempt != attempt))
        t = t->next;
    if (!t || !t->sent || t->task.trial != trial || t->task.attempt != attempt)
        return NULL;
    while (s->first != t)
        slot_tasks_drop_first(s);
    return t;
}

void slot_tasks_begin(struct slot *s, double now)
{
    struct slot_task *t = s->first;
    if (!t || !t->sent || !isnan(t->started))
        return;
    t->started = now;
    if (t->cancelled)
        t->kill_at = now + cancel_grace;
}

bool slot_task_put_epoch(struct slot_task *t, uint32_t epoch,
                         const struct trial_epoch *values)
{
    static const struct trial_epoch none = {NAN, NAN, NAN, NAN, NAN, NAN};
    if (epoch > t->epoch_capacity) {
        uint32_t capacity = epoch > 2 * t->epoch_capacity ? epoch : 2 * t->epoch_capacity;
        capacity = capacity < 8 ? 8 : capacity;
        struct trial_epoch *grown = realloc(t->epochs, capacity * sizeof *grown);
        if (!grown)
            return false;
        t->epochs = grown;
        t->epoch_capacity = capacity;
    }
    while (t->epoch_count < epoch)
        t->epochs[t->epoch_count++] = none;
    t->epochs[epoch - 1] = *values;
    return true;
}

void slot_tasks_tell(struct slot *s, int failure, double seconds, double params,
                     double flops, const char *reason)
{
    struct slot_task *t = s->first;
    if (!t || t->cancelled)
        return;
    if (!(seconds >= 0 && seconds < INFINITY))
        seconds = isnan(t->started) ? 0 : clock_now(s->settings->clock) - t->started;
    struct message_result result = {.trial = t->task.trial,
                                    .attempt = t->task.attempt,
                                    .slot = s->index,
                                    .failure = (uint8_t)failure,
                                    .seconds = seconds,
                                    .params = params,
                                    .flops = flops,
                                    .epoch_count = t->epoch_count,
                                    .epochs = t->epochs,
                                    .reason = (char *)reason};
    memcpy(result.kernels, s->kernels, sizeof result.kernels);
    s->settings->sink.result(s->settings->sink.context, &result);
}

void slot_tasks_finish(struct slot *s, int failure, double seconds, double params,
                       double flops, const char *reason)
{
    if (!s->first)
        return;
    slot_tasks_tell(s, failure, seconds, params, flops, reason);
    slot_tasks_drop_first(s);
    slot_tasks_begin(s, clock_now(s->settings->clock));
}

bool slot_tasks_send(struct slot *s, double now)
{
    struct slot_task *t = s->first;
    if (s->sent > s->ahead)
        return true;
    while (t && t->sent)
        t = t->next;
    for (; t && s->sent <= s->ahead; t = t->next) {
        char *line =
            trainer_encode_task(t->task.trial, t->task.attempt, t->task.seed,
                                t->task.architecture, t->task.hyperparameters, NULL);
        bool ok = line && line_writer_put(&s->to, line);
        free(line);
        if (!ok)
            return false;
        t->sent = true;
        s->sent++;
    }
    slot_tasks_begin(s, now);
    return true;
}
