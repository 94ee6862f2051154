/* SPDX-License-Identifier: Apache-2.0 */
/* A file is removed by its name alone. A half one ("7.tmp.4711", of a trainer that died
 * while it wrote) is no number, and what is no number is not ours to keep. */
#include "master/checkpoints.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"

static char *folder_of(const char *dir)
{
    char *path = NULL;
    return asprintf(&path, "%s/checkpoints", dir) < 0 ? NULL : path;
}

static bool is_wanted(const char *name, const struct ledger *l)
{
    uint64_t id;
    if (!text_parse_uint64(name, &id))
        return false;
    const struct trial *t = ledger_trial(l, id);
    return t && (t->state == TRIAL_QUEUED || t->state == TRIAL_RUNNING);
}

static void clear(const char *path, const struct ledger *l)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (const struct dirent *e; (e = readdir(folder));)
        if (e->d_name[0] != '.' && !is_wanted(e->d_name, l))
            unlinkat(dirfd(folder), e->d_name, 0);
    closedir(folder);
}

int checkpoints_open(const char *dir, const struct ledger *l, struct error *err)
{
    char *path = folder_of(dir);
    int status = 0;
    if (!path)
        return error_set(err, ERROR_SYSTEM, "no memory for a path");
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        status = error_set_errno(err, "cannot make '%s'", path);
    else
        clear(path, l);
    free(path);
    return status;
}

void checkpoints_clear(const char *dir, const struct ledger *l)
{
    char *path = folder_of(dir);
    if (!path)
        return;
    clear(path, l);
    rmdir(path);
    free(path);
}

void checkpoints_remove(const char *dir, uint64_t trial)
{
    char *path = NULL;
    if (asprintf(&path, "%s/checkpoints/%llu", dir, (unsigned long long)trial) < 0)
        return;
    unlink(path);
    free(path);
}
