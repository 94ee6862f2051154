/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot is made in memory and read from memory, so HDF5 never touches the disk:
 * every write error is seen here, no HDF5 file lock is needed (network file systems often
 * lack them), and bytes that differ from those that were written never reach the HDF5
 * library, which is not made for damaged files. The signature also finds a file cut
 * short, before memory is taken for it. */
#include "master/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/bytes.h"
#include "common/file_io.h"
#include "master/store.h"

enum { HASH_AT = 24, SIGNED = 40, TEXT_AT = 48, READ_PART = 1 << 20 };

static const char MAGIC[8] = {'A', 'R', 'C', 'H', 'W', 'A', 'Y', 'S'};

static void put_u64(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

struct store_file_mark store_file_sign(uint8_t *image, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(image + STORE_BLOCK, size - STORE_BLOCK);
    memset(image, 0, STORE_BLOCK);
    memcpy(image, MAGIC, sizeof MAGIC);
    put_u64(image + 8, STORE_VERSION);
    put_u64(image + 16, size);
    put_u64(image + 24, hash.low64);
    put_u64(image + 32, hash.high64);
    put_u64(image + SIGNED, XXH3_64bits(image, SIGNED));
    snprintf((char *)image + TEXT_AT, STORE_BLOCK - TEXT_AT,
             "\nA snapshot of Archway: HDF5 after this block of %d bytes.\n",
             STORE_BLOCK);
    return (struct store_file_mark){hash.low64, hash.high64};
}

static int bad(enum store_file_state state, enum store_file_state *ret_state)
{
    *ret_state = state;
    return state == STORE_FILE_BAD ? ERROR_CORRUPT : ERROR_INPUT;
}

/* The block at the start of a file of `size` bytes, of which `got` are in it: asked
 * before memory is taken for the rest. */
static int check_block(const char *path, const uint8_t *block_bytes, size_t got,
                       uint64_t size, enum store_file_state *ret_state, struct error *err)
{
    struct bytes_reader in;
    bytes_reader_init(&in, block_bytes, got);
    const uint8_t *magic = bytes_get(&in, sizeof MAGIC);
    uint32_t version = bytes_get_u32(&in);
    bytes_get_u32(&in);
    uint64_t file_size = bytes_get_u64(&in);
    bytes_get(&in, SIGNED - HASH_AT);
    uint64_t block = bytes_get_u64(&in);
    if (size <= STORE_BLOCK || !magic || memcmp(magic, MAGIC, sizeof MAGIC) != 0)
        return error_set(err, bad(STORE_FILE_BAD, ret_state),
                         "'%s' is no snapshot of Archway (%llu bytes, without its mark)",
                         path, (unsigned long long)size);
    if (got < STORE_BLOCK || block != XXH3_64bits(block_bytes, SIGNED))
        return error_set(err, bad(STORE_FILE_BAD, ret_state),
                         "snapshot '%s' is damaged in its first bytes", path);
    if (version > STORE_VERSION)
        return error_set(
            err, bad(STORE_FILE_NEWER, ret_state),
            "snapshot '%s' has version %u, this program reads up to %d: use a "
            "newer Archway",
            path, version, STORE_VERSION);
    if (file_size != size)
        return error_set(err, bad(STORE_FILE_BAD, ret_state),
                         "snapshot '%s' has %llu bytes instead of %llu", path,
                         (unsigned long long)size, (unsigned long long)file_size);
    return 0;
}

static struct store_file_mark block_mark(const uint8_t *block)
{
    struct bytes_reader in;
    struct store_file_mark mark;
    bytes_reader_init(&in, block + HASH_AT, SIGNED - HASH_AT);
    mark.low = bytes_get_u64(&in);
    mark.high = bytes_get_u64(&in);
    return mark;
}

static int check_content(const char *path, const uint8_t *block, XXH128_hash_t hash,
                         enum store_file_state *ret_state, struct error *err)
{
    struct store_file_mark mark = block_mark(block);
    if (hash.low64 != mark.low || hash.high64 != mark.high)
        return error_set(err, bad(STORE_FILE_BAD, ret_state),
                         "snapshot '%s' is damaged: its checksum does not match", path);
    return 0;
}

/* All of an open file of `size` bytes; caller frees. NULL with errno. */
static uint8_t *read_image(int fd, size_t size)
{
    size_t done = 0;
    uint8_t *image = malloc(size ? size : 1);
    while (image && done < size) {
        ssize_t n = read(fd, image + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            free(image);
            return NULL;
        }
        done += (size_t)n;
    }
    return image;
}

int store_file_read(const char *path, uint8_t **ret, size_t *ret_size,
                    enum store_file_state *ret_state, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *ret_state = fd < 0 && errno == ENOENT ? STORE_FILE_MISSING : STORE_FILE_BAD;
    if (fd < 0)
        return error_set_errno(err, "cannot open snapshot '%s'", path);
    uint8_t *image = NULL, block[STORE_BLOCK];
    int status = 0;
    ssize_t got = pread(fd, block, sizeof block, 0);
    if (got < 0 || fstat(fd, &st) != 0)
        status = error_set_errno(err, "cannot read snapshot '%s'", path);
    else
        status =
            check_block(path, block, (size_t)got, (uint64_t)st.st_size, ret_state, err);
    if (status == 0 && !(image = read_image(fd, (size_t)st.st_size)))
        status = error_set_errno(err, "cannot read snapshot '%s'", path);
    if (status == 0)
        status = check_content(
            path, image,
            XXH3_128bits(image + STORE_BLOCK, (size_t)st.st_size - STORE_BLOCK),
            ret_state, err);
    close(fd);
    if (status != 0) {
        free(image);
        return status;
    }
    *ret_state = STORE_FILE_OK;
    *ret = image;
    *ret_size = (size_t)st.st_size;
    return 0;
}

/* Checksum of the rest of an open file; -1 with errno. */
static int hash_rest(int fd, XXH128_hash_t *ret)
{
    XXH3_state_t *hash = XXH3_createState();
    uint8_t *part = malloc(READ_PART);
    ssize_t n = -1;
    if (hash && part && XXH3_128bits_reset(hash) == XXH_OK) {
        while ((n = file_read_full(fd, part, READ_PART)) > 0)
            XXH3_128bits_update(hash, part, (size_t)n);
        *ret = XXH3_128bits_digest(hash);
    }
    free(part);
    XXH3_freeState(hash);
    return n < 0 ? -1 : 0;
}

int store_file_check(const char *dir, const char *name, struct store_file_mark *ret,
                     struct error *err)
{
    struct stat st;
    enum store_file_state state;
    uint8_t block[STORE_BLOCK];
    XXH128_hash_t hash;
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return error_set(err, ERROR_SYSTEM, "'%s': out of memory", dir);
    int status = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : file_read_full(fd, block, sizeof block);
    if (got < 0 || fstat(fd, &st) != 0)
        status = error_set_errno(err, "cannot read snapshot '%s'", path);
    else
        status = check_block(path, block, (size_t)got, (uint64_t)st.st_size, &state, err);
    if (status == 0 && hash_rest(fd, &hash) != 0)
        status = error_set_errno(err, "cannot read snapshot '%s'", path);
    if (status == 0)
        status = check_content(path, block, hash, &state, err);
    if (status == 0)
        *ret = block_mark(block);
    if (fd >= 0)
        close(fd);
    free(path);
    return status;
}

/* Write and sync a new file in the folder; -1 with errno. */
static int write_temporary(int folder, const char *name, const uint8_t *image,
                           size_t size)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    int result = file_write_full(fd, image, size);
    if (result == 0)
        result = fsync(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

static int sync_folder(int folder)
{
    int result = fsync(folder);
    /* Some network file systems cannot sync a folder; their rename is durable. */
    return result != 0 && (errno == EINVAL || errno == ENOTSUP) ? 0 : result;
}

/* The new one takes its place before the one before the last goes, so that a valid one is
 * there at every moment even when the last one is not. Where files cannot have two names,
 * the last is renamed first. */
static int replace(int folder, const uint8_t *image, size_t size)
{
    const char *new = "snapshot.h5.tmp", *last = "snapshot.h5", *old = "snapshot.h5.old";
    const char *previous = "snapshot.prev.h5";
    if (write_temporary(folder, new, image, size) != 0)
        return -1;
    unlinkat(folder, old, 0);
    bool linked = linkat(folder, last, folder, old, 0) == 0;
    if (!linked && errno != ENOENT && renameat(folder, last, folder, previous) != 0)
        return -1;
    if (renameat(folder, new, folder, last) != 0)
        return -1;
    if (linked && renameat(folder, old, folder, previous) != 0)
        return -1;
    return sync_folder(folder);
}

int store_file_write(const char *dir, const uint8_t *image, size_t size,
                     struct error *err)
{
    int status = 0, folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || replace(folder, image, size) != 0) {
        status = error_set_errno(err, "cannot write snapshot '%s/snapshot.h5'", dir);
        if (folder >= 0)
            unlinkat(folder, "snapshot.h5.tmp", 0);
    }
    if (folder >= 0)
        close(folder);
    return status;
}
