/* SPDX-License-Identifier: Apache-2.0 */
/* Most numbers of a curve have few decimals. They are found by trying: the integer nearest
 * to v * 10^k stands for v when dividing it by 10^k gives v back, which is how a reader works
 * it out (both are exact doubles, the division rounds correctly). Others go through printf
 * with 9 or 17 digits, which always suffice. */
#include "proto/json_put.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void json_put_raw(struct bytes *out, const char *text)
{
    bytes_put(out, text, strlen(text));
}

void json_put_string(struct bytes *out, const char *text)
{
    bytes_put_u8(out, '"');
    while (*text) {
        size_t plain = 0;
        while ((uint8_t)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        bytes_put(out, text, plain);
        text += plain;
        if (!*text)
            break;
        char escape[8];
        if (*text == '"' || *text == '\\')
            snprintf(escape, sizeof escape, "\\%c", *text);
        else
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(uint8_t)*text);
        json_put_raw(out, escape);
        text++;
    }
    bytes_put_u8(out, '"');
}

/* The decimal digits of v, at least `least` of them, before `end`; returns their start. */
static char *write_digits(uint64_t v, int least, char *end)
{
    while (v > 0 || least > 0) {
        *--end = (char)('0' + v % 10);
        v /= 10;
        least--;
    }
    return end;
}

void json_put_integer(struct bytes *out, int64_t v)
{
    char text[24], *end = text + sizeof text;
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *start = write_digits(magnitude, 1, end);
    if (v < 0)
        *--start = '-';
    bytes_put(out, start, (size_t)(end - start));
}

/* Write v with as few decimals as give it back, as a float or as a double. */
static bool put_decimals(struct bytes *out, double v, bool single)
{
    double power = 1;
    if (fabs(v) >= 1e9 || (v != 0 && fabs(v) < 1e-5) || (v == 0 && signbit(v)))
        return false;
    for (int k = 0; k <= 9; k++, power *= 10) {
        double scaled = nearbyint(fabs(v) * power), back = scaled / power;
        if (scaled > 9007199254740992.0)
            return false;
        if (single ? (float)back != (float)fabs(v) : back != fabs(v))
            continue;
        char text[48], *end = text + sizeof text, *start = end;
        uint64_t whole = (uint64_t)scaled, unit = (uint64_t)power;
        if (k > 0) {
            start = write_digits(whole % unit, k, end);
            *--start = '.';
        }
        start = write_digits(whole / unit, 1, start);
        if (v < 0)
            *--start = '-';
        bytes_put(out, start, (size_t)(end - start));
        return true;
    }
    return false;
}

static void put_number(struct bytes *out, double v, bool single)
{
    char text[40];
    if (!isfinite(v)) {
        json_put_raw(out, "null");
        return;
    }
    if (put_decimals(out, v, single))
        return;
    snprintf(text, sizeof text, "%.*g", single ? 9 : 17, v);
    json_put_raw(out, text);
}

void json_put_double(struct bytes *out, double v)
{
    put_number(out, v, false);
}

void json_put_float(struct bytes *out, float v)
{
    put_number(out, (double)v, true);
}
