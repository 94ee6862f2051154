/* SPDX-License-Identifier: Apache-2.0 */
/* Lets an outside witness see a relaxed recurrent model from inside.
 *
 *   dump-relaxed FOLDER < SPEC.json
 *
 * Writes FOLDER/weights.f32, alpha.f32 and start.f32 (all as they are at first), text.i32
 * (windows * steps + 1, batch), unrolled.f32 (the second-order gradient of alpha,
 * training on the first window, validating on the second, both from the first state),
 * gradients.f32 and alphas.f32 (of every window) and states.f32 (after every window).
 * Prints where the matrices stand, the validation loss of the unrolled step, the loss of
 * every window, each followed by a step of plain SGD of parameters and alpha, and that of
 * the first window, without a step, when all is done. Raw little-endian numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "common/nn/relaxed.h"
#include "common/nn/relaxed_step.h"
#include "dump.h"

struct spec {
    struct relaxed_options options;
    struct relaxed_unrolled unrolled;
    int windows;
    uint64_t seed;
    double rate; /* of SGD */
};

struct run {
    const struct spec *spec;
    struct relaxed *model;
    struct dump_numbers numbers;
    float *gradients, *alphas, *states, *unrolled;
    size_t columns;
};

static int read_spec(json_t *json, struct spec *s, struct error *err)
{
    struct relaxed_options *o = &s->options;
    struct recurrent_descent *d = &s->unrolled.descent;
    int norm;
    json_int_t seed;
    if (json_unpack(json,
                    "{s:i, s:i, s:i, s:i, s:i, s:b, s:i, s:i, s:I, s:F, s?s, s:F, s:F, "
                    "s:F, s:F}",
                    "vocabulary", &o->vocabulary, "hidden", &o->hidden, "steps",
                    &o->steps, "batch", &o->batch, "nodes", &o->nodes, "norm", &norm,
                    "threads", &o->threads, "windows", &s->windows, "seed", &seed, "rate",
                    &s->rate, "kernels", &o->kernels, "eta", &d->lr, "clip", &d->clip,
                    "decay", &d->decay, "radius", &s->unrolled.radius))
        return error_set(err, ERROR_INPUT, "the specification lacks a field");
    if (s->windows < 2 || s->windows > 1000)
        return error_set(err, ERROR_INPUT, "windows: %d", s->windows);
    s->seed = (uint64_t)seed;
    o->norm = norm != 0;
    o->unrolled = true;
    return 0;
}

static struct recurrent_window window_at(const struct run *r, int i, float *state)
{
    const struct relaxed_options *o = &r->spec->options;
    const int32_t *from = r->numbers.text + (size_t)(i * o->steps) * r->columns;
    return (struct recurrent_window){.steps = o->steps,
                                     .batch = o->batch,
                                     .inputs = from,
                                     .targets = from + r->columns,
                                     .state = state};
}

/* The validation loss; the states stay. */
static double unroll(struct run *r)
{
    struct recurrent_window train = window_at(r, 0, r->numbers.state);
    struct recurrent_window valid = window_at(r, 1, r->states);
    memcpy(r->states, r->numbers.state, r->numbers.state_count * sizeof *r->states);
    return relaxed_step_unrolled(r->model, r->numbers.weights, r->numbers.alpha,
                                 &r->spec->unrolled, &train, &valid, r->unrolled);
}

static void descend(const struct run *r, float *vector, const float *gradient,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        vector[i] -= (float)r->spec->rate * gradient[i];
}

static double train(struct run *r, int i)
{
    const struct dump_numbers *n = &r->numbers;
    struct recurrent_window w = window_at(r, i, n->state);
    float *gradient = r->gradients + (size_t)i * n->weight_count;
    float *alpha = r->alphas + (size_t)i * n->alpha_count;
    double loss =
        relaxed_gradient(r->model, n->weights, n->alpha, &w, 1, gradient, alpha);
    descend(r, n->weights, gradient, n->weight_count);
    descend(r, n->alpha, alpha, n->alpha_count);
    memcpy(r->states + (size_t)i * n->state_count, n->state,
           n->state_count * sizeof *n->state);
    return loss;
}

