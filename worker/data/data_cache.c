/* SPDX-License-Identifier: Apache-2.0 */
/* The prepared file of a node. Whoever needs it maps it if it is whole; else one process
 * makes it while the others wait for its lock. It is written under another name, with
 * room reserved first (a full disk is then an error, not a signal), and renamed when it
 * is whole, so that nobody ever sees half a file; what a killed process left is
 * overwritten. A file that belongs to another user is not trusted, as /tmp is
 * everybody's.
 *
 * Header: "ARCHDATA", version u32, header size u32, key 2 x u64, file size u64, scale and
 * shift (DATA_MAX_CHANNELS x f64 each), XXH3 (64 bits) of all that; zeros follow. */
#include "worker/data/data_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/text.h"

static const char magic[8] = {'A', 'R', 'C', 'H', 'D', 'A', 'T', 'A'};
enum { VERSION = 1 };

struct cache {
    char file[DATA_CACHE_PATH], temporary[DATA_CACHE_PATH], lock[DATA_CACHE_PATH];
    const char *folder;
    XXH128_hash_t key;
};

static size_t next_page(size_t offset)
{
    return (offset + 4095) / 4096 * 4096;
}

void data_cache_layout(struct dataset *d)
{
    size_t at = DATA_HEADER;
    for (int p = 0; p < DATA_PARTS; p++) {
        d->labels[p] = at;
        at = next_page(at + (size_t)d->counts[p]);
    }
    for (int p = 0; p < DATA_PARTS; p++) {
        d->images[p] = at;
        at = next_page(at + (size_t)d->counts[p] * dataset_values(d) * d->element);
    }
    d->size = at;
}

static int write_header(const struct cache *c, const struct dataset *d, struct error *err)
{
    struct bytes b;
    bytes_init(&b);
    bytes_put(&b, magic, sizeof magic);
    bytes_put_u32(&b, VERSION);
    bytes_put_u32(&b, DATA_HEADER);
    bytes_put_u64(&b, c->key.low64);
    bytes_put_u64(&b, c->key.high64);
    bytes_put_u64(&b, d->size);
    for (int k = 0; k < DATA_MAX_CHANNELS; k++) {
        bytes_put_f64(&b, (double)d->scale[k]);
        bytes_put_f64(&b, (double)d->shift[k]);
    }
    bytes_put_u64(&b, b.data ? XXH3_64bits(b.data, b.size) : 0);
    bool ok = !b.failed && b.size <= DATA_HEADER;
    if (ok)
        memcpy(d->map, b.data, b.size);
    bytes_fini(&b);
    return ok ? 0 : error_set(err, ERROR_SYSTEM, "'%s': out of memory", c->file);
}

/* False where this is not the whole file for this key. */
static bool read_header(const struct cache *c, struct dataset *d)
{
    struct bytes_reader r;
    bytes_reader_init(&r, d->map, DATA_HEADER);
    const uint8_t *found = bytes_get(&r, sizeof magic);
    bool ok = found && memcmp(found, magic, sizeof magic) == 0;
    ok = ok && bytes_get_u32(&r) == VERSION && bytes_get_u32(&r) == DATA_HEADER;
    ok = ok && bytes_get_u64(&r) == c->key.low64 && bytes_get_u64(&r) == c->key.high64;
    ok = ok && bytes_get_u64(&r) == d->size;
    for (int k = 0; ok && k < DATA_MAX_CHANNELS; k++) {
        d->scale[k] = (float)bytes_get_f64(&r);
        d->shift[k] = (float)bytes_get_f64(&r);
    }
    return ok && bytes_get_u64(&r) == XXH3_64bits(d->map, r.position - 8) && !r.failed;
}

