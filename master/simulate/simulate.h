/* SPDX-License-Identifier: Apache-2.0 */
/* A whole run in virtual time: the session, dispatcher, engine, ledger and journal of
 * every search, on a simulated wire with simulated agents. The run's folder is an
 * ordinary one. */
#ifndef ARCHWAY_MASTER_SIMULATE_SIMULATE_H
#define ARCHWAY_MASTER_SIMULATE_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/error.h"
#include "master/simulate/cohort.h"

struct simulate_setup {          /* all borrowed */
    const struct config *config; /* run.slots and oversubscription count as 1 and false */
    const struct model *model;
    const struct faults *faults;
    int workers;
    uint64_t seed;
    const struct data_facts *facts; /* what the master knows of the data; NULL: nothing */
    const char
        *dir;      /* to be made; the caller removes it; NULL: a temporary one, removed */
    bool resume;   /* go on with the run in dir, as a later session */
    double starts; /* Unix time at which the session opens; 0: 1e9 */
};

struct simulate_figures { /* of all sessions of the run so far */
    int workers;
    bool finished;                /* all trials done, or a budget used up */
    char reason[ERROR_TEXT_SIZE]; /* why the run failed; "" when it did not */
    double seconds;               /* virtual, from the start to the end */
    double busy,
        useful;  /* shares of slot time: with a trial; with one that gave a result */
    double tail; /* seconds from the last first attempt to the end */
    double stale_mean, stale_p95; /* trials proposed, but not told, at a proposal */
    uint64_t trials, done, failed, saved;
    double core_hours; /* GPU-hours with devices: trained, failed and lost */
    struct cohort_counts counts;
    double cpu;  /* seconds of processor that the master took, the journal's thread
                    included */
    double real; /* seconds of real time, simulated agents included */
    uint64_t events;
    double
        memory; /* bytes: most that this process ever held, simulated agents included */
};

/* Blocking. A run that ends as failed by design (all ranks lost, ...) is a result. */
int simulate_run(const struct simulate_setup *setup, struct simulate_figures *ret,
                 struct error *err);
/* Share of one core that the master needs. */
double simulate_load(const struct simulate_figures *f);

/* Fill what the record of a run knows: seconds, tail, staleness, trials, hours. */
int simulate_measure(const char *dir, struct simulate_figures *f, struct error *err);
/* A folder of one's own, in memory where the machine has such; caller frees and removes.
 */
char *simulate_folder(struct error *err);
void simulate_remove(const char *path);

#endif
