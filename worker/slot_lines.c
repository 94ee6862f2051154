/* SPDX-License-Identifier: Apache-2.0 */
/* What a trainer says, line by line, checked against what it may say now. A trainer is
 * not trusted: whatever it writes costs it the attempt and its life, never the agent.
 * Lines about a cancelled attempt crossed with the cancel and are passed over. */
#include "worker/slot_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/trainer_protocol.h"

static bool take_ready(struct slot *s, const struct trainer_line *line, struct error *err)
{
    if (s->state != SLOT_STARTING) {
        error_set(err, ERROR_PEER, "the trainer said \"ready\" twice");
        return false;
    }
    s->state = SLOT_READY;
    memcpy(s->kernels, line->kernels, sizeof s->kernels);
    s->checkpoints = line->checkpoints;
    s->ahead = line->queue < 0 ? 0 : line->queue;
    if (s->ahead > SLOT_AHEAD_MAX)
        s->ahead = SLOT_AHEAD_MAX;
    return true;
}

static bool out_of_memory(struct error *err)
{
    error_set(err, ERROR_SYSTEM, "the agent is out of memory");
    return false;
}

/* The reward metric of an epoch, where trainer_decode_line put it. */
static float *reward_value(const struct slot *s, struct trial_epoch *e)
{
    const char *metric = s->settings->config->reward.metric;
    if (strcmp(metric, "val_loss") == 0)
        return &e->val_loss;
    if (strcmp(metric, "train_accuracy") == 0)
        return &e->train_accuracy;
    if (strcmp(metric, "train_loss") == 0)
        return &e->train_loss;
    return strcmp(metric, "lr") == 0 ? &e->lr : &e->val_accuracy;
}

static void explain_nan(const struct slot *s, uint32_t epoch, char *reason, size_t size)
{
    snprintf(reason, size, "%.200s is not a number at epoch %u",
             s->settings->config->reward.metric, epoch);
}

static bool take_progress(struct slot *s, struct slot_task *t,
                          const struct trainer_line *line, struct error *err)
{
    if (t->cancelled)
        return true;
    if (line->epoch <= t->epoch_count || line->epoch > TRIAL_MAX_EPOCHS) {
        error_set(err, ERROR_PEER,
                  "the trainer reported epoch %u after epoch %u (allowed: ascending, at "
                  "most %d)",
                  line->epoch, t->epoch_count, TRIAL_MAX_EPOCHS);
        return false;
    }
    if (!slot_task_put_epoch(t, line->epoch, &line->values))
        return out_of_memory(err);
    struct message_progress progress = {.trial = t->task.trial,
                                        .attempt = t->task.attempt,
                                        .slot = s->index,
                                        .epoch = line->epoch,
                                        .values = line->values};
    s->settings->sink.progress(s->settings->sink.context, &progress);
    if (line->not_finite) {
        /* Nothing that follows can mend it. */
        char reason[TRIAL_REASON];
        explain_nan(s, line->epoch, reason, sizeof reason);
        slot_tasks_tell(s, FAILURE_NAN, NAN, NAN, NAN, reason);
        slot_cancel(s, line->trial, line->attempt);
        s->failures = 0;
    }
    return true;
}

static void merge_value(float *value, float newer)
{
    if (!isnan(newer))
        *value = newer;
}

/* The metrics of a result restate the last epoch, or are the only one. */
static bool merge_result(struct slot_task *t, const struct trainer_line *line)
{
    if (!line->has_metrics)
        return true;
    if (!t->epoch_count)
        return slot_task_put_epoch(t, 1, &line->values);
    struct trial_epoch *last = &t->epochs[t->epoch_count - 1];
    merge_value(&last->train_loss, line->values.train_loss);
    merge_value(&last->train_accuracy, line->values.train_accuracy);
    merge_value(&last->val_loss, line->values.val_loss);
    merge_value(&last->val_accuracy, line->values.val_accuracy);
    merge_value(&last->lr, line->values.lr);
    merge_value(&last->seconds, line->values.seconds);
    return true;
}

/* What a result has to have: of a step of shared weights its loss. */
static const char *measured(const struct slot *s, const struct slot_task *t)
{
    return trial_kind_is_step(t->task.kind) ? "train_loss"
                                            : s->settings->config->reward.metric;
}

static float *measure(const struct slot *s, const struct slot_task *t)
{
    struct trial_epoch *last = &t->epochs[t->epoch_count - 1];
    return trial_kind_is_step(t->task.kind) ? &last->train_loss : reward_value(s, last);
}

/* Keep the cell that a relax step led to; false when memory is gone. */
static bool keep_derived(struct slot_task *t, const struct trainer_line *line)
{
    free(t->derived);
    t->derived = NULL;
    if (t->task.kind != TRIAL_RELAX || !line->architecture ||
        line->architecture_size > MESSAGE_MAX_JSON)
        return true; /* what is missing the master will miss */
    t->log_probability = line->log_probability;
    t->derived = strndup(line->architecture, line->architecture_size);
    return t->derived != NULL;
}

