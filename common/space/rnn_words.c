/* SPDX-License-Identifier: Apache-2.0 */
/* Names of activations and combinations, and reading them from JSON that comes from
 * outside: every value is looked up or bounded before it is used. */
#include "common/space/rnn_words.h"

#include <stdio.h>
#include <string.h>

static const char *const activations[] = {[RNN_TANH] = "tanh",
                                          [RNN_RELU] = "relu",
                                          [RNN_IDENTITY] = "identity",
                                          [RNN_SIGMOID] = "sigmoid"};
static const char *const combinations[] = {
    [RNN_ADD] = "add", [RNN_ELEM_MULT] = "elem_mult"};

const char *rnn_activation_name(int activation)
{
    return activations[activation];
}

const char *rnn_combination_name(int combination)
{
    return combinations[combination];
}

static int read_word(const json_t *object, const char *key, const char *where,
                     const char *const *words, int count, int *ret, struct error *err)
{
    char allowed[100] = "";
    const char *word = json_string_value(json_object_get(object, key));
    for (int i = 0; word && i < count; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret = i;
            return 0;
        }
    for (int i = 0; i < count; i++) {
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", words[i]);
    }
    if (!word)
        return error_set(err, ERROR_INPUT, "%s: there is no text '%s'; allowed are %s",
                         where, key, allowed);
    return error_set(err, ERROR_INPUT, "%s: '%s' is '%.40s', allowed are %s", where, key,
                     word, allowed);
}

int rnn_read_activation(const json_t *object, const char *key, const char *where,
                        int *ret, struct error *err)
{
    return read_word(object, key, where, activations, RNN_ACTIVATIONS, ret, err);
}

int rnn_read_combination(const json_t *object, const char *key, const char *where,
                         int *ret, struct error *err)
{
    return read_word(object, key, where, combinations, RNN_COMBINATIONS, ret, err);
}

int rnn_read_number(const json_t *object, const char *key, const char *where, int min,
                    int max, int *ret, struct error *err)
{
    const json_t *value = json_object_get(object, key);
    json_int_t v = json_integer_value(value);
    if (!json_is_integer(value))
        return error_set(err, ERROR_INPUT, "%s: there is no whole number '%s'", where,
                         key);
    if (v < min || v > max)
        return error_set(err, ERROR_INPUT,
                         "%s: '%s' is %" JSON_INTEGER_FORMAT ", allowed are %d to %d",
                         where, key, v, min, max);
    *ret = (int)v;
    return 0;
}

int rnn_check_list(const struct config_list *list, const char *key, int words,
                   struct error *err)
{
    unsigned seen = 0;
    if (list->count < 1 || list->count > words)
        return error_set(err, ERROR_INPUT,
                         "space.%s: the list has %d entries, allowed are 1 to %d", key,
                         list->count, words);
    for (int i = 0; i < list->count; i++) {
        int v = list->values[i];
        if (v < 0 || v >= words || (seen >> v & 1))
            return error_set(err, ERROR_INPUT,
                             "space.%s: entry %d is unknown or stands twice", key, i);
        seen |= 1u << v;
    }
    return 0;
}
