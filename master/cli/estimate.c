/* SPDX-License-Identifier: Apache-2.0 */
/* Timing every sampled architecture would take minutes; three are timed (the smallest, the
 * median and the largest by FLOPs), and the others lie on the lines between them. What a
 * search proposes later is not random any more, and duplicates cost nothing, so this is an
 * estimate of the order of size, not a promise. */
#include "master/cli/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/rng.h"

enum { SAMPLES = 199 };

struct sample {
    struct space_cost cost;
    struct architecture architecture;
};

static int compare_flops(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    return x->cost.flops < y->cost.flops ? -1 : x->cost.flops > y->cost.flops;
}

static uint64_t last_id(const struct config *config)
{
    return config->search.trials > 0 ? (uint64_t)config->search.trials - 1 : 0;
}

static void draw_samples(const struct space *space, const struct config *config,
                         const struct data_facts *facts, struct sample *samples)
{
    struct space_task task = space_task_of(config, facts);
    for (uint64_t i = 0; i < SAMPLES; i++) {
        struct rng rng;
        double share = (double)i / (SAMPLES - 1);
        uint64_t id = (uint64_t)(share * (double)last_id(config));
        rng_init(&rng, config->seed, RNG_RANDOM_ARM, i);
        space_sample(space, space_depth(space, id), &rng, &samples[i].architecture);
        samples[i].cost = space_cost(space, &samples[i].architecture, &task);
    }
    qsort(samples, SAMPLES, sizeof *samples, compare_flops);
}

/* Seconds of a trial with so many FLOPs, on the lines through the three that were timed. */
static double interpolate(const struct estimate *e, double flops)
{
    const struct estimate_child *c = e->children;
    int k = flops <= c[ESTIMATE_MEDIAN].cost.flops ? ESTIMATE_SMALL : ESTIMATE_MEDIAN;
    double width = c[k + 1].cost.flops - c[k].cost.flops;
    double share = width > 0 ? (flops - c[k].cost.flops) / width : 0;
    return c[k].seconds + share * (c[k + 1].seconds - c[k].seconds);
}

static int time_children(const struct space *space, const struct config *config,
                         const struct data_facts *facts, const struct services *services,
                         double seconds, const struct sample *samples, struct estimate *e,
                         struct error *err)
{
    static const int places[ESTIMATE_CHILDREN] = {0, SAMPLES / 2, SAMPLES - 1};
    int status = 0;
    for (int i = 0; i < ESTIMATE_CHILDREN && status == 0; i++) {
        struct estimate_child *child = &e->children[i];
        const struct sample *s = &samples[places[i]];
        *child = (struct estimate_child){s->cost, NAN, NAN};
        if (seconds <= 0)
            continue;
        json_t *json = space_to_json(space, &s->architecture);
        status = json ? services->time_child(config, facts, json, seconds, &child->seconds,
                                             &child->images_per_second, err)
                      : error_set(err, ERROR_SYSTEM, "no memory for an architecture");
        json_decref(json);
    }
    if (status != 0 || seconds <= 0)
        return status;
    e->mean_seconds = 0;
    for (int i = 0; i < SAMPLES; i++)
        e->mean_seconds += interpolate(e, samples[i].cost.flops) / SAMPLES;
    return 0;
}

int estimate_make(const struct config *config, const struct data_facts *facts,
                  const struct services *services, double seconds, struct estimate *ret,
                  struct error *err)
{
    struct estimate e = {.mean_seconds = NAN};
    struct space_task task = space_task_of(config, facts);
    struct space *space = NULL;
    struct sample *samples = calloc(SAMPLES, sizeof *samples);
    int status = samples ? space_new(config, &space, err)
                         : error_set(err, ERROR_SYSTEM, "no memory for an estimate");
    if (status == 0)
        status = services->count_cores(&e.cores, err);
    if (status == 0) {
        int fit = e.cores / config->resources.threads_per_trial;
        e.slots = config->run.slots > 0 ? config->run.slots : fit > 0 ? fit : 1;
        e.of = space_reads(space) == SPACE_INPUT_TEXT ? "a word" : "an image";
        e.has_cost = space_knows_cost(space, &task);
        snprintf(e.units, sizeof e.units, "%s", space_units(space));
        e.depth_first = space_depth(space, 0);
        e.depth_last = space_depth(space, last_id(config));
        e.log10_first = space_log10_size(space, e.depth_first);
        e.log10_last = space_log10_size(space, e.depth_last);
    }
    if (status == 0 && e.has_cost) {
        draw_samples(space, config, facts, samples);
        status = time_children(space, config, facts, services, seconds, samples, &e, err);
    }
    space_free(space);
    free(samples);
    if (status == 0)
        *ret = e;
    return status;
}

double estimate_search_seconds(const struct estimate *e, const struct config *config,
                               int slots)
{
    if (config->search.trials == 0)
        return NAN;
    return e->mean_seconds * (double)config->search.trials / slots;
}
