/* SPDX-License-Identifier: Apache-2.0 */
/* The very steps of a training, timed on one batch of random images. The rate is the
 * total of a few steps, not the best of them: it is meant for planning, and the machine's
 * other load belongs to the plan. */
#include "worker/trainer_time.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/kernel_names.h"
#include "common/rng.h"
#include "common/space/conv_chain.h"
#include "worker/child_conv.h"
#include "worker/descent.h"
#include "worker/threads.h"

struct timing {
    struct nn_graph *graph;
    struct descent descent;
    int batch;
    size_t floats; /* of a batch */
    float *images;
    uint8_t *labels;
};

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int timing_init(struct timing *t, const struct config *config,
                       const struct data_facts *facts, const struct conv_chain *chain,
                       struct error *err)
{
    struct nn_graph_options options = {
        .max_batch = smaller(config->trainer.builtin.batch,
                             facts->train > 0 ? facts->train : facts->train_images),
        .threads = config->resources.threads_per_trial,
        .memory_limit = (size_t)config->resources.memory_per_trial,
        .kernels = kernel_names_wanted(config)};
    struct nn_shape image = {facts->height, facts->width, facts->channels};
    int status = child_conv_new(chain, image, facts->classes, &options, &t->graph, err);
    if (!status)
        status = descent_init(&t->descent, t->graph, &config->trainer.builtin, err);
    if (status)
        return status;
    t->batch = options.max_batch;
    t->floats = (size_t)t->batch * (size_t)image.h * (size_t)image.w * (size_t)image.c;
    t->images = calloc(t->floats, sizeof *t->images);
    t->labels = calloc((size_t)t->batch, 1);
    if (!t->images || !t->labels)
        return error_set(err, ERROR_SYSTEM, "no memory for a batch of %d images",
                         t->batch);
    return 0;
}

static void timing_fini(struct timing *t)
{
    descent_fini(&t->descent);
    nn_graph_free(t->graph);
    free(t->images);
    free(t->labels);
}

static void fill_batch(struct timing *t, int classes)
{
    struct rng rng;
    rng_init(&rng, 0, RNG_TEST, 0);
    for (size_t i = 0; i < t->floats; i++)
        t->images[i] = 2 * rng_float(&rng) - 1;
    for (int i = 0; i < t->batch; i++)
        t->labels[i] = (uint8_t)rng_below(&rng, (uint32_t)classes);
}

/* Rate 0: the weights stay finite however long it takes, at the same cost. */
static void time_step(struct timing *t, bool training)
{
    struct nn_result result;
    if (training)
        descent_step(&t->descent, 0, t->batch, t->images, t->labels, &result);
    else
        nn_graph_forward(t->graph, t->batch, t->images, t->labels, false, &result);
}

/* Images a second of steps that take `seconds` together, after one that does not count.
 */
static double time_steps(struct timing *t, bool training, double seconds, int *ret_steps)
{
    int steps = 0;
    time_step(t, training);
    double start = clock_now(&clock_system), passed;
    do {
        time_step(t, training);
        steps++;
        passed = clock_now(&clock_system) - start;
    } while (passed < seconds || passed <= 0);
    *ret_steps = steps;
    return steps * (double)t->batch / passed;
}

static void measure(struct timing *t, const struct config *config,
                    const struct data_facts *facts, double seconds,
                    struct trainer_time *ret)
{
    int validation_steps;
    size_t moments = config->trainer.builtin.optimizer.name == OPTIMIZER_ADAM ? 2 : 1;
    size_t params = nn_graph_parameter_count(t->graph);
    ret->images_per_second = time_steps(t, true, 0.8 * seconds, &ret->steps);
    ret->validation_images_per_second =
        time_steps(t, false, 0.2 * seconds, &validation_steps);
    ret->seconds_per_trial = config->trainer.builtin.epochs *
                             (facts->train / ret->images_per_second +
                              facts->validation / ret->validation_images_per_second);
    ret->params = (double)params;
    ret->flops = nn_graph_flops(t->graph);
    ret->memory = (double)(nn_graph_memory(t->graph) +
                           (moments * params + t->floats) * sizeof(float));
    ret->batch = t->batch;
    ret->threads = config->resources.threads_per_trial;
    ret->kernels = nn_graph_kernels(t->graph);
}

int trainer_time(const struct config *config, const struct data_facts *facts,
                 const json_t *architecture, double seconds, struct trainer_time *ret,
                 struct error *err)
{
    struct timing timing = {0};
    struct trainer_time time = {0};
    struct conv_chain chain;
    int status = conv_chain_from_json(architecture, &chain, err);
    if (!status)
        status = timing_init(&timing, config, facts, &chain, err);
    if (!status) {
        threads_set(config->resources.threads_per_trial);
        nn_graph_init(timing.graph, 0);
        fill_batch(&timing, facts->classes);
        measure(&timing, config, facts, seconds, &time);
        *ret = time;
    }
    timing_fini(&timing);
    return status;
}

json_t *trainer_time_to_json(const struct trainer_time *time)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:i, s:s}",
                     "images_per_second", time->images_per_second,
                     "validation_images_per_second", time->validation_images_per_second,
                     "seconds_per_trial", time->seconds_per_trial, "params", time->params,
                     "flops", time->flops, "memory", time->memory, "batch", time->batch,
                     "threads", time->threads, "steps", time->steps, "kernels",
                     time->kernels);
}
