/* SPDX-License-Identifier: Apache-2.0 */
/* Between the config_*.c files: what stands in a YAML text before it is given a meaning,
 * and where. Not for other modules. */
#ifndef ARCHWAY_COMMON_CONFIG_INTERNAL_H
#define ARCHWAY_COMMON_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"

enum {
    CONFIG_ENTRY_PATH = 128,     /* bytes of a dotted path */
    CONFIG_ENTRIES_MAX = 1000,   /* keys of a file */
    CONFIG_ENTRY_ITEMS_MAX = 256 /* entries of a list; values have bounds of their own */
};

struct config_item {
    char *text;  /* owned; UTF-8 without NUL */
    bool quoted; /* stood in quotes or in a block: a text, whatever it looks like */
};

enum config_shape { CONFIG_SCALAR, CONFIG_SEQUENCE, CONFIG_SECTION };

/* One key as it stands in the text. A section comes before its keys. */
struct config_entry {
    char path[CONFIG_ENTRY_PATH]; /* "search.controller.lr" */
    int line;                     /* of the key, from 1 */
    enum config_shape shape;
    int count;                 /* items: 1 for a scalar, 0 for a section */
    struct config_item *items; /* owned */
};

struct config_entries {
    int count, capacity;
    struct config_entry *list; /* in the order of the text */
};

/* YAML events to entries. `name` stands for the file in errors; `root` is the path of the
 * text itself: "" for a file, whose root must be a mapping, the key for a value of --set.
 * Refused, with the line: invalid YAML, a key that stands twice, anchors, aliases, tags, a
 * second document, lists of anything but plain values, anything deeper than any key.
 * Free with config_entries_fini, after a failure as well. */
int config_yaml_parse(const char *name, const char *root, const char *text, size_t size,
                      struct config_entries *ret, struct error *err);
void config_entries_fini(struct config_entries *entries);
const struct config_entry *config_entries_find(const struct config_entries *entries,
                                               const char *path);
/* Nothing, "~" or "null", without quotes. */
bool config_entry_is_null(const struct config_entry *entry);
/* What the entry holds, for errors: "'abc'", "[1, x]", "nothing"; size >= 100. */
void config_entry_describe(const struct config_entry *entry, char *text, size_t size);

/* Store an entry's value; ERROR_INPUT "expected ..., found ..." without the place. */
int config_value_parse(const struct config_key *key, const struct config_entry *entry,
                       struct config *config, struct error *err);
bool config_value_equal(const struct config_key *key, const struct config *a,
                        const struct config *b);
/* Value of the initial text of the table. */
void config_value_initial(const struct config_key *key, struct config *config);

/* Is this the path of a mapping that holds keys? */
bool config_is_section(const char *path);
/* Append the names directly below a section ("" for the top), up to `limit` of them, into
 * names (pointers into storage); returns their number. */
struct config_children {
    int count;
    char storage[64][64];
    const char *names[64];
};
void config_list_children(const char *section, struct config_children *ret);
const struct config_preset *config_find_preset(const char *name); /* NULL when unknown */

/* config_check with the lines of the entries; entries may be NULL. */
int config_check_entries(const struct config *config, const char *name,
                         const struct config_entries *entries, struct error *err);

#endif
