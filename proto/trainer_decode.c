/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a trainer's lines. A trainer is anybody's program: a line may be anything, and what
 * is wrong with it must be said in words that its author understands. One pass over the line
 * checks that it is JSON and notes where the values of the known fields begin; then those
 * that the line's type needs are read, so that fields of no meaning there are ignored
 * whatever they hold. No memory is taken. */
#include "proto/trainer_protocol.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/trainer_fields.h"

enum { QUEUE_MAX = 1024 };

static int get_trial(const struct trainer_fields *l, struct trainer_line *ret)
{
    int64_t trial = 0, attempt = 0;
    int rc = trainer_field_integer(l, FIELD_TRIAL, 0, INT64_MAX, &trial);
    if (rc == 0)
        rc = trainer_field_integer(l, FIELD_ATTEMPT, 0, INT32_MAX, &attempt);
    ret->trial = (uint64_t)trial;
    ret->attempt = (int32_t)attempt;
    return rc;
}

/* The place of a named metric in an epoch, or NULL. */
static float *metric_place(struct trial_epoch *e, const char *name)
{
    if (strcmp(name, "val_accuracy") == 0)
        return &e->val_accuracy;
    if (strcmp(name, "val_loss") == 0)
        return &e->val_loss;
    if (strcmp(name, "train_accuracy") == 0)
        return &e->train_accuracy;
    if (strcmp(name, "train_loss") == 0)
        return &e->train_loss;
    return strcmp(name, "lr") == 0 ? &e->lr : NULL;
}

/* Read one metric that has a place: the reward metric's own place comes first. */
static int get_metric(const struct trainer_fields *l, struct json_scan *s,
                      const char *name, const char *reward, float *reward_place,
                      struct trainer_line *ret)
{
    double v;
    struct json_scan before = *s;
    bool is_reward = strcmp(name, reward) == 0;
    float *place = is_reward ? reward_place : metric_place(&ret->values, name);
    if (!place || (place == reward_place && !is_reward)) {
        json_scan_skip(s);
        return 0;
    }
    if (!json_scan_number(s, &v))
        return trainer_field_wrong(l, name, before, "a number");
    *place = (float)v;
    ret->has_metrics = 1;
    if (is_reward)
        ret->not_finite = !isfinite(*place);
    return 0;
}