static json_t *describe(struct run *r)
{
    json_t *losses = json_array(), *matrices = json_array();
    double unrolled = unroll(r);
    for (int i = 0; i < r->spec->windows; i++)
        json_array_append_new(losses, json_real(train(r, i)));
    struct recurrent_window first = window_at(r, 0, r->numbers.state);
    json_array_append_new(losses, json_real(relaxed_loss(r->model, r->numbers.weights,
                                                         r->numbers.alpha, &first)));
    for (int j = -1; j <= r->spec->options.nodes; j++)
        json_array_append_new(matrices,
                              json_integer((json_int_t)relaxed_matrix(r->model, j)));
    return json_pack("{s:I, s:o, s:o, s:f}", "count", (json_int_t)r->numbers.weight_count,
                     "matrices", matrices, "losses", losses, "ahead", unrolled);
}

static int write_numbers(struct run *r, const char *folder, struct error *err)
{
    const struct dump_numbers *n = &r->numbers;
    size_t windows = (size_t)r->spec->windows;
    int status = dump_write(folder, "weights.f32", n->weights, n->weight_count * 4, err);
    if (!status)
        status = dump_write(folder, "alpha.f32", n->alpha, n->alpha_count * 4, err);
    if (!status)
        status = dump_write(folder, "start.f32", n->state, n->state_count * 4, err);
    if (!status)
        status = dump_write(folder, "text.i32", n->text, n->text_count * 4, err);
    json_t *out = status ? NULL : describe(r);
    if (!status && (!out || json_dumpf(out, stdout, JSON_REAL_PRECISION(17))))
        status = error_set(err, ERROR_SYSTEM, "cannot print the losses");
    json_decref(out);
    const struct {
        const char *name;
        const float *numbers;
        size_t count;
    } results[] = {{"gradients.f32", r->gradients, windows * n->weight_count},
                   {"alphas.f32", r->alphas, windows * n->alpha_count},
                   {"unrolled.f32", r->unrolled, n->alpha_count},
                   {"states.f32", r->states, windows * n->state_count}};
    for (size_t i = 0; !status && i < sizeof results / sizeof *results; i++)
        status = dump_write(folder, results[i].name, results[i].numbers,
                            results[i].count * 4, err);
    return status;
}

static bool allocate(struct run *r)
{
    const struct relaxed_options *o = &r->spec->options;
    struct dump_numbers *n = &r->numbers;
    size_t windows = (size_t)r->spec->windows;
    r->columns = (size_t)o->batch;
    n->weight_count = relaxed_count(r->model);
    n->alpha_count = relaxed_edges(o->nodes) * RELAXED_OPERATIONS;
    n->state_count = r->columns * (size_t)o->hidden;
    n->text_count = (windows * (size_t)o->steps + 1) * r->columns;
    n->weights = calloc(n->weight_count, sizeof *n->weights);
    n->alpha = calloc(n->alpha_count, sizeof *n->alpha);
    n->state = calloc(n->state_count, sizeof *n->state);
    n->text = calloc(n->text_count, sizeof *n->text);
    r->gradients = calloc(windows * n->weight_count, sizeof *r->gradients);
    r->alphas = calloc(windows * n->alpha_count, sizeof *r->alphas);
    r->states = calloc(windows * n->state_count, sizeof *r->states);
    r->unrolled = calloc(n->alpha_count, sizeof *r->unrolled);
    return n->weights && n->alpha && n->state && n->text && r->gradients && r->alphas &&
           r->states && r->unrolled;
}

static int dump(const struct spec *s, const char *folder, struct error *err)
{
    struct run r = {.spec = s};
    int status = relaxed_new(&s->options, &r.model, err);
    if (status)
        return status;
    if (allocate(&r)) {
        dump_fill(&r.numbers, s->seed, s->options.vocabulary, s->options.hidden);
        status = write_numbers(&r, folder, err);
    } else
        status = error_set(err, ERROR_SYSTEM, "no memory");
    void *const owned[] = {r.numbers.weights, r.numbers.alpha, r.numbers.state,
                           r.numbers.text,    r.gradients,     r.alphas,
                           r.states,          r.unrolled};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    relaxed_free(r.model);
    return status;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct spec spec = {0};
    json_t *json = argc == 2 ? json_loadf(stdin, 0, NULL) : NULL;
    int status =
        json ? read_spec(json, &spec, &err)
             : error_set(&err, ERROR_INPUT, "usage: dump-relaxed FOLDER < SPEC.json");
    if (!status)
        status = dump(&spec, argv[1], &err);
    json_decref(json);
    if (status)
        fprintf(stderr, "dump-relaxed: %s\n", err.text);
    return status ? 1 : 0;
}
