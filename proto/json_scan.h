/* SPDX-License-Identifier: Apache-2.0 */
/* A pull scanner for JSON (RFC 8259) in place: no tree, no allocation. Beyond the standard it
 * takes NaN, Infinity and -Infinity as numbers, as Python's json module writes them. Private
 * to proto/.
 *
 * Every function skips leading white space. The first thing wrong is kept in `wrong`; from
 * then on all functions fail. */
#ifndef ARCHWAY_PROTO_JSON_SCAN_H
#define ARCHWAY_PROTO_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_SCAN_DEPTH = 64 }; /* nesting that is followed */

struct json_scan {
    const char *start, *at, *end; /* borrowed */
    const char *wrong;            /* what was expected, or NULL */
};

void json_scan_init(struct json_scan *s, const char *text, size_t size);
/* First byte of what comes next, or 0 at the end. */
char json_scan_peek(struct json_scan *s);
/* "an object", "a string", ... for error texts. */
const char *json_scan_kind(struct json_scan *s);
/* Walk an object: `*first` starts as true; true with the next key, ahead of its value,
 * which the caller must take or skip; false after the closing brace or when wrong. A key
 * that does not fit in size is yielded as "" (which no field is called). */
bool json_scan_key(struct json_scan *s, bool *first, char *key, size_t size);
/* Decode a string into text, cut between characters to size - 1 bytes; control characters
 * become spaces. text may be NULL. Returns the bytes of the whole, -1 when wrong. */
long json_scan_string(struct json_scan *s, char *text, size_t size);
/* A number; null is NaN, what overflows is infinite. */
bool json_scan_number(struct json_scan *s, double *ret);
bool json_scan_skip(struct json_scan *s); /* any value */
bool json_scan_end(struct json_scan *s);  /* nothing but white space is left */

#endif
