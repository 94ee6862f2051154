/* SPDX-License-Identifier: Apache-2.0 */
/* getopt_long would do for one set of options; here every command has its own, errors name
 * the nearest valid word, and nothing may print by itself. */
#include "master/cli/command.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

static const struct command_option *find_option(const struct command *c, const char *name,
                                                size_t size)
{
    for (const struct command_option *o = c->options; o && o->name; o++)
        if (strlen(o->name) == size && memcmp(o->name, name, size) == 0)
            return o;
    return NULL;
}

static int unknown_option(const struct command *c, const char *word, struct error *err)
{
    const char *names[32];
    int count = 0;
    for (const struct command_option *o = c->options; o && o->name && count < 32; o++)
        names[count++] = o->name;
    char bare[64];
    size_t size = strcspn(word + 2, "=");
    if (size >= sizeof bare)
        size = sizeof bare - 1;
    memcpy(bare, word + 2, size);
    bare[size] = '\0';
    int nearest = text_nearest(bare, names, count);
    if (nearest >= 0)
        return error_set(err, ERROR_USAGE,
                         "archway %s: unknown option '--%s'; did you mean '--%s'?", c->name,
                         bare, names[nearest]);
    return error_set(err, ERROR_USAGE,
                     "archway %s: unknown option '--%s'; see archway %s --help", c->name, bare,
                     c->name);
}

bool command_option_has_choices(const struct command_option *o)
{
    return o->argument && strchr(o->argument, '|') &&
           o->argument[strspn(o->argument, "abcdefghijklmnopqrstuvwxyz|")] == '\0';
}

/* Is the value one of the words of "table|csv|json"? */
static int check_choice(const struct command *c, const struct command_option *o,
                        const char *value, struct error *err)
{
    char words[16][32];
    const char *names[16];
    int count = 0;
    for (const char *at = o->argument; *at && count < 16; count++) {
        size_t size = strcspn(at, "|");
        if (strlen(value) == size && memcmp(at, value, size) == 0)
            return 0;
        snprintf(words[count], sizeof words[count], "%.*s", (int)size, at);
        names[count] = words[count];
        at += size + (at[size] == '|');
    }
    int nearest = text_nearest(value, names, count);
    if (nearest >= 0)
        return error_set(err, ERROR_USAGE,
                         "archway %s: --%s is '%s'; did you mean '%s'? Allowed: %s", c->name,
                         o->name, value, names[nearest], o->argument);
    return error_set(err, ERROR_USAGE, "archway %s: --%s is '%s'; allowed: %s", c->name,
                     o->name, value, o->argument);
}

static int add_value(struct invocation *in, const struct command_option *o,
                     const char *value, struct error *err)
{
    if (command_option_has_choices(o)) {
        int status = check_choice(in->command, o, value, err);
        if (status != 0)
            return status;
    }
    if (!o->repeatable && command_value(in, o->name))
        return error_set(err, ERROR_USAGE, "archway %s: --%s is given twice",
                         in->command->name, o->name);
    if (in->value_count == COMMAND_MAX_VALUES)
        return error_set(err, ERROR_USAGE, "archway %s: more than %d options",
                         in->command->name, COMMAND_MAX_VALUES);
    in->values[in->value_count].option = o;
    in->values[in->value_count++].value = value;
    return 0;
}

/* Returns how many further words of argv the option took, or a negative status. */
static int parse_option(struct invocation *in, int argc, char **argv, struct error *err)
{
    const char *word = argv[0], *equals = strchr(word, '=');
    size_t size = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    const struct command_option *o = find_option(in->command, word + 2, size);
    int status;
    if (!o)
        return unknown_option(in->command, word, err);
    if (!o->argument && equals)
        return error_set(err, ERROR_USAGE, "archway %s: --%s takes no value, found '%s'",
                         in->command->name, o->name, equals + 1);
    if (!o->argument)
        return add_value(in, o, "", err);
    if (equals)
        return add_value(in, o, equals + 1, err);
    if (argc < 2)
        return error_set(err, ERROR_USAGE, "archway %s: --%s needs a value: %s",
                         in->command->name, o->name, o->argument);
    status = add_value(in, o, argv[1], err);
    return status == 0 ? 1 : status;
}

static int check_positional(const struct invocation *in, struct error *err)
{
    const struct command *c = in->command;
    if (in->positional_count < c->least)
        return error_set(err, ERROR_USAGE, "archway %s: %s is missing; usage: archway %s %s",
                         c->name, in->positional_count ? "an argument" : "its argument",
                         c->name, c->synopsis);
    if (in->positional_count > c->most)
        return error_set(err, ERROR_USAGE,
                         "archway %s: unexpected argument '%s'; usage: archway %s %s", c->name,
                         in->positional[c->most], c->name, c->synopsis);
    return 0;
}

int command_parse(const struct command *command, int argc, char **argv,
                  struct invocation *ret, struct error *err)
{
    struct invocation in = {.command = command, .services = ret->services};
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] == '-') {
            int taken = parse_option(&in, argc - i, argv + i, err);
            if (taken < 0)
                return taken;
            i += taken;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            return error_set(err, ERROR_USAGE,
                             "archway %s: unknown option '%s'; options begin with '--'",
                             command->name, argv[i]);
        } else if (in.positional_count < COMMAND_MAX_POSITIONAL) {
            in.positional[in.positional_count++] = argv[i];
        }
    }
    int status = check_positional(&in, err);
    if (status == 0)
        *ret = in;
    return status;
}

const char *command_value(const struct invocation *in, const char *name)
{
    for (int i = 0; i < in->value_count; i++)
        if (strcmp(in->values[i].option->name, name) == 0)
            return in->values[i].value;
    return NULL;
}

const struct command *command_find(const char *name, struct error *err)
{
    const char *names[32];
    int count = 0;
    for (const struct command *const *c = command_table; *c; c++) {
        if (strcmp((*c)->name, name) == 0)
            return *c;
        names[count++] = (*c)->name;
    }
    int nearest = text_nearest(name, names, count);
    if (nearest >= 0)
        error_set(err, ERROR_USAGE, "unknown command '%s'; did you mean '%s'?", name,
                  names[nearest]);
    else
        error_set(err, ERROR_USAGE, "unknown command '%s'; see archway --help", name);
    return NULL;
}
