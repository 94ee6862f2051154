/* SPDX-License-Identifier: Apache-2.0 */
/* The table of checks, and their findings as text and JSON. The order is that in which a
 * run would stumble: start, cores, files, scheduler, trainer. */
#include "master/doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct doctor_check doctor_checks[] = {{"mpirun", doctor_mpirun},
                                             {"ranks", doctor_ranks},
                                             {"cores", doctor_cores},
                                             {"file locks", doctor_locks},
                                             {"durable writes", doctor_writes},
                                             {"room on disk", doctor_room},
                                             {"snapshots", doctor_snapshot},
                                             {"SLURM", doctor_slurm},
                                             {"end of the job", doctor_job_end},
                                             {"data", doctor_data},
                                             {"trainer", doctor_trainer},
                                             {"devices", doctor_devices},
                                             {"time to start", doctor_start},
                                             {0}};

static const char *const verdict_names[] = {"ok", "skipped", "warning", "PROBLEM"};
static const char *const verdict_codes[] = {"ok", "skipped", "warning", "problem"};

void doctor_say(struct doctor_finding *f, enum doctor_verdict verdict, const char *advice,
                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
    snprintf(f->advice, sizeof f->advice, "%s", advice ? advice : "");
    f->verdict = verdict;
}

int doctor_count(void)
{
    int count = 0;
    while (doctor_checks[count].name)
        count++;
    return count;
}

void doctor_run(const struct doctor_setup *setup, struct doctor_finding *ret)
{
    for (int i = 0; doctor_checks[i].name; i++) {
        double started = clock_now(setup->clock);
        ret[i] = (struct doctor_finding){0};
        doctor_checks[i].look(setup, &ret[i]);
        ret[i].seconds = clock_now(setup->clock) - started;
    }
}

enum doctor_verdict doctor_worst(const struct doctor_finding *findings)
{
    enum doctor_verdict worst = DOCTOR_OK;
    for (int i = 0; i < doctor_count(); i++)
        if (findings[i].verdict > worst)
            worst = findings[i].verdict;
    return worst;
}

void doctor_format(const struct doctor_finding *findings, struct text *out)
{
    int counts[DOCTOR_PROBLEM + 1] = {0};
    for (int i = 0; i < doctor_count(); i++) {
        const struct doctor_finding *f = &findings[i];
        counts[f->verdict]++;
        text_append(out, "%-8s %-15s %s\n", verdict_names[f->verdict],
                    doctor_checks[i].name, f->text);
        if (f->advice[0])
            text_append(out, "%-8s %-15s -> %s\n", "", "", f->advice);
    }
    text_append(out, "%d problem%s, %d warning%s\n", counts[DOCTOR_PROBLEM],
                counts[DOCTOR_PROBLEM] == 1 ? "" : "s", counts[DOCTOR_WARNING],
                counts[DOCTOR_WARNING] == 1 ? "" : "s");
}

json_t *doctor_json(const struct doctor_finding *findings)
{
    json_t *checks = json_array();
    for (int i = 0; i < doctor_count(); i++) {
        const struct doctor_finding *f = &findings[i];
        json_t *one =
            json_pack("{s:s, s:s, s:s, s:s, s:f}", "check", doctor_checks[i].name,
                      "verdict", verdict_codes[f->verdict], "text", f->text, "advice",
                      f->advice, "seconds", f->seconds);
        if (json_array_append_new(checks, one) != 0) {
            json_decref(checks);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o}", "verdict", verdict_codes[doctor_worst(findings)],
                     "checks", checks);
}
