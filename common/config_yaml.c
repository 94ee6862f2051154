/* SPDX-License-Identifier: Apache-2.0 */
/* From YAML text to a flat list of keys with their lines, over libyaml's events. Events
 * rather than a document tree, because they are bounded as they come: the size of the
 * text, its depth, its keys and its lists all have limits, so hostile input costs no more
 * than its length. What values mean is not known here. */
#include "common/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 8 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    const char *name, *text;
    size_t size;
    struct config_entries *entries;
    struct error *err;
};

void config_entries_fini(struct config_entries *entries)
{
    for (int i = 0; i < entries->count; i++) {
        struct config_entry *e = &entries->list[i];
        for (int j = 0; j < e->count; j++)
            free(e->items[j].text);
        free(e->items);
    }
    free(entries->list);
    *entries = (struct config_entries){0};
}

const struct config_entry *config_entries_find(const struct config_entries *entries,
                                               const char *path)
{
    for (int i = 0; entries && i < entries->count; i++) {
        if (strcmp(entries->list[i].path, path) == 0)
            return &entries->list[i];
    }
    return NULL;
}

bool config_entry_is_null(const struct config_entry *entry)
{
    if (entry->shape != CONFIG_SCALAR || entry->items[0].quoted)
        return false;
    const char *text = entry->items[0].text;
    return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* Text fit for one line of an error: cut, and without control characters. */
static void show(const char *from, char *text, size_t size)
{
    size_t n = 0;
    for (; *from && n + 4 < size; from++)
        text[n++] = (unsigned char)*from < 32 || *from == 127 ? '?' : *from;
    if (*from) {
        while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
            n--; /* do not cut a character in two */
        if (n > 0 && (unsigned char)text[n - 1] >= 0xc0)
            n--;
        memcpy(text + n, "...", 3);
        n += 3;
    }
    text[n] = '\0';
}

/* "[1, 2, x, ...]" as far as it fits. */
static void describe_list(const struct config_entry *entry, char *text, size_t size)
{
    char value[24];
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < entry->count; i++) {
        bool full = used + sizeof value + 8 > size;
        show(full ? "..." : entry->items[i].text, value, sizeof value);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", value);
        if (full)
            break;
    }
    snprintf(text + used, size - used, "]");
}

void config_entry_describe(const struct config_entry *entry, char *text, size_t size)
{
    char value[80];
    if (entry->shape == CONFIG_SECTION) {
        snprintf(text, size, "keys");
        return;
    }
    if (entry->shape == CONFIG_SEQUENCE) {
        describe_list(entry, text, size);
        return;
    }
    show(entry->items[0].text, value, sizeof value);
    if (config_entry_is_null(entry))
        snprintf(text, size, "nothing");
    else if (entry->items[0].quoted)
        snprintf(text, size, "the text \"%s\"", value);
    else
        snprintf(text, size, "'%s'", value);
}

static int line_of(const struct reader *r)
{
    return (int)r->event.start_mark.line + 1;
}

static int no_memory(struct reader *r)
{
    return error_set(r->err, ERROR_SYSTEM, "%s: no memory to read it", r->name);
}

static int syntax_error(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    size_t line = p->problem_mark.line + 1;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (p->error == YAML_READER_ERROR) { /* these have an offset only */
        line = 1;
        for (size_t i = 0; i < p->problem_offset && i < r->size; i++)
            line += r->text[i] == '\n';
    }
    return error_set(r->err, ERROR_INPUT, "%s:%zu: not valid YAML: %s%s%s", r->name, line,
                     p->problem ? p->problem : "unknown problem", p->context ? " " : "",
                     p->context ? p->context : "");
}

/* Go to the next event; anchors, aliases and tags end the reading wherever they stand. */
static int next(struct reader *r)
{
    const char *found = NULL;
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event))
        return syntax_error(r);
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT)
        found = "an alias (*name)";
    else if (e->type == YAML_SCALAR_EVENT)
        found = e->data.scalar.anchor ? "an anchor (&name)"
                : e->data.scalar.tag  ? "a tag (!name)"
                                      : NULL;
    else if (e->type == YAML_SEQUENCE_START_EVENT)
        found = e->data.sequence_start.anchor ? "an anchor (&name)"
                : e->data.sequence_start.tag  ? "a tag (!name)"
                                              : NULL;
    else if (e->type == YAML_MAPPING_START_EVENT)
        found = e->data.mapping_start.anchor ? "an anchor (&name)"
                : e->data.mapping_start.tag  ? "a tag (!name)"
                                             : NULL;
    if (found)
        return error_set(r->err, ERROR_INPUT, "%s:%d: found %s; write the value out",
                         r->name, line_of(r), found);
    return 0;
}

static int add_entry(struct reader *r, const char *path, int line,
                     enum config_shape shape)
{
    struct config_entries *all = r->entries;
    if (all->count == CONFIG_ENTRIES_MAX)
        return error_set(r->err, ERROR_INPUT, "%s:%d: more than %d keys", r->name, line,
                         CONFIG_ENTRIES_MAX);
    if (all->count == all->capacity) {
        int capacity = all->capacity ? 2 * all->capacity : 64;
        struct config_entry *list = realloc(all->list, (size_t)capacity * sizeof *list);
        if (!list)
            return no_memory(r);
        all->list = list;
        all->capacity = capacity;
    }
    struct config_entry *e = &all->list[all->count++];
    *e = (struct config_entry){.line = line, .shape = shape};
    snprintf(e->path, sizeof e->path, "%s", path);
    return 0;
}

