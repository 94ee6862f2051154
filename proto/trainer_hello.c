/* SPDX-License-Identifier: Apache-2.0 */
/* The greeting of an agent to a trainer: who runs, what the task is, what it may use. The
 * sections of the configuration come out of its schema, so a new key is in the greeting
 * without a line here. */
#include "proto/trainer_protocol.h"

#include "proto/config_json.h"

/* 0 when it stands in the greeting. */
static int put_section(json_t *hello, const struct config *config, const char *name)
{
    return json_object_set_new(hello, name, config_json_section(config, name));
}

static json_t *make_hello(const struct config *config, int slot, const char *cache)
{
    return json_pack("{s:s, s:i, s:s, s:I, s:i, s:I, s:s, s:i}", "type", "hello",
                     "protocol", TRAINER_PROTOCOL, "run", config->name, "seed",
                     (json_int_t)(config->seed & INT64_MAX), "threads",
                     config->resources.threads_per_trial, "memory",
                     (json_int_t)config->resources.memory_per_trial, "cache",
                     cache ? cache : "", "slot", slot);
}

/* What shared weights depend on. */
static int put_pool(json_t *hello, const struct config *config, const char *pool)
{
    int rc = json_object_set_new(hello, "pool", json_string(pool));
    if (rc == 0)
        rc = put_section(hello, config, "space");
    return rc == 0 ? put_section(hello, config, "search") : rc;
}

char *trainer_encode_hello(const struct config *config, int slot, const char *cache,
                           const char *pool)
{
    static const char *const sections[] = {"task", "trainer", "reward"};
    json_t *hello = make_hello(config, slot, cache);
    int rc = hello ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < sizeof sections / sizeof *sections; i++)
        rc = put_section(hello, config, sections[i]);
    if (rc == 0 && pool)
        rc = put_pool(hello, config, pool);
    char *text = rc == 0 ? json_dumps(hello, JSON_COMPACT) : NULL;
    json_decref(hello);
    return text;
}
