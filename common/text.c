/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest names and growing text. Names are compared by optimal string alignment (edits
 * and swaps of neighbours, each counting one) because swapped letters are the commonest
 * slip; case and '-' against '_' count nothing. Numbers are in text_number.c, files in
 * text_file.c. */
#include "common/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEAREST_LENGTH = 64 }; /* longer names are never suggested */

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    if (a == '-')
        a = '_';
    if (b == '-')
        b = '_';
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment distance; three rows of the table are enough. */
static int edit_distance(const char *a, int na, const char *b, int nb)
{
    int rows[3][NEAREST_LENGTH + 1];
    for (int j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int d = min_int(last[j], now[j - 1]) + 1;
            d = min_int(d, last[j - 1] + !same_letter(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                d = min_int(d, before[j - 2] + 1);
            now[j] = d;
        }
    }
    return rows[na % 3][nb];
}

int text_nearest(const char *word, const char *const *names, int count)
{
    size_t length = strlen(word);
    int best = -1, best_distance = NEAREST_LENGTH;
    if (length > NEAREST_LENGTH)
        return -1;
    for (int i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if (other > NEAREST_LENGTH)
            continue;
        int longer = (int)(length > other ? length : other);
        int d = edit_distance(word, (int)length, names[i], (int)other);
        if (d < best_distance && d <= (longer + 2) / 3 && d < longer) {
            best = i;
            best_distance = d;
        }
    }
    return best;
}

void text_init(struct text *t)
{
    *t = (struct text){0};
}

void text_fini(struct text *t)
{
    free(t->data);
    text_init(t);
}

static bool text_reserve(struct text *t, size_t more)
{
    if (t->failed || more > SIZE_MAX / 4 - t->size) {
        t->failed = true;
        return false;
    }
    size_t need = t->size + more + 1, capacity = t->capacity ? t->capacity : 128;
    if (need <= t->capacity)
        return true;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(t->data, capacity);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->capacity = capacity;
    return true;
}

void text_append(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0)
        t->failed = true;
    else if (text_reserve(t, (size_t)n)) {
        vsnprintf(t->data + t->size, (size_t)n + 1, format, again);
        t->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

char *text_take(struct text *t)
{
    if (text_reserve(t, 0))
        t->data[t->size] = '\0';
    char *data = t->failed ? NULL : t->data;
    if (!data)
        free(t->data);
    text_init(t);
    return data;
}

int text_decode_utf8(const unsigned char *s, size_t left, uint32_t *ret)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = s[0] < 0x80       ? 1
            : s[0] >> 5 == 6  ? 2
            : s[0] >> 4 == 14 ? 3
            : s[0] >> 3 == 30 ? 4
                              : 0;
    if ((size_t)n > left)
        return 0;
    unsigned value = n > 1 ? s[0] & (0x7fU >> n) : s[0];
    for (int i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        value = value << 6 | (s[i] & 0x3f);
    }
    bool allowed = value <= 0x10ffff && value >> 11 != 0xd800 >> 11;
    if (n > 1 && (value < least[n] || !allowed))
        return 0;
    *ret = value;
    return n;
}

void text_repair_utf8(char *text)
{
    uint32_t character;
    for (int n; *text; text += n) {
        /* the text's end is no continuation, so nothing behind it is looked at */
        n = text_decode_utf8((const unsigned char *)text, 4, &character);
        if (n > 0)
            continue;
        *text = '?';
        n = 1;
    }
}