static int get_metrics(const struct trainer_fields *l, const char *reward,
                       struct trainer_line *ret)
{
    char key[CONFIG_TEXT];
    bool first = true;
    float *named = metric_place(&ret->values, reward);
    float *reward_place = named ? named : &ret->values.val_accuracy;
    if (!l->values[FIELD_METRICS])
        return 0;
    struct json_scan s = trainer_field_at(l, l->values[FIELD_METRICS]);
    if (json_scan_peek(&s) != '{')
        return trainer_field_wrong(l, "metrics", s, "an object");
    while (json_scan_key(&s, &first, key, sizeof key)) {
        int rc = get_metric(l, &s, key, reward, reward_place, ret);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int get_ready(const struct trainer_fields *l, struct trainer_line *ret)
{
    char name[128] = "", version[120] = "";
    int64_t protocol, queue = 0;
    int rc = trainer_field_integer(l, FIELD_PROTOCOL, INT64_MIN, INT64_MAX, &protocol);
    if (rc < 0)
        return rc;
    if (protocol != TRAINER_PROTOCOL)
        return error_set(l->err, ERROR_PEER,
                         "ready: the trainer speaks protocol %" PRId64 ", this program %d",
                         protocol, TRAINER_PROTOCOL);
    rc = trainer_field_text(l, FIELD_NAME, name, sizeof name);
    if (rc == 0)
        rc = trainer_field_text(l, FIELD_VERSION, version, sizeof version);
    if (rc == 0)
        rc = trainer_field_text(l, FIELD_KERNELS, ret->kernels, sizeof ret->kernels);
    if (rc == 0 && l->values[FIELD_QUEUE])
        rc = trainer_field_integer(l, FIELD_QUEUE, 0, QUEUE_MAX, &queue);
    if (rc == 0)
        rc = trainer_field_flag(l, FIELD_CHECKPOINTS, &ret->checkpoints);
    ret->queue = (int32_t)queue;
    snprintf(ret->name, sizeof ret->name, "%s%s%s", name, *version ? " " : "", version);
    return rc;
}

static int get_progress(const struct trainer_fields *l, const char *metric,
                        struct trainer_line *ret)
{
    int64_t epoch = 0;
    double seconds = NAN;
    int rc = get_trial(l, ret);
    if (rc == 0)
        rc = trainer_field_integer(l, FIELD_EPOCH, 1, TRIAL_MAX_EPOCHS, &epoch);
    if (rc == 0 && !l->values[FIELD_METRICS])
        rc = trainer_field_missing(l, FIELD_METRICS);
    if (rc == 0)
        rc = get_metrics(l, metric, ret);
    if (rc == 0)
        rc = trainer_field_amount(l, FIELD_SECONDS, &seconds);
    ret->epoch = (uint32_t)epoch;
    ret->values.seconds = (float)seconds;
    return rc;
}

/* The text of an object, where it stands. */
static int get_architecture(const struct trainer_fields *l, struct trainer_line *ret)
{
    if (!l->values[FIELD_ARCHITECTURE])
        return 0;
    struct json_scan s = trainer_field_at(l, l->values[FIELD_ARCHITECTURE]);
    if (json_scan_peek(&s) != '{')
        return trainer_field_wrong(l, "architecture", s, "an object");
    ret->architecture = s.at;
    json_scan_skip(&s);
    ret->architecture_size = (size_t)(s.at - ret->architecture);
    return 0;
}

static int get_result(const struct trainer_fields *l, const char *metric,
                      struct trainer_line *ret)
{
    char status[32] = "";
    int rc = get_trial(l, ret);
    if (rc == 0 && !l->values[FIELD_STATUS])
        rc = trainer_field_missing(l, FIELD_STATUS);
    if (rc == 0)
        rc = trainer_field_text(l, FIELD_STATUS, status, sizeof status);
    if (rc < 0)
        return rc;
    if (strcmp(status, "failed") == 0) {
        ret->failed = 1;
        rc = trainer_field_text(l, FIELD_REASON, ret->reason, sizeof ret->reason);
        if (rc == 0 && !*ret->reason)
            strcpy(ret->reason, "the trainer gave no reason");
    } else if (strcmp(status, "ok") == 0) {
        rc = get_metrics(l, metric, ret);
    } else {
        return error_set(l->err, ERROR_PEER,
                         "result: \"status\" is \"%s\", allowed are \"ok\" and \"failed\"",
                         status);
    }
    if (rc == 0)
        rc = trainer_field_amount(l, FIELD_SECONDS, &ret->seconds);
    if (rc == 0)
        rc = trainer_field_amount(l, FIELD_PARAMS, &ret->params);
    if (rc == 0)
        rc = trainer_field_amount(l, FIELD_FLOPS, &ret->flops);
    if (rc == 0)
        rc = get_architecture(l, ret);
    if (rc == 0)
        rc = trainer_field_number(l, FIELD_LOG_PROBABILITY, &ret->log_probability);
    return rc;
}

/* What a status is called, or -1. */
static int find_checkpoint(const char *name)
{
    for (int i = CHECKPOINT_SAVED; i <= CHECKPOINT_REFUSED; i++)
        if (strcmp(trial_checkpoint_name(i), name) == 0)
            return i;
    return -1;
}

static int get_checkpoint(const struct trainer_fields *l, struct trainer_line *ret)
{
    char status[32] = "";
    int64_t epoch = 0;
    int rc = get_trial(l, ret);
    if (rc == 0 && !l->values[FIELD_STATUS])
        rc = trainer_field_missing(l, FIELD_STATUS);
    if (rc == 0)
        rc = trainer_field_text(l, FIELD_STATUS, status, sizeof status);
    if (rc < 0)
        return rc;
    ret->checkpoint = find_checkpoint(status);
    if (ret->checkpoint < 0)
        return error_set(l->err, ERROR_PEER,
                         "checkpoint: \"status\" is \"%s\", allowed are \"saved\", "
                         "\"suspended\", \"continued\" and \"refused\"",
                         status);
    if (ret->checkpoint == CHECKPOINT_REFUSED)
        return trainer_field_text(l, FIELD_REASON, ret->reason, sizeof ret->reason);
    rc = trainer_field_integer(l, FIELD_EPOCH, 0, TRIAL_MAX_EPOCHS, &epoch);
    if (rc == 0)
        rc = trainer_field_amount(l, FIELD_SECONDS, &ret->seconds);
    ret->epoch = (uint32_t)epoch;
    return rc;
}

static int get_behind(const struct trainer_fields *l, struct trainer_line *ret)
{
    int64_t step = 0, part = 0;
    int rc = get_trial(l, ret);
    if (rc == 0)
        rc = trainer_field_integer(l, FIELD_STEP, 0, INT64_MAX, &step);
    if (rc == 0)
        rc = trainer_field_integer(l, FIELD_PART, 0, INT32_MAX, &part);
    ret->at = (struct trial_shared){.step = (uint64_t)step, .part = (int32_t)part};
    return rc;
}

static int get_lanes(const struct trainer_fields *l, struct trainer_line *ret)
{
    int64_t fd = 0, samples = 0;
    int rc = trainer_field_integer(l, FIELD_FD, 0, INT32_MAX, &fd);
    if (rc == 0)
        rc = trainer_field_integer(l, FIELD_SAMPLES, 1, TRAINER_MAX_LANES, &samples);
    if (rc == 0)
        rc = trainer_field_integer(l, FIELD_STRIDE, 1,
                                   INT64_MAX / (2 * TRAINER_MAX_LANES), &ret->stride);
    ret->fd = (int32_t)fd;
    ret->samples = (int32_t)samples;
    return rc;
}

static int get_missing(const struct trainer_fields *l, struct trainer_line *ret)
{
    int64_t round = 0;
    int rc = trainer_field_integer(l, FIELD_ROUND, 0, INT64_MAX, &round);
    ret->round = (uint64_t)round;
    return rc;
}

static int get_line(struct trainer_fields *l, const char *metric,
                    struct trainer_line *ret)
{
    char type[32] = "";
    l->type = "line";
    if (!l->values[FIELD_TYPE])
        return trainer_field_missing(l, FIELD_TYPE);
    int rc = trainer_field_text(l, FIELD_TYPE, type, sizeof type);
    if (rc < 0)
        return rc;
    l->type = type;
    if (strcmp(type, "progress") == 0) {
        ret->type = TRAINER_PROGRESS;
        return get_progress(l, metric, ret);
    }
    if (strcmp(type, "result") == 0) {
        ret->type = TRAINER_RESULT;
        return get_result(l, metric, ret);
    }
    if (strcmp(type, "ready") == 0) {
        ret->type = TRAINER_READY;
        return get_ready(l, ret);
    }
    if (strcmp(type, "checkpoint") == 0) {
        ret->type = TRAINER_CHECKPOINT;
        return get_checkpoint(l, ret);
    }
    if (strcmp(type, "behind") == 0) {
        ret->type = TRAINER_BEHIND;
        return get_behind(l, ret);
    }
    if (strcmp(type, "lanes") == 0) {
        ret->type = TRAINER_LANES;
        return get_lanes(l, ret);
    }
    if (strcmp(type, "missing") == 0) {
        ret->type = TRAINER_MISSING;
        return get_missing(l, ret);
    }
    return error_set(l->err, ERROR_PEER,
                     "the line's type is \"%s\", allowed are ready, progress, result, "
                     "checkpoint, behind, lanes and missing",
                     type);
}

static void line_init(struct trainer_line *t)
{
    t->trial = 0;
    t->attempt = t->queue = 0;
    t->name[0] = t->kernels[0] = t->reason[0] = '\0';
    t->epoch = 0;
    t->at = (struct trial_shared){0};
    t->fd = t->samples = 0;
    t->stride = 0;
    t->round = 0;
    t->values = (struct trial_epoch){NAN, NAN, NAN, NAN, NAN, NAN};
    t->has_metrics = t->failed = t->not_finite = t->checkpoints = t->checkpoint = 0;
    t->seconds = t->params = t->flops = t->log_probability = NAN;
    t->architecture = NULL;
    t->architecture_size = 0;
}

int trainer_decode_line(const char *line, size_t size, const char *metric,
                        struct trainer_line *ret, struct error *err)
{
    struct trainer_fields l = {.text = line, .end = line + size, .err = err};
    struct trainer_line decoded;
    if (size > TRAINER_LINE_MAX)
        return error_set(err, ERROR_PEER, "a line of %zu bytes, at most %d are allowed",
                         size, TRAINER_LINE_MAX);
    int rc = trainer_fields_scan(&l);
    if (rc < 0)
        return rc;
    line_init(&decoded);
    rc = get_line(&l, metric, &decoded);
    if (rc == 0)
        *ret = decoded;
    return rc;
}
