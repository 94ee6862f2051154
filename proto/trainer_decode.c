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

#include "proto/json_scan.h"

enum field {
    FIELD_TYPE,
    FIELD_PROTOCOL,
    FIELD_NAME,
    FIELD_VERSION,
    FIELD_QUEUE,
    FIELD_TRIAL,
    FIELD_ATTEMPT,
    FIELD_EPOCH,
    FIELD_METRICS,
    FIELD_SECONDS,
    FIELD_STATUS,
    FIELD_PARAMS,
    FIELD_FLOPS,
    FIELD_REASON,
    FIELD_KERNELS,
    FIELD_CHECKPOINTS,
    FIELD_STEP,
    FIELD_PART,
    FIELD_ARCHITECTURE,
    FIELD_LOG_PROBABILITY,
    FIELD_FD,
    FIELD_STRIDE,
    FIELD_SAMPLES,
    FIELD_ROUND,
    FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {
    "type",         "protocol",        "name",    "version",     "queue",   "trial",
    "attempt",      "epoch",           "metrics", "seconds",     "status",  "params",
    "flops",        "reason",          "kernels", "checkpoints", "step",    "part",
    "architecture", "log_probability", "fd",      "stride",      "samples", "round",
};

enum { QUEUE_MAX = 1024, EXCERPT = 60 };

struct line {
    const char *text, *end;
    const char *values[FIELD_COUNT]; /* where each field's value begins, or NULL */
    const char *type;                /* for error texts */
    struct error *err;
};

/* The beginning of the line, fit to be shown. */
static void excerpt(const char *text, size_t size, char *ret)
{
    size_t n = size < EXCERPT ? size : EXCERPT;
    while (n > 0 && n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    strcpy(ret + n, n < size ? "..." : "");
}

static int fail_syntax(const struct line *l, const struct json_scan *s)
{
    char shown[EXCERPT + 4];
    excerpt(l->text, (size_t)(l->end - l->text), shown);
    return error_set(l->err, ERROR_PEER,
                     "not a JSON object: %s expected at byte %zu of \"%s\" (only protocol "
                     "lines may be written to standard output)",
                     s->wrong, (size_t)(s->at - s->start) + 1, shown);
}

/* Index of the field called key, or FIELD_COUNT. */
static int find_field(const char *key)
{
    int i = 0;
    while (i < FIELD_COUNT && strcmp(key, field_names[i]) != 0)
        i++;
    return i;
}

static int scan_line(struct line *l)
{
    struct json_scan s;
    char key[32];
    bool first = true;
    json_scan_init(&s, l->text, (size_t)(l->end - l->text));
    while (json_scan_key(&s, &first, key, sizeof key)) {
        int field = find_field(key);
        if (field < FIELD_COUNT)
            l->values[field] = s.at;
        json_scan_skip(&s);
    }
    if (!json_scan_end(&s))
        return fail_syntax(l, &s);
    return 0;
}

static struct json_scan at_value(const struct line *l, const char *value)
{
    struct json_scan s;
    json_scan_init(&s, value, (size_t)(l->end - value));
    return s;
}

static int fail_kind(const struct line *l, const char *name, struct json_scan s,
                     const char *needed)
{
    return error_set(l->err, ERROR_PEER, "%s: \"%s\" is %s, %s is needed", l->type, name,
                     json_scan_kind(&s), needed);
}

static int fail_missing(const struct line *l, enum field field)
{
    return error_set(l->err, ERROR_PEER, "%s: \"%s\" is missing", l->type,
                     field_names[field]);
}

/* A string field; absent leaves ret as it is. */
static int get_text(const struct line *l, enum field field, char *ret, size_t size)
{
    if (!l->values[field])
        return 0;
    struct json_scan s = at_value(l, l->values[field]);
    if (json_scan_peek(&s) != '"')
        return fail_kind(l, field_names[field], s, "a string");
    json_scan_string(&s, ret, size);
    return 0;
}

/* true or false; absent leaves ret as it is. */
static int get_flag(const struct line *l, enum field field, int *ret)
{
    if (!l->values[field])
        return 0;
    struct json_scan s = at_value(l, l->values[field]);
    char first = json_scan_peek(&s);
    if (first != 't' && first != 'f')
        return fail_kind(l, field_names[field], s, "true or false");
    *ret = first == 't';
    return 0;
}

/* A required integer, written without fraction and exponent. */
static int get_integer(const struct line *l, enum field field, int64_t low, int64_t high,
                       int64_t *ret)
{
    int64_t v = 0;
    const char *name = field_names[field];
    if (!l->values[field])
        return fail_missing(l, field);
    struct json_scan s = at_value(l, l->values[field]);
    json_scan_peek(&s);
    const char *at = s.at;
    bool minus = *at == '-', overflow = false;
    at += minus;
    if (at == l->end || *at < '0' || *at > '9')
        return fail_kind(l, name, s, "an integer");
    for (; at < l->end && *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, *at - '0', &v))
            overflow = true;
    if (at < l->end && (*at == '.' || *at == 'e' || *at == 'E'))
        return error_set(l->err, ERROR_PEER,
                         "%s: \"%s\" must be an integer, without fraction or exponent",
                         l->type, name);
    v = minus ? -v : v;
    if (overflow || v < low || v > high)
        return error_set(l->err, ERROR_PEER,
                         "%s: \"%s\" is %.*s, allowed are %" PRId64 " to %" PRId64, l->type,
                         name, (int)(at - s.at > 40 ? 40 : at - s.at), s.at, low, high);
    *ret = v;
    return 0;
}

/* Absent is NAN, so is null. */
static int get_number(const struct line *l, enum field field, double *ret)
{
    double v = NAN;
    if (l->values[field]) {
        struct json_scan s = at_value(l, l->values[field]), before = s;
        if (!json_scan_number(&s, &v))
            return fail_kind(l, field_names[field], before, "a number");
    }
    *ret = v;
    return 0;
}

/* A number that is never negative. */
static int get_amount(const struct line *l, enum field field, double *ret)
{
    double v = NAN;
    int rc = get_number(l, field, &v);
    if (rc == 0 && v < 0)
        return error_set(l->err, ERROR_PEER, "%s: \"%s\" is %g, allowed is 0 and more",
                         l->type, field_names[field], v);
    if (rc == 0)
        *ret = v;
    return rc;
}

static int get_trial(const struct line *l, struct trainer_line *ret)
{
    int64_t trial = 0, attempt = 0;
    int rc = get_integer(l, FIELD_TRIAL, 0, INT64_MAX, &trial);
    if (rc == 0)
        rc = get_integer(l, FIELD_ATTEMPT, 0, INT32_MAX, &attempt);
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
static int get_metric(const struct line *l, struct json_scan *s, const char *name,
                      const char *reward, float *reward_place, struct trainer_line *ret)
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
        return fail_kind(l, name, before, "a number");
    *place = (float)v;
    ret->has_metrics = 1;
    if (is_reward)
        ret->not_finite = !isfinite(*place);
    return 0;
}

static int get_metrics(const struct line *l, const char *reward, struct trainer_line *ret)
{
    char key[CONFIG_TEXT];
    bool first = true;
    float *named = metric_place(&ret->values, reward);
    float *reward_place = named ? named : &ret->values.val_accuracy;
    if (!l->values[FIELD_METRICS])
        return 0;
    struct json_scan s = at_value(l, l->values[FIELD_METRICS]);
    if (json_scan_peek(&s) != '{')
        return fail_kind(l, "metrics", s, "an object");
    while (json_scan_key(&s, &first, key, sizeof key)) {
        int rc = get_metric(l, &s, key, reward, reward_place, ret);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int get_ready(const struct line *l, struct trainer_line *ret)
{
    char name[128] = "", version[120] = "";
    int64_t protocol, queue = 0;
    int rc = get_integer(l, FIELD_PROTOCOL, INT64_MIN, INT64_MAX, &protocol);
    if (rc < 0)
        return rc;
    if (protocol != TRAINER_PROTOCOL)
        return error_set(l->err, ERROR_PEER,
                         "ready: the trainer speaks protocol %" PRId64 ", this program %d",
                         protocol, TRAINER_PROTOCOL);
    rc = get_text(l, FIELD_NAME, name, sizeof name);
    if (rc == 0)
        rc = get_text(l, FIELD_VERSION, version, sizeof version);
    if (rc == 0)
        rc = get_text(l, FIELD_KERNELS, ret->kernels, sizeof ret->kernels);
    if (rc == 0 && l->values[FIELD_QUEUE])
        rc = get_integer(l, FIELD_QUEUE, 0, QUEUE_MAX, &queue);
    if (rc == 0)
        rc = get_flag(l, FIELD_CHECKPOINTS, &ret->checkpoints);
    ret->queue = (int32_t)queue;
    snprintf(ret->name, sizeof ret->name, "%s%s%s", name, *version ? " " : "", version);
    return rc;
}

static int get_progress(const struct line *l, const char *metric, struct trainer_line *ret)
{
    int64_t epoch = 0;
    double seconds = NAN;
    int rc = get_trial(l, ret);
    if (rc == 0)
        rc = get_integer(l, FIELD_EPOCH, 1, TRIAL_MAX_EPOCHS, &epoch);
    if (rc == 0 && !l->values[FIELD_METRICS])
        rc = fail_missing(l, FIELD_METRICS);
    if (rc == 0)
        rc = get_metrics(l, metric, ret);
    if (rc == 0)
        rc = get_amount(l, FIELD_SECONDS, &seconds);
    ret->epoch = (uint32_t)epoch;
    ret->values.seconds = (float)seconds;
    return rc;
}

/* The text of an object, where it stands. */
static int get_architecture(const struct line *l, struct trainer_line *ret)
{
    if (!l->values[FIELD_ARCHITECTURE])
        return 0;
    struct json_scan s = at_value(l, l->values[FIELD_ARCHITECTURE]);
    if (json_scan_peek(&s) != '{')
        return fail_kind(l, "architecture", s, "an object");
    ret->architecture = s.at;
    json_scan_skip(&s);
    ret->architecture_size = (size_t)(s.at - ret->architecture);
    return 0;
}

static int get_result(const struct line *l, const char *metric, struct trainer_line *ret)
{
    char status[32] = "";
    int rc = get_trial(l, ret);
    if (rc == 0 && !l->values[FIELD_STATUS])
        rc = fail_missing(l, FIELD_STATUS);
    if (rc == 0)
        rc = get_text(l, FIELD_STATUS, status, sizeof status);
    if (rc < 0)
        return rc;
    if (strcmp(status, "failed") == 0) {
        ret->failed = 1;
        rc = get_text(l, FIELD_REASON, ret->reason, sizeof ret->reason);
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
        rc = get_amount(l, FIELD_SECONDS, &ret->seconds);
    if (rc == 0)
        rc = get_amount(l, FIELD_PARAMS, &ret->params);
    if (rc == 0)
        rc = get_amount(l, FIELD_FLOPS, &ret->flops);
    if (rc == 0)
        rc = get_architecture(l, ret);
    if (rc == 0)
        rc = get_number(l, FIELD_LOG_PROBABILITY, &ret->log_probability);
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

static int get_checkpoint(const struct line *l, struct trainer_line *ret)
{
    char status[32] = "";
    int64_t epoch = 0;
    int rc = get_trial(l, ret);
    if (rc == 0 && !l->values[FIELD_STATUS])
        rc = fail_missing(l, FIELD_STATUS);
    if (rc == 0)
        rc = get_text(l, FIELD_STATUS, status, sizeof status);
    if (rc < 0)
        return rc;
    ret->checkpoint = find_checkpoint(status);
    if (ret->checkpoint < 0)
        return error_set(l->err, ERROR_PEER,
                         "checkpoint: \"status\" is \"%s\", allowed are \"saved\", "
                         "\"suspended\", \"continued\" and \"refused\"",
                         status);
    if (ret->checkpoint == CHECKPOINT_REFUSED)
        return get_text(l, FIELD_REASON, ret->reason, sizeof ret->reason);
    rc = get_integer(l, FIELD_EPOCH, 0, TRIAL_MAX_EPOCHS, &epoch);
    if (rc == 0)
        rc = get_amount(l, FIELD_SECONDS, &ret->seconds);
    ret->epoch = (uint32_t)epoch;
    return rc;
}

static int get_behind(const struct line *l, struct trainer_line *ret)
{
    int64_t step = 0, part = 0;
    int rc = get_trial(l, ret);
    if (rc == 0)
        rc = get_integer(l, FIELD_STEP, 0, INT64_MAX, &step);
    if (rc == 0)
        rc = get_integer(l, FIELD_PART, 0, INT32_MAX, &part);
    ret->at = (struct trial_shared){.step = (uint64_t)step, .part = (int32_t)part};
    return rc;
}

static int get_lanes(const struct line *l, struct trainer_line *ret)
{
    int64_t fd = 0, samples = 0;
    int rc = get_integer(l, FIELD_FD, 0, INT32_MAX, &fd);
    if (rc == 0)
        rc = get_integer(l, FIELD_SAMPLES, 1, TRAINER_MAX_LANES, &samples);
    if (rc == 0)
        rc = get_integer(l, FIELD_STRIDE, 1, INT64_MAX / (2 * TRAINER_MAX_LANES),
                         &ret->stride);
    ret->fd = (int32_t)fd;
    ret->samples = (int32_t)samples;
    return rc;
}

static int get_missing(const struct line *l, struct trainer_line *ret)
{
    int64_t round = 0;
    int rc = get_integer(l, FIELD_ROUND, 0, INT64_MAX, &round);
    ret->round = (uint64_t)round;
    return rc;
}

static int get_line(struct line *l, const char *metric, struct trainer_line *ret)
{
    char type[32] = "";
    l->type = "line";
    if (!l->values[FIELD_TYPE])
        return fail_missing(l, FIELD_TYPE);
    int rc = get_text(l, FIELD_TYPE, type, sizeof type);
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
    struct line l = {.text = line, .end = line + size, .err = err};
    struct trainer_line decoded;
    if (size > TRAINER_LINE_MAX)
        return error_set(err, ERROR_PEER, "a line of %zu bytes, at most %d are allowed",
                         size, TRAINER_LINE_MAX);
    int rc = scan_line(&l);
    if (rc < 0)
        return rc;
    line_init(&decoded);
    rc = get_line(&l, metric, &decoded);
    if (rc == 0)
        *ret = decoded;
    return rc;
}
