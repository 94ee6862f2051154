/* SPDX-License-Identifier: Apache-2.0 */
/* Byte buffers for messages and journal records: little-endian, explicit widths, no raw
 * structs. The writer grows and remembers a failed allocation (check once at the end);
 * the reader is bounded and remembers an overrun, after which it yields zeros. */
#ifndef ARCHWAY_COMMON_BYTES_H
#define ARCHWAY_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /* owned */
    size_t size, capacity;
    bool failed; /* an allocation failed; the content is then incomplete */
};

void bytes_init(struct bytes *b);
void bytes_fini(struct bytes *b); /* frees; b may be used again after bytes_init */
void bytes_clear(struct bytes *b); /* size 0, keeps the memory, forgets a failure */

void bytes_put(struct bytes *b, const void *data, size_t size); /* copied */
void bytes_put_u8(struct bytes *b, uint8_t v);
void bytes_put_u16(struct bytes *b, uint16_t v);
void bytes_put_u32(struct bytes *b, uint32_t v);
void bytes_put_u64(struct bytes *b, uint64_t v);
void bytes_put_f64(struct bytes *b, double v);
/* A length (u32) and the bytes; NULL counts as "". */
void bytes_put_string(struct bytes *b, const char *text);
/* Overwrite four bytes already written at offset (for lengths and checksums). */
void bytes_patch_u32(struct bytes *b, size_t offset, uint32_t v);

struct bytes_reader {
    const uint8_t *data; /* borrowed */
    size_t size, position;
    bool failed; /* something was read past the end or out of its bound */
};

void bytes_reader_init(struct bytes_reader *r, const void *data, size_t size);
size_t bytes_left(const struct bytes_reader *r);
const uint8_t *bytes_get(struct bytes_reader *r, size_t size); /* NULL past the end */
uint8_t bytes_get_u8(struct bytes_reader *r);
uint16_t bytes_get_u16(struct bytes_reader *r);
uint32_t bytes_get_u32(struct bytes_reader *r);
uint64_t bytes_get_u64(struct bytes_reader *r);
double bytes_get_f64(struct bytes_reader *r);
/* Copy a string of at most size-1 bytes into text (always NUL-terminated); a longer one
 * sets failed. */
void bytes_get_string(struct bytes_reader *r, char *text, size_t size);
/* As above into new memory (caller frees); NULL on failure or beyond `limit` bytes. */
char *bytes_get_string_dup(struct bytes_reader *r, size_t limit);

#endif
