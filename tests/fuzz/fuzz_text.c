/* SPDX-License-Identifier: Apache-2.0 */
/* A text file: its words, their numbers with a vocabulary of any size. The first byte is
 * the limit of the vocabulary. */
#include "fuzz.h"

#include "worker/data/text_scan.h"
#include "worker/data/vocabulary.h"

/* Every word is valid, and none is met twice. Returns the words, -1 for an error. */
static long walk(const uint8_t *text, size_t size, struct vocabulary *v, int closed)
{
    struct text_scan s;
    struct error err;
    const uint8_t *word, *least = text;
    size_t length;
    long count = 0;
    int token;
    text_scan_init(&s, "text", text, size);
    while ((token = text_scan_next(&s, &word, &length, &err)) > TEXT_END) {
        count++;
        if (token == TEXT_EOS)
            continue;
        FUZZ_CHECK(word >= least && length > 0 && length <= TEXT_WORD_MAX);
        least = word + length;
        FUZZ_CHECK(least <= text + size);
        if (closed)
            FUZZ_CHECK(vocabulary_number(v, word, length) < vocabulary_size(v));
        else
            FUZZ_CHECK(vocabulary_add(v, word, length, &err) == 0);
    }
    return token < 0 ? -1 : count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    struct vocabulary *v = vocabulary_new();
    FUZZ_CHECK(v != NULL);
    long count = walk(data + 1, size - 1, v, 0);
    if (count >= 0) {
        int limit = data[0] == 1 ? 2 : data[0];
        FUZZ_CHECK(vocabulary_close(v, limit, data[0] & 2, NULL) == 0);
        FUZZ_CHECK(limit == 0 || vocabulary_size(v) <= limit);
        FUZZ_CHECK(walk(data + 1, size - 1, v, 1) == count);
    }
    vocabulary_free(v);
    return 0;
}
