/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of command lines and the texts made from the table, bad arguments first. */
#include "master/cli/command.h"

#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "master/cli/help.h"
#include "unit.h"

static const struct command_option options[] = {
    {"run", "DIR", false, "A folder."},
    {"set", "KEY=VALUE", true, "Many of them."},
    {"format", "text|json", false, "One of two."},
    {"trials", "N|+N", false, "Not a list of words."},
    {"quiet", NULL, false, "A flag."},
    {0}};
static const struct command sample = {
    .name = "sample", .synopsis = "FILE [OTHER]", .least = 1, .most = 2, .options = options};

static struct invocation in;
static struct error err;

static int parse(int argc, const char *const *words)
{
    char *argv[8];
    for (int i = 0; i < argc; i++)
        argv[i] = (char *)(size_t)words[i];
    err = (struct error){0};
    in = (struct invocation){0};
    return command_parse(&sample, argc, argv, &in, &err);
}

#define PARSE(...)                                                    \
    parse(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),     \
          (const char *const[]){__VA_ARGS__})

static void refuses(int status, const char *part)
{
    ck_assert_int_eq(status, ERROR_USAGE);
    ck_assert_msg(strstr(err.text, part), "'%s' lacks '%s'", err.text, part);
    ck_assert_ptr_null(in.command); /* untouched on failure */
}

START_TEST(wrong_options_name_what_is_right)
{
    refuses(PARSE("f", "--rnu", "x"), "did you mean '--run'?");
    refuses(PARSE("f", "--zzzzzzzz"), "unknown option '--zzzzzzzz'; see archway sample --help");
    refuses(PARSE("f", "-x"), "options begin with '--'");
    refuses(PARSE("f", "--run"), "--run needs a value: DIR");
    refuses(PARSE("f", "--quiet=1"), "--quiet takes no value, found '1'");
    refuses(PARSE("f", "--run", "a", "--run=b"), "--run is given twice");
}
END_TEST

START_TEST(choices_are_checked)
{
    refuses(PARSE("f", "--format", "jsno"), "did you mean 'json'? Allowed: text|json");
    refuses(PARSE("f", "--format", "picture"), "--format is 'picture'; allowed: text|json");
    refuses(PARSE("f", "--format", ""), "allowed: text|json");
    refuses(PARSE("f", "--format", "tex"), "did you mean 'text'?");
    refuses(PARSE("f", "--format", "text|json"), "--format is 'text|json'");
    ck_assert_int_eq(PARSE("f", "--format=json"), 0);
    ck_assert_str_eq(command_value(&in, "format"), "json");
    ck_assert_int_eq(PARSE("f", "--trials", "+5"), 0); /* "N|+N" is no list of words */
    ck_assert(command_option_has_choices(&options[2]));
    ck_assert(!command_option_has_choices(&options[0]));
    ck_assert(!command_option_has_choices(&options[3]));
    ck_assert(!command_option_has_choices(&options[4]));
}
END_TEST

START_TEST(positional_arguments_are_counted)
{
    refuses(parse(0, NULL), "its argument is missing; usage: archway sample FILE [OTHER]");
    refuses(PARSE("a", "b", "c"), "unexpected argument 'c'");
    ck_assert_int_eq(PARSE("a", "--quiet", "b"), 0);
    ck_assert_int_eq(in.positional_count, 2);
    ck_assert_str_eq(in.positional[1], "b");
    ck_assert_str_eq(command_value(&in, "quiet"), "");
    ck_assert_ptr_null(command_value(&in, "run"));
    ck_assert_int_eq(PARSE("--", "--run"), 0);
    ck_assert_str_eq(in.positional[0], "--run");
    ck_assert_int_eq(PARSE("-"), 0); /* a lone dash is a name */
}
END_TEST

START_TEST(repeatable_options_keep_their_order)
{
    ck_assert_int_eq(PARSE("f", "--set", "a=1", "--set=b=2"), 0);
    ck_assert_int_eq(in.value_count, 2);
    ck_assert_str_eq(in.values[0].value, "a=1");
    ck_assert_str_eq(in.values[1].value, "b=2");
}
END_TEST

START_TEST(commands_are_found_by_name)
{
    ck_assert_ptr_null(command_find("trails", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "did you mean 'trials'?"));
    ck_assert_ptr_null(command_find("qqqqqqqqqq", &err));
    ck_assert_ptr_nonnull(strstr(err.text, "see archway --help"));
    ck_assert_str_eq(command_find("status", &err)->name, "status");
}
END_TEST

/* The parser looks at no more than 32 options; help fits 80 columns, in whole sentences. */
START_TEST(the_table_is_in_order)
{
    for (const struct command *const *c = command_table; *c; c++) {
        int count = 0;
        struct text t;
        ck_assert((*c)->run != NULL);
        ck_assert_int_le((*c)->least, (*c)->most);
        ck_assert_int_lt((*c)->most, COMMAND_MAX_POSITIONAL);
        for (const struct command_option *o = (*c)->options; o && o->name; o++, count++)
            ck_assert_msg(o->help[strlen(o->help) - 1] == '.', "%s --%s", (*c)->name, o->name);
        ck_assert_int_lt(count, 32);
        text_init(&t);
        help_command(*c, &t);
        ck_assert(!t.failed);
        for (const char *line = t.data; *line; line += strcspn(line, "\n") + 1)
            ck_assert_msg(strcspn(line, "\n") <= 84, "%.*s", (int)strcspn(line, "\n"), line);
        text_fini(&t);
    }
}
END_TEST

static void holds(void (*page)(struct text *), const char *const *parts)
{
    struct text t;
    text_init(&t);
    page(&t);
    ck_assert(!t.failed);
    for (; *parts; parts++)
        ck_assert_msg(strstr(t.data, *parts), "no '%s'", *parts);
    text_fini(&t);
}

START_TEST(pages_know_every_command_and_key)
{
    for (const struct command *const *c = command_table; *c; c++) {
        char section[64], title[64], option[64];
        snprintf(section, sizeof section, ".SS archway %s\n", (*c)->name);
        snprintf(title, sizeof title, "\n## archway %s\n", (*c)->name);
        snprintf(option, sizeof option, "\n    %s)", (*c)->name);
        holds(help_manual, (const char *const[]){section, NULL});
        holds(help_commands, (const char *const[]){title, NULL});
        holds(help_completion, (const char *const[]){option, NULL});
    }
    for (const struct config_key *k = config_schema; k->path; k++) {
        char row[160];
        snprintf(row, sizeof row, "\n| `%s` | ", k->path);
        holds(help_configuration, (const char *const[]){row, NULL});
    }
}
END_TEST

UNIT_MAIN("command", wrong_options_name_what_is_right, choices_are_checked,
          positional_arguments_are_counted, repeatable_options_keep_their_order,
          commands_are_found_by_name, the_table_is_in_order, pages_know_every_command_and_key)
