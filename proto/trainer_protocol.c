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

char *trainer_encode_task(uint64_t trial, int attempt, uint64_t seed,
                          const char *architecture_json, const char *hyperparameters_json,
                          const struct trainer_checkpoint *checkpoint)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, "{\"type\":\"task\",\"trial\":");
    json_put_integer(&b, (int64_t)trial);
    json_put_raw(&b, ",\"attempt\":");
    json_put_integer(&b, attempt);
    json_put_raw(&b, ",\"seed\":");
    json_put_integer(&b, (int64_t)(seed & INT64_MAX));
    json_put_raw(&b, ",\"architecture\":");
    json_put_raw(&b, architecture_json && *architecture_json ? architecture_json : "{}");
    json_put_raw(&b, ",\"hyperparameters\":");
    json_put_raw(&b, hyperparameters_json && *hyperparameters_json ? hyperparameters_json
                                                                   : "{}");
    if (checkpoint && checkpoint->path) {
        json_put_raw(&b, ",\"checkpoint\":");
        json_put_string(&b, checkpoint->path);
        json_put_raw(&b, ",\"checkpoint_every\":");
        json_put_double(&b, checkpoint->every);
    }
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

char *trainer_encode_stop(void)
{
    struct bytes b;
    bytes_init(&b);
    json_put_raw(&b, "{\"type\":\"stop\"}");
    return take_text(&b);
}
