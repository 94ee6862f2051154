/* SPDX-License-Identifier: Apache-2.0 */
/* From the entries of a YAML text to a configuration: defaults, then the preset, then the
 * file's own keys, wherever the preset stands in it. An unknown key is answered with what
 * was probably meant: a near name in the same section, the same name in another section,
 * or else everything that the section may hold. */
#include "common/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

static bool is_below(const char *path, const char *section)
{
    size_t n = strlen(section);
    return n == 0 || (strncmp(path, section, n) == 0 && path[n] == '.');
}

bool config_is_section(const char *path)
{
    for (const struct config_key *key = config_schema; key->path; key++) {
        if (is_below(key->path, path))
            return true;
    }
    return false;
}

static void add_child(struct config_children *ret, const char *name, size_t length)
{
    char *to = ret->storage[ret->count];
    if (ret->count == 64 || length >= sizeof ret->storage[0])
        return;
    memcpy(to, name, length);
    to[length] = '\0';
    if (ret->count > 0 && strcmp(ret->names[ret->count - 1], to) == 0)
        return; /* the keys of a section stand together */
    ret->names[ret->count++] = to;
}

void config_list_children(const char *section, struct config_children *ret)
{
    size_t skip = *section ? strlen(section) + 1 : 0;
    ret->count = 0;
    if (*section == '\0')
        add_child(ret, "preset", 6);
    for (const struct config_key *key = config_schema; key->path; key++) {
        if (is_below(key->path, section))
            add_child(ret, key->path + skip, strcspn(key->path + skip, "."));
    }
}

static void append_children(const char *section, struct text *out)
{
    struct config_children children;
    config_list_children(section, &children);
    for (int i = 0; i < children.count; i++)
        text_append(out, "%s%s", i ? ", " : "", children.names[i]);
}

