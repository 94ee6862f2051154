/* SPDX-License-Identifier: Apache-2.0 */
/* Reads frames through a buffer that grows to the largest record. The sizes in the file
 * are not trusted: a frame must end within the file (its size when it was opened), so
 * nothing larger than the file is ever allocated. Anything that does not check ends the
 * valid part: after a crash that is a torn tail, and the writer cuts it off. */
#include "master/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "master/journal_format.h"

enum { READ_AHEAD = 256 << 10 };

static const char MAGIC[8] = {'A', 'R', 'C', 'H', 'W', 'A', 'Y', 'J'};

struct journal_reader {
    int fd;
    char *path;         /* owned */
    uint64_t offset;    /* in the file, of the next frame */
    uint64_t file_size; /* when opened */
    uint8_t *data;      /* owned */
    size_t capacity;
    size_t start, count; /* bytes read ahead: data[start .. start + count) */
};

uint32_t journal_format_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

void journal_format_put(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

uint32_t journal_format_crc(const uint8_t head[8], const uint8_t *payload, uint32_t size)
{
    uLong crc = crc32(0, head, 8);
    return (uint32_t)(size ? crc32(crc, payload, size) : crc);
}

void journal_format_header(uint8_t ret[JOURNAL_HEADER])
{
    memcpy(ret, MAGIC, sizeof MAGIC);
    journal_format_put(ret + 8, JOURNAL_VERSION);
    journal_format_put(ret + 12, (uint32_t)crc32(0, ret, 12));
}

/* As pread, but goes on after interruptions; short only at the end of the file. */
static ssize_t read_at(int fd, void *to, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)to + done, size - done, (off_t)(offset + done));
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

int journal_format_check(int fd, const char *path, struct error *err)
{
    uint8_t head[JOURNAL_HEADER];
    ssize_t n = read_at(fd, head, sizeof head, 0);
    if (n < 0)
        return error_set_errno(err, "cannot read journal '%s'", path);
    size_t magic = (size_t)n < sizeof MAGIC ? (size_t)n : sizeof MAGIC;
    if (memcmp(head, MAGIC, magic) != 0)
        return error_set(err, ERROR_INPUT, "'%s' is not a journal of Archway", path);
    if (n < JOURNAL_HEADER)
        return error_set(err, ERROR_CORRUPT, "journal '%s' ends within its header", path);
    if (journal_format_u32(head + 12) != (uint32_t)crc32(0, head, 12))
        return error_set(err, ERROR_CORRUPT, "journal '%s': its header is damaged", path);
    uint32_t version = journal_format_u32(head + 8);
    if (version > JOURNAL_VERSION)
        return error_set(err, ERROR_INPUT,
                         "journal '%s' has version %u, this program reads up to %d: "
                         "use a newer Archway",
                         path, version, JOURNAL_VERSION);
    if (version == 0)
        return error_set(err, ERROR_CORRUPT, "journal '%s' has version 0", path);
    return 0;
}

static int reader_start(struct journal_reader *r, uint64_t offset, struct error *err)
{
    struct stat st;
    int status = journal_format_check(r->fd, r->path, err);
    if (status != 0)
        return status;
    if (fstat(r->fd, &st) != 0)
        return error_set_errno(err, "cannot read journal '%s'", r->path);
    r->file_size = (uint64_t)st.st_size;
    r->offset = offset ? offset : JOURNAL_HEADER;
    if (r->offset < JOURNAL_HEADER || r->offset > r->file_size)
        return error_set(err, ERROR_CORRUPT,
                         "journal '%s' has %llu bytes, but shall be read from byte %llu",
                         r->path, (unsigned long long)r->file_size,
                         (unsigned long long)offset);
    return 0;
}

int journal_reader_open(const char *path, uint64_t offset, struct journal_reader **ret,
                        struct error *err)
{
    struct journal_reader *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", path);
    r->path = strdup(path);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    int status;
    if (r->fd < 0)
        status = error_set_errno(err, "cannot open journal '%s'", path);
    else if (!r->path)
        status = error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", path);
    else
        status = reader_start(r, offset, err);
    if (status != 0) {
        journal_reader_close(r);
        return status;
    }
    *ret = r;
    return 0;
}

/* Have `size` bytes of the file, which has them, at data + start. */
static int reader_fill(struct journal_reader *r, size_t size, struct error *err)
{
    if (r->count >= size)
        return 0;
    if (r->start > 0)
        memmove(r->data, r->data + r->start, r->count);
    r->start = 0;
    if (r->capacity < size || r->capacity == 0) {
        size_t capacity = size > READ_AHEAD ? size : READ_AHEAD;
        uint8_t *data = realloc(r->data, capacity);
        if (!data)
            return error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", r->path);
        r->data = data;
        r->capacity = capacity;
    }
    ssize_t n =
        read_at(r->fd, r->data + r->count, r->capacity - r->count, r->offset + r->count);
    if (n < 0)
        return error_set_errno(err, "cannot read journal '%s'", r->path);
    r->count += (size_t)n;
    return 0;
}

/* 1: a whole and valid frame stands at data + start; 0: there is none. */
static int reader_frame(struct journal_reader *r, struct error *err)
{
    uint64_t left = r->file_size - r->offset;
    if (left < JOURNAL_FRAME)
        return 0;
    int status = reader_fill(r, JOURNAL_FRAME, err);
    if (status != 0 || r->count < JOURNAL_FRAME)
        return status;
    uint32_t size = journal_format_u32(r->data + r->start);
    if (size > JOURNAL_MAX_RECORD || size > left - JOURNAL_FRAME)
        return 0;
    status = reader_fill(r, JOURNAL_FRAME + (size_t)size, err);
    if (status != 0 || r->count < JOURNAL_FRAME + (size_t)size)
        return status;
    const uint8_t *at = r->data + r->start;
    return journal_format_crc(at, at + JOURNAL_FRAME, size) == journal_format_u32(at + 8);
}

int journal_read(struct journal_reader *r, struct journal_record *ret, struct error *err)
{
    int found = reader_frame(r, err);
    if (found < 0)
        return found;
    if (found == 0) {
        *ret = (struct journal_record){.offset = r->offset, .end = r->offset};
        return 0;
    }
    const uint8_t *at = r->data + r->start;
    size_t size = journal_format_u32(at);
    *ret = (struct journal_record){.type = journal_format_u32(at + 4),
                                   .offset = r->offset,
                                   .end = r->offset + JOURNAL_FRAME + size,
                                   .payload = at + JOURNAL_FRAME,
                                   .size = size};
    r->offset = ret->end;
    r->start += JOURNAL_FRAME + size;
    r->count -= JOURNAL_FRAME + size;
    return 1;
}

bool journal_reader_torn(const struct journal_reader *r)
{
    return r->offset < r->file_size;
}

uint64_t journal_reader_end(const struct journal_reader *r)
{
    return r->offset;
}

void journal_reader_close(struct journal_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    free(r->path);
    free(r->data);
    free(r);
}