/* Map the file where it is whole; false where it has to be made. */
static bool map_file(const struct cache *c, struct dataset *d)
{
    struct stat st;
    int fd = open(c->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    void *map = MAP_FAILED;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        (uint64_t)st.st_size == d->size)
        map = mmap(NULL, d->size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return false;
    d->map = map;
    if (read_header(c, d))
        return true;
    munmap(d->map, d->size);
    d->map = NULL;
    return false;
}

static int reserve(const struct cache *c, int fd, size_t size, struct error *err)
{
    char room[32];
    int code = posix_fallocate(fd, 0, (off_t)size);
    if (code == 0)
        return 0;
    errno = code;
    text_format_size((double)size, room, sizeof room);
    return error_set_errno(err, "cannot reserve %s for prepared data in '%s' (run.cache)",
                           room, c->folder);
}

/* Fill the file through a mapping and bring it to the disk. */
static int write_file(const struct cache *c, int fd, struct dataset *d, data_fill fill,
                      void *context, struct error *err)
{
    int status = reserve(c, fd, d->size, err);
    if (status)
        return status;
    void *map = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return error_set_errno(err, "cannot map '%s'", c->temporary);
    d->map = map;
    status = fill(d, context, err);
    if (!status)
        status = write_header(c, d, err);
    d->map = NULL;
    if (munmap(map, d->size) && !status)
        status = error_set_errno(err, "cannot unmap '%s'", c->temporary);
    if (!status && fsync(fd))
        status = error_set_errno(err, "cannot write '%s'", c->temporary);
    return status;
}

static int make_file(const struct cache *c, struct dataset *d, data_fill fill,
                     void *context, struct error *err)
{
    unlink(c->temporary); /* the lock is ours, so nobody is writing to it */
    int fd = open(c->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, "cannot make '%s' (run.cache)", c->temporary);
    int status = write_file(c, fd, d, fill, context, err);
    if (close(fd) && !status)
        status = error_set_errno(err, "cannot close '%s'", c->temporary);
    if (!status && rename(c->temporary, c->file))
        status =
            error_set_errno(err, "cannot rename '%s' to '%s'", c->temporary, c->file);
    if (status)
        unlink(c->temporary);
    return status;
}

/* Returns the lock's descriptor; closing it gives the lock back. */
static int take_lock(const struct cache *c, int *ret, struct error *err)
{
    if (mkdir(c->folder, 0700) && errno != EEXIST)
        return error_set_errno(err, "cannot make the folder '%s' (run.cache)", c->folder);
    int fd = open(c->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, "cannot make '%s' (run.cache)", c->lock);
    while (flock(fd, LOCK_EX))
        if (errno != EINTR) {
            int status = error_set_errno(err, "cannot lock '%s'", c->lock);
            close(fd);
            return status;
        }
    *ret = fd;
    return 0;
}

static int set_paths(struct cache *c, const char *folder, const struct bytes *key,
                     struct error *err)
{
    static const char *const ends[] = {"bin", "tmp", "lock"};
    char *const paths[] = {c->file, c->temporary, c->lock};
    const char *tmpdir = getenv("TMPDIR");
    if (!folder || !*folder)
        folder = tmpdir && *tmpdir ? tmpdir : "/tmp";
    c->folder = folder;
    c->key = XXH3_128bits(key->data, key->size);
    for (int i = 0; i < 3; i++) {
        int n = snprintf(paths[i], DATA_CACHE_PATH, "%s/archway-data-%016llx%016llx.%s",
                         folder, (unsigned long long)c->key.high64,
                         (unsigned long long)c->key.low64, ends[i]);
        if (n < 0 || n >= DATA_CACHE_PATH)
            return error_set(err, ERROR_INPUT, "run.cache is too long: '%.200s...'",
                             folder);
    }
    return 0;
}

int data_cache_get(const char *folder, const struct bytes *key, struct dataset *d,
                   data_fill fill, void *context, struct error *err)
{
    struct cache c;
    int lock = -1;
    int status = set_paths(&c, folder, key, err);
    if (status || map_file(&c, d))
        return status;
    status = take_lock(&c, &lock, err);
    if (status || map_file(&c, d)) /* somebody else made it meanwhile */
        goto out;
    status = make_file(&c, d, fill, context, err);
    if (!status && !map_file(&c, d))
        status = error_set(err, ERROR_SYSTEM, "'%s' cannot be read back", c.file);
out:
    if (lock >= 0)
        close(lock);
    return status;
}