static const char *last_word(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* The keys elsewhere that end in the same word: "'a.lr' or 'b.lr'"; their number. */
static int append_elsewhere(const char *word, struct text *out)
{
    int count = 0;
    for (const struct config_key *key = config_schema; key->path; key++) {
        if (strcmp(last_word(key->path), word) == 0)
            text_append(out, "%s'%s'", count++ ? " or " : "", key->path);
    }
    return count;
}

static int unknown_key(const char *path, struct error *err)
{
    char section[CONFIG_ENTRY_PATH];
    const char *word = last_word(path);
    struct config_children children;
    struct text hint;
    text_init(&hint);
    snprintf(section, sizeof section, "%.*s", word == path ? 0 : (int)(word - path - 1),
             path);
    if (!config_is_section(section))
        section[0] = '\0'; /* a path of --set whose section is unknown, too */
    config_list_children(section, &children);
    int near = text_nearest(word, children.names, children.count);
    if (near >= 0)
        text_append(&hint, "did you mean '%s'?", children.names[near]);
    else {
        text_append(&hint, "did you mean ");
        if (append_elsewhere(word, &hint) > 0)
            text_append(&hint, "?");
        else {
            text_fini(&hint);
            text_append(&hint, "allowed here: ");
            append_children(section, &hint);
        }
    }
    int status = error_set(err, ERROR_INPUT, "unknown key; %s",
                           hint.failed ? "see the reference" : hint.data);
    text_fini(&hint);
    return status;
}

static int wrong_section(const struct config_entry *entry, struct error *err)
{
    char found[120];
    struct text keys;
    text_init(&keys);
    append_children(entry->path, &keys);
    config_entry_describe(entry, found, sizeof found);
    int status = error_set(err, ERROR_INPUT, "expected the keys %s, found %s",
                           keys.failed ? "of the reference" : keys.data, found);
    text_fini(&keys);
    return status;
}

/* Error texts come without the place. */
static int apply_entry(const struct config_entry *entry, struct config *config,
                       struct error *err)
{
    const struct config_key *key = config_find(entry->path);
    if (key)
        return config_value_parse(key, entry, config, err);
    if (!config_is_section(entry->path))
        return unknown_key(entry->path, err);
    if (entry->shape == CONFIG_SECTION || config_entry_is_null(entry))
        return 0;
    return wrong_section(entry, err);
}

static int apply_entries(const char *name, const struct config_entries *entries,
                         struct config *config, struct error *err)
{
    for (int i = 0; i < entries->count; i++) {
        const struct config_entry *e = &entries->list[i];
        if (strcmp(e->path, "preset") == 0)
            continue;
        int status = apply_entry(e, config, err);
        if (status != 0) {
            error_prefix(err, "%s:%d: %s", name, e->line, e->path);
            return status;
        }
    }
    return 0;
}

static int unknown_preset(const struct config_entry *entry, struct error *err)
{
    char found[120];
    struct text names;
    text_init(&names);
    for (const struct config_preset *p = config_presets; p->name; p++)
        text_append(&names, "%s%s",
                    p == config_presets ? ""
                    : p[1].name         ? ", "
                                        : " or ",
                    p->name);
    config_entry_describe(entry, found, sizeof found);
    int status = error_set(err, ERROR_INPUT, "expected %s, found %s",
                           names.failed ? "a preset" : names.data, found);
    text_fini(&names);
    return status;
}

static int apply_settings(const struct config_preset *preset, struct config *config,
                          struct error *err)
{
    struct config_entries settings;
    int status = config_yaml_parse(preset->name, "", preset->settings,
                                   strlen(preset->settings), &settings, err);
    if (status == 0)
        status = apply_entries(preset->name, &settings, config, err);
    config_entries_fini(&settings);
    return status;
}

int config_apply_preset(struct config *config, const char *name, struct error *err)
{
    const struct config_preset *preset = config_find_preset(name);
    return preset ? apply_settings(preset, config, err)
                  : error_set(err, ERROR_INPUT, "there is no preset '%.60s'", name);
}

static int apply_preset(const char *name, const struct config_entries *entries,
                        struct config *config, struct error *err)
{
    const struct config_entry *entry = config_entries_find(entries, "preset");
    const struct config_preset *preset = NULL;
    if (!entry)
        return 0;
    if (entry->shape == CONFIG_SCALAR)
        preset = config_find_preset(entry->items[0].text);
    if (!preset) {
        int status = unknown_preset(entry, err);
        error_prefix(err, "%s:%d: preset", name, entry->line);
        return status;
    }
    return apply_settings(preset, config, err);
}

int config_parse(const char *name, const char *text, size_t size, struct config *ret,
                 struct error *err)
{
    struct config_entries entries;
    struct config config;
    int status = config_yaml_parse(name, "", text, size, &entries, err);
    if (status == 0) {
        config_defaults(&config);
        status = apply_preset(name, &entries, &config, err);
    }
    if (status == 0)
        status = apply_entries(name, &entries, &config, err);
    if (status == 0)
        status = config_check_entries(&config, name, &entries, err);
    if (status == 0)
        *ret = config;
    config_entries_fini(&entries);
    return status;
}

int config_read(const char *path, struct config *ret, struct error *err)
{
    struct error own;
    char *text;
    size_t size;
    int status = text_read_file(path, CONFIG_FILE_MAX, &text, &size, err ? err : &own);
    if (status != 0) { /* a file that is not there is the user's mistake */
        if (err)
            err->status = ERROR_INPUT;
        return ERROR_INPUT;
    }
    status = config_parse(path, text, size, ret, err);
    free(text);
    return status;
}

/* The value of an assignment as entries; an empty text is one empty value. */
static int parse_assignment(const char *key, const char *value,
                            struct config_entries *ret, struct error *err)
{
    int status = config_yaml_parse("--set", key, value, strlen(value), ret, err);
    if (status == 0 && ret->count == 0) {
        config_entries_fini(ret);
        status = config_yaml_parse("--set", key, "~", 1, ret, err);
    }
    return status;
}

int config_set(struct config *config, const char *assignment, struct error *err)
{
    char key[CONFIG_ENTRY_PATH];
    struct config_entries entries = {0};
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return error_set(err, ERROR_USAGE, "--set %.200s: expected key=value",
                         assignment);
    if (equals - assignment >= CONFIG_ENTRY_PATH)
        return error_set(err, ERROR_USAGE, "--set: '%.40s...' cannot be a key",
                         assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    if (strcmp(key, "preset") == 0)
        return error_set(err, ERROR_USAGE,
                         "--set preset: a preset can only be chosen in the file");
    struct config changed = *config;
    int status = parse_assignment(key, equals + 1, &entries, err);
    for (int i = 0; status == 0 && i < entries.count; i++) {
        status = apply_entry(&entries.list[i], &changed, err);
        if (status != 0)
            error_prefix(err, "--set %s", entries.list[i].path);
    }
    config_entries_fini(&entries);
    if (status == 0)
        *config = changed;
    if (status == ERROR_INPUT) {
        status = ERROR_USAGE;
        if (err)
            err->status = status;
    }
    return status;
}
