/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as YAML and the difference of two. Texts are quoted unless they are
 * plain words that no YAML reader takes for something else; numbers in exponent form get
 * a point and a sign, because YAML 1.1 readers take 1e-5 for a text. */
#include "common/config_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum { COMMENT_WIDTH = 80 };

bool config_value_equal(const struct config_key *key, const struct config *a,
                        const struct config *b)
{
    const char *x = (const char *)a + key->offset, *y = (const char *)b + key->offset;
    const struct config_list *lx = (const void *)x, *ly = (const void *)y;
    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return strcmp(x, y) == 0;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_CHOICE:
        return *(const int *)x == *(const int *)y;
    case CONFIG_TYPE_INT64:
    case CONFIG_TYPE_UINT64:
    case CONFIG_TYPE_SIZE:
        return *(const int64_t *)x == *(const int64_t *)y;
    case CONFIG_TYPE_REAL:
    case CONFIG_TYPE_DURATION:
        return *(const double *)x == *(const double *)y;
    case CONFIG_TYPE_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case CONFIG_TYPE_INT_LIST:
    case CONFIG_TYPE_CHOICE_LIST:
        return lx->count == ly->count &&
               memcmp(lx->values, ly->values, (size_t)lx->count * sizeof(int)) == 0;
    case CONFIG_TYPE_COMMAND:
        if (a->trainer.command_count != b->trainer.command_count)
            return false;
        for (int i = 0; i < a->trainer.command_count; i++) {
            if (strcmp(a->trainer.command[i], b->trainer.command[i]) != 0)
                return false;
        }
        return true;
    }
    return false;
}

/* May the text stand without quotes? */
static bool is_plain(const char *text)
{
    static const char *const reserved[] = {"null", "true", "false", "yes", "no",
                                           "on",   "off",  "y",     "n"};
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (!*text ||
        !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/_", *text))
        return false;
    size_t n = 0;
    while (text[n] && (strchr(letters, text[n]) || strchr("0123456789/_.-", text[n])))
        n++;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    }
    return text[n] == '\0';
}

/* Decode one UTF-8 character; its bytes. A broken one counts as a single byte. */
static int decode_utf8(const unsigned char *s, unsigned *ret)
{
    int more = *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : *s >= 0xc0 ? 1 : 0;
    unsigned v = more == 0 ? *s : *s & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *ret = *s;
            return 1;
        }
        v = v << 6 | (s[i] & 0x3f);
    }
    *ret = v;
    return more + 1;
}

static void append_text(const char *value, const char *zero, struct text *out)
{
    const unsigned char *s = (const unsigned char *)value;
    unsigned v;
    if (is_plain(value) && !(zero && strcmp(value, zero) == 0)) {
        text_append(out, "%s", value);
        return;
    }
    text_append(out, "\"");
    for (int n; *s; s += n) {
        n = decode_utf8(s, &v);
        if (v == '"' || v == '\\')
            text_append(out, "\\%c", (char)v);
        else if (v < 0x20 || v == 0x7f)
            text_append(out, "\\x%02x", v);
        else if ((v >= 0x80 && v <= 0xa0) || v == 0x2028 || v == 0x2029 || v == 0xfeff ||
                 v == 0xfffe || v == 0xffff)
            text_append(out, "\\u%04x", v);
        else
            text_append(out, "%.*s", n, (const char *)s);
    }
    text_append(out, "\"");
}

static void append_real(double v, struct text *out)
{
    char number[32];
    text_format_double(v, number, sizeof number);
    char *e = strchr(number, 'e');
    if (!e) {
        text_append(out, "%s", number);
        return;
    }
    *e++ = '\0';
    text_append(out, "%s%se%s%s", number, strchr(number, '.') ? "" : ".0",
                *e == '-' ? "" : "+", e);
}

/* In the largest unit that divides it. */
static void append_duration(double v, struct text *out)
{
    static const struct {
        double seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    for (int i = 0; v >= 1 && v < 1e12 && i < 4; i++) {
        int64_t n = (int64_t)(v / units[i].seconds);
        if (n > 0 && (double)n * units[i].seconds == v) {
            text_append(out, "%" PRId64 "%c", n, units[i].name);
            return;
        }
    }
    append_real(v, out);
}

static void append_size(int64_t v, struct text *out)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; unit < 4 && v > 0 && v % 1024 == 0; unit++)
        v /= 1024;
    text_append(out, "%" PRId64 "%s", v, units[unit]);
}

static void append_list(const struct config_list *list, struct text *out)
{
    for (int i = 0; i < list->count; i++)
        text_append(out, "%s%d", i ? ", " : "[", list->values[i]);
    text_append(out, "%s]", list->count ? "" : "[");
}

static void append_words(const struct config_key *key, const struct config_list *list,
                         struct text *out)
{
    text_append(out, "[");
    for (int i = 0; i < list->count; i++)
        text_append(out, "%s%s", i ? ", " : "",
                    config_choice_name(key->path, list->values[i]));
    text_append(out, "]");
}

static void append_command(const struct config_trainer *trainer, struct text *out)
{
    text_append(out, "[");
    for (int i = 0; i < trainer->command_count; i++) {
        text_append(out, "%s", i ? ", " : "");
        append_text(trainer->command[i], NULL, out);
    }
    text_append(out, "]");
}

