/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with and without units. The C library's converters do the arithmetic; what they
 * accept beyond plain decimal text (leading blanks, hexadecimal, "inf", trailing garbage)
 * is refused before they are called. The locale is never set, so the point is a point. */
#include "common/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_decimal(const char *text, const char *allowed)
{
    return *text && text[strspn(text, allowed)] == '\0';
}

bool text_parse_int64(const char *text, int64_t *ret)
{
    char *end;
    if (!is_decimal(text, "+-0123456789"))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end || end == text)
        return false;
    *ret = v;
    return true;
}

bool text_parse_uint64(const char *text, uint64_t *ret)
{
    char *end;
    if (!is_decimal(text, "+0123456789"))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end || end == text)
        return false;
    *ret = v;
    return true;
}

bool text_parse_double(const char *text, double *ret)
{
    char *end;
    if (!is_decimal(text, "+-.0123456789eE"))
        return false;
    double v = strtod(text, &end);
    if (*end || end == text || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

/* "HH:MM:SS" or "D-HH:MM:SS", as batch systems write it. */
static bool parse_clock(const char *text, double *ret)
{
    static const double seconds[] = {86400, 3600, 60, 1};
    double limit[] = {1e6, 1e6, 60, 60}, sum = 0;
    int part = 1;
    if (strchr(text, '-')) {
        part = 0;
        limit[1] = 24;
    }
    for (; part < 4; part++) {
        char *end;
        if (!isdigit((unsigned char)*text))
            return false;
        double v = (double)strtoull(text, &end, 10);
        if (v >= limit[part] || *end != (part == 0 ? '-' : part == 3 ? '\0' : ':'))
            return false;
        sum += v * seconds[part];
        text = end + 1;
    }
    *ret = sum;
    return true;
}

/* Split "1.5GiB" into its number (copied) and its unit (inside text). */
static const char *split_unit(const char *text, char *number, size_t size)
{
    size_t n = strspn(text, "+-.0123456789");
    if (n == 0 || n >= size)
        return NULL;
    memcpy(number, text, n);
    number[n] = '\0';
    return text + n;
}

bool text_parse_duration(const char *text, double *ret)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char number[64];
    double v;
    if (strchr(text, ':'))
        return parse_clock(text, ret);
    if (text_parse_double(text, &v)) { /* "1e-3": an exponent only without a unit */
        if (!signbit(v))
            *ret = v;
        return !signbit(v);
    }
    const char *unit = split_unit(text, number, sizeof number);
    if (!unit || !text_parse_double(number, &v) || signbit(v))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *ret = v * units[i].seconds;
            return isfinite(*ret);
        }
    }
    return false;
}

bool text_parse_size(const char *text, int64_t *ret)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    char number[64];
    double v;
    const char *unit = split_unit(text, number, sizeof number);
    if (!unit || *number == '-')
        return false;
    if (*unit == '\0')
        return text_parse_int64(number, ret);
    for (int i = 0; i < 6; i++) {
        if (strcmp(unit, units[i]) != 0)
            continue;
        if (!text_parse_double(number, &v) || v * ldexp(1, 10 * i) >= 0x1p63)
            return false;
        *ret = (int64_t)(v * ldexp(1, 10 * i));
        return true;
    }
    return false;
}

/* "1e-05" becomes "1e-5" and "1e+20" becomes "1e20". */
static void trim_exponent(char *text)
{
    char *from = strchr(text, 'e');
    if (!from)
        return;
    char *to = ++from;
    if (*from == '-')
        to++;
    from++; /* the C library always writes a sign */
    while (*from == '0' && from[1])
        from++;
    memmove(to, from, strlen(from) + 1);
}

void text_format_double(double v, char *text, size_t size)
{
    double back;
    if (!isfinite(v)) {
        snprintf(text, size, isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    if (v == nearbyint(v) && fabs(v) < 1e15) {
        snprintf(text, size, "%.0f", v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, v);
        if (text_parse_double(text, &back) && back == v)
            break;
    }
    trim_exponent(text);
}

void text_format_duration(double seconds, char *text, size_t size)
{
    if (!(seconds >= 0) || seconds > 1e12) {
        snprintf(text, size, "?");
        return;
    }
    int64_t whole = llround(seconds);
    if (seconds < 59.95)
        snprintf(text, size, "%.1fs", seconds);
    else if (whole < 3600)
        snprintf(text, size, "%" PRId64 "m %02" PRId64 "s", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(text, size, "%" PRId64 "h %02" PRId64 "m", whole / 3600,
                 whole % 3600 / 60);
    else
        snprintf(text, size, "%" PRId64 "d %02" PRId64 "h", whole / 86400,
                 whole % 86400 / 3600);
}

void text_format_size(double bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;
    if (!isfinite(bytes)) {
        snprintf(text, size, "?");
        return;
    }
    for (; unit < 5 && fabs(bytes) >= (unit ? 1023.95 : 1023.5); unit++)
        bytes /= 1024;
    snprintf(text, size, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void text_format_count(double count, char *text, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    int unit = 0;
    if (!isfinite(count)) {
        snprintf(text, size, "?");
        return;
    }
    for (; unit < 6 && fabs(count) >= (unit ? 999.95 : 999.5); unit++)
        count /= 1000;
    snprintf(text, size,
             unit || (count != nearbyint(count) && fabs(count) < 99.95) ? "%.1f%s"
                                                                        : "%.0f%s",
             count, units[unit]);
}
