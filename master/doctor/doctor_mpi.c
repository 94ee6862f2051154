/* SPDX-License-Identifier: Apache-2.0 */
/* Does MPI start, and with how many cores? Two ranks of this very program say hello to
 * each other under mpirun (cli/command_doctor.c is their side): what fails for them would
 * fail for a search. What mpirun complains about is matched by its words, to say what
 * helps. */
#include "master/doctor/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/doctor/doctor_ranks.h"
#include "master/placement.h"
#include "master/probe.h"

static const double patience = 20; /* seconds for two ranks to start and end */

void doctor_mpirun(const struct doctor_setup *s, struct doctor_finding *ret)
{
    char path[1024], line[256];
    struct probe p;
    if (!probe_find("mpirun", path, sizeof path)) {
        doctor_say(
            ret, DOCTOR_PROBLEM,
            "install Open MPI or load its module (`module load openmpi`); without it a "
            "search runs on this machine only",
            "no mpirun in PATH");
        return;
    }
    probe_run((const char *const[]){path, "--version", NULL}, 10, &p);
    probe_first_line(&p, line, sizeof line);
    if (p.exit_status != 0)
        doctor_say(ret, DOCTOR_PROBLEM, "its installation is broken: try it by hand",
                   "%.300s --version ends with status %d", path, p.exit_status);
    else if (!strstr(p.output, "Open MPI"))
        doctor_say(ret, DOCTOR_WARNING,
                   "archway is built with Open MPI and can only be started by its mpirun",
                   "%.200s is of another kind: %.200s", path, line);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "%.200s, %.200s", path, line);
}

/* What mpirun says, and what helps. */
static const struct {
    const char *words, *advice;
} complaints[] = {
    {"run as root",
     "as root, export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"},
    {"not enough slots", "fewer cores than ranks: add `mpirun --oversubscribe`, or ask "
                         "the scheduler for more"},
    {"single_copy", "export OMPI_MCA_btl_vader_single_copy_mechanism=none"},
    {"ORTE_ERROR", "Open MPI's own files: is TMPDIR writable, and its path short?"},
};

static void explain_failure(const struct probe *p, struct doctor_finding *ret)
{
    char line[256];
    probe_first_line(p, line, sizeof line);
    for (unsigned i = 0; i < sizeof complaints / sizeof *complaints; i++) {
        if (strstr(p->output, complaints[i].words)) {
            doctor_say(ret, DOCTOR_PROBLEM, complaints[i].advice,
                       "mpirun does not start two ranks: %.250s", line);
            return;
        }
    }
    if (p->timed_out)
        doctor_say(
            ret, DOCTOR_PROBLEM,
            "see what hangs: mpirun -n 2 hostname; often the network between ranks",
            "two ranks were not done within %.0f s", patience);
    else
        doctor_say(ret, DOCTOR_PROBLEM, "try it by hand: mpirun -n 2 archway doctor",
                   "two ranks under mpirun end with status %d: %.250s", p->exit_status,
                   line);
}

static void judge_ranks(const struct probe *p, const char *option, double seconds,
                        struct doctor_finding *ret)
{
    const char *said = strstr(p->output, DOCTOR_RANKS_WORKER);
    int mine = 0, all = 0;
    if (!said || sscanf(said, DOCTOR_RANKS_WORKER "%d of %d", &mine, &all) != 2)
        explain_failure(p, ret);
    else if (option[0])
        doctor_say(ret, DOCTOR_WARNING,
                   "more ranks than slots here: start with mpirun --oversubscribe",
                   "two ranks talk in %.1f s, but only with --oversubscribe", seconds);
    else if (mine < all)
        doctor_say(ret, DOCTOR_WARNING,
                   "ranks are bound to less than their node: give each its cores, mpirun "
                   "--map-by slot:PE=N, or --bind-to none",
                   "two ranks talk in %.1f s; a rank gets %d of %d cores", seconds, mine,
                   all);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "two ranks talk in %.1f s; a rank gets %d cores",
                   seconds, mine);
}

void doctor_ranks(const struct doctor_setup *s, struct doctor_finding *ret)
{
    char path[1024];
    struct probe p;
    double started = clock_now(s->clock);
    if (!probe_find("mpirun", path, sizeof path)) {
        doctor_say(ret, DOCTOR_SKIPPED, NULL, "there is no mpirun");
        return;
    }
    const char *plain[] = {path, "-n", "2", s->program, "doctor", NULL};
    const char *crowded[] = {path,       "--oversubscribe", "-n", "2",
                             s->program, "doctor",          NULL};
    probe_run(plain, patience, &p);
    bool again = p.exit_status != 0 && strstr(p.output, "not enough slots");
    if (again) {
        started = clock_now(s->clock);
        probe_run(crowded, patience, &p);
    }
    double seconds = clock_now(s->clock) - started;
    if (p.exit_status != 0)
        explain_failure(&p, ret);
    else
        judge_ranks(&p, again ? "--oversubscribe" : "", seconds, ret);
}
