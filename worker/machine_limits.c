/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of control groups. A batch system or container engine may have put its limit on
 * any group above ours, so the path from /proc/self/cgroup is walked up to the root and
 * the tightest limit counts. Inside a container that path may not exist below the mount
 * point; then only what does exist is read, the root at least. */
#include "worker/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

double machine_parse_cpu_max(const char *text)
{
    char *end;
    double quota = strtod(text, &end);
    if (end == text || !(quota > 0))
        return 0;
    double period = strtod(end, NULL);
    return period > 0 ? quota / period : 0;
}

int64_t machine_parse_memory(const char *text)
{
    char *end;
    long long bytes = strtoll(text, &end, 10);
    /* v1 writes "no limit" as the largest multiple of the page size. */
    if (end == text || bytes <= 0 || bytes >= INT64_MAX - (1 << 20))
        return 0;
    return bytes;
}

/* Read a small file FOLDER/NAME; false when it cannot be. */
static bool read_small(const char *folder, const char *name, char *text, size_t size)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n < 0)
        return false;
    text[n] = '\0';
    return true;
}

static void tighten(struct machine_limits *limits, double cpus, int64_t memory)
{
    if (cpus > 0 && (limits->cpus == 0 || cpus < limits->cpus))
        limits->cpus = cpus;
    if (memory > 0 && (limits->memory == 0 || memory < limits->memory))
        limits->memory = memory;
}

/* The limits that one group sets itself, v1 or v2. */
static void read_group(const char *folder, struct machine_limits *limits)
{
    char text[128], period[64];
    if (read_small(folder, "cpu.max", text, sizeof text))
        tighten(limits, machine_parse_cpu_max(text), 0);
    if (read_small(folder, "memory.max", text, sizeof text))
        tighten(limits, 0, machine_parse_memory(text));
    if (read_small(folder, "memory.limit_in_bytes", text, sizeof text))
        tighten(limits, 0, machine_parse_memory(text));
    if (read_small(folder, "cpu.cfs_quota_us", text, 32) &&
        read_small(folder, "cpu.cfs_period_us", period, sizeof period)) {
        text[strcspn(text, "\n")] = '\0';
        strcat(text, " ");
        strncat(text, period, sizeof text - strlen(text) - 1);
        tighten(limits, machine_parse_cpu_max(text), 0);
    }
}

/* Every group from MOUNT/PATH up to MOUNT. */
static void read_branch(const char *mount, const char *path,
                        struct machine_limits *limits)
{
    char folder[PATH_SIZE];
    if (strstr(path, "..") ||
        snprintf(folder, sizeof folder, "%s%s", mount, path) >= (int)sizeof folder)
        snprintf(folder, sizeof folder, "%s", mount);
    size_t root = strlen(mount);
    for (;;) {
        read_group(folder, limits);
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root)
            return;
        *slash = '\0';
    }
}

static bool names_controller(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += length)
        if ((p == list || p[-1] == ',') && (p[length] == ',' || p[length] == '\0'))
            return true;
    return false;
}

/* One line "ID:CONTROLLERS:PATH" of /proc/self/cgroup. */
static void read_membership(const char *mounts, char *line, struct machine_limits *limits)
{
    char mount[PATH_SIZE / 2];
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path || path[1] != '/')
        return;
    *path++ = '\0';
    controllers++;
    if (!*controllers) {
        read_branch(mounts, path, limits);
        if (snprintf(mount, sizeof mount, "%s/unified", mounts) < (int)sizeof mount)
            read_branch(mount, path, limits);
    } else if (names_controller(controllers, "cpu") ||
               names_controller(controllers, "memory")) {
        if (snprintf(mount, sizeof mount, "%s/%s", mounts, controllers) <
            (int)sizeof mount)
            read_branch(mount, path, limits);
    }
}

struct machine_limits machine_read_limits(const char *mounts, const char *membership)
{
    struct machine_limits limits = {0};
    char line[PATH_SIZE];
    for (const char *p = membership; *p;) {
        size_t n = strcspn(p, "\n");
        if (n < sizeof line) {
            memcpy(line, p, n);
            line[n] = '\0';
            read_membership(mounts, line, &limits);
        }
        p += n + (p[n] == '\n');
    }
    return limits;
}
