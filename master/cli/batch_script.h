/* SPDX-License-Identifier: Apache-2.0 */
/* A commented SLURM script for a search. The scripts in deploy/slurm/ are made by this.
 */
#ifndef ARCHWAY_MASTER_CLI_BATCH_SCRIPT_H
#define ARCHWAY_MASTER_CLI_BATCH_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/text.h"

struct batch_script {    /* all borrowed; NULL: not given */
    const char *name;    /* of the job */
    const char *program; /* archway */
    const char *config, *run;
    const char *account, *partition, *array;
    const char *const *sets;    /* KEY=VALUE of --set; ends with NULL */
    uint64_t nodes, cpus, gpus; /* nodes; cores and devices a node, 0: not said */
    double time, signal_before; /* seconds */
};

void batch_script_write(const struct batch_script *s, struct text *out);
/* A word for the shell: as it is where it is harmless, else in single quotes. */
void batch_script_quote(const char *word, struct text *out);

#endif
