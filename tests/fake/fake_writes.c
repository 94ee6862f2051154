/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: a disk that breaks. FAKE_FAIL=CALL:NAME:COUNT:ERRNO makes the COUNT-th
 * (from 1) and every later CALL on files whose path contains NAME fail with this number.
 *
 *   write   write, pwrite       sync     fsync, fdatasync
 *   rename  rename, renameat (the old or the new name)
 *
 * Calls of all processes together are counted, as bytes of the file FAKE_CALLS. Where one
 * fails the first time, the file FAKE_FAILED is made, so that a test knows. */
#undef _FILE_OFFSET_BITS /* the names as they are: both of each pair are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* One call more; returns how many there were. */
static int count(const char *variable)
{
    ssize_t (*next)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))(size_t)real("write");
    const char *name = getenv(variable);
    int fd = name ? open(name, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
    off_t size = 0;
    if (fd >= 0 && next(fd, "x", 1) == 1)
        size = lseek(fd, 0, SEEK_CUR);
    if (fd >= 0)
        close(fd);
    return (int)size;
}

/* Does this call fail? Then errno is set. */
static int fails(const char *call, const char *path)
{
    char wanted[16], name[128];
    int first, number, result = 0;
    const char *rule = getenv("FAKE_FAIL");
    if (!rule || sscanf(rule, "%15[^:]:%127[^:]:%d:%d", wanted, name, &first, &number) != 4)
        return 0;
    if (strcmp(wanted, call) != 0 || !strstr(path, name))
        return 0;
    int before = errno;
    result = count("FAKE_CALLS") >= first;
    if (result)
        count("FAKE_FAILED");
    errno = result ? number : before;
    return result;
}

static int fails_on(const char *call, int fd)
{
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = before;
    if (size < 0)
        return 0;
    path[size] = '\0';
    return fails(call, path);
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*next)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))(size_t)real("write");
    return fails_on("write", fd) ? -1 : next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t (*next)(int, const void *, size_t, off_t) =
        (ssize_t(*)(int, const void *, size_t, off_t))(size_t)real("pwrite");
    return fails_on("write", fd) ? -1 : next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    ssize_t (*next)(int, const void *, size_t, off64_t) =
        (ssize_t(*)(int, const void *, size_t, off64_t))(size_t)real("pwrite64");
    return fails_on("write", fd) ? -1 : next(fd, data, size, at);
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))(size_t)real("fsync");
    return fails_on("sync", fd) ? -1 : next(fd);
}

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))(size_t)real("fdatasync");
    return fails_on("sync", fd) ? -1 : next(fd);
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) =
        (int (*)(const char *, const char *))(size_t)real("rename");
    return fails("rename", from) || fails("rename", to) ? -1 : next(from, to);
}

/* The folders are those of a run: their names do not matter. */
int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    int (*next)(int, const char *, int, const char *) =
        (int (*)(int, const char *, int, const char *))(size_t)real("renameat");
    char path[4096];
    snprintf(path, sizeof path, "/%s", to);
    return fails("rename", path) ? -1 : next(from_folder, from, to_folder, to);
}
