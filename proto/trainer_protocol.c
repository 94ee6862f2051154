/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that an agent writes to a trainer, put together by hand: the architecture and the
 * hyperparameters are JSON already. The greeting is in trainer_hello.c, reading is in
 * trainer_decode.c. */
#include "proto/trainer_protocol.h"

#include "common/bytes.h"
#include "proto/json_put.h"

/* The finished text; its memory goes to the caller. */
static char *take_text(struct bytes *b)
{
    bytes_put_u8(b, '\0');
    if (b->failed) {
        bytes_fini(b);
        return NULL;
    }
    return (char *)b->data;
}

static const char *or_empty(const char *json)
{
    return json && *json ? json : "{}";
}

static void put_shared(struct bytes *b, const struct trainer_task *t)
{
    json_put_raw(b, ",\"kind\":");
    json_put_string(b, trial_kind_name(t->kind));
    json_put_raw(b, ",\"step\":");
    json_put_integer(b, (int64_t)t->shared.step);
    json_put_raw(b, ",\"part\":");
    json_put_integer(b, t->shared.part);
}

static void put_checkpoint(struct bytes *b, const struct trainer_checkpoint *c)
{
    json_put_raw(b, ",\"checkpoint\":");
    json_put_string(b, c->path);
    json_put_raw(b, ",\"checkpoint_every\":");
    json_put_double(b, c->every);
}

char *trainer_encode_task(const struct trainer_task *t)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, "{\"type\":\"task\",\"trial\":");
    json_put_integer(&b, (int64_t)t->trial);
    json_put_raw(&b, ",\"attempt\":");
    json_put_integer(&b, t->attempt);
    json_put_raw(&b, ",\"seed\":");
    json_put_integer(&b, (int64_t)(t->seed & INT64_MAX));
    json_put_raw(&b, ",\"architecture\":");
    json_put_raw(&b, or_empty(t->architecture));
    json_put_raw(&b, ",\"hyperparameters\":");
    json_put_raw(&b, or_empty(t->hyperparameters));
    if (t->kind != TRIAL_TRAIN_CHILD)
        put_shared(&b, t);
    if (t->checkpoint.path)
        put_checkpoint(&b, &t->checkpoint);
    json_put_raw(&b, "}");
    return take_text(&b);
}

/* {"type":...,"trial":ID,"attempt":N} */
static char *encode_attempt(const char *start, uint64_t trial, int attempt)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, start);
    json_put_integer(&b, (int64_t)trial);
    json_put_raw(&b, ",\"attempt\":");
    json_put_integer(&b, attempt);
    json_put_raw(&b, "}");
    return take_text(&b);
}

char *trainer_encode_cancel(uint64_t trial, int attempt)
{
    return encode_attempt("{\"type\":\"cancel\",\"trial\":", trial, attempt);
}

char *trainer_encode_checkpoint(uint64_t trial, int attempt)
{
    return encode_attempt("{\"type\":\"checkpoint\",\"trial\":", trial, attempt);
}

char *trainer_encode_gang(int ranks)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, "{\"type\":\"gang\",\"ranks\":");
    json_put_integer(&b, ranks);
    json_put_raw(&b, "}");
    return take_text(&b);
}

char *trainer_encode_lane(uint64_t round, int part)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, "{\"type\":\"lane\",\"round\":");
    json_put_integer(&b, (int64_t)round);
    json_put_raw(&b, ",\"part\":");
    json_put_integer(&b, part);
    json_put_raw(&b, "}");
    return take_text(&b);
}

char *trainer_encode_stop(void)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, "{\"type\":\"stop\"}");
    return take_text(&b);
}
