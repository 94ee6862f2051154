/* SPDX-License-Identifier: Apache-2.0 */
/* Reading messages. The input may be anything: every count is bounded, and checked against
 * the bytes that are left, before memory is taken for it; every number has a range; a
 * payload must be used up exactly. The first thing that is wrong is the error, later reads
 * of that frame yield zeros. ret is written only when the whole frame is good. */
#include "proto/message.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message_frame.h"
#include "proto/wire.h"

/* The payload of one frame, and what was found wrong with it. */
struct decoder {
    struct bytes_reader in;
    const char *message; /* name of its type */
    struct error *err;
    bool failed;
};

static void fail_range(struct decoder *d, const char *field, int64_t v, int64_t low,
                       int64_t high)
{
    if (!d->failed)
        error_set(d->err, ERROR_PEER,
                  "message %s: %s is %" PRId64 ", allowed are %" PRId64 " to %" PRId64,
                  d->message, field, v, low, high);
    d->failed = true;
}

/* A read before this one went past the end? Then say so, naming the field. */
static bool check_read(struct decoder *d, const char *field)
{
    if (d->in.failed && !d->failed) {
        error_set(d->err, ERROR_PEER, "message %s: %s is cut off or too long", d->message,
                  field);
        d->failed = true;
    }
    return !d->failed;
}

static int64_t within(struct decoder *d, const char *field, int64_t v, int64_t low,
                      int64_t high)
{
    if (check_read(d, field) && (v < low || v > high))
        fail_range(d, field, v, low, high);
    return d->failed ? 0 : v;
}

static int32_t get_i32(struct decoder *d, const char *field, int32_t low, int32_t high)
{
    return (int32_t)within(d, field, (int32_t)bytes_get_u32(&d->in), low, high);
}

static int32_t get_slot(struct decoder *d)
{
    return get_i32(d, "slot", 0, MESSAGE_MAX_SLOTS - 1);
}

static int32_t get_attempt(struct decoder *d)
{
    return get_i32(d, "attempt", 0, INT32_MAX);
}

static uint64_t get_trial(struct decoder *d)
{
    return (uint64_t)within(d, "trial", (int64_t)bytes_get_u64(&d->in), 0, INT64_MAX);
}

static void get_text(struct decoder *d, const char *field, char *text, size_t size)
{
    bytes_get_string(&d->in, text, size);
    check_read(d, field);
}

static char *get_text_dup(struct decoder *d, const char *field, size_t limit)
{
    char *text = bytes_get_string_dup(&d->in, limit);
    check_read(d, field);
    return text;
}

