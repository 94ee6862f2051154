/* SPDX-License-Identifier: Apache-2.0 */
/* Explicit little-endian encoding through shifts: the compiler turns each into one move,
 * and files written on one machine read on any other. */
#include "common/bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_init(struct bytes *b)
{
    *b = (struct bytes){0};
}

void bytes_fini(struct bytes *b)
{
    free(b->data);
    bytes_init(b);
}

void bytes_clear(struct bytes *b)
{
    b->size = 0;
    b->failed = false;
}

static bool bytes_reserve(struct bytes *b, size_t more)
{
    if (b->failed || more > SIZE_MAX / 2 - b->size) {
        b->failed = true;
        return false;
    }
    if (b->size + more <= b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity * 2 : 256;
    while (capacity < b->size + more)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void bytes_put(struct bytes *b, const void *data, size_t size)
{
    if (size == 0 || !bytes_reserve(b, size))
        return;
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void bytes_put_little(struct bytes *b, uint64_t v, int width)
{
    uint8_t raw[8];
    for (int i = 0; i < width; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    bytes_put(b, raw, (size_t)width);
}

void bytes_put_u8(struct bytes *b, uint8_t v)
{
    bytes_put_little(b, v, 1);
}

void bytes_put_u16(struct bytes *b, uint16_t v)
{
    bytes_put_little(b, v, 2);
}

void bytes_put_u32(struct bytes *b, uint32_t v)
{
    bytes_put_little(b, v, 4);
}

void bytes_put_u64(struct bytes *b, uint64_t v)
{
    bytes_put_little(b, v, 8);
}

void bytes_put_f64(struct bytes *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bytes_put_u64(b, bits);
}

void bytes_put_string(struct bytes *b, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    bytes_put_u32(b, (uint32_t)size);
    bytes_put(b, text, size);
}

void bytes_patch_u32(struct bytes *b, size_t offset, uint32_t v)
{
    if (b->failed || b->size < 4 || offset > b->size - 4)
        return;
    for (int i = 0; i < 4; i++)
        b->data[offset + (size_t)i] = (uint8_t)(v >> (8 * i));
}

void bytes_reader_init(struct bytes_reader *r, const void *data, size_t size)
{
    *r = (struct bytes_reader){.data = data, .size = size};
}

size_t bytes_left(const struct bytes_reader *r)
{
    return r->failed ? 0 : r->size - r->position;
}

const uint8_t *bytes_get(struct bytes_reader *r, size_t size)
{
    if (r->failed || size > r->size - r->position) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->data + r->position;
    r->position += size;
    return at;
}

static uint64_t bytes_get_little(struct bytes_reader *r, int width)
{
    const uint8_t *at = bytes_get(r, (size_t)width);
    uint64_t v = 0;
    for (int i = 0; at && i < width; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

uint8_t bytes_get_u8(struct bytes_reader *r)
{
    return (uint8_t)bytes_get_little(r, 1);
}

uint16_t bytes_get_u16(struct bytes_reader *r)
{
    return (uint16_t)bytes_get_little(r, 2);
}

uint32_t bytes_get_u32(struct bytes_reader *r)
{
    return (uint32_t)bytes_get_little(r, 4);
}

uint64_t bytes_get_u64(struct bytes_reader *r)
{
    return bytes_get_little(r, 8);
}

double bytes_get_f64(struct bytes_reader *r)
{
    uint64_t bits = bytes_get_u64(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void bytes_get_string(struct bytes_reader *r, char *text, size_t size)
{
    uint32_t n = bytes_get_u32(r);
    if (n >= size)
        r->failed = true;
    const uint8_t *at = bytes_get(r, n);
    if (at)
        memcpy(text, at, n);
    text[at ? n : 0] = '\0';
}

char *bytes_get_string_dup(struct bytes_reader *r, size_t limit)
{
    uint32_t n = bytes_get_u32(r);
    if (n > limit)
        r->failed = true;
    const uint8_t *at = bytes_get(r, n);
    char *text = at ? malloc((size_t)n + 1) : NULL;
    if (!text) {
        r->failed = true;
        return NULL;
    }
    memcpy(text, at, n);
    text[n] = '\0';
    return text;
}
