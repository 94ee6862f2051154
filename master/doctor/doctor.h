/* SPDX-License-Identifier: Apache-2.0 */
/* Is this place fit for a run? One table of checks, each a small function that looks at
 * one thing and says what it found and, where that is not good, what to do about it.
 *
 * Checks only look: what they write they remove, and every program they start is killed
 * when it takes too long, so that all together stay below a minute. */
#ifndef ARCHWAY_MASTER_DOCTOR_DOCTOR_H
#define ARCHWAY_MASTER_DOCTOR_DOCTOR_H

#include <jansson.h>

#include "common/config.h"
#include "common/text.h"
#include "master/services.h"

enum doctor_verdict {
    DOCTOR_OK,
    DOCTOR_SKIPPED, /* does not apply here, e.g. no SLURM */
    DOCTOR_WARNING, /* a run will work, but not as well as it could */
    DOCTOR_PROBLEM  /* a run will fail */
};

struct doctor_finding {
    enum doctor_verdict verdict;
    char text[512];   /* what was found, half a sentence */
    char advice[512]; /* what to do; "" with OK and SKIPPED */
    double seconds;   /* the check took */
};

struct doctor_setup {            /* all borrowed */
    const struct config *config; /* the defaults where none is given */
    bool has_config;
    const struct services *services;
    const char *folder;  /* that exists, on the file system of the run */
    const char *program; /* this program, for mpirun */
    const struct clock *clock;
};

struct doctor_check {
    const char *name; /* "file locks" */
    void (*look)(const struct doctor_setup *setup, struct doctor_finding *ret);
};

extern const struct doctor_check doctor_checks[]; /* ends with name == NULL */

/* Fill a finding; `advice` NULL: none. */
void doctor_say(struct doctor_finding *f, enum doctor_verdict verdict, const char *advice,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Run every check in order; `ret` has room for doctor_count() findings. Blocking, below a
 * minute. */
void doctor_run(const struct doctor_setup *setup, struct doctor_finding *ret);
int doctor_count(void);
enum doctor_verdict doctor_worst(const struct doctor_finding *findings);
/* One line a check, with a second one for what to do. */
void doctor_format(const struct doctor_finding *findings, struct text *out);
json_t *doctor_json(const struct doctor_finding *findings); /* new; NULL: no memory */

/* The checks, by what they look at. */
void doctor_mpirun(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_ranks(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_cores(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_locks(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_writes(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_room(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_slurm(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_job_end(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_data(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_trainer(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_devices(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_snapshot(const struct doctor_setup *s, struct doctor_finding *ret);
void doctor_start(const struct doctor_setup *s, struct doctor_finding *ret);

#endif
