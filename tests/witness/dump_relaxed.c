/* SPDX-License-Identifier: Apache-2.0 */
/* Lets an outside witness see a relaxed recurrent model from inside; see dump.h. Writes
 * also unrolled.f32: the second-order gradient of alpha, training on the first window,
 * validating on the second, both from the first state. Prints where the matrices stand,
 * and the validation loss of the unrolled step. */
#include <stdlib.h>
#include <string.h>

#include "common/nn/relaxed.h"
#include "common/nn/relaxed_step.h"
#include "dump.h"

static struct relaxed_options options;
static struct relaxed_unrolled unrolled;

static int read_own(const json_t *json, struct error *err)
{
    struct recurrent_descent *d = &unrolled.descent;
    if (json_unpack((json_t *)json, "{s:i, s:F, s:F, s:F, s:F}", "nodes", &options.nodes,
                    "eta", &d->lr, "clip", &d->clip, "decay", &d->decay, "radius",
                    &unrolled.radius))
        return error_set(err, ERROR_INPUT, "the specification lacks a field");
    return 0;
}

static int open_model(const json_t *json, struct dump *d, struct error *err)
{
    const struct dump_spec *s = &d->spec;
    struct relaxed *model = NULL;
    options = (struct relaxed_options){.vocabulary = s->vocabulary,
                                       .hidden = s->hidden,
                                       .steps = s->steps,
                                       .batch = s->batch,
                                       .norm = s->norm,
                                       .unrolled = true,
                                       .threads = s->threads,
                                       .kernels = s->kernels};
    int status = read_own(json, err);
    if (!status && s->windows < 2)
        status = error_set(err, ERROR_INPUT, "windows: %d, at least 2", s->windows);
    if (!status)
        status = relaxed_new(&options, &model, err);
    if (status)
        return status;
    d->model = model;
    d->weight_count = relaxed_count(model);
    d->alpha_count = relaxed_edges(options.nodes) * RELAXED_OPERATIONS;
    d->state_count = (size_t)s->batch * (size_t)s->hidden;
    return 0;
}

static void close_model(struct dump *d)
{
    relaxed_free(d->model);
}

static double loss(struct dump *d, const struct recurrent_window *w)
{
    return relaxed_loss(d->model, d->weights, d->alpha, w);
}

static double gradient(struct dump *d, const struct recurrent_window *w, float *ret,
                       float *alpha)
{
    return relaxed_gradient(d->model, d->weights, d->alpha, w, 1, ret, alpha);
}

/* The validation loss; the states stay. */
static double unroll(struct dump *d, float *ret)
{
    struct recurrent_window train = dump_window(d, 0, d->state);
    struct recurrent_window valid = dump_window(d, 1, d->states);
    memcpy(d->states, d->state, d->state_count * sizeof *d->states);
    return relaxed_step_unrolled(d->model, d->weights, d->alpha, &unrolled, &train,
                                 &valid, ret);
}

static int describe(struct dump *d, const char *folder, json_t *out, struct error *err)
{
    float *ahead = calloc(d->alpha_count, sizeof *ahead);
    json_t *matrices = json_array();
    int status = ahead ? 0 : error_set(err, ERROR_SYSTEM, "no memory");
    for (int j = -1; j <= options.nodes; j++)
        json_array_append_new(matrices,
                              json_integer((json_int_t)relaxed_matrix(d->model, j)));
    json_object_set_new(out, "matrices", matrices);
    if (!status) {
        json_object_set_new(out, "ahead", json_real(unroll(d, ahead)));
        status = dump_write(folder, "unrolled.f32", ahead, d->alpha_count, err);
    }
    free(ahead);
    return status;
}

int main(int argc, char **argv)
{
    static const struct dump_model model = {.name = "dump-relaxed",
                                            .open = open_model,
                                            .close = close_model,
                                            .loss = loss,
                                            .gradient = gradient,
                                            .describe = describe};
    return dump_main(argc, argv, &model);
}