static bool take_result(struct slot *s, struct slot_task *t,
                        const struct trainer_line *line, struct error *err)
{
    char reason[TRIAL_REASON] = "";
    int failure = FAILURE_NONE;
    if (line->failed) {
        failure = FAILURE_TRAINER;
        snprintf(reason, sizeof reason, "%s", line->reason);
    } else if (!merge_result(t, line) || !keep_derived(t, line)) {
        return out_of_memory(err);
    } else if (line->not_finite && !trial_kind_is_step(t->task.kind)) {
        failure = FAILURE_NAN;
        explain_nan(s, t->epoch_count, reason, sizeof reason);
    } else if (!t->epoch_count || !isfinite(*measure(s, t))) {
        failure = FAILURE_NAN;
        snprintf(reason, sizeof reason, "the trainer's last epoch has no %.200s",
                 measured(s, t));
    }
    if (!line->failed && !t->cancelled && t->task.kind == TRIAL_TRAIN_SHARED)
        s->settings->sink.made(s->settings->sink.context, s->index, &t->task);
    slot_tasks_finish(s, failure, line->seconds, line->params, line->flops, reason);
    s->failures = 0;
    return true;
}

/* Is it the time for such a word? */
static bool check_checkpoint(const struct slot_task *t, const struct trainer_line *line,
                             struct error *err)
{
    const char *name = trial_checkpoint_name(line->checkpoint);
    bool first = line->checkpoint >= CHECKPOINT_CONTINUED;
    if (!t->kept)
        error_set(err, ERROR_PEER,
                  "the trainer said \"%s\" of a trial whose state has no place", name);
    else if (first && t->epoch_count > 0)
        error_set(err, ERROR_PEER, "the trainer said \"%s\" after epoch %u", name,
                  t->epoch_count);
    else if (line->checkpoint == CHECKPOINT_SUSPENDED && !t->asked)
        error_set(err, ERROR_PEER, "the trainer suspended a trial that was not to stop");
    else
        return true;
    return false;
}

static bool take_checkpoint(struct slot *s, struct slot_task *t,
                            const struct trainer_line *line, struct error *err)
{
    if (t->cancelled)
        return true;
    if (!check_checkpoint(t, line, err))
        return false;
    double seconds = line->seconds;
    if (line->checkpoint == CHECKPOINT_CONTINUED) {
        t->spent = seconds >= 0 && seconds < INFINITY ? seconds : t->task.spent;
        seconds = t->spent;
    }
    slot_tasks_checkpoint(s, line->checkpoint, line->epoch, seconds, line->reason);
    if (line->checkpoint == CHECKPOINT_SUSPENDED)
        slot_tasks_drop_first(s);
    s->failures = 0;
    return true;
}

static bool take_behind(struct slot *s, struct slot_task *t,
                        const struct trainer_line *line, struct error *err)
{
    if (t->task.kind == TRIAL_TRAIN_CHILD || t->epoch_count > 0) {
        error_set(err, ERROR_PEER, "the trainer said \"behind\" of %s",
                  t->epoch_count > 0 ? "a trial that it had begun"
                                     : "a trial without shared weights");
        return false;
    }
    const struct message_behind m = {
        .trial = line->trial, .attempt = line->attempt, .slot = s->index, .at = line->at};
    if (!t->cancelled)
        s->settings->sink.behind(s->settings->sink.context, &m);
    slot_tasks_drop_first(s);
    slot_tasks_begin(s, clock_now(s->settings->clock));
    s->failures = 0;
    return true;
}

/* Before the first result of a task with shared weights. */
static bool take_lanes(struct slot *s, const struct trainer_line *line, struct error *err)
{
    const struct slot_task *t = s->first;
    if (!t || !t->sent || t->task.kind == TRIAL_TRAIN_CHILD) {
        error_set(err, ERROR_PEER,
                  "the trainer spoke of lanes without a task of shared weights");
        return false;
    }
    s->settings->sink.lanes(s->settings->sink.context, s->index, (int)s->process.pid,
                            line, t->task.shared.step);
    return true;
}

static bool take_line(struct slot *s, const char *text, size_t size, struct error *err)
{
    struct trainer_line line;
    if (size > TRAINER_LINE_MAX) {
        error_set(err, ERROR_PEER, "the trainer wrote a line of %zu bytes (allowed: %d)",
                  size, TRAINER_LINE_MAX);
        return false;
    }
    if (trainer_decode_line(text, size, s->settings->config->reward.metric, &line, err))
        return false;
    if (line.type == TRAINER_READY)
        return take_ready(s, &line, err);
    if (line.type == TRAINER_LANES)
        return take_lanes(s, &line, err);
    if (line.type == TRAINER_MISSING) {
        s->settings->sink.missing(s->settings->sink.context, s->index, line.round);
        return true;
    }
    struct slot_task *t = slot_tasks_find(s, line.trial, line.attempt);
    if (!t) {
        error_set(err, ERROR_PEER, "the trainer spoke of trial %llu attempt %d%s",
                  (unsigned long long)line.trial, line.attempt,
                  s->sent ? " while another was its turn" : ", which it was not given");
        return false;
    }
    if (line.type == TRAINER_CHECKPOINT)
        return take_checkpoint(s, t, &line, err);
    if (line.type == TRAINER_BEHIND)
        return take_behind(s, t, &line, err);
    return line.type == TRAINER_PROGRESS ? take_progress(s, t, &line, err)
                                         : take_result(s, t, &line, err);
}

bool slot_lines_take(struct slot *s, struct error *err)
{
    const char *line;
    size_t size;
    while (line_reader_next(&s->from, &line, &size))
        if (!take_line(s, line, size, err))
            return false;
    if (line_reader_partial(&s->from) > TRAINER_LINE_MAX) {
        error_set(err, ERROR_PEER,
                  "the trainer wrote a line of more than %d bytes (allowed: %d)",
                  TRAINER_LINE_MAX, TRAINER_LINE_MAX);
        return false;
    }
    return true;
}
