/* SPDX-License-Identifier: Apache-2.0 */
/* What search and resume share: ranks, data, the session. */
#ifndef ARCHWAY_MASTER_CLI_RUN_COMMON_H
#define ARCHWAY_MASTER_CLI_RUN_COMMON_H

#include "master/cli/command.h"

/* Works out folder and configuration (rank 0 only). Fills setup->dir, ->config, ->resume;
 * what it points to lives in *storage, which the caller owns. */
struct run_storage {
    struct config config;
    char dir[CONFIG_PATH];
};
typedef int (*run_prepare)(const struct invocation *in, struct run_storage *storage,
                           struct session_setup *setup, struct error *err);

/* Open the transport, be master or worker as the rank says, run, close. Collective under
 * MPI. A failed preparation still lets every rank end in order. */
int run_ranks(const struct invocation *in, run_prepare prepare, int *ret_exit,
              struct error *err);
/* Apply every --set, then --seed and --max-trials, --time-limit and --slots, and check. */
int run_apply_options(const struct invocation *in, const char *name, struct config *config,
                      struct error *err);

#endif