static bool is_zero(const struct config_key *key, const char *at)
{
    switch (key->type) {
    case CONFIG_TYPE_INT:
        return *(const int *)at == 0;
    case CONFIG_TYPE_INT64:
    case CONFIG_TYPE_SIZE:
        return *(const int64_t *)at == 0;
    case CONFIG_TYPE_REAL:
    case CONFIG_TYPE_DURATION:
        return *(const double *)at == 0;
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return *at == '\0';
    default:
        return false;
    }
}

void config_format(const struct config *config, const struct config_key *key,
                   struct text *out)
{
    const char *at = (const char *)config + key->offset;
    if (key->zero && is_zero(key, at)) {
        text_append(out, "%s", key->zero);
        return;
    }
    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        append_text(at, key->zero, out);
        break;
    case CONFIG_TYPE_INT:
        text_append(out, "%d", *(const int *)at);
        break;
    case CONFIG_TYPE_INT64:
        text_append(out, "%" PRId64, *(const int64_t *)at);
        break;
    case CONFIG_TYPE_UINT64:
        text_append(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case CONFIG_TYPE_REAL:
        append_real(*(const double *)at, out);
        break;
    case CONFIG_TYPE_BOOL:
        text_append(out, "%s", *(const bool *)at ? "true" : "false");
        break;
    case CONFIG_TYPE_CHOICE:
        text_append(out, "%s", config_choice_name(key->path, *(const int *)at));
        break;
    case CONFIG_TYPE_DURATION:
        append_duration(*(const double *)at, out);
        break;
    case CONFIG_TYPE_SIZE:
        append_size(*(const int64_t *)at, out);
        break;
    case CONFIG_TYPE_INT_LIST:
        append_list((const struct config_list *)(const void *)at, out);
        break;
    case CONFIG_TYPE_CHOICE_LIST:
        append_words(key, (const struct config_list *)(const void *)at, out);
        break;
    case CONFIG_TYPE_COMMAND:
        append_command(&config->trainer, out);
        break;
    }
}

bool config_applies(const struct config *config, const struct config_key *key)
{
    if (!key->when)
        return true;
    char path[CONFIG_ENTRY_PATH];
    size_t n = strcspn(key->when, "=");
    snprintf(path, sizeof path, "%.*s", (int)n, key->when);
    const struct config_key *other = config_find(path);
    struct text value;
    bool applies = true;
    if (!other)
        return true;
    text_init(&value);
    config_format(config, other, &value);
    if (!value.failed) {
        applies = false;
        for (const char *word = key->when + n; *word && !applies; word += n) {
            n = strcspn(++word, "|");
            applies = n == value.size && memcmp(word, value.data, n) == 0;
        }
        applies = applies && config_applies(config, other);
    }
    text_fini(&value);
    return applies;
}

/* The section lines between the path before and this one; returns the depth of the key.
 */
static int append_sections(const char *before, const char *path, struct text *out)
{
    int depth = 0;
    size_t start = 0;
    bool same = true;
    for (size_t i = 0; path[i]; i++) {
        if (path[i] != '.')
            continue;
        same = same && strncmp(before, path, i + 1) == 0;
        if (!same)
            text_append(out, "%s%*s%.*s:\n", depth == 0 ? "\n" : "", 4 * depth, "",
                        (int)(i - start), path + start);
        depth++;
        start = i + 1;
    }
    return depth;
}

/* A sentence as comment lines of at most COMMENT_WIDTH columns where words allow. */
static void append_wrapped(const char *sentence, int indent, struct text *out)
{
    int column = 0;
    while (*sentence) {
        int n = (int)strcspn(sentence, " ");
        if (column > 0 && column + 1 + n > COMMENT_WIDTH) {
            text_append(out, "\n");
            column = 0;
        }
        if (column == 0)
            text_append(out, "%*s#", indent, "");
        text_append(out, " %.*s", n, sentence);
        column += (column == 0 ? indent + 1 : 0) + 1 + n;
        sentence += n + (sentence[n] == ' ');
    }
    text_append(out, "\n");
}

static void append_comment(const struct config_key *key, int depth, struct text *out)
{
    struct text allowed;
    text_init(&allowed);
    text_append(&allowed, "Allowed: ");
    config_format_allowed(key, &allowed);
    text_append(&allowed, ".");
    append_wrapped(key->help, 4 * depth, out);
    if (!allowed.failed)
        append_wrapped(allowed.data, 4 * depth, out);
    out->failed |= allowed.failed;
    text_fini(&allowed);
}

char *config_write(const struct config *config, bool comments)
{
    struct config defaults;
    struct text out;
    const char *before = "";
    config_defaults(&defaults);
    text_init(&out);
    for (const struct config_key *key = config_schema; key->path; key++) {
        if (!config_applies(config, key) && config_value_equal(key, config, &defaults))
            continue;
        int depth = append_sections(before, key->path, &out);
        if (comments)
            append_comment(key, depth, &out);
        const char *dot = strrchr(key->path, '.');
        text_append(&out, "%*s%s: ", 4 * depth, "", dot ? dot + 1 : key->path);
        config_format(config, key, &out);
        text_append(&out, "\n");
        before = key->path;
    }
    return text_take(&out);
}

char *config_difference(const struct config *old, const struct config *new, bool strict)
{
    struct text out;
    text_init(&out);
    for (const struct config_key *key = config_schema; key->path; key++) {
        if ((strict && key->may_change) || config_value_equal(key, old, new))
            continue;
        if (!config_applies(old, key) && !config_applies(new, key))
            continue;
        text_append(&out, "%s: ", key->path);
        config_format(old, key, &out);
        text_append(&out, " -> ");
        config_format(new, key, &out);
        text_append(&out, "\n");
    }
    return text_take(&out);
}
