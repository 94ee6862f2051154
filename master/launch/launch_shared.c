/* SPDX-License-Identifier: Apache-2.0 */
/* Open MPI 4 names a segment vader_segment.HOST.USER.JOB.RANK, USER and RANK decimal, JOB
 * hexadecimal (btl/vader, component.c); HOST may have dots. The job's number stands in
 * the environment of its ranks, which mpirun starts itself on this host. */
#include "master/launch/launch_shared.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

enum { ENVIRONMENT_MAX = 4 << 20 };

static const char prefix[] = "vader_segment.";

static pid_t parent_of(const char *proc, const char *pid)
{
    char path[512], text[512];
    int parent = 0;
    snprintf(path, sizeof path, "%s/%.20s/stat", proc, pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    return rest && sscanf(rest + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* A number of a process's environment; 0: it has none. */
static uint32_t number_of(const char *proc, const char *pid, const char *name)
{
    char path[512], *text = NULL;
    size_t size = 0;
    uint64_t job = 0;
    snprintf(path, sizeof path, "%s/%.20s/environ", proc, pid);
    if (text_read_file(path, ENVIRONMENT_MAX, &text, &size, NULL) != 0)
        return 0;
    for (size_t at = 0; at < size; at += strlen(text + at) + 1)
        if (strncmp(text + at, name, strlen(name)) == 0 &&
            !text_parse_uint64(text + at + strlen(name), &job))
            job = 0;
    free(text);
    return job <= UINT32_MAX ? (uint32_t)job : 0;
}

int launch_shared_ranks(const char *proc, pid_t mpirun, uint32_t *ret_job, int *ret_size)
{
    DIR *d = opendir(proc);
    const struct dirent *entry;
    int count = 0;
    while (d && (entry = readdir(d))) {
        if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name) ||
            parent_of(proc, entry->d_name) != mpirun)
            continue;
        /* Of one that has ended: none. */
        uint32_t job = number_of(proc, entry->d_name, "PMIX_NAMESPACE=");
        if (job == 0)
            continue;
        count++;
        *ret_job = job;
        *ret_size = (int)number_of(proc, entry->d_name, "OMPI_COMM_WORLD_LOCAL_SIZE=");
    }
    if (d)
        closedir(d);
    return count;
}

/* Cut the last part off a name with dots; NULL when there is none. */
static const char *take_last(char *name)
{
    char *dot = strrchr(name, '.');
    if (!dot)
        return NULL;
    *dot = '\0';
    return dot + 1;
}

static bool is_segment(const char *file, uint32_t job)
{
    char name[256], expected[16];
    uint64_t number;
    if (strncmp(file, prefix, strlen(prefix)) != 0 || strlen(file) >= sizeof name)
        return false;
    snprintf(name, sizeof name, "%s", file + strlen(prefix));
    const char *rank = take_last(name);
    if (!rank || !text_parse_uint64(rank, &number))
        return false;
    const char *found = take_last(name);
    snprintf(expected, sizeof expected, "%x", job);
    if (!found || strcmp(found, expected) != 0)
        return false;
    const char *user = take_last(name);
    return user && text_parse_uint64(user, &number) && number == geteuid();
}

int launch_shared_remove(const char *folder, uint32_t job)
{
    DIR *d = job ? opendir(folder) : NULL;
    const struct dirent *entry;
    int count = 0;
    while (d && (entry = readdir(d)))
        if (is_segment(entry->d_name, job))
            count += unlinkat(dirfd(d), entry->d_name, 0) == 0;
    if (d)
        closedir(d);
    return count;
}
