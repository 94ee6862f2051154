/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes: signals and short counts are no ends. Blocking. */
#ifndef ARCHWAY_COMMON_FILE_IO_H
#define ARCHWAY_COMMON_FILE_IO_H

#include <stddef.h>
#include <sys/types.h>

/* Up to `size` bytes, less only at the end of the file; -1 with errno. */
ssize_t file_read_full(int fd, void *ret, size_t size);
/* All of `data`; -1 with errno, when a part of it may have been written. */
int file_write_full(int fd, const void *data, size_t size);

#endif
