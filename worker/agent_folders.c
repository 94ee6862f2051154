/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of the run, as far as this node sees them: what cannot be used is done without,
 * and said where somebody will miss it. */
#include "worker/agent_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

/* RUN/NAME; NULL when the run has no folder. Caller frees. */
static char *folder_of(const char *run_folder, const char *name)
{
    char *path = NULL;
    if (!run_folder || !run_folder[0] || asprintf(&path, "%s/%s", run_folder, name) < 0)
        return NULL;
    return path;
}

static char *make_log_folder(const char *run_folder)
{
    char *path = folder_of(run_folder, "logs");
    if (path && (mkdir(path, 0777) == 0 || errno == EEXIST))
        return path;
    free(path);
    return NULL;
}

/* RUN/checkpoints, which the master has made, when this node sees it. */
static char *find_checkpoint_folder(const struct agent *a, const char *run_folder)
{
    char *path = a->config.run.checkpoints ? folder_of(run_folder, "checkpoints") : NULL;
    if (!path || access(path, W_OK | X_OK) == 0)
        return path;
    log_message(LOG_WARNING,
                "rank %d: cannot use '%s' on this node (%s): what is cut off here begins "
                "anew",
                a->wire->rank, path, strerror(errno));
    free(path);
    return NULL;
}

void agent_folders_find(struct agent *a, const char *run_folder)
{
    a->log_folder = make_log_folder(run_folder);
    a->checkpoint_folder = find_checkpoint_folder(a, run_folder);
    /* Made by the trainer that writes the first state. */
    a->pool_folder =
        config_shares_weights(&a->config) ? folder_of(run_folder, "pool") : NULL;
}

void agent_folders_fini(struct agent *a)
{
    free(a->log_folder);
    free(a->checkpoint_folder);
    free(a->pool_folder);
}
