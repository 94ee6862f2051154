/* SPDX-License-Identifier: Apache-2.0 */
/* The loops that every reader and writer of files needs. Errors are the caller's to word:
 * it knows the name of the file. */
#include "common/file_io.h"

#include <errno.h>
#include <unistd.h>

ssize_t file_read_full(int fd, void *ret, size_t size)
{
    char *to = ret;
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, to + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int file_write_full(int fd, const void *data, size_t size)
{
    const char *from = data;
    while (size > 0) {
        ssize_t n = write(fd, from, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        from += n;
        size -= (size_t)n;
    }
    return 0;
}
