/* SPDX-License-Identifier: Apache-2.0 */
/* Writing pieces of JSON to the end of a byte buffer, without a tree. Private to proto/. */
#ifndef ARCHWAY_PROTO_JSON_PUT_H
#define ARCHWAY_PROTO_JSON_PUT_H

#include <stdint.h>

#include "common/bytes.h"

void json_put_raw(struct bytes *out, const char *text); /* as it is */
/* In quotes. Bytes that are not UTF-8 are the caller's to avoid; controls are escaped. */
void json_put_string(struct bytes *out, const char *text);
void json_put_integer(struct bytes *out, int64_t v);
/* Numbers that read back to exactly v; null when v is not finite. */
void json_put_double(struct bytes *out, double v);
void json_put_float(struct bytes *out, float v);

#endif
