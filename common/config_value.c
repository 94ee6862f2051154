/* SPDX-License-Identifier: Apache-2.0 */
/* One value of the configuration, by the type of its key: from text into the struct and
 * back, and in words what is allowed. Whatever is written here reads back to the same
 * bits; a test walks random values of every key through both ways. */
#include "common/config_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static int choice_count(const char *const *choices)
{
    int count = 0;
    while (choices[count])
        count++;
    return count;
}

/* Index of a word, or -1. */
static int choice_index(const char *const *choices, const char *word)
{
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], word) == 0)
            return i;
    }
    return -1;
}

const char *config_choice_name(const char *path, int value)
{
    const struct config_key *key = config_find(path);
    if (!key || !key->choices || value < 0 || value >= choice_count(key->choices))
        return "unknown";
    return key->choices[value];
}

static void format_range(const struct config_key *key, double unbounded, struct text *out)
{
    char low[40], high[40];
    text_format_double(key->min, low, sizeof low);
    text_format_double(key->max, high, sizeof high);
    if (key->max >= unbounded)
        text_append(out, " of at least %s", low);
    else
        text_append(out, " from %s to %s", low, high);
}

static void format_choices(const char *const *choices, struct text *out)
{
    for (int i = 0; choices[i]; i++)
        text_append(out, "%s%s",
                    i == 0           ? ""
                    : choices[i + 1] ? ", "
                                     : " or ",
                    choices[i]);
}

void config_format_allowed(const struct config_key *key, struct text *out)
{
    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        if (key->choices)
            format_choices(key->choices, out);
        else
            text_append(out, "a text of at most %d bytes",
                        (key->type == CONFIG_TYPE_PATH ? CONFIG_PATH : CONFIG_TEXT) - 1);
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
    case CONFIG_TYPE_UINT64:
        text_append(out, "a whole number");
        format_range(key, INT_MAX, out);
        break;
    case CONFIG_TYPE_REAL:
        text_append(out, "a number");
        format_range(key, 1e15, out);
        break;
    case CONFIG_TYPE_BOOL:
        text_append(out, "true or false");
        break;
    case CONFIG_TYPE_CHOICE:
        format_choices(key->choices, out);
        break;
    case CONFIG_TYPE_DURATION:
        text_append(out, "a duration (90s, 5m, 2h, 1d)");
        format_range(key, INFINITY, out);
        text_append(out, " seconds");
        break;
    case CONFIG_TYPE_SIZE:
        text_append(out, "a size in bytes (1048576, 512MiB, 2GiB)");
        format_range(key, 0x1p60, out);
        break;
    case CONFIG_TYPE_INT_LIST:
        text_append(out, "a list of 1 to %d whole numbers", CONFIG_LIST);
        format_range(key, INT_MAX, out);
        break;
    case CONFIG_TYPE_CHOICE_LIST:
        text_append(out, "a list, each entry once, of ");
        format_choices(key->choices, out);
        break;
    case CONFIG_TYPE_COMMAND:
        text_append(out,
                    "a list of at most %d words of at most %d bytes, as in "
                    "[python3, train.py]",
                    CONFIG_ARGS, CONFIG_TEXT - 1);
        break;
    }
    if (key->zero)
        text_append(out, ", or %s", key->zero);
}

static int parse_text(const struct config_key *key, const struct config_item *item,
                      char *to)
{
    size_t limit = key->type == CONFIG_TYPE_PATH ? CONFIG_PATH : CONFIG_TEXT;
    size_t length = strlen(item->text);
    if (length >= limit || (length == 0 && !item->quoted) ||
        (key->choices && choice_index(key->choices, item->text) < 0))
        return -1;
    memset(to, 0, limit); /* structs compare equal byte for byte */
    memcpy(to, item->text, length);
    return 0;
}

static bool in_range(const struct config_key *key, double v)
{
    return v >= key->min && v <= key->max;
}

static int parse_int(const struct config_key *key, const struct config_item *item,
                     int64_t *ret)
{
    int64_t v;
    if (item->quoted || !text_parse_int64(item->text, &v) || !in_range(key, (double)v))
        return -1;
    *ret = v;
    return 0;
}

static int parse_bool(const struct config_item *item, bool *ret)
{
    static const char *const words[] = {"false", "true", "no",    "yes",
                                        "off",   "on",   "False", "True"};
    for (size_t i = 0; !item->quoted && i < sizeof words / sizeof *words; i++) {
        if (strcmp(item->text, words[i]) == 0) {
            *ret = i % 2;
            return 0;
        }
    }
    return -1;
}

static int parse_list_item(const struct config_key *key, const struct config_item *item,
                           int *ret)
{
    int64_t v = 0;
    if (key->type == CONFIG_TYPE_CHOICE_LIST)
        v = choice_index(key->choices, item->text);
    else if (parse_int(key, item, &v) < 0)
        return -1;
    *ret = (int)v;
    return key->type == CONFIG_TYPE_CHOICE_LIST && v < 0 ? -1 : 0;
}

