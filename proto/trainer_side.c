/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the agent's lines in the built-in trainer. The peer is the same archway, yet the
 * lines are checked as those of a stranger: a mismatch of versions or a line cut off must end
 * in a sentence, not in a wrong network trained for hours. */
#include "proto/trainer_side.h"

#include <stdlib.h>
#include <string.h>

#include "proto/config_json.h"
#include "proto/trainer_protocol.h"

/* An integer field in [low, high]. */
static int get_integer(const json_t *line, const char *name, json_int_t low,
                       json_int_t high, json_int_t *ret, struct error *err)
{
    const json_t *value = json_object_get(line, name);
    if (!value)
        return error_set(err, ERROR_PEER, "line of the agent: \"%s\" is missing", name);
    json_int_t v = json_integer_value(value);
    if (!json_is_integer(value) || v < low || v > high)
        return error_set(err, ERROR_PEER,
                         "line of the agent: \"%s\" must be an integer from %lld to %lld",
                         name, (long long)low, (long long)high);
    *ret = v;
    return 0;
}

/* A text field of at most size - 1 bytes. */
static int get_text(const json_t *line, const char *name, char *ret, size_t size,
                    struct error *err)
{
    const char *text = json_string_value(json_object_get(line, name));
    if (!text || strlen(text) >= size)
        return error_set(err, ERROR_PEER,
                         "line of the agent: \"%s\" must be a string of at most %zu bytes",
                         name, size - 1);
    strcpy(ret, text);
    return 0;
}

/* An object field; an absent one is empty when `optional`. */
static int get_object(const json_t *line, const char *name, bool optional, json_t **ret,
                      struct error *err)
{
    json_t *value = json_object_get(line, name);
    if (!value && optional)
        *ret = json_object();
    else if (json_is_object(value))
        *ret = json_incref(value);
    else
        return error_set(err, ERROR_PEER, "line of the agent: \"%s\" must be an object",
                         name);
    return *ret ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a line of the agent");
}

static int get_section(const json_t *line, const char *name, struct config *config,
                       struct error *err)
{
    json_t *section = NULL;
    int rc = get_object(line, name, false, &section, err);
    if (rc == 0)
        rc = config_json_apply(config, name, section, false, err);
    json_decref(section);
    return rc;
}

static int get_resources(const json_t *line, struct config *config, struct error *err)
{
    json_int_t threads = 1, memory = 0;
    int rc = get_integer(line, "threads", 1, 65536, &threads, err);
    if (rc == 0)
        rc = get_integer(line, "memory", 0, INT64_MAX, &memory, err);
    if (rc == 0)
        rc = get_text(line, "cache", config->run.cache, sizeof config->run.cache, err);
    config->resources.threads_per_trial = (int)threads;
    config->resources.memory_per_trial = memory;
    return rc;
}

/* A path of 1 to CONFIG_PATH - 1 bytes; caller frees. */
static int get_path(const json_t *line, const char *name, char **ret, struct error *err)
{
    const json_t *path = json_object_get(line, name);
    size_t size = json_string_length(path);
    if (!json_is_string(path) || size == 0 || size >= CONFIG_PATH ||
        strlen(json_string_value(path)) != size)
        return error_set(err, ERROR_PEER,
                         "line of the agent: \"%s\" must be a path of 1 to %d bytes",
                         name, CONFIG_PATH - 1);
    *ret = strdup(json_string_value(path));
    return *ret ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a line of the agent");
}

/* What shared weights depend on. */
static int get_pool(const json_t *line, struct config *config, struct trainer_order *ret,
                    struct error *err)
{
    int rc = get_section(line, "space", config, err);
    if (rc == 0)
        rc = get_section(line, "search", config, err);
    if (rc == 0 && !config_shares_weights(config))
        rc = error_set(
            err, ERROR_PEER,
            "line of the agent: a \"pool\" without a search that shares weights");
    return rc == 0 ? get_path(line, "pool", &ret->pool, err) : rc;
}

