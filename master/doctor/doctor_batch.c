/* SPDX-License-Identifier: Apache-2.0 */
/* The batch system: does SLURM answer, are we in one of its jobs, and when does that end?
 */
#include "master/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "master/job_end.h"
#include "master/probe.h"

static const double patience = 8; /* seconds for an answer */
static const double short_job = 600;

static void describe_job(const char *job, struct doctor_finding *ret)
{
    struct probe p;
    probe_run((const char *const[]){"scontrol", "show", "job", job, NULL}, patience, &p);
    if (!p.started || p.exit_status != 0)
        doctor_say(
            ret, DOCTOR_WARNING,
            "the job cannot queue itself again; ask the site about scontrol on nodes",
            "inside job %.50s, which scontrol does not know", job);
    else if (strstr(p.output, "Requeue=0"))
        doctor_say(ret, DOCTOR_WARNING, "submit with --requeue (archway slurm does)",
                   "inside job %.50s, which may not be queued again", job);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "inside job %.50s, which can be queued again",
                   job);
}

void doctor_slurm(const struct doctor_setup *s, struct doctor_finding *ret)
{
    const char *job = getenv("SLURM_JOB_ID");
    char path[1024], line[256];
    struct probe p;
    bool inside = job && *job;
    if (!probe_find("scontrol", path, sizeof path) ||
        !probe_find("sinfo", path, sizeof path)) {
        if (inside)
            doctor_say(
                ret, DOCTOR_WARNING,
                "put SLURM's commands in PATH: without them a job cannot queue itself "
                "again",
                "inside job %.50s, but there is no scontrol or sinfo in PATH", job);
        else
            doctor_say(ret, DOCTOR_SKIPPED, NULL, "not installed here");
        return;
    }
    probe_run((const char *const[]){"scontrol", "ping", NULL}, patience, &p);
    probe_first_line(&p, line, sizeof line);
    if (p.exit_status != 0 || p.timed_out || !strstr(p.output, "UP"))
        doctor_say(
            ret, inside ? DOCTOR_PROBLEM : DOCTOR_WARNING,
            "no job can be submitted from here; is this a login node of the cluster?",
            "its commands are here, but its controller does not answer: %.200s", line);
    else if (inside)
        describe_job(job, ret);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "%.200s; not inside a job", line);
}

void doctor_job_end(const struct doctor_setup *s, struct doctor_finding *ret)
{
    const char *source = NULL, *job = getenv("SLURM_JOB_ID");
    double left = 0;
    char time[32];
    bool known = job_end_find(clock_wall(s->clock), &left, &source);
    text_format_duration(left, time, sizeof time);
    if (known && left < short_job)
        doctor_say(ret, DOCTOR_WARNING,
                   "ask for more time: trials that do not end in it are "
                   "trained again",
                   "only %s are left (%s)", left > 0 ? time : "0s", source);
    else if (known)
        doctor_say(ret, DOCTOR_OK, NULL, "in %s (%s); the run stops in order before",
                   time, source);
    else if (job && *job && s->config->run.time_limit <= 0)
        doctor_say(ret, DOCTOR_WARNING, "give archway search --time-limit",
                   "nobody tells when job %.50s ends", job);
    else
        doctor_say(ret, DOCTOR_SKIPPED, NULL, "not inside a job");
}
