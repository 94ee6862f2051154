/* SPDX-License-Identifier: Apache-2.0 */
/* Which variables can be believed? A launcher's own variables exist only in processes that
 * it started: OMPI_COMM_WORLD_SIZE (mpirun and its successors), PMI_SIZE (Hydra, PALS, srun
 * --mpi=pmi2). SLURM_NTASKS cannot: salloc and sbatch set it for the shell, which is one
 * process. SLURM_STEP_NUM_TASKS belongs to the step, that is to srun, and is 1 in the shell
 * of an interactive step; but it stays in the environment of what mpirun starts over srun
 * on other nodes, so it is asked after the launchers. PMIX_RANK has no size with it. Open
 * MPI talks PMIx: what srun starts with PMI-2 or with nothing would abort in MPI_Init. */
#include "proto/wire.h"

#include <limits.h>
#include <stdlib.h>

#include "proto/wire_launch.h"

/* A positive number in the environment; 0 when there is none. */
static int read_count(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    if (!text || *text < '0' || *text > '9')
        return 0;
    long v = strtol(text, &end, 10);
    return *end == '\0' && v > 0 && v <= INT_MAX ? (int)v : 0;
}

struct wire_launch wire_launch_detect(void)
{
    /* A size counts only together with the variable that makes this process one of many. */
    bool pmix = getenv("PMIX_RANK") && getenv("PMIX_NAMESPACE");
    const struct {
        const char *size, *rank;
        bool managed;
    } sources[] = {
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", true},
        {"PMI_SIZE", "PMI_RANK", pmix || !getenv("SLURM_STEP_NUM_TASKS")},
        {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", pmix},
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        int ranks = read_count(sources[i].size);
        if (ranks > 0 && getenv(sources[i].rank))
            return (struct wire_launch){.ranks = ranks,
                                        .variable = sources[i].size,
                                        .managed = sources[i].managed};
    }
    if (pmix)
        return (struct wire_launch){.variable = "PMIX_RANK", .managed = true};
    return (struct wire_launch){.ranks = 1};
}

bool wire_mpi_launched(void)
{
    return wire_launch_detect().ranks != 1;
}