static int fill_hello(const json_t *line, struct config *config, struct trainer_order *ret,
                      struct error *err)
{
    json_int_t protocol = 0, seed = 0, slot = 0;
    int rc = get_integer(line, "protocol", 0, INT32_MAX, &protocol, err);
    if (rc == 0 && protocol != TRAINER_PROTOCOL)
        rc = error_set(err, ERROR_PEER, "the agent speaks protocol %lld, this trainer %d",
                       (long long)protocol, TRAINER_PROTOCOL);
    if (rc == 0)
        rc = get_text(line, "run", config->name, sizeof config->name, err);
    if (rc == 0)
        rc = get_integer(line, "seed", 0, INT64_MAX, &seed, err);
    if (rc == 0)
        rc = get_integer(line, "slot", 0, INT32_MAX, &slot, err);
    if (rc == 0)
        rc = get_section(line, "task", config, err);
    if (rc == 0)
        rc = get_section(line, "trainer", config, err);
    if (rc == 0)
        rc = get_section(line, "reward", config, err);
    if (rc == 0)
        rc = get_resources(line, config, err);
    if (rc == 0 && json_object_get(line, "pool"))
        rc = get_pool(line, config, ret, err);
    config->seed = (uint64_t)seed;
    ret->slot = (int32_t)slot;
    return rc;
}

static int get_hello(const json_t *line, struct config *config, struct trainer_order *ret,
                     struct error *err)
{
    struct config *filled = malloc(sizeof *filled);
    if (!filled)
        return error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    config_defaults(filled);
    int rc = fill_hello(line, filled, ret, err);
    if (rc == 0)
        *config = *filled;
    free(filled);
    return rc;
}

static int get_attempt(const json_t *line, struct trainer_order *ret, struct error *err)
{
    json_int_t trial = 0, attempt = 0;
    int rc = get_integer(line, "trial", 0, INT64_MAX, &trial, err);
    if (rc == 0)
        rc = get_integer(line, "attempt", 0, INT32_MAX, &attempt, err);
    ret->trial = (uint64_t)trial;
    ret->attempt = (int32_t)attempt;
    return rc;
}

/* Where the state of the trial is kept; nothing when the agent does not say. */
static int get_checkpoint(const json_t *line, struct trainer_order *ret,
                          struct error *err)
{
    const json_t *every = json_object_get(line, "checkpoint_every");
    if (!json_object_get(line, "checkpoint"))
        return 0;
    if (every && !(json_is_number(every) && json_number_value(every) >= 0))
        return error_set(err, ERROR_PEER,
                         "line of the agent: \"checkpoint_every\" must be a number of "
                         "seconds, 0 and more");
    ret->checkpoint_every = every ? json_number_value(every) : 0;
    return get_path(line, "checkpoint", &ret->checkpoint, err);
}

/* Nothing when the agent does not say: a child of its own. */
static int get_kind(const json_t *line, struct trainer_order *ret, struct error *err)
{
    const char *kind = json_string_value(json_object_get(line, "kind"));
    json_int_t step = 0, part = 0;
    if (!json_object_get(line, "kind"))
        return 0;
    while (ret->kind < TRIAL_KIND_COUNT &&
           (!kind || strcmp(kind, trial_kind_name(ret->kind)) != 0))
        ret->kind++;
    if (ret->kind == TRIAL_KIND_COUNT)
        return error_set(err, ERROR_PEER,
                         "line of the agent: \"kind\" must be \"train_child\", "
                         "\"train_shared\", \"eval_shared\", \"relax\" or "
                         "\"eval_relax\"");
    int rc = get_integer(line, "step", 0, INT64_MAX, &step, err);
    if (rc == 0)
        rc = get_integer(line, "part", trial_kind_is_step(ret->kind) ? 0 : -1, INT32_MAX,
                         &part, err);
    ret->shared = (struct trial_shared){.step = (uint64_t)step, .part = (int32_t)part};
    return rc;
}

static int get_task(const json_t *line, struct trainer_order *ret, struct error *err)
{
    json_int_t seed = 0;
    int rc = get_attempt(line, ret, err);
    if (rc == 0)
        rc = get_integer(line, "seed", 0, INT64_MAX, &seed, err);
    if (rc == 0)
        rc = get_object(line, "architecture", false, &ret->architecture, err);
    if (rc == 0)
        rc = get_object(line, "hyperparameters", true, &ret->hyperparameters, err);
    if (rc == 0)
        rc = get_checkpoint(line, ret, err);
    if (rc == 0)
        rc = get_kind(line, ret, err);
    ret->seed = (uint64_t)seed;
    return rc;
}

static int get_gang(const json_t *line, struct trainer_order *ret, struct error *err)
{
    json_int_t ranks = 0;
    int rc = get_integer(line, "ranks", 1, INT32_MAX, &ranks, err);
    ret->ranks = (int32_t)ranks;
    return rc;
}

