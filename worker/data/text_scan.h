/* SPDX-License-Identifier: Apache-2.0 */
/* A plain text as words. Words are what stands between white space (that of Unicode, as
 * Python's split() has it), and every line, an empty one too, ends with one more word,
 * <eos>: as the corpora of ENAS-pytorch and AWD-LSTM count, so that WikiText-2 has the
 * published 2,088,628 words. Lines end with \n, \r\n, \r or the file. */
#ifndef ARCHWAY_WORKER_DATA_TEXT_SCAN_H
#define ARCHWAY_WORKER_DATA_TEXT_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { TEXT_WORD_MAX = 1024 }; /* bytes of a word */

struct text_scan {
    const char *name; /* of the file, for errors; borrowed */
    const uint8_t *at, *end;
    const uint8_t *line_begin;
    uint64_t line; /* from 1 */
};

enum text_token { TEXT_END, TEXT_WORD, TEXT_EOS };

void text_scan_init(struct text_scan *s, const char *name, const void *text, size_t size);
/* The next word (enum text_token), borrowed from the text; <eos> has no bytes there.
 * ERROR_INPUT naming file, line and byte: no UTF-8, a byte that no text has (a binary
 * file), a word of more than TEXT_WORD_MAX bytes. */
int text_scan_next(struct text_scan *s, const uint8_t **ret_word, size_t *ret_size,
                   struct error *err);

#endif
