/* SPDX-License-Identifier: Apache-2.0 */
/* Writing messages. Every frame is written in place at the end of the caller's buffer and
 * its size patched afterwards, so a message costs no allocation and frames can be packed
 * one after the other. What a receiver would refuse fails here already, at the sender, where
 * the mistake was made. Reading is in message_decode.c. */
#include "proto/message.h"

#include <stdlib.h>
#include <string.h>

#include "proto/message_frame.h"

const char *message_name(int type)
{
    static const char *const names[] = {
        [MESSAGE_HELLO] = "HELLO",         [MESSAGE_WELCOME] = "WELCOME",
        [MESSAGE_READY] = "READY",         [MESSAGE_TASK] = "TASK",
        [MESSAGE_CANCEL] = "CANCEL",       [MESSAGE_PROGRESS] = "PROGRESS",
        [MESSAGE_RESULT] = "RESULT",       [MESSAGE_HEARTBEAT] = "HEARTBEAT",
        [MESSAGE_STOP] = "STOP",           [MESSAGE_BYE] = "BYE",
        [MESSAGE_SUSPEND] = "SUSPEND",     [MESSAGE_CHECKPOINT] = "CHECKPOINT",
        [MESSAGE_SUSPENDED] = "SUSPENDED", [MESSAGE_BEHIND] = "BEHIND",
        [MESSAGE_GANG] = "GANG",           [MESSAGE_LANE] = "LANE",
        [MESSAGE_WANT] = "WANT",
    };
    if (type < MESSAGE_HELLO || type > MESSAGE_WANT)
        return "unknown";
    return names[type];
}

/* A text that must fit whole. */
static void put_text(struct bytes *out, const char *text, size_t limit)
{
    size_t size = text ? strlen(text) : 0;
    if (size > limit)
        out->failed = true;
    else
        bytes_put_string(out, text);
}

/* A text for people, cut before the character that does not fit. */
static void put_cut_text(struct bytes *out, const char *text, size_t limit)
{
    size_t size = text ? strnlen(text, limit + 1) : 0;
    if (size > limit)
        for (size = limit; size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80;)
            size--;
    bytes_put_u32(out, (uint32_t)size);
    bytes_put(out, text, size);
}

static void put_i32(struct bytes *out, int32_t v)
{
    bytes_put_u32(out, (uint32_t)v);
}

static uint8_t *write_f32(uint8_t *at, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(bits >> (8 * i));
    return at + 4;
}

static void put_epoch(struct bytes *out, const struct trial_epoch *e)
{
    uint8_t raw[MESSAGE_EPOCH_SIZE];
    uint8_t *at = raw;
    at = write_f32(at, e->train_loss);
    at = write_f32(at, e->train_accuracy);
    at = write_f32(at, e->val_loss);
    at = write_f32(at, e->val_accuracy);
    at = write_f32(at, e->lr);
    write_f32(at, e->seconds);
    bytes_put(out, raw, sizeof raw);
}

static void put_hello(struct bytes *out, const struct message_hello *h)
{
    put_text(out, h->host, sizeof h->host - 1);
    put_text(out, h->version, sizeof h->version - 1);
    put_text(out, h->kernels, sizeof h->kernels - 1);
    bytes_put_u64(out, (uint64_t)h->pid);
    put_text(out, h->cpus, sizeof h->cpus - 1);
    put_i32(out, h->cpu_limit);
    put_text(out, h->numa, sizeof h->numa - 1);
    put_text(out, h->gpus, sizeof h->gpus - 1);
    bytes_put_u64(out, (uint64_t)h->memory);
}

static void put_welcome(struct bytes *out, const struct message_welcome *w)
{
    if (w->slot_count < 0 || w->slot_count > MESSAGE_MAX_SLOTS) {
        out->failed = true;
        return;
    }
    put_text(out, w->config, MESSAGE_MAX_CONFIG);
    put_text(out, w->run_folder, MESSAGE_MAX_PATH);
    put_i32(out, w->slot_count);
    for (int32_t i = 0; i < w->slot_count; i++) {
        const struct message_slot *slot = &w->slots[i];
        put_text(out, slot->cpus, sizeof slot->cpus - 1);
        put_text(out, slot->devices, sizeof slot->devices - 1);
        put_i32(out, slot->numa);
    }
}

static void put_shared(struct bytes *out, const struct trial_shared *s)
{
    bytes_put_u64(out, s->step);
    put_i32(out, s->part);
}

static void put_task(struct bytes *out, const struct message_task *t)
{
    bytes_put_u64(out, t->trial);
    bytes_put_u64(out, t->seed);
    put_i32(out, t->attempt);
    put_i32(out, t->slot);
    bytes_put_u8(out, t->kind);
    put_shared(out, &t->shared);
    bytes_put_f64(out, t->timeout);
    bytes_put_f64(out, t->spent);
    put_text(out, t->architecture, MESSAGE_MAX_JSON);
    put_text(out, t->hyperparameters, MESSAGE_MAX_JSON);
}

