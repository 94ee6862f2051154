/* SPDX-License-Identifier: Apache-2.0 */
/* Detection of what this process may use. hwloc knows which logical processors share a
 * core and a NUMA node; only one processor of a core is counted, since two trainers on
 * the two threads of a core mostly steal from each other. The quota of containers and
 * batch systems is not in the topology, so control groups are read as well
 * (machine_limits.c). */
#include "worker/machine.h"

#include <fcntl.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/cpu_list.h"

/* The first processor of every core that meets `allowed`. */
static void pick_cores(hwloc_topology_t topology, hwloc_const_cpuset_t allowed,
                       struct cpu_list *ret)
{
    hwloc_obj_t core = NULL;
    bool any = false;
    memset(ret, 0, sizeof *ret);
    while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core))) {
        int cpu = hwloc_bitmap_next(core->cpuset, -1);
        while (cpu >= 0 && !hwloc_bitmap_isset(allowed, (unsigned)cpu))
            cpu = hwloc_bitmap_next(core->cpuset, cpu);
        if (cpu >= 0)
            any = true;
        cpu_list_add(ret, cpu);
    }
    if (any)
        return;
    /* Some virtual machines describe no cores. */
    for (int cpu = hwloc_bitmap_first(allowed); cpu >= 0 && cpu < CPU_LIST_MAX;
         cpu = hwloc_bitmap_next(allowed, cpu))
        cpu_list_add(ret, cpu);
}

/* "0:0-3;1:8": the picked cores of every NUMA node that has some. */
static void describe_numa(hwloc_topology_t topology, const struct cpu_list *cpus,
                          char *text, size_t size)
{
    hwloc_obj_t node = NULL;
    size_t used = 0;
    text[0] = '\0';
    while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node))) {
        struct cpu_list here;
        char list[4096];
        memset(&here, 0, sizeof here);
        for (int cpu = hwloc_bitmap_first(node->cpuset); cpu >= 0 && cpu < CPU_LIST_MAX;
             cpu = hwloc_bitmap_next(node->cpuset, cpu))
            if (cpu_list_has(cpus, cpu))
                cpu_list_add(&here, cpu);
        if (!cpu_list_count(&here) || !cpu_list_format(&here, list, sizeof list))
            continue;
        int n = snprintf(text + used, size - used, "%s%u:%s", used ? ";" : "",
                         node->os_index, list);
        if (n < 0 || used + (size_t)n >= size) {
            text[used] = '\0';
            return;
        }
        used += (size_t)n;
    }
}

static int detect_topology(struct machine *m, struct error *err)
{
    hwloc_topology_t topology = NULL;
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
    struct cpu_list cpus;
    int status = 0;

    if (!allowed || hwloc_topology_init(&topology) || hwloc_topology_load(topology)) {
        status =
            error_set(err, ERROR_SYSTEM, "hwloc cannot read this machine's topology");
        goto out;
    }
    if (hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_THREAD) ||
        hwloc_bitmap_iszero(allowed))
        hwloc_bitmap_copy(allowed, hwloc_topology_get_allowed_cpuset(topology));
    pick_cores(topology, allowed, &cpus);
    m->cpu_count = cpu_list_count(&cpus);
    if (!m->cpu_count || !cpu_list_format(&cpus, m->cpus, sizeof m->cpus)) {
        status = error_set(err, ERROR_SYSTEM, "no usable core was found on this machine");
        goto out;
    }
    describe_numa(topology, &cpus, m->numa, sizeof m->numa);
out:
    if (topology)
        hwloc_topology_destroy(topology);
    hwloc_bitmap_free(allowed);
    return status;
}

static void detect_limits(struct machine *m)
{
    struct machine_limits limits = {0};
    char membership[16384];
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, membership, sizeof membership - 1);
        close(fd);
        membership[n > 0 ? n : 0] = '\0';
        limits = machine_read_limits("/sys/fs/cgroup", membership);
    }

    m->cpu_limit = m->cpu_count;
    if (limits.cpus > 0 && limits.cpus < m->cpu_count) {
        m->cpu_limit = (int)limits.cpus;
        m->cpu_limit += m->cpu_limit < limits.cpus; /* half a core still is one */
    }
    m->memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    if (limits.memory > 0 && limits.memory < m->memory)
        m->memory = limits.memory;
}

static const char *first_set(const char *name, const char *other)
{
    const char *value = getenv(name);
    return value ? value : getenv(other);
}

int machine_detect(struct machine *ret, struct error *err)
{
    struct machine m;
    memset(&m, 0, sizeof m);
    if (gethostname(m.host, sizeof m.host - 1))
        snprintf(m.host, sizeof m.host, "localhost");
    int status = detect_topology(&m, err);
    if (status)
        return status;
    detect_limits(&m);
    struct machine_gpu_sources sources = {
        .cuda = getenv("CUDA_VISIBLE_DEVICES"),
        .rocr = getenv("ROCR_VISIBLE_DEVICES"),
        .hip = getenv("HIP_VISIBLE_DEVICES"),
        .slurm = first_set("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"),
        .devices = "/dev",
    };
    machine_find_gpus(&sources, m.gpus, sizeof m.gpus, &m.rocm);
    *ret = m;
    return 0;
}