static int get_lane(const json_t *line, struct trainer_order *ret, struct error *err)
{
    json_int_t round = 0, part = 0;
    int rc = get_integer(line, "round", 0, INT64_MAX, &round, err);
    if (rc == 0)
        rc = get_integer(line, "part", 0, INT32_MAX, &part, err);
    ret->round = (uint64_t)round;
    ret->part = (int32_t)part;
    return rc;
}

static int get_order(const json_t *line, struct config *config, struct trainer_order *ret,
                     struct error *err)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    if (!type)
        return error_set(err, ERROR_PEER, "line of the agent: \"type\" is missing");
    if (strcmp(type, "hello") == 0) {
        ret->type = ORDER_HELLO;
        return get_hello(line, config, ret, err);
    }
    if (strcmp(type, "task") == 0) {
        ret->type = ORDER_TASK;
        return get_task(line, ret, err);
    }
    if (strcmp(type, "cancel") == 0) {
        ret->type = ORDER_CANCEL;
        return get_attempt(line, ret, err);
    }
    if (strcmp(type, "checkpoint") == 0) {
        ret->type = ORDER_CHECKPOINT;
        return get_attempt(line, ret, err);
    }
    if (strcmp(type, "stop") == 0) {
        ret->type = ORDER_STOP;
        return 0;
    }
    if (strcmp(type, "gang") == 0) {
        ret->type = ORDER_GANG;
        return get_gang(line, ret, err);
    }
    if (strcmp(type, "lane") == 0) {
        ret->type = ORDER_LANE;
        return get_lane(line, ret, err);
    }
    return error_set(err, ERROR_PEER, "line of the agent: unknown type \"%.40s\"", type);
}

int trainer_side_decode(const char *line, size_t size, struct config *config,
                        struct trainer_order *ret, struct error *err)
{
    struct trainer_order order = {.type = ORDER_STOP};
    json_error_t wrong;
    if (size > TRAINER_LINE_MAX)
        return error_set(err, ERROR_PEER, "line of the agent: %zu bytes, at most %d", size,
                         TRAINER_LINE_MAX);
    json_t *object = json_loadb(line, size, 0, &wrong);
    if (!object)
        return error_set(err, ERROR_PEER, "line of the agent: not JSON: %s at byte %d",
                         wrong.text, wrong.position);
    int rc = get_order(object, config, &order, err);
    if (rc == 0)
        *ret = order;
    else
        trainer_order_fini(&order);
    json_decref(object);
    return rc;
}

void trainer_order_fini(struct trainer_order *order)
{
    if (!order)
        return;
    json_decref(order->architecture);
    json_decref(order->hyperparameters);
    free(order->checkpoint);
    free(order->pool);
    order->checkpoint = order->pool = NULL;
    order->architecture = order->hyperparameters = NULL;
}

/* Contradictions among the overridden keys. Over how many epochs the reward is taken is
 * not the trainer's business, and need not fit a task of fewer epochs; nor does a hello
 * always tell the space, which the architecture stands for. */
static int check_override(struct config *changed, struct error *err)
{
    int last_epochs = changed->reward.last_epochs, space = changed->space.name;
    changed->reward.last_epochs = 0;
    if (config_reads_text(changed) && space == SPACE_CONV_CHAIN)
        changed->space.name = SPACE_RNN_DAG;
    int rc = config_check(changed, "hyperparameters", err);
    changed->reward.last_epochs = last_epochs;
    changed->space.name = space;
    if (rc < 0 && err)
        err->status = ERROR_PEER;
    return rc < 0 ? ERROR_PEER : 0;
}

int trainer_side_override(struct config *config, const json_t *hyperparameters,
                          struct error *err)
{
    if (json_object_size(hyperparameters) == 0)
        return 0;
    struct config *changed = malloc(sizeof *changed);
    if (!changed)
        return error_set(err, ERROR_SYSTEM, "no memory for the configuration");
    *changed = *config;
    int rc = config_json_apply(changed, "trainer.builtin", hyperparameters, true, err);
    if (rc == 0 && changed->trainer.builtin.kernels != config->trainer.builtin.kernels)
        rc = error_set(err, ERROR_PEER,
                       "hyperparameters: \"kernels\" cannot differ from trial to trial");
    if (rc == 0)
        rc = check_override(changed, err);
    if (rc == 0)
        *config = *changed;
    free(changed);
    return rc;
}
