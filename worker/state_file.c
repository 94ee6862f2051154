/* SPDX-License-Identifier: Apache-2.0 */
/* The header is written last: until then the file says that it is nothing. Numbers are
 * copied as they lie in memory, which is why this is for little-endian machines only. */
#include "worker/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/file_io.h"
#include "common/text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "states of trainings are written as they lie in memory");

static const char magic[8] = "ARCHWAYS";
enum { PIECE = 1 << 16 };

/* --- writing ------------------------------------------------------------------------ */

static int fail_write(const char *path, struct error *err)
{
    return error_set_errno(err, "cannot write '%s'", path);
}

int state_writer_open(struct state_writer *w, const char *path, struct error *err)
{
    static const uint8_t header[STATE_FILE_HEADER];
    *w = (struct state_writer){.path = path};
    int n =
        snprintf(w->temporary, sizeof w->temporary, "%s.tmp.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof w->temporary) {
        errno = ENAMETOOLONG;
        return fail_write(path, err);
    }
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return fail_write(path, err);
    if (file_write_full(w->fd, header, sizeof header) != 0)
        w->failure = errno;
    bytes_init(&w->small);
    return 0;
}

static void put(struct state_writer *w, const void *data, size_t size)
{
    if (w->failure || size == 0)
        return;
    if (file_write_full(w->fd, data, size) != 0)
        w->failure = errno;
    w->check = (uint32_t)crc32_z(w->check, data, size);
    w->size += size;
}

static void put_small(struct state_writer *w)
{
    if (w->small.failed && !w->failure)
        w->failure = ENOMEM;
    put(w, w->small.data, w->small.size);
    bytes_clear(&w->small);
}

void state_writer_put_floats(struct state_writer *w, const float *values, size_t count)
{
    bytes_put_u64(&w->small, count);
    put_small(w);
    put(w, values, count * sizeof *values);
}

static void put_header(struct state_writer *w)
{
    bytes_put(&w->small, magic, sizeof magic);
    bytes_put_u32(&w->small, STATE_FILE_VERSION);
    bytes_put_u32(&w->small, w->check);
    bytes_put_u64(&w->small, w->size);
    if (w->small.failed)
        w->failure = ENOMEM;
    else if (lseek(w->fd, 0, SEEK_SET) != 0 ||
             file_write_full(w->fd, w->small.data, w->small.size) != 0 ||
             fsync(w->fd) != 0)
        w->failure = errno;
}

int state_writer_close(struct state_writer *w, struct error *err)
{
    put_small(w);
    if (!w->failure)
        put_header(w);
    bytes_fini(&w->small);
    if (close(w->fd) != 0 && !w->failure)
        w->failure = errno;
    if (!w->failure)
        return text_rename_file(w->temporary, w->path, err);
    unlink(w->temporary);
    errno = w->failure;
    return fail_write(w->path, err);
}

/* --- reading ------------------------------------------------------------------------ */

int state_reader_open(struct state_reader *r, const char *path, uint64_t limit,
                      struct error *err)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), status = 0; /* no pipe */
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, "cannot open '%s'", path);
    if (fstat(fd, &about) != 0)
        status = error_set_errno(err, "cannot read '%s'", path);
    else if (!S_ISREG(about.st_mode))
        status = error_set(err, ERROR_SYSTEM, "'%s' is no file", path);
    else if ((uint64_t)about.st_size > limit)
        status = error_set(err, ERROR_INPUT, "'%s' is larger than %llu bytes", path,
                           (unsigned long long)limit);
    if (status != 0) {
        close(fd);
        return status;
    }
    *r = (struct state_reader){.fd = fd, .size = (uint64_t)about.st_size};
    return 1;
}

void state_reader_init(struct state_reader *r, const void *data, size_t size)
{
    *r = (struct state_reader){.fd = -1, .memory = data, .size = size};
}

void state_reader_close(struct state_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

uint64_t state_reader_left(const struct state_reader *r)
{
    return r->size - r->at;
}

void state_reader_get(struct state_reader *r, void *ret, size_t size)
{
    bool whole = !r->failed && size <= state_reader_left(r);
    if (whole && r->fd < 0 && size > 0)
        memcpy(ret, r->memory + r->at, size);
    else if (whole && r->fd >= 0)
        whole = file_read_full(r->fd, ret, size) == (ssize_t)size;
    if (whole) {
        r->at += size;
        return;
    }
    r->failed = true;
    memset(ret, 0, size);
}

uint32_t state_reader_u32(struct state_reader *r)
{
    uint32_t value;
    state_reader_get(r, &value, sizeof value);
    return value;
}

uint64_t state_reader_u64(struct state_reader *r)
{
    uint64_t value;
    state_reader_get(r, &value, sizeof value);
    return value;
}

double state_reader_f64(struct state_reader *r)
{
    double value;
    state_reader_get(r, &value, sizeof value);
    return value;
}

uint64_t state_reader_place(const struct state_reader *r)
{
    return r->at;
}

void state_reader_go(struct state_reader *r, uint64_t place)
{
    if (place > r->size || (r->fd >= 0 && lseek(r->fd, (off_t)place, SEEK_SET) < 0))
        r->failed = true;
    else
        r->at = place;
}

void state_reader_skip(struct state_reader *r, uint64_t size)
{
    if (size > state_reader_left(r))
        r->failed = true;
    else
        state_reader_go(r, r->at + size);
}

void state_reader_get_floats(struct state_reader *r, size_t count, float *ret)
{
    if (state_reader_u64(r) != count)
        r->failed = true;
    if (r->failed)
        return;
    if (ret)
        state_reader_get(r, ret, count * sizeof *ret);
    else
        state_reader_skip(r, count * sizeof *ret);
}

static uint32_t check_rest(struct state_reader *r)
{
    uint8_t piece[PIECE];
    uint32_t check = 0;
    while (!r->failed && state_reader_left(r) > 0) {
        uint64_t left = state_reader_left(r);
        size_t size = left < sizeof piece ? (size_t)left : sizeof piece;
        state_reader_get(r, piece, size);
        check = (uint32_t)crc32_z(check, piece, size);
    }
    return check;
}

int state_reader_check(struct state_reader *r, const char *name, struct error *err)
{
    char start[sizeof magic];
    state_reader_get(r, start, sizeof start);
    uint32_t version = state_reader_u32(r), check = state_reader_u32(r);
    uint64_t size = state_reader_u64(r), left = state_reader_left(r);
    if (r->failed || memcmp(start, magic, sizeof magic) != 0)
        return error_set(err, ERROR_CORRUPT, "'%s' holds no state of a training", name);
    if (version != STATE_FILE_VERSION)
        return error_set(err, ERROR_INPUT, "'%s' is of version %u, this program reads %d",
                         name, version, STATE_FILE_VERSION);
    if (size != left)
        return error_set(err, ERROR_CORRUPT, "'%s' is cut off: %llu bytes, not %llu",
                         name, (unsigned long long)left, (unsigned long long)size);
    uint32_t found = check_rest(r);
    if (!r->failed && found != check)
        return error_set(err, ERROR_CORRUPT, "'%s' is damaged: its checksum is wrong",
                         name);
    state_reader_go(r, STATE_FILE_HEADER);
    return r->failed ? error_set(err, ERROR_SYSTEM, "'%s' cannot be read", name) : 0;
}
