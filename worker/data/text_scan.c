/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding UTF-8 as it goes: a byte that is part of no character is an error at once, so
 * whatever comes out is text. Control characters other than white space mean that the
 * file is no text at all; a clear error is better than a vocabulary of rubbish. */
#include "worker/data/text_scan.h"

#include <stdbool.h>

#include "common/text.h"

void text_scan_init(struct text_scan *s, const char *name, const void *text, size_t size)
{
    const uint8_t *begin = text;
    static const uint8_t mark[] = {0xef, 0xbb,
                                   0xbf}; /* of byte order: no part of a word */
    if (size >= 3 && begin[0] == mark[0] && begin[1] == mark[1] && begin[2] == mark[2]) {
        begin += 3;
        size -= 3;
    }
    *s = (struct text_scan){
        .name = name, .at = begin, .end = begin + size, .line_begin = begin, .line = 1};
}

static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f) || c == 0x85 ||
           c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static int refuse(const struct text_scan *s, const char *what, struct error *err)
{
    return error_set(err, ERROR_INPUT, "'%s': line %llu, byte %lld: %s", s->name,
                     (unsigned long long)s->line, (long long)(s->at - s->line_begin) + 1,
                     what);
}

/* One character at s->at. */
static int look(const struct text_scan *s, uint32_t *ret, int *ret_size,
                struct error *err)
{
    *ret_size = text_decode_utf8(s->at, (size_t)(s->end - s->at), ret);
    if (*ret_size == 0)
        return refuse(s, "no UTF-8 text", err);
    if ((*ret < 0x20 && !is_space(*ret)) || *ret == 0x7f)
        return refuse(s, "a control character, so this is no plain text", err);
    return 0;
}

static void end_line(struct text_scan *s)
{
    if (s->at < s->end)
        s->at += *s->at == '\r' && s->end - s->at > 1 && s->at[1] == '\n' ? 2 : 1;
    s->line_begin = s->at;
    s->line++;
}

/* To the end of the word that begins here. */
static int take_word(struct text_scan *s, const uint8_t **ret, size_t *ret_size,
                     struct error *err)
{
    const uint8_t *begin = s->at;
    while (s->at < s->end) {
        uint32_t c;
        int size, status = look(s, &c, &size, err);
        if (status)
            return status;
        if (is_space(c))
            break;
        if (s->at + size - begin > TEXT_WORD_MAX)
            return refuse(s, "a word of more than 1024 bytes", err);
        s->at += size;
    }
    *ret = begin;
    *ret_size = (size_t)(s->at - begin);
    return TEXT_WORD;
}

int text_scan_next(struct text_scan *s, const uint8_t **ret_word, size_t *ret_size,
                   struct error *err)
{
    while (s->at < s->end) {
        uint32_t c;
        int size, status = look(s, &c, &size, err);
        if (status)
            return status;
        if (c == '\n' || c == '\r') {
            end_line(s);
            return TEXT_EOS;
        }
        if (!is_space(c))
            return take_word(s, ret_word, ret_size, err);
        s->at += size;
    }
    if (s->line_begin == s->end)
        return TEXT_END;
    end_line(s); /* the last line, which nothing ends */
    return TEXT_EOS;
}
