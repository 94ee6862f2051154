/* SPDX-License-Identifier: Apache-2.0 */
/* What of this machine the launcher gave to this process: cores after affinity, the limits
 * of its control groups, NUMA nodes, accelerators. The master turns it into slots. */
#ifndef ARCHWAY_WORKER_MACHINE_H
#define ARCHWAY_WORKER_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct machine {
    char host[256];
    char cpus[4096];  /* one logical processor per usable core: "0-3,8" */
    int cpu_count;    /* how many these are */
    int cpu_limit;    /* cores' worth of time allowed by quota, rounded up, at least 1 */
    char numa[4096];  /* nodes of these cores: "0:0-3;1:8" */
    char gpus[1024];  /* devices, comma separated: indices or UUIDs; "": none */
    bool rocm;        /* they are AMD's, to be chosen with ROCR_VISIBLE_DEVICES */
    int64_t memory;   /* bytes, the smallest of installed memory and limits */
};

/* Look at the machine. Only a machine without any usable core is an error (ERROR_SYSTEM). */
int machine_detect(struct machine *ret, struct error *err);

/* The parts of it, for tests and for other places. */

struct machine_limits {
    double cpus;    /* cores' worth of time; 0: no limit */
    int64_t memory; /* bytes; 0: no limit */
};
/* Limits of control groups, v1 and v2, the tightest on the way from this process' group up
 * to the root. `mounts`: where they are mounted ("/sys/fs/cgroup"); `membership`: the text
 * of /proc/self/cgroup. Files that are missing or odd set no limit. */
struct machine_limits machine_read_limits(const char *mounts, const char *membership);
/* "200000 100000" or "max 100000" of cpu.max: cores, 0 without a limit or when odd. */
double machine_parse_cpu_max(const char *text);
/* "max" or bytes, of memory.max and memory.limit_in_bytes: 0 without a limit or when odd. */
int64_t machine_parse_memory(const char *text);

/* What environment and device folder say about accelerators. NULL: not set. */
struct machine_gpu_sources {
    const char *cuda;    /* CUDA_VISIBLE_DEVICES */
    const char *rocr;    /* ROCR_VISIBLE_DEVICES */
    const char *hip;     /* HIP_VISIBLE_DEVICES */
    const char *slurm;   /* SLURM_STEP_GPUS or SLURM_JOB_GPUS */
    const char *devices; /* "/dev" */
};
/* The first that is set decides, an empty one means none; otherwise device files are
 * counted: DEVICES/nvidia0 ..., or with DEVICES/kfd the render nodes DEVICES/dri/renderD*. */
void machine_find_gpus(const struct machine_gpu_sources *sources, char *ret_gpus,
                       size_t size, bool *ret_rocm);

#endif
