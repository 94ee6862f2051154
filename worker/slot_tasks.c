/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of a slot, first in, first out. A trainer works in the order in which it was
 * sent tasks, so only the first can be running, and its time starts when the one before
 * it is over. */
#include "worker/slot_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
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
    free(t->derived);
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
        t->struck = t->kept = t->asked = false;
        t->spent = 0;
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

void slot_tell(struct slot *s, const char *line)
{
    if (s->state == SLOT_READY && s->process.in >= 0)
        line_writer_put(&s->to, line); /* what memory has no room for is missed */
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

double slot_tasks_seconds(const struct slot *s)
{
    const struct slot_task *t = s->first;
    if (!t || isnan(t->started))
        return 0;
    return t->spent + clock_now(s->settings->clock) - t->started;
}

static void tell_checkpoint(struct slot *s, const struct slot_task *t, int what,
                            uint32_t epoch, double seconds, const char *reason)
{
    struct message_checkpoint m = {.trial = t->task.trial,
                                   .attempt = t->task.attempt,
                                   .slot = s->index,
                                   .what = (uint8_t)what,
                                   .epoch = epoch,
                                   .seconds = seconds};
    snprintf(m.reason, sizeof m.reason, "%s", reason);
    text_repair_utf8(m.reason);
    s->settings->sink.checkpoint(s->settings->sink.context, &m);
}

void slot_tasks_checkpoint(struct slot *s, int what, uint32_t epoch, double seconds,
                           const char *reason)
{
    if (!(seconds >= 0 && seconds < INFINITY))
        seconds = slot_tasks_seconds(s);
    tell_checkpoint(s, s->first, what, epoch, seconds, reason);
}

void slot_suspend(struct slot *s)
{
    struct slot_task *t = s->first;
    s->suspending = true;
    if (s->held_until < INFINITY) { /* this is what its SIGTERM meant */
        s->held_until = INFINITY;
        slot_tasks_drop_first(s);
        return;
    }
    if (s->state != SLOT_READY || !t || !t->sent || t->cancelled || !t->kept || t->asked)
        return;
    char *line = trainer_encode_checkpoint(t->task.trial, t->task.attempt);
    t->asked = line && line_writer_put(&s->to, line);
    free(line);
}

bool slot_saves(const struct slot *s)
{
    return s->first && s->first->asked;
}

void slot_tasks_tell(struct slot *s, int failure, double seconds, double params,
                     double flops, const char *reason)
{
    struct slot_task *t = s->first;
    if (!t || t->cancelled)
        return;
    if (!(seconds >= 0 && seconds < INFINITY))
        seconds = slot_tasks_seconds(s);
    struct message_result result = {.trial = t->task.trial,
                                    .attempt = t->task.attempt,
                                    .slot = s->index,
                                    .failure = (uint8_t)failure,
                                    .seconds = seconds,
                                    .params = params,
                                    .flops = flops,
                                    .epoch_count = t->epoch_count,
                                    .epochs = t->epochs,
                                    .reason = (char *)reason,
                                    .architecture = t->derived,
                                    .log_probability = t->log_probability};
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

/* The file of a task's state; NULL where none is kept. Caller frees. */
static char *state_file(const struct slot *s, const struct slot_task *t)
{
    char *path = NULL;
    if (!s->checkpoints || !s->settings->checkpoint_folder ||
        t->task.kind != TRIAL_TRAIN_CHILD ||
        asprintf(&path, "%s/%llu", s->settings->checkpoint_folder,
                 (unsigned long long)t->task.trial) < 0)
        return NULL;
    return path;
}

/* A trial that should go on from a state begins anew where that is not seen. */
static void miss_state(struct slot *s, const struct slot_task *t, const char *path)
{
    static const char reason[] = "there is no state of it to be seen on this node";
    if (!(t->task.spent > 0) || (path && access(path, F_OK) == 0))
        return;
    log_message(LOG_WARNING, "rank %d slot %d: trial %llu begins anew: %s",
                s->settings->rank, s->index, (unsigned long long)t->task.trial, reason);
    tell_checkpoint(s, t, CHECKPOINT_REFUSED, 0, 0, reason);
}

static bool send_task(struct slot *s, struct slot_task *t)
{
    char *path = state_file(s, t);
    const struct trainer_checkpoint state = {path,
                                             s->settings->config->run.checkpoint_every};
    miss_state(s, t, path);
    const struct message_task *m = &t->task;
    const struct trainer_task task = {.trial = m->trial,
                                      .seed = m->seed,
                                      .attempt = m->attempt,
                                      .kind = m->kind,
                                      .shared = m->shared,
                                      .architecture = m->architecture,
                                      .hyperparameters = m->hyperparameters,
                                      .checkpoint = state};
    char *line = trainer_encode_task(&task);
    bool ok = line && line_writer_put(&s->to, line);
    free(line);
    t->kept = path != NULL;
    t->sent = ok;
    s->sent += ok;
    free(path);
    return ok;
}

bool slot_tasks_send(struct slot *s, double now)
{
    struct slot_task *t = s->first;
    if (s->sent > s->ahead || s->suspending)
        return true;
    while (t && t->sent)
        t = t->next;
    for (; t && s->sent <= s->ahead; t = t->next)
        if (!send_task(s, t))
            return false;
    slot_tasks_begin(s, now);
    return true;
}