static float read_f32(const uint8_t *at)
{
    uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                    (uint32_t)at[3] << 24;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void get_epoch(struct decoder *d, struct trial_epoch *ret)
{
    const uint8_t *at = bytes_get(&d->in, MESSAGE_EPOCH_SIZE);
    if (!check_read(d, "values of an epoch"))
        return;
    ret->train_loss = read_f32(at);
    ret->train_accuracy = read_f32(at + 4);
    ret->val_loss = read_f32(at + 8);
    ret->val_accuracy = read_f32(at + 12);
    ret->lr = read_f32(at + 16);
    ret->seconds = read_f32(at + 20);
}

static void get_hello(struct decoder *d, struct message_hello *h)
{
    get_text(d, "host", h->host, sizeof h->host);
    get_text(d, "version", h->version, sizeof h->version);
    get_text(d, "kernels", h->kernels, sizeof h->kernels);
    h->pid = within(d, "pid", (int64_t)bytes_get_u64(&d->in), 0, INT64_MAX);
    get_text(d, "cpus", h->cpus, sizeof h->cpus);
    h->cpu_limit = get_i32(d, "cpu limit", 0, INT32_MAX);
    get_text(d, "numa", h->numa, sizeof h->numa);
    get_text(d, "gpus", h->gpus, sizeof h->gpus);
    h->memory = within(d, "memory", (int64_t)bytes_get_u64(&d->in), 0, INT64_MAX);
}

/* Memory for `count` things of `size` bytes that take `least` bytes each in the message;
 * NULL when the message cannot hold them (or when count is 0). */
static void *take_array(struct decoder *d, const char *field, size_t count, size_t size,
                        size_t least)
{
    if (d->failed || count == 0)
        return NULL;
    if (count > bytes_left(&d->in) / least) {
        d->in.failed = true;
        check_read(d, field);
        return NULL;
    }
    void *array = malloc(count * size);
    if (!array && !d->failed) {
        error_set(d->err, ERROR_SYSTEM, "message %s: no memory for %zu %s", d->message,
                  count, field);
        d->failed = true;
    }
    return array;
}

static void get_welcome(struct decoder *d, struct message_welcome *w)
{
    w->config = get_text_dup(d, "config", MESSAGE_MAX_CONFIG);
    w->run_folder = get_text_dup(d, "run folder", MESSAGE_MAX_PATH);
    w->slot_count = get_i32(d, "slot count", 0, MESSAGE_MAX_SLOTS);
    w->slots = take_array(d, "slots", (size_t)w->slot_count, sizeof *w->slots,
                          MESSAGE_SLOT_SIZE);
    for (int32_t i = 0; !d->failed && i < w->slot_count; i++) {
        struct message_slot *slot = &w->slots[i];
        get_text(d, "slot's cpus", slot->cpus, sizeof slot->cpus);
        get_text(d, "slot's devices", slot->devices, sizeof slot->devices);
        slot->numa = get_i32(d, "slot's numa", -1, INT32_MAX);
    }
}

/* Never negative, never NAN. */
static double get_seconds(struct decoder *d, const char *field)
{
    double v = bytes_get_f64(&d->in);
    if (check_read(d, field) && !(v >= 0)) {
        error_set(d->err, ERROR_PEER, "message %s: %s is %g, allowed is 0 and more",
                  d->message, field, v);
        d->failed = true;
    }
    return d->failed ? 0 : v;
}

static void get_shared(struct decoder *d, struct trial_shared *s)
{
    s->step = bytes_get_u64(&d->in);
    s->part = get_i32(d, "part", -1, INT32_MAX);
}

static void get_task(struct decoder *d, struct message_task *t)
{
    t->trial = get_trial(d);
    t->seed = bytes_get_u64(&d->in);
    t->attempt = get_attempt(d);
    t->slot = get_slot(d);
    t->kind = (uint8_t)within(d, "kind", bytes_get_u8(&d->in), TRIAL_TRAIN_CHILD,
                              TRIAL_KIND_COUNT - 1);
    get_shared(d, &t->shared);
    t->timeout = get_seconds(d, "timeout");
    t->spent = get_seconds(d, "spent");
    t->architecture = get_text_dup(d, "architecture", MESSAGE_MAX_JSON);
    t->hyperparameters = get_text_dup(d, "hyperparameters", MESSAGE_MAX_JSON);
}

static void get_progress(struct decoder *d, struct message_progress *p)
{
    p->trial = get_trial(d);
    p->attempt = get_attempt(d);
    p->slot = get_slot(d);
    p->epoch = (uint32_t)get_i32(d, "epoch", 1, TRIAL_MAX_EPOCHS);
    get_epoch(d, &p->values);
}

static void get_result(struct decoder *d, struct message_result *r)
{
    r->trial = get_trial(d);
    r->attempt = get_attempt(d);
    r->slot = get_slot(d);
    r->failure = (uint8_t)within(d, "failure", bytes_get_u8(&d->in), FAILURE_NONE,
                                 FAILURE_START);
    r->seconds = bytes_get_f64(&d->in);
    r->params = bytes_get_f64(&d->in);
    r->flops = bytes_get_f64(&d->in);
    r->epoch_count = (uint32_t)get_i32(d, "epoch count", 0, TRIAL_MAX_EPOCHS);
    r->epochs = take_array(d, "epochs", r->epoch_count, sizeof *r->epochs,
                           MESSAGE_EPOCH_SIZE);
    for (uint32_t i = 0; !d->failed && i < r->epoch_count; i++)
        get_epoch(d, &r->epochs[i]);
    r->reason = get_text_dup(d, "reason", TRIAL_REASON - 1);
    get_text(d, "kernels", r->kernels, sizeof r->kernels);
    r->architecture = get_text_dup(d, "architecture", MESSAGE_MAX_JSON);
    r->log_probability = bytes_get_f64(&d->in);
}

static void get_checkpoint(struct decoder *d, struct message_checkpoint *c)
{
    c->trial = get_trial(d);
    c->attempt = get_attempt(d);
    c->slot = get_slot(d);
    c->what = (uint8_t)within(d, "what", bytes_get_u8(&d->in), CHECKPOINT_SAVED,
                              CHECKPOINT_REFUSED);
    c->epoch = (uint32_t)get_i32(d, "epoch", 0, TRIAL_MAX_EPOCHS);
    c->seconds = get_seconds(d, "seconds");
    get_text(d, "reason", c->reason, sizeof c->reason);
}

static void get_behind(struct decoder *d, struct message_behind *b)
{
    b->trial = get_trial(d);
    b->attempt = get_attempt(d);
    b->slot = get_slot(d);
    get_shared(d, &b->at);
}

static void get_gang(struct decoder *d, struct message_gang *g)
{
    g->count = get_i32(d, "ranks", 0, MESSAGE_MAX_GANG);
    g->ranks = take_array(d, "ranks", (size_t)g->count, sizeof *g->ranks, 4);
    for (int32_t i = 0; !d->failed && i < g->count; i++)
        g->ranks[i] = get_i32(d, "rank", 0, INT32_MAX);
}

static uint64_t get_round(struct decoder *d)
{
    return (uint64_t)within(d, "round", (int64_t)bytes_get_u64(&d->in), 0, INT64_MAX - 1);
}

static void get_lane(struct decoder *d, struct message_lane *l)
{
    l->round = get_round(d);
    l->part = get_i32(d, "part", 0, INT32_MAX);
    l->offset =
        (uint64_t)within(d, "offset", (int64_t)bytes_get_u64(&d->in), 0, INT64_MAX);
    l->total = (uint64_t)within(d, "total", (int64_t)bytes_get_u64(&d->in), 0, INT64_MAX);
    l->size = (uint32_t)within(d, "size", bytes_get_u32(&d->in), 1, MESSAGE_MAX_PIECE);
    l->data = bytes_get(&d->in, l->size);
    if (check_read(d, "piece") &&
        (l->offset > l->total || l->size > l->total - l->offset))
        fail_range(d, "size", l->size, 1, (int64_t)(l->total - l->offset));
}

static void get_payload(struct decoder *d, struct message *m)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        get_hello(d, &m->hello);
        break;
    case MESSAGE_WELCOME:
        get_welcome(d, &m->welcome);
        break;
    case MESSAGE_TASK:
        get_task(d, &m->task);
        break;
    case MESSAGE_CANCEL:
        m->cancel.trial = get_trial(d);
        m->cancel.attempt = get_attempt(d);
        break;
    case MESSAGE_PROGRESS:
        get_progress(d, &m->progress);
        break;
    case MESSAGE_RESULT:
        get_result(d, &m->result);
        break;
    case MESSAGE_HEARTBEAT:
        m->heartbeat.slot_count = 0;
        m->heartbeat.busy_slots = get_i32(d, "busy slots", 0, MESSAGE_MAX_SLOTS);
        m->heartbeat.slot_count = get_i32(d, "slot count", 0, MESSAGE_MAX_SLOTS);
        break;
    case MESSAGE_STOP:
        m->stop.clean = (uint8_t)within(d, "clean", bytes_get_u8(&d->in), 0, 1);
        break;
    case MESSAGE_BYE:
        get_text(d, "reason", m->bye.reason, sizeof m->bye.reason);
        break;
    case MESSAGE_CHECKPOINT:
        get_checkpoint(d, &m->checkpoint);
        break;
    case MESSAGE_BEHIND:
        get_behind(d, &m->behind);
        break;
    case MESSAGE_GANG:
        get_gang(d, &m->gang);
        break;
    case MESSAGE_LANE:
        get_lane(d, &m->lane);
        break;
    case MESSAGE_WANT:
        m->want.round = get_round(d);
        break;
    case MESSAGE_READY:
    case MESSAGE_SUSPEND:
    case MESSAGE_SUSPENDED:
        break;
    }
}