/* Add the current scalar to the newest entry. */
static int add_item(struct reader *r)
{
    struct config_entry *e = &r->entries->list[r->entries->count - 1];
    const char *value = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    if (strlen(value) != length)
        return error_set(r->err, ERROR_INPUT, "%s:%d: %s: a value must not hold a NUL",
                         r->name, line_of(r), e->path);
    if (e->count == CONFIG_ENTRY_ITEMS_MAX)
        return error_set(r->err, ERROR_INPUT, "%s:%d: %s: more than %d values in a list",
                         r->name, line_of(r), e->path, CONFIG_ENTRY_ITEMS_MAX);
    struct config_item *items = realloc(e->items, (size_t)(e->count + 1) * sizeof *items);
    if (!items)
        return no_memory(r);
    e->items = items;
    items[e->count].quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    items[e->count].text = strdup(value);
    if (!items[e->count].text)
        return no_memory(r);
    e->count++;
    return 0;
}

static int read_sequence(struct reader *r, const char *path, int line)
{
    int status = add_entry(r, path, line, CONFIG_SEQUENCE);
    while (status == 0 && (status = next(r)) == 0) {
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (r->event.type != YAML_SCALAR_EVENT)
            return error_set(r->err, ERROR_INPUT,
                             "%s:%d: %s: a list holds plain values only, found %s",
                             r->name, line_of(r), path,
                             r->event.type == YAML_MAPPING_START_EVENT ? "keys"
                                                                       : "a list");
        status = add_item(r);
    }
    return status;
}

/* The path of the key that is the current event. */
static int read_key(struct reader *r, const char *section, char *path)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return error_set(r->err, ERROR_INPUT, "%s:%d: a key must be a plain word",
                         r->name, line_of(r));
    char word[80];
    const char *value = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    show(value, word, sizeof word);
    int n =
        snprintf(path, CONFIG_ENTRY_PATH, "%s%s%s", section, *section ? "." : "", word);
    if (length == 0 || strlen(word) != length || strcmp(word, value) != 0 ||
        n >= CONFIG_ENTRY_PATH)
        return error_set(r->err, ERROR_INPUT, "%s:%d: '%s' cannot be a key", r->name,
                         line_of(r), word);
    const struct config_entry *first = config_entries_find(r->entries, path);
    if (first)
        return error_set(r->err, ERROR_INPUT,
                         "%s:%d: %s: stands here again, first in line %d", r->name,
                         line_of(r), path, first->line);
    return 0;
}

static int read_node(struct reader *r, const char *path, int line, int depth);

static int read_mapping(struct reader *r, const char *path, int line, int depth)
{
    char key[CONFIG_ENTRY_PATH];
    int status = *path ? add_entry(r, path, line, CONFIG_SECTION) : 0;
    while (status == 0 && (status = next(r)) == 0) {
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        status = read_key(r, path, key);
        int key_line = line_of(r);
        if (status == 0 && (status = next(r)) == 0)
            status = read_node(r, key, key_line, depth + 1);
    }
    return status;
}

static int read_node(struct reader *r, const char *path, int line, int depth)
{
    if (depth > DEPTH_MAX)
        return error_set(r->err, ERROR_INPUT, "%s:%d: %s: nested deeper than any key",
                         r->name, line, path);
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return read_mapping(r, path, line, depth);
    if (r->event.type == YAML_SEQUENCE_START_EVENT && *path)
        return read_sequence(r, path, line);
    if (r->event.type == YAML_SCALAR_EVENT && *path) {
        int status = add_entry(r, path, line, CONFIG_SCALAR);
        if (status == 0 && (status = add_item(r)) != 0)
            r->entries->count--; /* a scalar without its value would not be one */
        return status;
    }
    if (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0)
        return 0; /* an empty document */
    return error_set(r->err, ERROR_INPUT, "%s:%d: expected 'key: value' lines, found %s",
                     r->name, line,
                     r->event.type == YAML_SCALAR_EVENT ? "a plain value" : "a list");
}

static int read_stream(struct reader *r, const char *root)
{
    int status = next(r); /* start of the stream */
    if (status == 0)
        status = next(r);
    if (status != 0 || r->event.type == YAML_STREAM_END_EVENT)
        return status;
    if ((status = next(r)) == 0)
        status = read_node(r, root, line_of(r), 0);
    if (status == 0)
        status = next(r); /* end of the document */
    if (status == 0)
        status = next(r);
    if (status == 0 && r->event.type != YAML_STREAM_END_EVENT)
        status = error_set(r->err, ERROR_INPUT, "%s:%d: a second document begins here",
                           r->name, line_of(r));
    return status;
}

int config_yaml_parse(const char *name, const char *root, const char *text, size_t size,
                      struct config_entries *ret, struct error *err)
{
    struct reader r = {
        .name = name, .text = text, .size = size, .entries = ret, .err = err};
    *ret = (struct config_entries){0};
    if (size > CONFIG_FILE_MAX)
        return error_set(err, ERROR_INPUT, "%s: larger than %d bytes", name,
                         CONFIG_FILE_MAX);
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    int status = read_stream(&r, root);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return status;
}
