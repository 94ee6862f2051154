/* SPDX-License-Identifier: Apache-2.0 */
/* Children come from /proc/PID/task/TID/children, which costs as much as there are; a
 * kernel without these files has every process looked at instead. */
#include "worker/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TREE = 1024 };

/* The first bytes of a file of /proc; -1 when it cannot be read. */
static ssize_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n, used = 0;
    while ((size_t)used < size - 1 &&
           (n = read(fd, text + used, size - 1 - (size_t)used)) > 0)
        used += n;
    close(fd);
    text[used] = '\0';
    return used;
}

static int children_of_thread(const char *path, pid_t *ret, int most)
{
    char text[32768];
    int count = 0;
    if (read_text(path, text, sizeof text) < 0)
        return -1;
    for (char *p = text, *end; count < most; p = end) {
        long pid = strtol(p, &end, 10);
        if (end == p)
            break;
        ret[count++] = (pid_t)pid;
    }
    return count;
}

static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (read_text(path, text, sizeof text) <= 0)
        return 0;
    /* The name in brackets may hold anything. */
    const char *behind = strrchr(text, ')');
    return behind && sscanf(behind + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static int children_by_search(pid_t pid, pid_t *ret, int most)
{
    DIR *proc = opendir("/proc");
    int count = 0;
    for (struct dirent *e; proc && count < most && (e = readdir(proc));)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(e->d_name) == pid)
            ret[count++] = (pid_t)atoi(e->d_name);
    if (proc)
        closedir(proc);
    return count;
}

int process_children(pid_t pid, pid_t *ret, int most)
{
    char path[300];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && (e = readdir(tasks));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, e->d_name);
        int more = children_of_thread(path, ret + count, most - count);
        if (more < 0 && access("/proc/thread-self/children", F_OK) != 0) {
            closedir(tasks);
            return children_by_search(pid, ret, most);
        }
        count += more > 0 ? more : 0;
    }
    if (tasks)
        closedir(tasks);
    return count;
}

static int64_t resident(pid_t pid)
{
    char path[64], text[128];
    long long size, all, shared;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (read_text(path, text, sizeof text) <= 0 ||
        sscanf(text, "%lld %lld %lld", &size, &all, &shared) != 3)
        return -1;
    return (all - shared) * sysconf(_SC_PAGESIZE);
}

static int64_t proportional(pid_t pid)
{
    char path[64], text[4096];
    long long kilobytes;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    if (read_text(path, text, sizeof text) <= 0)
        return resident(pid);
    const char *line = strstr(text, "Pss_Anon:");
    return line && sscanf(line, "Pss_Anon: %lld", &kilobytes) == 1 ? kilobytes * 1024
                                                                   : resident(pid);
}

/* Breadth first; a tree beyond TREE processes is counted that far. */
static int64_t sum_tree(pid_t pid, int64_t (*measure)(pid_t))
{
    pid_t tree[TREE];
    int count = 1;
    int64_t sum = pid > 0 ? measure(pid) : -1;
    tree[0] = pid;
    for (int i = 0; sum >= 0 && i < count; i++) {
        int first = count;
        count += process_children(tree[i], tree + count, TREE - count);
        for (int k = first; k < count; k++) {
            int64_t bytes = measure(tree[k]);
            sum += bytes > 0 ? bytes : 0;
        }
    }
    return sum;
}

int64_t process_tree_memory(pid_t pid)
{
    return sum_tree(pid, resident);
}

int64_t process_tree_memory_exact(pid_t pid)
{
    return sum_tree(pid, proportional);
}
