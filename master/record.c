/* SPDX-License-Identifier: Apache-2.0 */
/* One encoder and one decoder a record, fields in the order of the header. Decoders check
 * every bound and every enumeration, because a record decides what a resumed run does; a
 * field that a later version appends is ignored. */
#include "master/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCH_VALUES = 6, EPOCH_BYTES = 4 * EPOCH_VALUES };

static int decode_error(struct error *err, const char *name, const char *what)
{
    return error_set(err, ERROR_CORRUPT, "journal: a '%s' record %s", name, what);
}

static int decode_end(const struct bytes_reader *in, const char *name, struct error *err)
{
    return in->failed ? decode_error(err, name, "is cut short or out of bounds") : 0;
}

static void put_f32(struct bytes *out, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bytes_put_u32(out, bits);
}

static float get_f32(struct bytes_reader *in)
{
    uint32_t bits = bytes_get_u32(in);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void record_encode_session(const struct record_session *r, struct bytes *out)
{
    bytes_put_string(out, r->version);
    bytes_put_string(out, r->host);
    bytes_put_u64(out, (uint64_t)r->pid);
    bytes_put_f64(out, r->time);
    bytes_put_u32(out, (uint32_t)r->workers);
}

int record_decode_session(struct bytes_reader *in, struct record_session *ret,
                          struct error *err)
{
    struct record_session r = {0};
    bytes_get_string(in, r.version, sizeof r.version);
    bytes_get_string(in, r.host, sizeof r.host);
    r.pid = (int64_t)bytes_get_u64(in);
    r.time = bytes_get_f64(in);
    r.workers = (int32_t)bytes_get_u32(in);
    int status = decode_end(in, "session", err);
    if (status == 0)
        *ret = r;
    return status;
}

void record_encode_proposed(const struct trial *t, struct bytes *out)
{
    bytes_put_u64(out, t->id);
    bytes_put_u8(out, t->kind);
    bytes_put_u8(out, t->arm);
    bytes_put_u8(out, t->state);
    bytes_put_u64(out, t->arm_index);
    bytes_put_u64(out, t->seed);
    bytes_put_u32(out, t->policy_version);
    bytes_put_u64(out, (uint64_t)t->same_as);
    bytes_put_u64(out, t->hash.low);
    bytes_put_u64(out, t->hash.high);
    bytes_put_f64(out, t->log_probability);
    bytes_put_f64(out, t->proposed_at);
    architecture_encode(t->architecture, out);
    if (t->kind == TRIAL_TRAIN_CHILD)
        return;
    bytes_put_u64(out, t->shared.step);
    bytes_put_u32(out, (uint32_t)t->shared.part);
}

static void proposed_fields(struct bytes_reader *in, struct trial *t,
                            struct architecture *a)
{
    t->id = bytes_get_u64(in);
    t->kind = bytes_get_u8(in);
    t->arm = bytes_get_u8(in);
    t->state = bytes_get_u8(in);
    t->arm_index = bytes_get_u64(in);
    t->seed = bytes_get_u64(in);
    t->policy_version = bytes_get_u32(in);
    t->same_as = (int64_t)bytes_get_u64(in);
    t->hash.low = bytes_get_u64(in);
    t->hash.high = bytes_get_u64(in);
    t->log_probability = bytes_get_f64(in);
    t->proposed_at = bytes_get_f64(in);
    architecture_decode(in, a);
    if (t->kind == TRIAL_TRAIN_CHILD)
        return;
    t->shared.step = bytes_get_u64(in);
    t->shared.part = (int32_t)bytes_get_u32(in);
}

int record_decode_proposed(struct bytes_reader *in, struct trial *ret, struct error *err)
{
    struct trial t = {.worker = -1,
                      .slot = -1,
                      .val_accuracy = NAN,
                      .reward = NAN,
                      .seconds = NAN,
                      .params = NAN,
                      .flops = NAN,
                      .finished_at = NAN};
    struct architecture a;
    proposed_fields(in, &t, &a);
    int status = decode_end(in, "proposed", err);
    if (status == 0 &&
        (t.kind >= TRIAL_KIND_COUNT || t.arm >= ARM_COUNT || t.state > TRIAL_SAVED))
        status = decode_error(err, "proposed", "has an unknown kind, arm or state");
    if (status == 0 && !(t.architecture = architecture_pack(&a)))
        status = error_set(err, ERROR_SYSTEM, "journal: out of memory");
    if (status != 0)
        return status;
    *ret = t;
    return 0;
}

void record_encode_started(const struct record_started *r, struct bytes *out)
{
    bytes_put_u64(out, r->id);
    bytes_put_u32(out, (uint32_t)r->attempt);
    bytes_put_u32(out, (uint32_t)r->worker);
    bytes_put_u32(out, (uint32_t)r->slot);
    bytes_put_f64(out, r->time);
}

int record_decode_started(struct bytes_reader *in, struct record_started *ret,
                          struct error *err)
{
    struct record_started r;
    r.id = bytes_get_u64(in);
    r.attempt = (int32_t)bytes_get_u32(in);
    r.worker = (int32_t)bytes_get_u32(in);
    r.slot = (int32_t)bytes_get_u32(in);
    r.time = bytes_get_f64(in);
    int status = decode_end(in, "started", err);
    if (status == 0)
        *ret = r;
    return status;
}

static void encode_epoch(const struct trial_epoch *e, struct bytes *out)
{
    put_f32(out, e->train_loss);
    put_f32(out, e->train_accuracy);
    put_f32(out, e->val_loss);
    put_f32(out, e->val_accuracy);
    put_f32(out, e->lr);
    put_f32(out, e->seconds);
}

static void decode_epoch(struct bytes_reader *in, struct trial_epoch *ret)
{
    ret->train_loss = get_f32(in);
    ret->train_accuracy = get_f32(in);
    ret->val_loss = get_f32(in);
    ret->val_accuracy = get_f32(in);
    ret->lr = get_f32(in);
    ret->seconds = get_f32(in);
}

void record_encode_finished(const struct record_finished *r, struct bytes *out)
{
    const struct ledger_result *result = &r->result;
    bytes_put_u64(out, r->id);
    bytes_put_u32(out, (uint32_t)r->attempt);
    bytes_put_u32(out, (uint32_t)r->worker);
    bytes_put_u32(out, (uint32_t)r->slot);
    bytes_put_f64(out, r->reward);
    bytes_put_u8(out, result->failure);
    bytes_put_f64(out, result->val_accuracy);
    bytes_put_f64(out, result->seconds);
    bytes_put_f64(out, result->params);
    bytes_put_f64(out, result->flops);
    bytes_put_f64(out, result->finished_at);
    bytes_put_u8(out, result->reason != NULL);
    if (result->reason) {
        size_t size = strnlen(result->reason, TRIAL_REASON - 1);
        bytes_put_u32(out, (uint32_t)size);
        bytes_put(out, result->reason, size);
    }
    bytes_put_u32(out, result->epoch_count);
    for (uint32_t i = 0; i < result->epoch_count; i++)
        encode_epoch(&result->epochs[i], out);
    bytes_put_string(out, result->kernels);
    if (!result->derived)
        return;
    architecture_encode(result->derived, out);
    bytes_put_f64(out, result->log_probability);
}

static void finished_fields(struct bytes_reader *in, struct record_finished *r)
{
    r->id = bytes_get_u64(in);
    r->attempt = (int32_t)bytes_get_u32(in);
    r->worker = (int32_t)bytes_get_u32(in);
    r->slot = (int32_t)bytes_get_u32(in);
    r->reward = bytes_get_f64(in);
    r->result.failure = bytes_get_u8(in);
    r->result.val_accuracy = bytes_get_f64(in);
    r->result.seconds = bytes_get_f64(in);
    r->result.params = bytes_get_f64(in);
    r->result.flops = bytes_get_f64(in);
    r->result.finished_at = bytes_get_f64(in);
    if (bytes_get_u8(in))
        r->result.reason = bytes_get_string_dup(in, TRIAL_REASON - 1);
}

/* The curve, whose length is bounded by what is left of the record. */
static int finished_epochs(struct bytes_reader *in, struct ledger_result *result,
                           struct error *err)
{
    uint32_t count = bytes_get_u32(in);
    if (in->failed || count > TRIAL_MAX_EPOCHS || count > bytes_left(in) / EPOCH_BYTES)
        return decode_error(err, "finished", "is cut short or out of bounds");
    struct trial_epoch *epochs = count ? malloc(count * sizeof *epochs) : NULL;
    if (count && !epochs)
        return error_set(err, ERROR_SYSTEM, "journal: out of memory");
    for (uint32_t i = 0; i < count; i++)
        decode_epoch(in, &epochs[i]);
    result->epochs = epochs;
    result->epoch_count = count;
    return 0;
}

/* Absent in older records, and of trials that are no RELAX steps. */
static int finished_derived(struct bytes_reader *in, struct ledger_result *result,
                            struct error *err)
{
    struct architecture derived;
    if (bytes_left(in) == 0)
        return 0;
    architecture_decode(in, &derived);
    result->log_probability = bytes_get_f64(in);
    int status = decode_end(in, "finished", err);
    if (status == 0 && !(result->derived = architecture_pack(&derived)))
        status = error_set(err, ERROR_SYSTEM, "journal: out of memory");
    return status;
}

int record_decode_finished(struct bytes_reader *in, struct record_finished *ret,
                           struct error *err)
{
    struct record_finished r = {0};
    finished_fields(in, &r);
    int status = finished_epochs(in, &r.result, err);
    if (status == 0 && bytes_left(in) > 0) { /* absent in older records */
        bytes_get_string(in, r.result.kernels, sizeof r.result.kernels);
        status = decode_end(in, "finished", err);
    }
    if (status == 0)
        status = finished_derived(in, &r.result, err);
    if (status == 0 && r.result.failure > FAILURE_START)
        status = decode_error(err, "finished", "has an unknown failure");
    if (status != 0) {
        record_finished_fini(&r);
        return status;
    }
    *ret = r;
    return 0;
}

void record_finished_fini(struct record_finished *r)
{
    free((void *)(uintptr_t)r->result.reason);
    free((void *)(uintptr_t)r->result.epochs);
    free((void *)(uintptr_t)r->result.derived);
    r->result.derived = NULL;
    r->result.reason = NULL;
    r->result.epochs = NULL;
    r->result.epoch_count = 0;
}

void record_encode_checkpoint(const struct record_checkpoint *r, struct bytes *out)
{
    bytes_put_u64(out, r->id);
    bytes_put_u32(out, (uint32_t)r->attempt);
    bytes_put_u32(out, (uint32_t)r->worker);
    bytes_put_u32(out, (uint32_t)r->slot);
    bytes_put_u8(out, r->what);
    bytes_put_u32(out, r->epochs);
    bytes_put_f64(out, r->seconds);
    bytes_put_f64(out, r->time);
}

int record_decode_checkpoint(struct bytes_reader *in, struct record_checkpoint *ret,
                             struct error *err)
{
    struct record_checkpoint r;
    r.id = bytes_get_u64(in);
    r.attempt = (int32_t)bytes_get_u32(in);
    r.worker = (int32_t)bytes_get_u32(in);
    r.slot = (int32_t)bytes_get_u32(in);
    r.what = bytes_get_u8(in);
    r.epochs = bytes_get_u32(in);
    r.seconds = bytes_get_f64(in);
    r.time = bytes_get_f64(in);
    int status = decode_end(in, "checkpoint", err);
    if (status == 0 && (r.what > CHECKPOINT_REFUSED || r.epochs > TRIAL_MAX_EPOCHS ||
                        !(r.seconds >= 0 && isfinite(r.seconds))))
        status = decode_error(err, "checkpoint", "has an unknown kind, epoch or time");
    if (status == 0)
        *ret = r;
    return status;
}

void record_encode_told(uint64_t id, struct bytes *out)
{
    bytes_put_u64(out, id);
}

int record_decode_told(struct bytes_reader *in, uint64_t *ret, struct error *err)
{
    uint64_t id = bytes_get_u64(in);
    int status = decode_end(in, "told", err);
    if (status == 0)
        *ret = id;
    return status;
}

void record_encode_hours(const struct ledger_hours *h, struct bytes *out)
{
    bytes_put_f64(out, h->trained);
    bytes_put_f64(out, h->failed);
    bytes_put_f64(out, h->lost);
    bytes_put_f64(out, h->saved);
    bytes_put_f64(out, h->idle_wait);
    bytes_put_f64(out, h->idle_tail);
    bytes_put_u64(out, h->duplicates);
}

int record_decode_hours(struct bytes_reader *in, struct ledger_hours *ret,
                        struct error *err)
{
    struct ledger_hours h;
    h.trained = bytes_get_f64(in);
    h.failed = bytes_get_f64(in);
    h.lost = bytes_get_f64(in);
    h.saved = bytes_get_f64(in);
    h.idle_wait = bytes_get_f64(in);
    h.idle_tail = bytes_get_f64(in);
    h.duplicates = bytes_get_u64(in);
    int status = decode_end(in, "hours", err);
    if (status == 0)
        *ret = h;
    return status;
}
