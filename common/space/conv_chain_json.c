/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of a chain as JSON, both ways. What is read comes from outside (a task's
 * line, a file that somebody edited), so every number is checked before it is used; keys
 * that are not known are ignored, so that an architecture may carry remarks. */
#include "common/space/conv_chain.h"

#include <stddef.h>

static const struct layer_key {
    const char *name;
    size_t offset;
    int max; /* the minimum is 1 */
} layer_keys[] = {
    {"filter_height", offsetof(struct conv_chain_layer, filter_height),
     CONV_CHAIN_MAX_FILTER},
    {"filter_width", offsetof(struct conv_chain_layer, filter_width),
     CONV_CHAIN_MAX_FILTER},
    {"filters", offsetof(struct conv_chain_layer, filters), CONV_CHAIN_MAX_FILTERS},
    {"stride", offsetof(struct conv_chain_layer, stride), CONV_CHAIN_MAX_STRIDE},
};
enum { LAYER_KEYS = sizeof layer_keys / sizeof layer_keys[0] };

static int *layer_field(struct conv_chain_layer *layer, const struct layer_key *key)
{
    return (int *)((char *)layer + key->offset);
}

static json_t *inputs_to_json(const struct conv_chain_layer *layer)
{
    json_t *inputs = json_array();
    for (int i = 0; inputs && i < layer->input_count; i++)
        if (json_array_append_new(inputs, json_integer(layer->inputs[i]))) {
            json_decref(inputs);
            inputs = NULL;
        }
    return inputs;
}

json_t *conv_chain_to_json(const struct conv_chain *chain)
{
    json_t *layers = json_array();
    for (int l = 0; layers && l < chain->layer_count; l++) {
        struct conv_chain_layer layer = chain->layers[l];
        json_t *object = json_object();
        bool ok = object != NULL;
        for (int k = 0; ok && k < LAYER_KEYS; k++)
            ok = json_object_set_new(
                     object, layer_keys[k].name,
                     json_integer(*layer_field(&layer, &layer_keys[k]))) == 0;
        ok = ok && json_object_set_new(object, "inputs", inputs_to_json(&layer)) == 0;
        ok = json_array_append_new(layers, object) == 0 && ok;
        if (!ok) {
            json_decref(layers);
            layers = NULL;
        }
    }
    return layers;
}

static int read_number(const json_t *object, int l, const struct layer_key *key,
                       struct conv_chain_layer *ret, struct error *err)
{
    const json_t *value = json_object_get(object, key->name);
    if (!value)
        return error_set(err, ERROR_INPUT, "architecture: layer %d has no '%s'", l,
                         key->name);
    if (!json_is_integer(value))
        return error_set(err, ERROR_INPUT,
                         "architecture: layer %d: '%s' is not an integer", l, key->name);
    json_int_t v = json_integer_value(value);
    if (v < 1 || v > key->max)
        return error_set(err, ERROR_INPUT,
                         "architecture: layer %d: '%s' is %" JSON_INTEGER_FORMAT
                         ", allowed are 1 to %d",
                         l, key->name, v, key->max);
    *layer_field(ret, key) = (int)v;
    return 0;
}

static int read_inputs(const json_t *object, int l, struct conv_chain_layer *ret,
                       struct error *err)
{
    const json_t *inputs = json_object_get(object, "inputs");
    size_t count = json_array_size(inputs);
    if (!json_is_array(inputs) || count < 1 || count > (size_t)l + 1)
        return error_set(
            err, ERROR_INPUT,
            "architecture: layer %d: 'inputs' is not a list of 1 to %d layers", l, l + 1);
    json_int_t least = CONV_CHAIN_IMAGE;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(inputs, i);
        json_int_t v = json_integer_value(value);
        if (!json_is_integer(value) || v < least || v >= l)
            return error_set(
                err, ERROR_INPUT,
                "architecture: layer %d: entry %zu of 'inputs' is not an integer "
                "from %" JSON_INTEGER_FORMAT " to %d (-1 is the image, and the "
                "list ascends)",
                l, i, least, l - 1);
        ret->inputs[i] = (int)v;
        least = v + 1;
    }
    ret->input_count = (int)count;
    return 0;
}

static int read_layer(const json_t *object, int l, struct conv_chain_layer *ret,
                      struct error *err)
{
    int status = 0;
    if (!json_is_object(object))
        return error_set(err, ERROR_INPUT, "architecture: layer %d is not an object", l);
    for (int k = 0; !status && k < LAYER_KEYS; k++)
        status = read_number(object, l, &layer_keys[k], ret, err);
    return status ? status : read_inputs(object, l, ret, err);
}

int conv_chain_from_json(const json_t *architecture, struct conv_chain *ret,
                         struct error *err)
{
    const json_t *layers = json_object_get(architecture, "layers");
    struct conv_chain chain = {0};
    if (!json_is_array(layers))
        return error_set(err, ERROR_INPUT, "architecture: there is no list 'layers'");
    size_t count = json_array_size(layers);
    if (count < 1 || count > CONV_CHAIN_MAX_LAYERS)
        return error_set(err, ERROR_INPUT,
                         "architecture: 'layers' has %zu entries, allowed are 1 to %d",
                         count, CONV_CHAIN_MAX_LAYERS);
    chain.layer_count = (int)count;
    for (int l = 0; l < chain.layer_count; l++) {
        int status =
            read_layer(json_array_get(layers, (size_t)l), l, &chain.layers[l], err);
        if (status)
            return status;
    }
    conv_chain_find_outputs(&chain);
    *ret = chain;
    return 0;
}
