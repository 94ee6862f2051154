/* SPDX-License-Identifier: Apache-2.0 */
/* The data and the trainer, as a worker would find them, and how long a start takes. */
#include "master/doctor/doctor.h"

#include <math.h>
#include <stdio.h>

#include "master/probe.h"

static const double patience = 30;  /* seconds for a trainer to get ready */
static const double slow_start = 1; /* seconds for a program that does nothing */

void doctor_data(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct data_facts f = {0};
    struct error err = {0};
    if (!s->has_config)
        doctor_say(ret, DOCTOR_SKIPPED, NULL, "no configuration is given");
    else if (s->services->inspect(s->config, &f, &err) != 0)
        doctor_say(ret, DOCTOR_PROBLEM, "see archway check", "%.480s", err.text);
    else if (f.height == 0)
        doctor_say(ret, DOCTOR_OK, NULL, "read by the external trainer, unknown here");
    else
        doctor_say(ret, DOCTOR_OK, NULL, "%d images to train on, %d for validation",
                   f.train, f.validation);
}

void doctor_trainer(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct services_trainer found;
    struct error err = {0};
    if (s->services->try_trainer(s->config, patience, &found, &err) != 0)
        doctor_say(
            ret, DOCTOR_PROBLEM,
            s->config->trainer.command_count
                ? "start it by hand; what it must say is in docs/trainer-protocol.md"
                : "is archway-trainer beside archway (or ARCHWAY_TRAINER set)?",
            "%.480s", err.text);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "%.255s is ready in %.1f s%s%s",
                   found.name[0] ? found.name : "a trainer without a name", found.seconds,
                   found.kernels[0] ? ", kernels " : "", found.kernels);
}

void doctor_start(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct probe p;
    double best = INFINITY;
    for (int i = 0; i < 3; i++) {
        double started = clock_now(s->clock);
        probe_run((const char *const[]){s->program, "--version", NULL}, 10, &p);
        double seconds = clock_now(s->clock) - started;
        if (p.exit_status != 0) {
            doctor_say(ret, DOCTOR_PROBLEM, "its libraries: ldd archway",
                       "%.300s --version ends with status %d", s->program, p.exit_status);
            return;
        }
        best = seconds < best ? seconds : best;
    }
    bool late = best > slow_start;
    doctor_say(ret, late ? DOCTOR_WARNING : DOCTOR_OK,
               late ? "a slow file system: put the program on a local or faster one"
                    : NULL,
               "the program starts in %.0f ms", 1e3 * best);
}