/* Check a frame's header and narrow d to its payload. Returns its type, or ERROR_PEER. */
static int open_frame(struct bytes_reader *in, struct decoder *d)
{
    uint32_t magic = bytes_get_u32(in);
    unsigned version = bytes_get_u16(in), type = bytes_get_u16(in);
    uint32_t size = bytes_get_u32(in);
    if (in->failed)
        return error_set(d->err, ERROR_PEER, "message: the header is cut off");
    if (magic != MESSAGE_MAGIC)
        return error_set(d->err, ERROR_PEER,
                         "message: starts with 0x%08x, not with the magic number 0x%08x",
                         magic, MESSAGE_MAGIC);
    if (version != MESSAGE_VERSION)
        return error_set(d->err, ERROR_PEER,
                         "message: version %u, this program speaks version %d: all ranks "
                         "must run the same archway",
                         version, MESSAGE_VERSION);
    if (type < MESSAGE_HELLO || type > MESSAGE_WANT)
        return error_set(d->err, ERROR_PEER, "message: unknown type %u", type);
    d->message = message_name((int)type);
    if (size > WIRE_MAX_MESSAGE || size > bytes_left(in))
        return error_set(d->err, ERROR_PEER,
                         "message %s: says %" PRIu32 " bytes, %zu are there", d->message,
                         size, bytes_left(in));
    bytes_reader_init(&d->in, bytes_get(in, size), size);
    return (int)type;
}

/* Move a decoded message without copying the largest member for every type. */
static void move(struct message *ret, const struct message *m)
{
    if (m->type == MESSAGE_HELLO)
        *ret = *m;
    else
        memcpy(ret, m, offsetof(struct message, bye) + sizeof m->bye);
}

int message_decode(struct bytes_reader *in, struct message *ret, struct error *err)
{
    if (!in->failed && bytes_left(in) == 0)
        return 0;
    struct decoder d = {.err = err, .message = "?"};
    int type = open_frame(in, &d);
    if (type < 0)
        return type;
    struct message m;
    memset(&m, 0, offsetof(struct message, bye) + sizeof m.bye);
    m.type = (enum message_type)type;
    get_payload(&d, &m);
    check_read(&d, "payload");
    if (!d.failed && bytes_left(&d.in) > 0) {
        error_set(err, ERROR_PEER, "message %s: %zu bytes too many", d.message,
                  bytes_left(&d.in));
        d.failed = true;
    }
    if (d.failed) {
        message_fini(&m);
        return ERROR_PEER;
    }
    move(ret, &m);
    return 1;
}
