/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: file systems that one rarely has at hand, told by the environment.
 *
 *   FAKE_LOCKS=none   fcntl locks and flock fail with ENOLCK, as over NFS without lockd
 *   FAKE_LOCKS=open   they succeed and keep nobody out, as with the mount option nolock
 *   FAKE_FSYNC=fail   fsync fails with EIO;  FAKE_FSYNC=slow: it takes 100 ms
 *   FAKE_FSYNC=stall  fdatasync takes two seconds
 *   FAKE_HOLD=FILE    fdatasync does not return while there is such a file
 *   FAKE_LOOK=FILE    likewise opendir of /dev, in which a rank looks for devices
 *   FAKE_ROOM=FILE    statvfs tells as many free bytes as the file says, where it exists
 */
#undef _FILE_OFFSET_BITS /* the names as they are: both of each pair are defined here */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int is_set(const char *name, const char *value)
{
    const char *found = getenv(name);
    return found && strcmp(found, value) == 0;
}

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* -1: ask the system. */
static int fake_lock(void)
{
    if (is_set("FAKE_LOCKS", "open"))
        return 0;
    if (!is_set("FAKE_LOCKS", "none"))
        return -1;
    errno = ENOLCK;
    return 1;
}

static int call_fcntl(const char *name, int fd, int command, void *argument)
{
    int (*next)(int, int, ...) = (int (*)(int, int, ...))(size_t)real(name);
    int fake = command == F_OFD_SETLK || command == F_SETLK ? fake_lock() : -1;
    return fake < 0 ? next(fd, command, argument) : -fake;
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return call_fcntl("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return call_fcntl("fcntl64", fd, command, argument);
}

int flock(int fd, int operation)
{
    int (*next)(int, int) = (int (*)(int, int))(size_t)real("flock");
    int fake = fake_lock();
    return fake < 0 ? next(fd, operation) : -fake;
}

int fsync(int fd)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    int (*next)(int) = (int (*)(int))(size_t)real("fsync");
    if (is_set("FAKE_FSYNC", "slow"))
        nanosleep(&pause, NULL);
    if (!is_set("FAKE_FSYNC", "fail"))
        return next(fd);
    errno = EIO;
    return -1;
}

static void wait_while_held(const char *variable)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    const char *name = getenv(variable);
    while (name && access(name, F_OK) == 0)
        nanosleep(&pause, NULL);
}

int fdatasync(int fd)
{
    const struct timespec pause = {.tv_sec = 2};
    int (*next)(int) = (int (*)(int))(size_t)real("fdatasync");
    if (is_set("FAKE_FSYNC", "stall"))
        nanosleep(&pause, NULL);
    wait_while_held("FAKE_HOLD");
    return next(fd);
}

DIR *opendir(const char *path)
{
    DIR *(*next)(const char *) = (DIR * (*)(const char *)) (size_t) real("opendir");
    if (strcmp(path, "/dev") == 0)
        wait_while_held("FAKE_LOOK");
    return next(path);
}

/* -1: ask the system only. */
static long long fake_room(void)
{
    const char *name = getenv("FAKE_ROOM");
    FILE *file = name ? fopen(name, "r") : NULL;
    long long bytes = -1;
    if (file && fscanf(file, "%lld", &bytes) != 1)
        bytes = -1;
    if (file)
        fclose(file);
    return bytes;
}

int statvfs(const char *path, struct statvfs *ret)
{
    int (*next)(const char *, struct statvfs *) =
        (int (*)(const char *, struct statvfs *))(size_t)real("statvfs");
    int result = next(path, ret);
    long long bytes = fake_room();
    if (result == 0 && bytes >= 0)
        ret->f_bavail = ret->f_bfree = (unsigned long)bytes / ret->f_frsize;
    return result;
}

int statvfs64(const char *path, struct statvfs64 *ret)
{
    int (*next)(const char *, struct statvfs64 *) =
        (int (*)(const char *, struct statvfs64 *))(size_t)real("statvfs64");
    int result = next(path, ret);
    long long bytes = fake_room();
    if (result == 0 && bytes >= 0)
        ret->f_bavail = ret->f_bfree = (unsigned long)bytes / ret->f_frsize;
    return result;
}
