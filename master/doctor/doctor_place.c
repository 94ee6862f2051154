/* SPDX-License-Identifier: Apache-2.0 */
/* What trainers would get on this machine: cores and devices, by the placement that a
 * search makes of the very same facts. */
#include "master/doctor/doctor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/doctor/doctor_ranks.h"
#include "master/placement.h"

struct place {
    struct message_hello hello;
    struct placement placement;
};

static int make_place(const struct doctor_setup *s, struct place *ret, struct error *err)
{
    struct placement_worker worker = {.rank = 1, .hello = &ret->hello};
    ret->placement = (struct placement){0};
    int status = doctor_own_hello(s->services, &ret->hello, err);
    return status == 0 ? placement_make(s->config, &worker, 1, &ret->placement, err)
                       : status;
}

void doctor_cores(const struct doctor_setup *s, struct doctor_finding *ret)
{
    static const char advice[] = "a smaller run.slots or resources.threads_per_trial, or "
                                 "more cores of the launcher";
    struct error err = {0};
    struct place p;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (make_place(s, &p, &err) != 0) {
        doctor_say(ret, DOCTOR_PROBLEM, advice, "%.480s", err.text);
        return;
    }
    int count = p.placement.count, threads = s->config->resources.threads_per_trial;
    if (p.hello.cpu_limit < count * threads)
        doctor_say(ret, DOCTOR_WARNING,
                   "trials will be slowed down: fewer slots, or a larger quota",
                   "%d slots of %d threads, but a quota of %d cores (cgroup)", count,
                   threads, p.hello.cpu_limit);
    else if (count * threads > online)
        doctor_say(
            ret, DOCTOR_WARNING,
            "trials will be slowed down: set resources.oversubscribe: false, or fewer "
            "slots",
            "%d slots of %d threads on %ld processors", count, threads, online);
    else
        doctor_say(
            ret, DOCTOR_OK, NULL,
            "usable %s of %ld processors, at most %d cores by quota: %d slot%s of %d "
            "thread%s",
            p.hello.cpus, online, p.hello.cpu_limit, count, count == 1 ? "" : "s",
            threads, threads == 1 ? "" : "s");
    placement_fini(&p.placement);
}

static void list_devices(const struct placement *p, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    for (int i = 0; i < p->count && used + 1 < size; i++) {
        int n = snprintf(ret + used, size - used, "%sslot %d: %s", i ? "; " : "",
                         p->slots[i].slot, p->slots[i].where.devices);
        used += n > 0 ? (size_t)n : 0;
    }
}

void doctor_devices(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct error err = {0};
    struct place p;
    char list[400];
    int wanted = s->config->resources.gpus_per_trial;
    int status = make_place(s, &p, &err);
    if (status != 0 && wanted > 0) {
        doctor_say(
            ret, DOCTOR_PROBLEM,
            "is CUDA_VISIBLE_DEVICES (ROCR_VISIBLE_DEVICES) set as it should be, and "
            "did the job ask for devices (--gpus-per-node)?",
            "%.480s", err.text);
    } else if (status != 0) {
        doctor_say(ret, DOCTOR_SKIPPED, NULL, "no slot, see cores");
    } else if (wanted > 0) {
        list_devices(&p.placement, list, sizeof list);
        doctor_say(ret, DOCTOR_OK, NULL, "%s", list);
    } else if (p.hello.gpus[0]) {
        doctor_say(ret, DOCTOR_OK, NULL,
                   "%.300s, not used (resources.gpus_per_trial is 0)", p.hello.gpus);
    } else {
        doctor_say(ret, DOCTOR_OK, NULL, "none here, none asked for");
    }
    placement_fini(&p.placement);
}
