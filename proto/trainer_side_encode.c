/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that the built-in trainer writes. A short trial may be over in less than a
 * millisecond, so they are put together by hand rather than through a tree of values. */
#include "proto/trainer_side.h"

#include <math.h>

#include "proto/json_put.h"
#include "proto/trainer_protocol.h"

void trainer_side_encode_ready(const char *name, const char *version, const char *kernels,
                               int queue, bool checkpoints, struct bytes *out)
{
    json_put_raw(out, "{\"type\":\"ready\",\"protocol\":");
    json_put_integer(out, TRAINER_PROTOCOL);
    json_put_raw(out, ",\"name\":");
    json_put_string(out, name);
    json_put_raw(out, ",\"version\":");
    json_put_string(out, version);
    if (kernels) {
        json_put_raw(out, ",\"kernels\":");
        json_put_string(out, kernels);
    }
    json_put_raw(out, ",\"queue\":");
    json_put_integer(out, queue);
    json_put_raw(out, checkpoints ? ",\"checkpoints\":true}\n" : "}\n");
}

static void put_attempt(struct bytes *out, const char *start, uint64_t trial, int attempt)
{
    json_put_raw(out, start);
    json_put_integer(out, (int64_t)trial);
    json_put_raw(out, ",\"attempt\":");
    json_put_integer(out, attempt);
}

static void put_metrics(struct bytes *out, const struct trial_epoch *e)
{
    json_put_raw(out, ",\"metrics\":{\"train_loss\":");
    json_put_float(out, e->train_loss);
    json_put_raw(out, ",\"train_accuracy\":");
    json_put_float(out, e->train_accuracy);
    json_put_raw(out, ",\"val_loss\":");
    json_put_float(out, e->val_loss);
    json_put_raw(out, ",\"val_accuracy\":");
    json_put_float(out, e->val_accuracy);
    /* A text is judged by its perplexity. */
    if (isnan(e->val_accuracy) && isfinite(e->val_loss)) {
        json_put_raw(out, ",\"val_perplexity\":");
        json_put_float(out, expf(e->val_loss));
    }
    json_put_raw(out, ",\"lr\":");
    json_put_float(out, e->lr);
    json_put_raw(out, "}");
}

void trainer_side_encode_progress(uint64_t trial, int attempt, uint32_t epoch,
                                  const struct trial_epoch *values, struct bytes *out)
{
    put_attempt(out, "{\"type\":\"progress\",\"trial\":", trial, attempt);
    json_put_raw(out, ",\"epoch\":");
    json_put_integer(out, epoch);
    put_metrics(out, values);
    json_put_raw(out, ",\"seconds\":");
    json_put_float(out, values->seconds);
    json_put_raw(out, "}\n");
}

static void put_field(struct bytes *out, const char *name, double v)
{
    if (isnan(v))
        return;
    json_put_raw(out, name);
    json_put_double(out, v);
}

/* All of a result but its end. */
static void put_result(struct bytes *out, uint64_t trial, int attempt,
                       const struct trial_epoch *values, double seconds, double params,
                       double flops)
{
    put_attempt(out, "{\"type\":\"result\",\"trial\":", trial, attempt);
    json_put_raw(out, ",\"status\":\"ok\"");
    if (values)
        put_metrics(out, values);
    put_field(out, ",\"params\":", params);
    put_field(out, ",\"flops\":", flops);
    put_field(out, ",\"seconds\":", seconds);
}

void trainer_side_encode_result(uint64_t trial, int attempt,
                                const struct trial_epoch *values, double seconds,
                                double params, double flops, struct bytes *out)
{
    put_result(out, trial, attempt, values, seconds, params, flops);
    json_put_raw(out, "}\n");
}

void trainer_side_encode_derived(uint64_t trial, int attempt,
                                 const struct trial_epoch *values, double seconds,
                                 double params, double flops, const char *architecture,
                                 double log_probability, struct bytes *out)
{
    put_result(out, trial, attempt, values, seconds, params, flops);
    json_put_raw(out, ",\"architecture\":");
    json_put_raw(out, architecture);
    put_field(out, ",\"log_probability\":", log_probability);
    json_put_raw(out, "}\n");
}

void trainer_side_encode_checkpoint(uint64_t trial, int attempt, int checkpoint,
                                    uint32_t epoch, double seconds, const char *reason,
                                    struct bytes *out)
{
    put_attempt(out, "{\"type\":\"checkpoint\",\"trial\":", trial, attempt);
    json_put_raw(out, ",\"status\":");
    json_put_string(out, trial_checkpoint_name(checkpoint));
    json_put_raw(out, ",\"epoch\":");
    json_put_integer(out, epoch);
    put_field(out, ",\"seconds\":", seconds);
    if (reason) {
        json_put_raw(out, ",\"reason\":");
        json_put_string(out, reason);
    }
    json_put_raw(out, "}\n");
}

void trainer_side_encode_behind(uint64_t trial, int attempt,
                                const struct trial_shared *at, struct bytes *out)
{
    put_attempt(out, "{\"type\":\"behind\",\"trial\":", trial, attempt);
    json_put_raw(out, ",\"step\":");
    json_put_integer(out, (int64_t)at->step);
    json_put_raw(out, ",\"part\":");
    json_put_integer(out, at->part);
    json_put_raw(out, "}\n");
}

void trainer_side_encode_lanes(int fd, size_t stride, int samples, struct bytes *out)
{
    json_put_raw(out, "{\"type\":\"lanes\",\"fd\":");
    json_put_integer(out, fd);
    json_put_raw(out, ",\"stride\":");
    json_put_integer(out, (int64_t)stride);
    json_put_raw(out, ",\"samples\":");
    json_put_integer(out, samples);
    json_put_raw(out, "}\n");
}

void trainer_side_encode_missing(uint64_t round, struct bytes *out)
{
    json_put_raw(out, "{\"type\":\"missing\",\"round\":");
    json_put_integer(out, (int64_t)round);
    json_put_raw(out, "}\n");
}

void trainer_side_encode_failure(uint64_t trial, int attempt, const char *reason,
                                 struct bytes *out)
{
    put_attempt(out, "{\"type\":\"result\",\"trial\":", trial, attempt);
    json_put_raw(out, ",\"status\":\"failed\",\"reason\":");
    json_put_string(out, reason);
    json_put_raw(out, "}\n");
}
