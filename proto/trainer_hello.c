/* SPDX-License-Identifier: Apache-2.0 */
/* The greeting of an agent to a trainer: who runs, what the task is, what it may use. The
 * sections of the configuration come out of its schema, so a new key is in the greeting
 * without a line here. */
#include "proto/trainer_protocol.h"

#include "proto/config_json.h"

char *trainer_encode_hello(const struct config *config, int slot, const char *cache)
{
    char *text = NULL;
    json_t *task = config_json_section(config, "task");
    json_t *trainer = config_json_section(config, "trainer");
    json_t *reward = config_json_section(config, "reward");
    json_t *hello = NULL;
    if (!task || !trainer || !reward)
        goto out;
    hello = json_pack("{s:s, s:i, s:s, s:I, s:O, s:O, s:O, s:i, s:I, s:s, s:i}", "type",
                      "hello", "protocol", TRAINER_PROTOCOL, "run", config->name, "seed",
                      (json_int_t)(config->seed & INT64_MAX), "task", task, "trainer",
                      trainer, "reward", reward, "threads",
                      config->resources.threads_per_trial, "memory",
                      (json_int_t)config->resources.memory_per_trial, "cache",
                      cache ? cache : "", "slot", slot);
    if (hello)
        text = json_dumps(hello, JSON_COMPACT);
out:
    json_decref(hello);
    json_decref(reward);
    json_decref(trainer);
    json_decref(task);
    return text;
}
