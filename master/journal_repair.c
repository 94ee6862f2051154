/* SPDX-License-Identifier: Apache-2.0 */
/* Frames carry no mark of their own by which to find them, so the search behind damage
 * tries every byte as the start of one and believes the checksum. Checksums of what is no
 * frame could take quadratic time in a file made for it; a budget of bytes ends that. */
#include "master/journal_repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_io.h"
#include "master/journal_format.h"

enum {
    LOOK_BYTES = 64 << 20,
    CHECK_BYTES = 256 << 20, /* of checksums while searching */
    TYPE_MAX = 255,          /* no record has a larger type */
    COPY_BYTES = 1 << 20,
    FILL_BYTES = 1 << 20
};

/* Size of the frame at data, or 0 when there is none; takes its cost from *budget. */
static size_t frame_size(const uint8_t *data, size_t left, int64_t *budget)
{
    if (left < JOURNAL_FRAME)
        return 0;
    uint32_t size = journal_format_u32(data), type = journal_format_u32(data + 4);
    if (size > JOURNAL_MAX_RECORD || size > left - JOURNAL_FRAME || type == 0 ||
        type > TYPE_MAX)
        return 0;
    *budget -= size;
    bool valid = journal_format_crc(data, data + JOURNAL_FRAME, size) ==
                 journal_format_u32(data + 8);
    return valid ? JOURNAL_FRAME + (size_t)size : 0;
}

static uint64_t count_frames(const uint8_t *data, size_t size)
{
    int64_t budget = CHECK_BYTES;
    uint64_t count = 0;
    for (size_t at = 0; at < size && budget > 0;) {
        size_t frame = frame_size(data + at, size - at, &budget);
        count += frame > 0;
        at += frame ? frame : 1;
    }
    return count;
}

static int open_at(const char *path, uint64_t from, uint64_t *ret_left, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "cannot open journal '%s'", path);
    if (fstat(fd, &st) != 0 || lseek(fd, (off_t)from, SEEK_SET) < 0) {
        int status = error_set_errno(err, "cannot read journal '%s'", path);
        close(fd);
        return status;
    }
    *ret_left = (uint64_t)st.st_size > from ? (uint64_t)st.st_size - from : 0;
    return fd;
}

int journal_examine(const char *path, uint64_t end, uint64_t *ret_bytes,
                    uint64_t *ret_records, struct error *err)
{
    uint64_t left;
    int status = 0, fd = open_at(path, end, &left, err);
    if (fd < 0)
        return fd;
    size_t size = left < LOOK_BYTES ? (size_t)left : LOOK_BYTES;
    uint8_t *data = malloc(size ? size : 1);
    ssize_t n = data ? file_read_full(fd, data, size) : 0;
    if (!data)
        status = error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", path);
    else if (n < 0)
        status = error_set_errno(err, "cannot read journal '%s'", path);
    else {
        *ret_bytes = left;
        *ret_records = count_frames(data, (size_t)n);
    }
    free(data);
    close(fd);
    return status;
}

/* The rest of `from` to `to`, synced; negative with errno. */
static int copy_rest(int from, int to)
{
    uint8_t *data = malloc(COPY_BYTES);
    ssize_t n = data ? 1 : -1;
    while (n > 0) {
        n = file_read_full(from, data, COPY_BYTES);
        if (n > 0 && file_write_full(to, data, (size_t)n) != 0)
            n = -1;
    }
    int saved = errno;
    free(data);
    errno = saved;
    return n < 0 ? -1 : fsync(to);
}

int journal_set_aside(const char *path, uint64_t from, char *ret_path, size_t size,
                      struct error *err)
{
    uint64_t left;
    struct stat st;
    int length = snprintf(ret_path, size, "%s.cut-%llu", path, (unsigned long long)from);
    if (length < 0 || (size_t)length >= size)
        return error_set(err, ERROR_SYSTEM, "journal '%s': its path is too long", path);
    int in = open_at(path, from, &left, err);
    if (in < 0)
        return in;
    int status = 0;
    if (stat(ret_path, &st) != 0 || (uint64_t)st.st_size < left) {
        int out = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (out < 0 || copy_rest(in, out) != 0)
            status = error_set_errno(err, "cannot write '%s'", ret_path);
        if (out >= 0)
            close(out);
        if (status != 0 && out >= 0)
            unlink(ret_path);
    }
    close(in);
    return status;
}

int journal_fill_start(const char *path, uint64_t until, uint64_t *ret, struct error *err)
{
    struct journal_reader *r;
    struct journal_record record;
    uint64_t end = JOURNAL_HEADER, last = JOURNAL_HEADER;
    int more = journal_reader_open(path, 0, &r, err);
    if (more == ERROR_CORRUPT) {
        *ret = 0;
        return 0;
    }
    if (more != 0)
        return more;
    while ((more = journal_read(r, &record, err)) == 1 && record.end <= until) {
        last = record.offset;
        end = record.end;
    }
    journal_reader_close(r);
    if (more < 0)
        return more;
    *ret = end == until || until - end >= JOURNAL_FRAME ? end : last;
    return 0;
}

int journal_fill(struct journal *j, uint32_t type, uint64_t until, struct error *err)
{
    static uint8_t zeros[FILL_BYTES];
    while (journal_end(j) < until) {
        uint64_t left = until - journal_end(j);
        if (left < JOURNAL_FRAME)
            return error_set(err, ERROR_CORRUPT,
                             "%llu bytes that the journal lacks are no record",
                             (unsigned long long)left);
        uint64_t n = left - JOURNAL_FRAME;
        if (n > FILL_BYTES - JOURNAL_FRAME) /* and leave room for the next frame */
            n = FILL_BYTES - 2 * JOURNAL_FRAME;
        struct bytes payload = {.data = zeros, .size = (size_t)n};
        int status = journal_append(j, type, &payload, NULL, err);
        if (status != 0)
            return status;
    }
    return journal_sync(j, err);
}
