/* SPDX-License-Identifier: Apache-2.0 */
/* Everything here is files; what cannot be opened or written is done without. */
#include "worker/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* The path of our group in the hierarchy of version 2: "0::PATH". */
static bool own_path(const char *root, char *ret, size_t size)
{
    char name[PATH_MAX], line[PATH_MAX];
    snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
    FILE *file = fopen(name, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 &&
                (size_t)snprintf(ret, size, "%s", line + 3) < size;
    }
    if (file)
        fclose(file);
    return found;
}

/* Where it is mounted: the fifth field of a line with " - cgroup2 ". */
static bool mount_point(const char *root, char *ret, size_t size)
{
    char name[PATH_MAX], line[PATH_MAX + 256], point[PATH_MAX];
    snprintf(name, sizeof name, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(name, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = strstr(line, " - cgroup2 ") &&
                sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
                (size_t)snprintf(ret, size, "%s%s", root, point) < size;
    if (file)
        fclose(file);
    return found;
}

/* systemd marks what it has handed down; a user can write only what was. */
static bool is_delegated(const char *folder, const char *path)
{
    char value[4];
    if (geteuid() != 0 || strcmp(path, "/") == 0)
        return true;
    return getxattr(folder, "trusted.delegate", value, sizeof value) > 0 ||
           getxattr(folder, "user.delegate", value, sizeof value) > 0;
}

bool cgroup_find(const char *root, char *ret, size_t size)
{
    char path[PATH_MAX], point[PATH_MAX], folder[2 * PATH_MAX], procs[2 * PATH_MAX + 16];
    if (!own_path(root, path, sizeof path) || !mount_point(root, point, sizeof point))
        return false;
    snprintf(folder, sizeof folder, "%s%s", point, strcmp(path, "/") == 0 ? "" : path);
    snprintf(procs, sizeof procs, "%s/cgroup.procs", folder);
    if (access(folder, W_OK | X_OK) != 0 || access(procs, W_OK) != 0 ||
        !is_delegated(folder, path))
        return false;
    return (size_t)snprintf(ret, size, "%s", folder) < size;
}

static void close_all(struct cgroup *g)
{
    const int fds[] = {g->folder, g->procs, g->kill};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    *g = (struct cgroup){.folder = -1, .procs = -1, .kill = -1};
}

static bool put(int folder, const char *name, const char *text)
{
    int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

/* Over the limit the whole group goes, not the process that asked last. */
static void limit_memory(const struct cgroup *g, int64_t memory)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)memory);
    if (memory > 0 && put(g->folder, "memory.max", text)) {
        put(g->folder, "memory.oom.group", "1");
        put(g->folder, "memory.swap.max", "0");
    }
}

bool cgroup_make(const char *parent, const char *name, int64_t memory, struct cgroup *ret)
{
    char path[PATH_MAX];
    struct cgroup g = {.folder = -1, .procs = -1, .kill = -1};
    *ret = g;
    snprintf(g.name, sizeof g.name, "%s", name);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", parent, name) >= sizeof path ||
        (mkdir(path, 0755) != 0 && errno != EEXIST))
        return false;
    g.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (g.folder >= 0) {
        g.procs = openat(g.folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        g.kill = openat(g.folder, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    }
    if (g.procs < 0 || g.kill < 0) { /* an old kernel: the group would be of no use */
        close_all(&g);
        rmdir(path);
        return false;
    }
    limit_memory(&g, memory);
    *ret = g;
    return true;
}

void cgroup_kill(const struct cgroup *g)
{
    if (g->kill >= 0 && write(g->kill, "1", 1) < 0)
        return; /* the process group is killed as well */
}

bool cgroup_is_empty(const struct cgroup *g)
{
    char text[256];
    int fd = openat(g->folder, "cgroup.events", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    return !strstr(text, "populated 1");
}

void cgroup_remove(struct cgroup *g)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    if (g->folder < 0)
        return;
    for (int i = 0; i < 100 && !cgroup_is_empty(g); i++) {
        cgroup_kill(g);
        nanosleep(&pause, NULL);
    }
    char up[80];
    snprintf(up, sizeof up, "../%s", g->name);
    unlinkat(g->folder, up, AT_REMOVEDIR);
    close_all(g);
}

void cgroup_sweep(const char *parent)
{
    DIR *folder = opendir(parent);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        int pid = 0;
        if (sscanf(entry->d_name, "archway-%d-", &pid) == 1 && pid > 0 &&
            kill(pid, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
    }
    if (folder)
        closedir(folder);
}
