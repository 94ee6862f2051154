/* SPDX-License-Identifier: Apache-2.0 */
/* What simulated trials take and bring: durations from a distribution or from a run that
 * was recorded; accuracies from the record, else made up from the architecture alone, so
 * that a trial brings the same wherever and whenever it runs. */
#ifndef ARCHWAY_MASTER_SIMULATE_MODEL_H
#define ARCHWAY_MASTER_SIMULATE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"
#include "common/space/space.h"
#include "common/text.h"
#include "master/engine.h"

enum model_kind {
    MODEL_CONSTANT,    /* a: seconds */
    MODEL_LOGNORMAL,   /* a: median, b: sigma of the logarithm */
    MODEL_UNIFORM,     /* from a to b seconds */
    MODEL_EXPONENTIAL, /* a: mean */
    MODEL_FLOPS,       /* a: of the median architecture, b: sigma of the logarithm */
    MODEL_RECORDED     /* drawn from a run's trials */
};

/* One architecture of a record. */
struct model_entry {
    uint64_t key; /* of its JSON */
    double seconds, accuracy;
};

struct model {
    enum model_kind kind;
    double a, b;
    uint64_t seed;
    struct model_entry *entries; /* owned; by key; MODEL_RECORDED has at least one */
    size_t count;
    struct space *space; /* owned; of MODEL_FLOPS once it has its space, else NULL */
    struct space_task task;
    double scale; /* seconds a FLOP */
};

/* "constant:60", "lognormal:5m,0.5", "uniform:30,90", "exponential:2m", "flops:5m,0.2".
 * ERROR_USAGE telling what is allowed. Nothing to free. */
int model_parse(const char *text, struct model *ret, struct error *err);
/* What MODEL_FLOPS needs to know before it can be asked: durations are in proportion to
 * the FLOPs of a forward pass, and half of the trials of a random search (which may grow
 * deeper) take less than `a`. Without facts of the data, for data of a usual size.
 * Does nothing for other kinds. ERROR_INPUT when the space counts no FLOPs. Free with
 * model_fini. */
int model_set_space(struct model *m, const struct config *config,
                    const struct data_facts *facts, struct error *err);
/* Durations and accuracies of the trials of a run; ERROR_INPUT when none was trained.
 * Free with model_fini. */
int model_from_run(struct engine *run, struct model *ret, struct error *err);
void model_fini(struct model *m);
/* For people: "lognormal, median 1m 00s, sigma 0.5". */
void model_format(const struct model *m, struct text *out);

/* `architecture` as a task says it. */
double model_seconds(const struct model *m, uint64_t trial, const char *architecture);
double model_accuracy(const struct model *m, const char *architecture); /* in (0, 1) */

#endif
