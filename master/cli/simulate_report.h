/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of simulations, for people and as JSON. */
#ifndef ARCHWAY_MASTER_CLI_SIMULATE_REPORT_H
#define ARCHWAY_MASTER_CLI_SIMULATE_REPORT_H

#include <jansson.h>

#include "common/text.h"
#include "master/simulate/simulate.h"

enum { SIMULATE_REPORT_PLAN = 5 };

struct simulate_report { /* borrowed */
    const struct config *config;
    const struct model *model;
    const struct faults *faults;
    const struct simulate_figures *figures;
    int count; /* more than one: a plan, workers ascending */
};

void simulate_report_format(const struct simulate_report *r, struct text *out);
json_t *simulate_report_json(const struct simulate_report *r); /* new reference */
/* Index of the best size of the job: the most workers whose time gives results to nine
 * tenths at least, under a master that half a core is enough for; -1: none. */
int simulate_report_best(const struct simulate_report *r);

#endif
