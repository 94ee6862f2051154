/* SPDX-License-Identifier: Apache-2.0 */
/* The way out walks the schema's table. The way back hands every value as text to
 * config_set, since JSON is YAML: one parser then knows types, ranges and how to say what is
 * wrong, and a hyperparameter is held to the same rules as the configuration file. */
#include "proto/config_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 256, DEPTH = 8 };

static json_t *list_value(const struct config_list *list)
{
    json_t *array = json_array();
    for (int i = 0; array && i < list->count; i++)
        if (json_array_append_new(array, json_integer(list->values[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *words_value(const struct config_key *key, const struct config_list *list)
{
    json_t *array = json_array();
    for (int i = 0; array && i < list->count; i++) {
        const char *word = config_choice_name(key->path, list->values[i]);
        if (json_array_append_new(array, json_string(word)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *command_value(const struct config_trainer *trainer)
{
    json_t *array = json_array();
    for (int i = 0; array && i < trainer->command_count; i++)
        if (json_array_append_new(array, json_string(trainer->command[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *key_value(const struct config *config, const struct config_key *key)
{
    const void *at = (const char *)config + key->offset;
    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return json_string(at);
    case CONFIG_TYPE_INT:
        return json_integer(*(const int *)at);
    case CONFIG_TYPE_INT64:
    case CONFIG_TYPE_SIZE:
        return json_integer(*(const int64_t *)at);
    case CONFIG_TYPE_UINT64:
        return json_integer((json_int_t)(*(const uint64_t *)at & INT64_MAX));
    case CONFIG_TYPE_REAL:
    case CONFIG_TYPE_DURATION:
        return json_real(*(const double *)at);
    case CONFIG_TYPE_BOOL:
        return json_boolean(*(const bool *)at);
    case CONFIG_TYPE_CHOICE:
        return json_string(config_choice_name(key->path, *(const int *)at));
    case CONFIG_TYPE_INT_LIST:
        return list_value(at);
    case CONFIG_TYPE_CHOICE_LIST:
        return words_value(key, at);
    case CONFIG_TYPE_COMMAND:
        return command_value(&config->trainer);
    }
    return NULL;
}

/* Put value (whose reference is taken) into object at a dotted path. */
static int put_nested(json_t *object, const char *path, json_t *value)
{
    const char *dot;
    while ((dot = strchr(path, '.'))) {
        size_t size = (size_t)(dot - path);
        json_t *inner = json_object_getn(object, path, size);
        if (!inner) {
            inner = json_object();
            if (json_object_setn_new(object, path, size, inner) < 0) {
                json_decref(value);
                return -1;
            }
        }
        object = inner;
        path = dot + 1;
    }
    return json_object_set_new(object, path, value);
}

/* Of the two trainers only the chosen one is described. */
static bool applies(const struct config *config, const struct config_key *key)
{
    bool external = config->trainer.command_count > 0;
    if (strncmp(key->path, "trainer.builtin.", 16) == 0)
        return !external;
    return key->type != CONFIG_TYPE_COMMAND || external;
}

json_t *config_json_section(const struct config *config, const char *section)
{
    size_t size = strlen(section);
    json_t *object = json_object();
    for (const struct config_key *key = config_schema; object && key->path; key++) {
        if (strncmp(key->path, section, size) != 0 || key->path[size] != '.' ||
            !applies(config, key))
            continue;
        if (put_nested(object, key->path + size + 1, key_value(config, key)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static int apply_value(struct config *config, const char *path, const json_t *value,
                       struct error *err)
{
    int rc;
    char *assignment = NULL;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text || asprintf(&assignment, "%s=%s", path, text) < 0) {
        assignment = NULL;
        rc = error_set(err, ERROR_SYSTEM, "no memory for the value of %s", path);
    } else if (config_set(config, assignment, err) < 0) {
        rc = ERROR_PEER;
        if (err)
            err->status = rc;
    } else {
        rc = 0;
    }
    free(assignment);
    free(text);
    return rc;
}

static int apply_object(struct config *config, const char *section, const json_t *object,
                        bool strict, int depth, struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        char path[PATH_SIZE];
        int n = snprintf(path, sizeof path, "%s.%s", section, name), rc = 0;
        bool possible = n < (int)sizeof path && depth > 0 && !strchr(name, '=');
        if (!possible && strict)
            return error_set(err, ERROR_PEER, "unknown key below %.100s: '%.60s'", section,
                             name);
        if (!possible)
            continue;
        if (json_is_object(value))
            rc = apply_object(config, path, value, strict, depth - 1, err);
        else if (strict || config_find(path))
            rc = apply_value(config, path, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int config_json_apply(struct config *config, const char *section, const json_t *object,
                      bool strict, struct error *err)
{
    return apply_object(config, section, object, strict, DEPTH, err);
}
