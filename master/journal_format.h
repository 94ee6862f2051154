/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the journal: what its writer and its reader share of the file format. */
#ifndef ARCHWAY_MASTER_JOURNAL_FORMAT_H
#define ARCHWAY_MASTER_JOURNAL_FORMAT_H

#include <stdint.h>

#include "common/error.h"

/* File: 8 magic, 4 version, 4 CRC-32 of those. Frame: 4 size, 4 type, 4 CRC-32, payload. */
enum { JOURNAL_HEADER = 16, JOURNAL_FRAME = 12 };

void journal_format_header(uint8_t ret[JOURNAL_HEADER]);
/* Read and check the header of an open file; `path` for the error text. */
int journal_format_check(int fd, const char *path, struct error *err);
/* CRC-32 of size, type (8 little-endian bytes) and payload. */
uint32_t journal_format_crc(const uint8_t head[8], const uint8_t *payload, uint32_t size);
uint32_t journal_format_u32(const uint8_t *at);
void journal_format_put(uint8_t *at, uint32_t v);

#endif
