/* SPDX-License-Identifier: Apache-2.0 */
/* Plain text for a terminal of 80 columns. */
#include "master/cli/help.h"

#include <stdio.h>
#include <string.h>

enum { HELP_WIDTH = 78, HELP_COLUMN = 25 };

/* Fill paragraphs to the width, each line but the first after `indent` blanks: the caller
 * has brought the first to that column. */
static void wrap(struct text *out, const char *words, int indent)
{
    int column = indent;
    while (*words) {
        int size = (int)strcspn(words, " \n");
        if (column > indent && column + 1 + size > HELP_WIDTH) {
            text_append(out, "\n%*s", indent, "");
            column = indent;
        }
        text_append(out, "%s%.*s", column > indent ? " " : "", size, words);
        column += size + (column > indent);
        words += size;
        if (*words == '\n') {
            text_append(out, "\n%*s", words[1] ? indent : 0, "");
            column = indent;
        }
        words += *words != '\0';
    }
    text_append(out, "\n");
}

void help_program(struct text *out)
{
    text_append(out, "archway: search neural-network architectures on a cluster, and find out "
                     "whether\nthe search was worth it.\n\nUsage: archway COMMAND [ARGUMENT]... "
                     "[OPTION]...\n\nCommands:\n");
    for (const struct command *const *c = command_table; *c; c++)
        text_append(out, "  %-11s %s\n", (*c)->name, (*c)->summary);
    text_append(out, "\narchway COMMAND --help explains a command; archway --version says which "
                     "this is.\n");
}

static void help_option(struct text *out, const char *name, const char *argument,
                        const char *sentence)
{
    char head[64];
    snprintf(head, sizeof head, "--%s%s%s", name, argument ? " " : "", argument ? argument : "");
    text_append(out, "  %-*s", HELP_COLUMN - 2, head);
    if (strlen(head) + 3 > HELP_COLUMN)
        text_append(out, "\n%*s", HELP_COLUMN, "");
    wrap(out, sentence, HELP_COLUMN);
}

void help_command(const struct command *c, struct text *out)
{
    text_append(out, "Usage: archway %s %s\n\n", c->name, c->synopsis);
    wrap(out, c->description, 0);
    text_append(out, "\nOptions:\n");
    for (const struct command_option *o = c->options; o && o->name; o++)
        help_option(out, o->name, o->argument, o->help);
    help_option(out, "help", NULL, "This text.");
    if (c->example)
        text_append(out, "\nExamples:\n");
    for (const char *line = c->example; line && *line;) {
        int size = (int)strcspn(line, "\n");
        text_append(out, "  %.*s\n", size, line);
        line += size + (line[size] == '\n');
    }
}
