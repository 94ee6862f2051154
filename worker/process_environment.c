/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a trainer. Two things go wrong when a rank's own environment is
 * handed on: numerical libraries start a thread per core of the machine in every slot,
 * and a trainer that imports an MPI library, or a framework that looks for SLURM,
 * believes to be rank N of this job and hangs. Tables say what is dropped and what is
 * set. */
#include "worker/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names that begin so are dropped ... */
static const char *const dropped_prefixes[] = {
    "OMPI_",   "PMIX_",        "PMI_",  "PMI2_",     "PRTE_",
    "ORTE_",   "HYDRA_",       "HYDI_", "MPI_LOCAL", "MV2_COMM_WORLD_",
    "MPIRUN_", "I_MPI_HYDRA_", NULL};
/* ... but for these, which say how to start and not who one is. */
static const char *const kept[] = {"OMPI_ALLOW_RUN_AS_ROOT",
                                   "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", NULL};
static const char *const dropped[] = {"SLURM_NTASKS",
                                      "SLURM_NPROCS",
                                      "SLURM_PROCID",
                                      "SLURM_LOCALID", /* one of N tasks */
                                      "GOMP_CPU_AFFINITY",
                                      "KMP_AFFINITY",
                                      "OMP_PLACES",
                                      "OMP_PROC_BIND", /* of the rank */
                                      "CUDA_VISIBLE_DEVICES",
                                      "ROCR_VISIBLE_DEVICES",
                                      "HIP_VISIBLE_DEVICES",
                                      "GPU_DEVICE_ORDINAL",
                                      NULL};
static const char *const thread_counts[] = {"OMP_NUM_THREADS",
                                            "OPENBLAS_NUM_THREADS",
                                            "GOTO_NUM_THREADS",
                                            "MKL_NUM_THREADS",
                                            "BLIS_NUM_THREADS",
                                            "NUMEXPR_NUM_THREADS",
                                            "NUMBA_NUM_THREADS",
                                            "VECLIB_MAXIMUM_THREADS",
                                            "TF_NUM_INTRAOP_THREADS",
                                            "RAYON_NUM_THREADS",
                                            NULL};

static bool in_table(const char *const *table, const char *variable)
{
    size_t length = strcspn(variable, "=");
    for (; *table; table++)
        if (strlen(*table) == length && memcmp(*table, variable, length) == 0)
            return true;
    return false;
}

static bool is_dropped(const char *variable)
{
    if (in_table(kept, variable))
        return false;
    if (in_table(dropped, variable) || in_table(thread_counts, variable))
        return true;
    for (const char *const *prefix = dropped_prefixes; *prefix; prefix++)
        if (strncmp(variable, *prefix, strlen(*prefix)) == 0)
            return true;
    return false;
}

static bool same_name(const char *a, const char *b)
{
    size_t length = a ? strcspn(a, "=") + 1 : 0;
    return a && strncmp(a, b, length) == 0;
}

static bool append(char **list, size_t *count, const char *name, const char *value)
{
    int n = value ? asprintf(&list[*count], "%s=%s", name, value)
                  : asprintf(&list[*count], "%s", name);
    if (n < 0) {
        list[*count] = NULL;
        return false;
    }
    (*count)++;
    return true;
}

/* AMD's runtime obeys both variables, one after the other, so only its own may be set. */
static bool append_devices(char **list, size_t *count, const struct process_settings *s)
{
    if (!s->rocm)
        return append(list, count, "CUDA_VISIBLE_DEVICES", s->devices) &&
               append(list, count, "ROCR_VISIBLE_DEVICES", s->devices);
    if (!s->devices[0])
        return append(list, count, "HIP_VISIBLE_DEVICES", "-1");
    return append(list, count, "ROCR_VISIBLE_DEVICES", s->devices);
}

char **process_environment(const char *const *base,
                           const struct process_settings *settings)
{
    size_t count = 0, limit = sizeof thread_counts / sizeof *thread_counts + 5;
    char threads[16];
    bool ok = true;
    for (size_t i = 0; base[i]; i++)
        limit++;
    char **list = calloc(limit, sizeof *list);
    if (!list)
        return NULL;
    if (settings->mark)
        ok = append(list, &count, settings->mark, NULL);
    for (size_t i = 0; base[i] && ok; i++)
        if (!is_dropped(base[i]) && !same_name(settings->mark, base[i]))
            ok = append(list, &count, base[i], NULL);
    snprintf(threads, sizeof threads, "%d", settings->threads);
    for (const char *const *name = thread_counts; *name && ok; name++)
        ok = append(list, &count, *name, threads);
    if (ok && append_devices(list, &count, settings))
        return list;
    process_environment_free(list);
    return NULL;
}

void process_environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}
