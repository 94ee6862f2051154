/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer writes a line or two for every epoch, and thousands of short trials a second pass
 * through one agent: building a tree for each line costs more than all the rest. This walks
 * the text where it lies. Numbers of up to 19 digits with small exponents are exact without
 * strtod (Clinger, "How to read floating point numbers accurately", 1990: both the digits
 * and the power of ten are exact doubles, so one multiplication rounds correctly). */
#include "proto/json_scan.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void json_scan_init(struct json_scan *s, const char *text, size_t size)
{
    *s = (struct json_scan){.start = text, .at = text, .end = text + size};
}

static bool fail(struct json_scan *s, const char *expected)
{
    if (!s->wrong)
        s->wrong = expected;
    return false;
}

char json_scan_peek(struct json_scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
    return s->at < s->end && !s->wrong ? *s->at : '\0';
}

const char *json_scan_kind(struct json_scan *s)
{
    switch (json_scan_peek(s)) {
    case '{':
        return "an object";
    case '[':
        return "a list";
    case '"':
        return "a string";
    case 't':
    case 'f':
        return "true or false";
    case 'n':
        return "null";
    default:
        return "a number";
    }
}

static bool take(struct json_scan *s, char c, const char *expected)
{
    if (json_scan_peek(s) != c)
        return fail(s, expected);
    s->at++;
    return true;
}

static bool take_word(struct json_scan *s, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(s->end - s->at) < size || memcmp(s->at, word, size) != 0)
        return fail(s, "a value");
    s->at += size;
    return true;
}

bool json_scan_end(struct json_scan *s)
{
    json_scan_peek(s);
    return !s->wrong && (s->at == s->end || fail(s, "the end of the line"));
}

/* Bytes of the UTF-8 character at `at` (RFC 3629: no overlong forms, no surrogates, nothing
 * beyond U+10FFFF); 0 when it is none. */
static int utf8_size(const uint8_t *at, const uint8_t *end)
{
    static const struct {
        uint8_t low, high, second_low, second_high, size;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        int size = forms[i].size;
        if (*at < forms[i].low || *at > forms[i].high)
            continue;
        if (size == 1)
            return 1;
        if (end - at < size || at[1] < forms[i].second_low || at[1] > forms[i].second_high)
            return 0;
        for (int j = 2; j < size; j++)
            if (at[j] < 0x80 || at[j] > 0xbf)
                return 0;
        return size;
    }
    return 0;
}

