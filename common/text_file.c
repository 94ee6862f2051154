/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files. Reading goes on to the end of the file rather than trusting its size, so
 * that pipes work; writing is atomic: a reader sees the old file or the new one, after a
 * crash as well. */
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/file_io.h"

/* Read up to limit + 1 bytes (to tell "too large") into memory that grows as needed. */
static int read_growing(int fd, const char *path, size_t limit, char **ret,
                        size_t *ret_size, struct error *err)
{
    size_t capacity = 4096, size = 0;
    char *data = NULL;
    int status = 0;
    for (;;) {
        char *more = realloc(data, capacity + 1);
        if (!more) {
            status = error_set_errno(err, "cannot read '%s'", path);
            goto out;
        }
        data = more;
        ssize_t n = file_read_full(fd, data + size, capacity - size);
        if (n < 0) {
            status = error_set_errno(err, "cannot read '%s'", path);
            goto out;
        }
        size += (size_t)n;
        if (size > limit) {
            status =
                error_set(err, ERROR_INPUT, "'%s' is larger than %zu bytes", path, limit);
            goto out;
        }
        if (size < capacity)
            break;
        capacity *= 2;
    }
    data[size] = '\0';
    *ret = data;
    *ret_size = size;
    data = NULL;
out:
    free(data);
    return status;
}

int text_read_file(const char *path, size_t limit, char **ret, size_t *ret_size,
                   struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "cannot open '%s'", path);
    int status = read_growing(fd, path, limit, ret, ret_size, err);
    close(fd);
    return status;
}

static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    int fd = open(n ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    /* Some network file systems cannot sync a folder; their rename is durable. */
    return result < 0 && (errno == EINVAL || errno == ENOTSUP) ? 0 : result;
}

static int write_temporary(const char *temporary, const char *data, size_t size, bool sync)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    int result = file_write_full(fd, data, size);
    if (result == 0 && sync)
        result = fsync(fd);
    int saved = errno;
    if (close(fd) < 0 && result == 0)
        return -1;
    errno = saved;
    return result;
}

static int take_place(const char *temporary, const char *path, bool sync,
                      struct error *err)
{
    if (rename(temporary, path) < 0) {
        int status = error_set_errno(err, "cannot write '%s'", path);
        unlink(temporary);
        return status;
    }
    return sync && sync_folder_of(path) < 0
               ? error_set_errno(err, "cannot sync the folder of '%s'", path)
               : 0;
}

int text_rename_file(const char *temporary, const char *path, struct error *err)
{
    return take_place(temporary, path, true, err);
}

static int replace_file(const char *path, const char *data, size_t size, bool sync,
                        struct error *err)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.tmp.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return error_set_errno(err, "cannot write '%s'", path);
    }
    if (write_temporary(temporary, data, size, sync) < 0) {
        int status = error_set_errno(err, "cannot write '%s'", path);
        unlink(temporary);
        return status;
    }
    return take_place(temporary, path, sync, err);
}

int text_write_file(const char *path, const char *data, size_t size, struct error *err)
{
    return replace_file(path, data, size, true, err);
}

int text_publish_file(const char *path, const char *data, size_t size, struct error *err)
{
    return replace_file(path, data, size, false, err);
}