static int parse_list(const struct config_key *key, const struct config_entry *entry,
                      struct config_list *to)
{
    struct config_list list = {0};
    if (entry->shape != CONFIG_SEQUENCE || entry->count < 1 || entry->count > CONFIG_LIST)
        return -1;
    for (int i = 0; i < entry->count; i++) {
        if (parse_list_item(key, &entry->items[i], &list.values[i]) < 0)
            return -1;
        list.count++;
    }
    *to = list;
    return 0;
}

static int parse_command(const struct config_entry *entry, struct config_trainer *to)
{
    if (entry->shape != CONFIG_SEQUENCE || entry->count > CONFIG_ARGS)
        return -1;
    for (int i = 0; i < entry->count; i++) {
        size_t length = strlen(entry->items[i].text);
        if (length >= CONFIG_TEXT || (i == 0 && length == 0))
            return -1;
    }
    memset(to->command, 0, sizeof to->command);
    for (int i = 0; i < entry->count; i++)
        memcpy(to->command[i], entry->items[i].text, strlen(entry->items[i].text));
    to->command_count = entry->count;
    return 0;
}

/* A value that is one scalar. */
static int parse_scalar(const struct config_key *key, const struct config_item *item,
                        struct config *config)
{
    void *to = (char *)config + key->offset;
    bool is_text = key->type == CONFIG_TYPE_TEXT || key->type == CONFIG_TYPE_PATH;
    bool zero = key->zero && !(item->quoted && is_text) && /* "auto" may be a folder */
                strcmp(item->text, key->zero) == 0;
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return parse_text(key, zero ? &(struct config_item){"", true} : item, to);
    case CONFIG_TYPE_INT:
        if (!zero && parse_int(key, item, &i) < 0)
            return -1;
        *(int *)to = (int)i;
        return 0;
    case CONFIG_TYPE_INT64:
        return zero ? (*(int64_t *)to = 0, 0) : parse_int(key, item, to);
    case CONFIG_TYPE_UINT64:
        if (item->quoted || !text_parse_uint64(item->text, &u) || u > INT64_MAX)
            return -1;
        *(uint64_t *)to = u;
        return 0;
    case CONFIG_TYPE_REAL:
        if (!zero && (item->quoted || !text_parse_double(item->text, &d)))
            return -1;
        break;
    case CONFIG_TYPE_DURATION:
        if (!zero && !text_parse_duration(item->text, &d))
            return -1;
        break;
    case CONFIG_TYPE_SIZE:
        if (!zero && (!text_parse_size(item->text, &i) || !in_range(key, (double)i)))
            return -1;
        *(int64_t *)to = i;
        return 0;
    case CONFIG_TYPE_BOOL:
        return parse_bool(item, to);
    case CONFIG_TYPE_CHOICE:
        i = choice_index(key->choices, item->text);
        if (i < 0)
            return -1;
        *(int *)to = (int)i;
        return 0;
    default:
        return -1;
    }
    if (!in_range(key, d))
        return -1;
    *(double *)to = d;
    return 0;
}

static bool is_list(const struct config_key *key)
{
    return key->type == CONFIG_TYPE_INT_LIST || key->type == CONFIG_TYPE_CHOICE_LIST;
}

/* "; did you mean 'x'?" for a misspelt choice. */
static void suggest(const struct config_key *key, const struct config_entry *entry,
                    struct text *out)
{
    if (!key->choices || entry->shape != CONFIG_SCALAR)
        return;
    int near =
        text_nearest(entry->items[0].text, key->choices, choice_count(key->choices));
    if (near >= 0)
        text_append(out, "; did you mean '%s'?", key->choices[near]);
}

int config_value_parse(const struct config_key *key, const struct config_entry *entry,
                       struct config *config, struct error *err)
{
    int result = -1;
    if (is_list(key))
        result =
            parse_list(key, entry, (struct config_list *)((char *)config + key->offset));
    else if (key->type == CONFIG_TYPE_COMMAND)
        result = parse_command(entry, &config->trainer);
    else if (entry->shape == CONFIG_SCALAR && !config_entry_is_null(entry))
        result = parse_scalar(key, &entry->items[0], config);
    if (result == 0)
        return 0;
    char found[120];
    struct text allowed;
    text_init(&allowed);
    config_format_allowed(key, &allowed);
    config_entry_describe(entry, found, sizeof found);
    text_append(&allowed, ", found %s", found);
    suggest(key, entry, &allowed);
    int status = error_set(err, ERROR_INPUT, "expected %s",
                           allowed.failed ? key->help : allowed.data);
    text_fini(&allowed);
    return status;
}

void config_value_initial(const struct config_key *key, struct config *config)
{
    char words[256];
    struct config_item items[CONFIG_LIST];
    struct config_entry entry = {.shape = CONFIG_SCALAR, .count = 1, .items = items};
    snprintf(words, sizeof words, "%s", key->initial);
    items[0] = (struct config_item){words, false};
    if (is_list(key) || key->type == CONFIG_TYPE_COMMAND) {
        char *save = NULL;
        entry.shape = CONFIG_SEQUENCE;
        entry.count = 0;
        for (char *w = strtok_r(words, "[], ", &save); w && entry.count < CONFIG_LIST;
             w = strtok_r(NULL, "[], ", &save))
            items[entry.count++] = (struct config_item){w, false};
    }
    config_value_parse(key, &entry, config, NULL);
}
