/* SPDX-License-Identifier: Apache-2.0 */
/* The seal is written last: a file that was cut off before has none. */
#include "worker/file_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/bytes.h"
#include "common/file_io.h"

static const char magic[8] = "ARCHWAYP";
enum { PIECE = 1 << 20, VERSION = 1 };

static int failed(const char *path, struct error *err)
{
    return error_set_errno(err, "cannot read or write '%s'", path);
}

/* The block that the file should have; negative with errno. */
static int make_seal(int fd, struct bytes *ret)
{
    XXH3_state_t *state = XXH3_createState();
    uint8_t *piece = malloc(PIECE);
    uint64_t size = 0;
    ssize_t n = -1;
    if (state && piece && lseek(fd, FILE_SEAL, SEEK_SET) == FILE_SEAL) {
        XXH3_128bits_reset(state);
        while ((n = file_read_full(fd, piece, PIECE)) > 0) {
            XXH3_128bits_update(state, piece, (size_t)n);
            size += (uint64_t)n;
        }
    }
    if (n == 0) {
        XXH128_hash_t sum = XXH3_128bits_digest(state);
        bytes_put(ret, magic, sizeof magic);
        bytes_put_u32(ret, VERSION);
        bytes_put_u64(ret, size);
        bytes_put_u64(ret, sum.low64);
        bytes_put_u64(ret, sum.high64);
    }
    XXH3_freeState(state);
    free(piece);
    return n == 0 && !ret->failed ? 0 : -1;
}

int file_seal(const char *path, struct error *err)
{
    struct bytes seal;
    bytes_init(&seal);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int result = fd < 0 ? -1 : make_seal(fd, &seal);
    if (result == 0 &&
        (pwrite(fd, seal.data, seal.size, 0) != (ssize_t)seal.size || fsync(fd) != 0))
        result = -1;
    int status = result == 0 ? 0 : failed(path, err);
    if (fd >= 0)
        close(fd);
    bytes_fini(&seal);
    return status;
}

static int compare(int fd, const char *path, const struct bytes *seal, struct error *err)
{
    uint8_t block[FILE_SEAL];
    if (lseek(fd, 0, SEEK_SET) != 0 || file_read_full(fd, block, FILE_SEAL) != FILE_SEAL)
        return error_set(err, ERROR_CORRUPT, "'%s': cut short", path);
    if (memcmp(block, magic, sizeof magic) != 0)
        return error_set(err, ERROR_CORRUPT, "'%s': not written by Archway, or damaged",
                         path);
    bool whole = memcmp(block, seal->data, seal->size) == 0;
    for (size_t i = seal->size; i < FILE_SEAL; i++)
        whole = whole && block[i] == 0;
    return whole ? 0
                 : error_set(err, ERROR_CORRUPT,
                             "'%s': damaged, its checksum does not fit", path);
}

int file_seal_check(const char *path, struct error *err)
{
    struct bytes seal;
    bytes_init(&seal);
    int fd = open(path, O_RDONLY | O_CLOEXEC), status;
    if (fd < 0 || make_seal(fd, &seal) != 0)
        status = failed(path, err);
    else
        status = compare(fd, path, &seal, err);
    if (fd >= 0)
        close(fd);
    bytes_fini(&seal);
    return status;
}
