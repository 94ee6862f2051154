/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer is anybody's program: a line may be anything, and what is wrong with it must
 * be said in words that its author understands. No memory is taken. */
#include "proto/trainer_fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "proto/trainer_protocol.h"

const char *const trainer_field_names[FIELD_COUNT] = {
    "type",         "protocol",        "name",    "version",     "queue",   "trial",
    "attempt",      "epoch",           "metrics", "seconds",     "status",  "params",
    "flops",        "reason",          "kernels", "checkpoints", "step",    "part",
    "architecture", "log_probability", "fd",      "stride",      "samples", "round",
};

enum { EXCERPT = 60 };

/* The beginning of the line, fit to be shown. */
static void excerpt(const char *text, size_t size, char *ret)
{
    size_t n = size < EXCERPT ? size : EXCERPT;
    while (n > 0 && n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    strcpy(ret + n, n < size ? "..." : "");
}

static int fail_syntax(const struct trainer_fields *l, const struct json_scan *s)
{
    char shown[EXCERPT + 4];
    excerpt(l->text, (size_t)(l->end - l->text), shown);
    return error_set(
        l->err, ERROR_PEER,
        "not a JSON object: %s expected at byte %zu of \"%s\" (only protocol "
        "lines may be written to standard output)",
        s->wrong, (size_t)(s->at - s->start) + 1, shown);
}

/* Index of the field called key, or FIELD_COUNT. */
static int find_field(const char *key)
{
    int i = 0;
    while (i < FIELD_COUNT && strcmp(key, trainer_field_names[i]) != 0)
        i++;
    return i;
}

int trainer_fields_scan(struct trainer_fields *l)
{
    struct json_scan s;
    char key[32];
    bool first = true;
    json_scan_init(&s, l->text, (size_t)(l->end - l->text));
    while (json_scan_key(&s, &first, key, sizeof key)) {
        int field = find_field(key);
        if (field < FIELD_COUNT)
            l->values[field] = s.at;
        json_scan_skip(&s);
    }
    if (!json_scan_end(&s))
        return fail_syntax(l, &s);
    return 0;
}

struct json_scan trainer_field_at(const struct trainer_fields *l, const char *value)
{
    struct json_scan s;
    json_scan_init(&s, value, (size_t)(l->end - value));
    return s;
}

int trainer_field_wrong(const struct trainer_fields *l, const char *name,
                        struct json_scan s, const char *needed)
{
    return error_set(l->err, ERROR_PEER, "%s: \"%s\" is %s, %s is needed", l->type, name,
                     json_scan_kind(&s), needed);
}

int trainer_field_missing(const struct trainer_fields *l, enum trainer_field field)
{
    return error_set(l->err, ERROR_PEER, "%s: \"%s\" is missing", l->type,
                     trainer_field_names[field]);
}

/* A string field; absent leaves ret as it is. */
int trainer_field_text(const struct trainer_fields *l, enum trainer_field field,
                       char *ret, size_t size)
{
    if (!l->values[field])
        return 0;
    struct json_scan s = trainer_field_at(l, l->values[field]);
    if (json_scan_peek(&s) != '"')
        return trainer_field_wrong(l, trainer_field_names[field], s, "a string");
    json_scan_string(&s, ret, size);
    return 0;
}

/* true or false; absent leaves ret as it is. */
int trainer_field_flag(const struct trainer_fields *l, enum trainer_field field, int *ret)
{
    if (!l->values[field])
        return 0;
    struct json_scan s = trainer_field_at(l, l->values[field]);
    char first = json_scan_peek(&s);
    if (first != 't' && first != 'f')
        return trainer_field_wrong(l, trainer_field_names[field], s, "true or false");
    *ret = first == 't';
    return 0;
}

/* A required integer, written without fraction and exponent. */
int trainer_field_integer(const struct trainer_fields *l, enum trainer_field field,
                          int64_t low, int64_t high, int64_t *ret)
{
    int64_t v = 0;
    const char *name = trainer_field_names[field];
    if (!l->values[field])
        return trainer_field_missing(l, field);
    struct json_scan s = trainer_field_at(l, l->values[field]);
    json_scan_peek(&s);
    const char *at = s.at;
    bool minus = *at == '-', overflow = false;
    at += minus;
    if (at == l->end || *at < '0' || *at > '9')
        return trainer_field_wrong(l, name, s, "an integer");
    for (; at < l->end && *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *at - '0', &v))
            overflow = true;
    if (at < l->end && (*at == '.' || *at == 'e' || *at == 'E'))
        return error_set(l->err, ERROR_PEER,
                         "%s: \"%s\" must be an integer, without fraction or exponent",
                         l->type, name);
    v = minus ? -v : v;
    if (overflow || v < low || v > high)
        return error_set(
            l->err, ERROR_PEER, "%s: \"%s\" is %.*s, allowed are %" PRId64 " to %" PRId64,
            l->type, name, (int)(at - s.at > 40 ? 40 : at - s.at), s.at, low, high);
    *ret = v;
    return 0;
}

/* Absent is NAN, so is null. */
int trainer_field_number(const struct trainer_fields *l, enum trainer_field field,
                         double *ret)
{
    double v = NAN;
    if (l->values[field]) {
        struct json_scan s = trainer_field_at(l, l->values[field]), before = s;
        if (!json_scan_number(&s, &v))
            return trainer_field_wrong(l, trainer_field_names[field], before, "a number");
    }
    *ret = v;
    return 0;
}

/* A number that is never negative. */
int trainer_field_amount(const struct trainer_fields *l, enum trainer_field field,
                         double *ret)
{
    double v = NAN;
    int rc = trainer_field_number(l, field, &v);
    if (rc == 0 && v < 0)
        return error_set(l->err, ERROR_PEER, "%s: \"%s\" is %g, allowed is 0 and more",
                         l->type, trainer_field_names[field], v);
    if (rc == 0)
        *ret = v;
    return rc;
}
