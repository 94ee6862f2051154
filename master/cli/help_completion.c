/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash: commands, their options, the values an option allows, and for --set
 * the keys of the configuration with their values. Everything else completes as files, for
 * which -o default stands. bash breaks words at '=', so "--format=json" arrives as three. */
#include "master/cli/help.h"

#include <string.h>

#include "common/config.h"

static void put_commands(struct text *out)
{
    for (const struct command *const *c = command_table; *c; c++)
        text_append(out, "%s%s", c == command_table ? "" : " ", (*c)->name);
}

static void put_words(struct text *out, const char *choices)
{
    for (; *choices; choices++)
        text_append(out, "%c", *choices == '|' ? ' ' : *choices);
}

/* Cases "command:--option) words=..." for what follows an option. */
static void put_values(struct text *out, const struct command *c)
{
    for (const struct command_option *o = c->options; o && o->name; o++) {
        if (!o->argument)
            continue;
        text_append(out, "    %s:--%s)", c->name, o->name);
        if (command_option_has_choices(o)) {
            text_append(out, " words='");
            put_words(out, o->argument);
            text_append(out, "'");
        } else if (strcmp(o->argument, "DIR") == 0) {
            text_append(out, " folders=yes");
        } else if (strcmp(o->name, "set") == 0) {
            text_append(out, " words=$keys; compopt -o nospace");
        }
        text_append(out, " ;;\n");
    }
}

static void put_positional(struct text *out, const struct command *c)
{
    text_append(out, "    %s)", c->name);
    if (strncmp(c->synopsis, "DIR", 3) == 0 || strncmp(c->synopsis, "DATA_FOLDER", 11) == 0)
        text_append(out, " folders=yes");
    else if (strncmp(c->synopsis, "[COMMAND]", 9) == 0)
        text_append(out, " words=$commands");
    text_append(out, " options='");
    for (const struct command_option *o = c->options; o && o->name; o++)
        text_append(out, "--%s ", o->name);
    text_append(out, "--help' ;;\n");
}

static void put_keys(struct text *out)
{
    for (const struct config_key *k = config_schema; k->path; k++)
        text_append(out, "%s%s=", k == config_schema ? "" : " ", k->path);
}

static void put_key_values(struct text *out)
{
    for (const struct config_key *k = config_schema; k->path; k++) {
        if (!k->choices && k->type != CONFIG_TYPE_BOOL)
            continue;
        text_append(out, "    %s) words='", k->path);
        if (!k->choices)
            text_append(out, "true false");
        for (int i = 0; k->choices && k->choices[i]; i++)
            text_append(out, "%s%s", i ? " " : "", k->choices[i]);
        text_append(out, "' ;;\n");
    }
}

void help_completion(struct text *out)
{
    text_append(out, "# bash completion for archway; made by archway --completion\n"
                     "_archway()\n{\n"
                     "    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
                     "    local at=$((COMP_CWORD - 1)) words= options= folders= before\n"
                     "    local commands='");
    put_commands(out);
    text_append(out, "'\n    local keys='");
    put_keys(out);
    text_append(out, "'\n    COMPREPLY=()\n"
                     "    if ((COMP_CWORD == 1)); then\n"
                     "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- "
                     "\"$current\"))\n        return\n    fi\n"
                     "    if [[ $current == '=' ]]; then\n        current=\n"
                     "    elif [[ ${COMP_WORDS[at]} == '=' ]]; then\n"
                     "        at=$((at - 1))\n    fi\n"
                     "    before=${COMP_WORDS[at]}\n"
                     "    case $before in\n");
    put_key_values(out);
    text_append(out, "    *) case $command:$before in\n");
    for (const struct command *const *c = command_table; *c; c++)
        put_values(out, *c);
    text_append(out, "    *) case $command in\n");
    for (const struct command *const *c = command_table; *c; c++)
        put_positional(out, *c);
    text_append(out, "    esac ;;\n    esac ;;\n    esac\n"
                     "    if [[ $current == -* ]]; then\n        words=$options folders=\n"
                     "    fi\n"
                     "    if [[ -n $words ]]; then\n"
                     "        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                     "    elif [[ -n $folders ]]; then\n"
                     "        compopt -o filenames\n"
                     "        mapfile -t COMPREPLY < <(compgen -d -- \"$current\")\n"
                     "    fi\n}\n"
                     "complete -o default -F _archway archway\n");
}