static void put_progress(struct bytes *out, const struct message_progress *p)
{
    bytes_put_u64(out, p->trial);
    put_i32(out, p->attempt);
    put_i32(out, p->slot);
    bytes_put_u32(out, p->epoch);
    put_epoch(out, &p->values);
}

static void put_result(struct bytes *out, const struct message_result *r)
{
    if (r->epoch_count > TRIAL_MAX_EPOCHS) {
        out->failed = true;
        return;
    }
    bytes_put_u64(out, r->trial);
    put_i32(out, r->attempt);
    put_i32(out, r->slot);
    bytes_put_u8(out, r->failure);
    bytes_put_f64(out, r->seconds);
    bytes_put_f64(out, r->params);
    bytes_put_f64(out, r->flops);
    bytes_put_u32(out, r->epoch_count);
    for (uint32_t i = 0; i < r->epoch_count; i++)
        put_epoch(out, &r->epochs[i]);
    put_cut_text(out, r->reason, TRIAL_REASON - 1);
    put_text(out, r->kernels, sizeof r->kernels - 1);
    put_text(out, r->architecture, MESSAGE_MAX_JSON);
    bytes_put_f64(out, r->log_probability);
}

static void put_checkpoint(struct bytes *out, const struct message_checkpoint *c)
{
    bytes_put_u64(out, c->trial);
    put_i32(out, c->attempt);
    put_i32(out, c->slot);
    bytes_put_u8(out, c->what);
    bytes_put_u32(out, c->epoch);
    bytes_put_f64(out, c->seconds);
    put_cut_text(out, c->reason, sizeof c->reason - 1);
}

static void put_behind(struct bytes *out, const struct message_behind *b)
{
    bytes_put_u64(out, b->trial);
    put_i32(out, b->attempt);
    put_i32(out, b->slot);
    put_shared(out, &b->at);
}

static void put_gang(struct bytes *out, const struct message_gang *g)
{
    out->failed |= g->count < 0 || g->count > MESSAGE_MAX_GANG;
    put_i32(out, g->count);
    for (int32_t i = 0; i < g->count && !out->failed; i++)
        put_i32(out, g->ranks[i]);
}

static void put_lane(struct bytes *out, const struct message_lane *l)
{
    bytes_put_u64(out, l->round);
    put_i32(out, l->part);
    bytes_put_u64(out, l->offset);
    bytes_put_u64(out, l->total);
    bytes_put_u32(out, l->size);
    bytes_put(out, l->data, l->size);
}

static void put_payload(struct bytes *out, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_HELLO:
        put_hello(out, &m->hello);
        break;
    case MESSAGE_WELCOME:
        put_welcome(out, &m->welcome);
        break;
    case MESSAGE_TASK:
        put_task(out, &m->task);
        break;
    case MESSAGE_CANCEL:
        bytes_put_u64(out, m->cancel.trial);
        put_i32(out, m->cancel.attempt);
        break;
    case MESSAGE_PROGRESS:
        put_progress(out, &m->progress);
        break;
    case MESSAGE_RESULT:
        put_result(out, &m->result);
        break;
    case MESSAGE_HEARTBEAT:
        put_i32(out, m->heartbeat.busy_slots);
        put_i32(out, m->heartbeat.slot_count);
        break;
    case MESSAGE_STOP:
        bytes_put_u8(out, m->stop.clean);
        break;
    case MESSAGE_BYE:
        put_cut_text(out, m->bye.reason, sizeof m->bye.reason - 1);
        break;
    case MESSAGE_CHECKPOINT:
        put_checkpoint(out, &m->checkpoint);
        break;
    case MESSAGE_BEHIND:
        put_behind(out, &m->behind);
        break;
    case MESSAGE_GANG:
        put_gang(out, &m->gang);
        break;
    case MESSAGE_LANE:
        put_lane(out, &m->lane);
        break;
    case MESSAGE_WANT:
        bytes_put_u64(out, m->want.round);
        break;
    case MESSAGE_READY:
    case MESSAGE_SUSPEND:
    case MESSAGE_SUSPENDED:
        break;
    }
}

void message_encode(const struct message *m, struct bytes *out)
{
    size_t start = out->size;
    bytes_put_u32(out, MESSAGE_MAGIC);
    bytes_put_u16(out, MESSAGE_VERSION);
    bytes_put_u16(out, (uint16_t)m->type);
    bytes_put_u32(out, 0);
    put_payload(out, m);
    bytes_patch_u32(out, start + 8, (uint32_t)(out->size - start - MESSAGE_HEADER));
}

void message_fini(struct message *m)
{
    if (!m)
        return;
    if (m->type == MESSAGE_WELCOME) {
        free(m->welcome.config);
        free(m->welcome.run_folder);
        free(m->welcome.slots);
    } else if (m->type == MESSAGE_TASK) {
        free(m->task.architecture);
        free(m->task.hyperparameters);
    } else if (m->type == MESSAGE_RESULT) {
        free(m->result.epochs);
        free(m->result.reason);
        free(m->result.architecture);
    } else if (m->type == MESSAGE_GANG) {
        free(m->gang.ranks);
    }
    m->type = MESSAGE_READY; /* owns nothing */
}
