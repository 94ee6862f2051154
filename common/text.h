/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers for text that people write and read: nearest names, units, growing text. */
#ifndef ARCHWAY_COMMON_TEXT_H
#define ARCHWAY_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Index of the name nearest to `word` by edit distance (transpositions count one), or -1
 * when none is near enough to be worth suggesting. */
int text_nearest(const char *word, const char *const *names, int count);

/* Whole-string parsers: false when text is empty, has trailing garbage or overflows. */
bool text_parse_int64(const char *text, int64_t *ret);
bool text_parse_uint64(const char *text, uint64_t *ret);
bool text_parse_double(const char *text, double *ret);   /* finite only */
bool text_parse_duration(const char *text, double *ret); /* "90", "90s", "5m", "2h", "1d",
                                                            "HH:MM:SS", "D-HH:MM:SS" */
bool text_parse_size(const char *text, int64_t *ret);    /* "512MiB", "2GiB", "1048576" */

/* Decimal text with the fewest digits that reads back to exactly v: "0.1", "12800", "1e-5";
 * "nan" and "inf" are written but not read. size >= 32. */
void text_format_double(double v, char *text, size_t size);
void text_format_duration(double seconds, char *text, size_t size); /* "1h 04m", "12.3s", "?" */
void text_format_size(double bytes, char *text, size_t size);       /* "2.0 GiB" */
void text_format_count(double count, char *text, size_t size);      /* "12.8k", "3.1M" */

/* Growing NUL-terminated text; a failed allocation is remembered. */
struct text {
    char *data; /* owned; never NULL after a successful append */
    size_t size, capacity;
    bool failed;
};

void text_init(struct text *t);
void text_fini(struct text *t);
void text_append(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Hand the memory to the caller (caller frees); NULL when an allocation failed. */
char *text_take(struct text *t);

/* Read a whole file of at most `limit` bytes; *ret is NUL-terminated, caller frees. */
struct error;
int text_read_file(const char *path, size_t limit, char **ret, size_t *ret_size,
                   struct error *err);
/* Write a file atomically: temporary name, fsync, rename, fsync of the folder. */
int text_write_file(const char *path, const char *data, size_t size, struct error *err);
/* The second half of that: a file beside `path`, written and synced, takes its place. On
 * failure it is removed. */
int text_rename_file(const char *temporary, const char *path, struct error *err);
/* The UTF-8 character (RFC 3629) at s, of which `left` > 0 bytes may be read. Returns its
 * bytes, or 0 when there is none. */
int text_decode_utf8(const unsigned char *s, size_t left, uint32_t *ret);
/* The same without waiting for the disk: for readers of this moment. A crash of the machine
 * may leave it empty. */
int text_publish_file(const char *path, const char *data, size_t size, struct error *err);
/* Replace every byte that is part of no UTF-8 character (RFC 3629) by '?'. */
void text_repair_utf8(char *text);

#endif