static int utf8_write(uint32_t c, char *at)
{
    if (c < 0x80) {
        at[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        at[0] = (char)(0xc0 | c >> 6);
        at[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        at[0] = (char)(0xe0 | c >> 12);
        at[1] = (char)(0x80 | (c >> 6 & 0x3f));
        at[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    at[0] = (char)(0xf0 | c >> 18);
    at[1] = (char)(0x80 | (c >> 12 & 0x3f));
    at[2] = (char)(0x80 | (c >> 6 & 0x3f));
    at[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static bool hex4(struct json_scan *s, uint32_t *ret)
{
    uint32_t v = 0;
    if (s->end - s->at < 4)
        return fail(s, "four hexadecimal digits");
    for (int i = 0; i < 4; i++) {
        char c = *s->at;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return fail(s, "four hexadecimal digits");
        v = v << 4 | digit;
        s->at++;
    }
    *ret = v;
    return true;
}

/* \uXXXX, the u being taken already; surrogates come in pairs. */
static bool scan_unicode(struct json_scan *s, uint32_t *ret)
{
    uint32_t low;
    if (!hex4(s, ret))
        return false;
    if (*ret < 0xd800 || *ret > 0xdfff)
        return true;
    if (*ret > 0xdbff || s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return fail(s, "a surrogate pair");
    s->at += 2;
    if (!hex4(s, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(s, "a surrogate pair");
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* After a backslash: the character's UTF-8 form into `to`, its size; 0 when wrong. */
static int scan_escape(struct json_scan *s, char to[4])
{
    static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    uint32_t c;
    if (s->at == s->end) {
        fail(s, "the end of a string");
        return 0;
    }
    char letter = *s->at++;
    const char *found = letter ? strchr(from, letter) : NULL;
    if (found) {
        to[0] = plain[found - from];
        return 1;
    }
    if (letter != 'u') {
        s->at--;
        fail(s, "an escape sequence");
        return 0;
    }
    return scan_unicode(s, &c) ? utf8_write(c, to) : 0;
}

/* One character of a string: its size, its bytes in `to`. 0 when wrong. */
static int scan_character(struct json_scan *s, char to[4])
{
    uint8_t c = (uint8_t)*s->at;
    if (c == '\\') {
        s->at++;
        return scan_escape(s, to);
    }
    int size = c < 0x20 ? 0 : utf8_size((const uint8_t *)s->at, (const uint8_t *)s->end);
    if (size == 0)
        fail(s, c < 0x20 ? "no control character in a string" : "UTF-8 in a string");
    memcpy(to, s->at, (size_t)size);
    s->at += size;
    return size;
}

long json_scan_string(struct json_scan *s, char *text, size_t size)
{
    size_t all = 0, kept = 0;
    if (!take(s, '"', "a string"))
        return -1;
    while (s->at < s->end && *s->at != '"') {
        char c[4];
        int n = scan_character(s, c);
        if (n == 0)
            return -1;
        if (n == 1 && (uint8_t)c[0] < 0x20)
            c[0] = ' ';
        if (text && kept == all && kept + (size_t)n < size) {
            memcpy(text + kept, c, (size_t)n);
            kept += (size_t)n;
        }
        all += (size_t)n;
    }
    if (text && size > 0)
        text[kept] = '\0';
    return take(s, '"', "the end of a string") ? (long)all : -1;
}

bool json_scan_key(struct json_scan *s, bool *first, char *key, size_t size)
{
    if (*first && !take(s, '{', "an object"))
        return false;
    char c = json_scan_peek(s);
    if (c == '}') {
        s->at++;
        return false;
    }
    if (!*first && !take(s, ',', "',' or '}'"))
        return false;
    *first = false;
    long length = json_scan_string(s, key, size);
    if (length < 0)
        return false;
    if ((size_t)length >= size)
        key[0] = '\0';
    return take(s, ':', "':'");
}

static bool digit(const struct json_scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

/* The digits of a number and where its point is. */
struct decimal {
    uint64_t digits;
    int count, exponent;
};

static void scan_digits(struct json_scan *s, struct decimal *d, int step)
{
    for (; digit(s); s->at++) {
        if (d->digits || *s->at != '0')
            d->count++;
        if (d->count <= 19)
            d->digits = d->digits * 10 + (uint64_t)(*s->at - '0');
        d->exponent += step;
    }
}

static bool scan_exponent(struct json_scan *s, struct decimal *d)
{
    bool minus = false;
    int v = 0;
    if (s->at == s->end || (*s->at | 0x20) != 'e')
        return true;
    s->at++;
    if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
        minus = *s->at++ == '-';
    if (!digit(s))
        return fail(s, "a digit");
    for (; digit(s); s->at++)
        v = v < 100000 ? v * 10 + (*s->at - '0') : v;
    d->exponent += minus ? -v : v;
    return true;
}

/* Check the grammar of an unsigned number. */
static bool scan_decimal(struct json_scan *s, struct decimal *d)
{
    if (!digit(s))
        return fail(s, "a value");
    if (*s->at == '0')
        s->at++;
    else
        scan_digits(s, d, 0);
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!digit(s))
            return fail(s, "a digit");
        scan_digits(s, d, -1);
    }
    return scan_exponent(s, d);
}

/* strtod needs a terminated text. No program of the project changes the locale. */
static bool read_slowly(struct json_scan *s, const char *from, double *ret)
{
    char text[512];
    size_t size = (size_t)(s->at - from);
    if (size >= sizeof text)
        return fail(s, "a number of at most 511 characters");
    memcpy(text, from, size);
    text[size] = '\0';
    *ret = strtod(text, NULL);
    return true;
}

static bool scan_word_number(struct json_scan *s, const char *word, double value,
                             double *ret)
{
    if (!take_word(s, word))
        return false;
    *ret = value;
    return true;
}

bool json_scan_number(struct json_scan *s, double *ret)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal d = {0};
    char c = json_scan_peek(s);
    const char *from = s->at;
    if (c == 'n')
        return scan_word_number(s, "null", NAN, ret);
    if (c == 'N')
        return scan_word_number(s, "NaN", NAN, ret);
    bool minus = c == '-';
    if (minus)
        s->at++;
    if (s->at < s->end && *s->at == 'I')
        return scan_word_number(s, "Infinity", minus ? -INFINITY : INFINITY, ret);
    if (s->wrong || !scan_decimal(s, &d))
        return fail(s, "a number");
    if (d.digits > 1ull << 53 || d.count > 19 || d.exponent < -22 || d.exponent > 22)
        return read_slowly(s, from, ret);
    double v = (double)d.digits;
    v = d.exponent < 0 ? v / powers[-d.exponent] : v * powers[d.exponent];
    *ret = minus ? -v : v;
    return true;
}

static bool skip_value(struct json_scan *s, int depth);

static bool skip_object(struct json_scan *s, int depth)
{
    char key[1];
    bool first = true;
    while (json_scan_key(s, &first, key, sizeof key))
        if (!skip_value(s, depth))
            return false;
    return !s->wrong;
}

static bool skip_list(struct json_scan *s, int depth)
{
    s->at++;
    if (json_scan_peek(s) == ']') {
        s->at++;
        return true;
    }
    while (skip_value(s, depth)) {
        if (json_scan_peek(s) != ',')
            return take(s, ']', "',' or ']'");
        s->at++;
    }
    return false;
}

static bool skip_value(struct json_scan *s, int depth)
{
    double number;
    char c = json_scan_peek(s);
    if (depth == 0)
        return fail(s, "fewer nested values");
    switch (c) {
    case '{':
        return skip_object(s, depth - 1);
    case '[':
        return skip_list(s, depth - 1);
    case '"':
        return json_scan_string(s, NULL, 0) >= 0;
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    default:
        return json_scan_number(s, &number);
    }
}

bool json_scan_skip(struct json_scan *s)
{
    return skip_value(s, JSON_SCAN_DEPTH);
}
