/* SPDX-License-Identifier: Apache-2.0 */
/* Which accelerators this process may use. The launcher's word counts, in the variables
 * that the vendors' runtimes obey themselves; without one the device files are counted.
 * No vendor library is loaded and no tool is run: this must work, quickly, where none is.
 */
#include "worker/machine.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/cpu_list.h"

/* Is "NAME" one of the entries of the comma-separated list? */
static bool list_has(const char *list, const char *name, size_t length)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if (n == length && memcmp(p, name, n) == 0)
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

static void list_append(char *list, size_t size, const char *name, size_t length)
{
    size_t used = strlen(list);
    if (!length || list_has(list, name, length) || used + length + 2 > size)
        return;
    if (used)
        list[used++] = ',';
    memcpy(list + used, name, length);
    list[used + length] = '\0';
}

/* A range "0-3", as SLURM writes it, entry by entry. */
static void append_range(char *list, size_t size, const char *range, size_t length)
{
    char text[64];
    struct cpu_list set;
    snprintf(text, sizeof text, "%.*s", (int)length, range);
    if (!cpu_list_parse(text, &set))
        return;
    for (int i = 0; i < CPU_LIST_MAX; i++)
        if (cpu_list_has(&set, i))
            list_append(list, size, text, (size_t)snprintf(text, sizeof text, "%d", i));
}

/* A list as the vendors' runtimes read it: what follows an invalid entry is ignored. */
static void parse_list(const char *value, char *list, size_t size)
{
    list[0] = '\0';
    for (const char *p = value; *p;) {
        size_t n = strcspn(p, ",");
        const char *entry = p;
        size_t length = n;
        for (; length && isspace((unsigned char)*entry); entry++)
            length--;
        while (length && isspace((unsigned char)entry[length - 1]))
            length--;
        if (!length || !isalnum((unsigned char)*entry) ||
            (length == 10 && memcmp(entry, "NoDevFiles", 10) == 0))
            return;
        if (isdigit((unsigned char)*entry) && memchr(entry, '-', length))
            append_range(list, size, entry, length);
        else
            list_append(list, size, entry, length);
        p += n + (p[n] == ',');
    }
}

/* The numbers that follow `prefix` in the names of a folder; false when there are none.
 */
static bool scan_numbers(const char *folder, const char *prefix, struct cpu_list *ret)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t length = strlen(prefix);
    memset(ret, 0, sizeof *ret);
    if (!dir)
        return false;
    while ((entry = readdir(dir))) {
        const char *digits = entry->d_name + length;
        if (strncmp(entry->d_name, prefix, length) == 0 && *digits &&
            strspn(digits, "0123456789") == strlen(digits))
            cpu_list_add(ret, atoi(digits));
    }
    closedir(dir);
    return cpu_list_count(ret) > 0;
}

static bool exists(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void scan_devices(const char *devices, char *gpus, size_t size, bool *ret_rocm)
{
    char dri[4096], number[32];
    struct cpu_list found;
    snprintf(dri, sizeof dri, "%s/dri", devices);
    if (scan_numbers(devices, "nvidia", &found)) {
        for (int i = 0; i < CPU_LIST_MAX; i++)
            if (cpu_list_has(&found, i))
                list_append(gpus, size, number,
                            (size_t)snprintf(number, sizeof number, "%d", i));
    } else if (exists(devices, "kfd") && scan_numbers(dri, "renderD", &found)) {
        *ret_rocm = true;
        for (int i = 0, n = cpu_list_count(&found); i < n; i++)
            list_append(gpus, size, number,
                        (size_t)snprintf(number, sizeof number, "%d", i));
    }
}

void machine_find_gpus(const struct machine_gpu_sources *sources, char *ret_gpus,
                       size_t size, bool *ret_rocm)
{
    ret_gpus[0] = '\0';
    *ret_rocm = exists(sources->devices, "kfd") && !exists(sources->devices, "nvidiactl");
    if (*ret_rocm && sources->rocr)
        parse_list(sources->rocr, ret_gpus, size);
    else if (*ret_rocm && sources->hip)
        parse_list(sources->hip, ret_gpus, size);
    else if (sources->cuda)
        parse_list(sources->cuda, ret_gpus, size);
    else if (sources->rocr)
        parse_list(sources->rocr, ret_gpus, size);
    else if (sources->slurm)
        parse_list(sources->slurm, ret_gpus, size);
    else
        scan_devices(sources->devices, ret_gpus, size, ret_rocm);
}
