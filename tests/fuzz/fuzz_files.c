/* SPDX-License-Identifier: Apache-2.0 */
/* Files for targets whose code opens paths. They lie in memory where /dev/shm is there,
 * because a target writes some for every input; nothing is synced. */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[64];

static void remove_folder(void)
{
    if (rmdir(folder) != 0)
        fprintf(stderr, "files are left in '%s'\n", folder);
}

const char *fuzz_folder(void)
{
    if (*folder)
        return folder;
    snprintf(folder, sizeof folder, "%s/archway-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
    FUZZ_CHECK(atexit(remove_folder) == 0);
    return folder;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    return path;
}

const char *fuzz_file_put(const char *name, const void *data, size_t size)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "wbe");
    FUZZ_CHECK(f);
    FUZZ_CHECK(fwrite(data, 1, size, f) == size);
    FUZZ_CHECK(fclose(f) == 0);
    return path;
}

void fuzz_file_remove(const char *name)
{
    unlink(path_of(name));
}

int fuzz_descriptor(const void *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
    return fd;
}
