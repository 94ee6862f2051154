/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of one stream, so that a seed says all; results as raw little-endian
 * numbers, which Python reads without a parser. */
#include "dump.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

enum { WINDOWS_MAX = 1000, NUMBER = 4 /* bytes */ };

static int read_spec(json_t *json, struct dump_spec *s, struct error *err)
{
    json_int_t seed;
    int norm;
    if (json_unpack(json, "{s:i, s:i, s:i, s:i, s:i, s:i, s:b, s?s, s:I, s:F}",
                    "vocabulary", &s->vocabulary, "hidden", &s->hidden, "steps",
                    &s->steps, "batch", &s->batch, "threads", &s->threads, "windows",
                    &s->windows, "norm", &norm, "kernels", &s->kernels, "seed", &seed,
                    "rate", &s->rate))
        return error_set(err, ERROR_INPUT, "the specification lacks a field");
    if (s->windows < 1 || s->windows > WINDOWS_MAX)
        return error_set(err, ERROR_INPUT, "windows: %d", s->windows);
    s->seed = (uint64_t)seed;
    s->norm = norm != 0;
    return 0;
}

static size_t words(const struct dump_spec *s)
{
    return ((size_t)s->windows * (size_t)s->steps + 1) * (size_t)s->batch;
}

static int allocate(struct dump *d, struct error *err)
{
    size_t windows = (size_t)d->spec.windows;
    d->weights = calloc(d->weight_count, NUMBER);
    d->state = calloc(d->state_count, NUMBER);
    d->alpha = calloc(d->alpha_count + 1, NUMBER);
    d->text = calloc(words(&d->spec), NUMBER);
    d->gradients = calloc(windows * d->weight_count, NUMBER);
    d->states = calloc(windows * d->state_count, NUMBER);
    d->alphas = calloc(windows * d->alpha_count + 1, NUMBER);
    if (d->weights && d->state && d->alpha && d->text && d->gradients && d->states &&
        d->alphas)
        return 0;
    return error_set(err, ERROR_SYSTEM, "no memory");
}

static void release(struct dump *d)
{
    void *const owned[] = {d->weights,   d->state,  d->alpha, d->text,
                           d->gradients, d->states, d->alphas};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

/* Weights that neither die away nor saturate; words of unequal frequency. */
static void fill(struct dump *d)
{
    const struct dump_spec *s = &d->spec;
    float spread = 1.5f / sqrtf((float)s->hidden);
    size_t text = words(s);
    struct rng rng;
    rng_init(&rng, s->seed, RNG_TEST, 1);
    for (size_t i = 0; i < d->weight_count; i++)
        d->weights[i] = (float)rng_normal(&rng) * spread;
    for (size_t i = 0; i < text; i++)
        d->text[i] =
            (int32_t)rng_below(&rng, 1 + rng_below(&rng, (uint32_t)s->vocabulary));
    for (size_t i = 0; i < d->state_count; i++)
        d->state[i] = (float)rng_normal(&rng) * 0.3f;
    for (size_t i = 0; i < d->alpha_count; i++)
        d->alpha[i] = (float)rng_normal(&rng);
}

struct recurrent_window dump_window(const struct dump *d, int i, float *state)
{
    size_t columns = (size_t)d->spec.batch;
    const int32_t *from = d->text + (size_t)(i * d->spec.steps) * columns;
    return (struct recurrent_window){.steps = d->spec.steps,
                                     .batch = d->spec.batch,
                                     .inputs = from,
                                     .targets = from + columns,
                                     .state = state};
}

static void descend(const struct dump *d, float *vector, const float *gradient,
                    size_t count)
{
    for (size_t i = 0; i < count; i++)
        vector[i] -= (float)d->spec.rate * gradient[i];
}

static double train(const struct dump_model *model, struct dump *d, int i)
{
    struct recurrent_window w = dump_window(d, i, d->state);
    float *gradient = d->gradients + (size_t)i * d->weight_count;
    float *alpha = d->alphas + (size_t)i * d->alpha_count;
    double loss = model->gradient(d, &w, gradient, alpha);
    descend(d, d->weights, gradient, d->weight_count);
    descend(d, d->alpha, alpha, d->alpha_count);
    memcpy(d->states + (size_t)i * d->state_count, d->state, d->state_count * NUMBER);
    return loss;
}

static json_t *train_all(const struct dump_model *model, struct dump *d)
{
    json_t *losses = json_array();
    for (int i = 0; i < d->spec.windows; i++)
        json_array_append_new(losses, json_real(train(model, d, i)));
    struct recurrent_window first = dump_window(d, 0, d->state);
    json_array_append_new(losses, json_real(model->loss(d, &first)));
    return losses;
}

int dump_write(const char *folder, const char *name, const void *data, size_t count,
               struct error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    size_t written = f ? fwrite(data, NUMBER, count, f) : 0;
    if (!f || fclose(f) || written != count)
        return error_set(err, ERROR_SYSTEM, "cannot write '%s'", path);
    return 0;
}

struct file {
    const char *name;
    const void *numbers;
    size_t count;
};

static int write_files(const char *folder, const struct file *files, size_t count,
                       struct error *err)
{
    int status = 0;
    for (size_t i = 0; !status && i < count; i++)
        if (files[i].count > 0)
            status =
                dump_write(folder, files[i].name, files[i].numbers, files[i].count, err);
    return status;
}

static int write_start(const struct dump *d, const char *folder, struct error *err)
{
    const struct file files[] = {{"weights.f32", d->weights, d->weight_count},
                                 {"start.f32", d->state, d->state_count},
                                 {"alpha.f32", d->alpha, d->alpha_count},
                                 {"text.i32", d->text, words(&d->spec)}};
    return write_files(folder, files, sizeof files / sizeof *files, err);
}

static int write_results(const struct dump *d, const char *folder, struct error *err)
{
    size_t windows = (size_t)d->spec.windows;
    const struct file files[] = {
        {"gradients.f32", d->gradients, windows * d->weight_count},
        {"states.f32", d->states, windows * d->state_count},
        {"alphas.f32", d->alphas, windows * d->alpha_count}};
    return write_files(folder, files, sizeof files / sizeof *files, err);
}

/* Everything, once the model is there. */
static int dump(const struct dump_model *model, struct dump *d, const char *folder,
                struct error *err)
{
    json_t *out = json_object();
    int status = allocate(d, err);
    if (!status) {
        fill(d);
        status = write_start(d, folder, err);
    }
    if (!status)
        status = model->describe(d, folder, out, err);
    if (!status) {
        json_object_set_new(out, "count", json_integer((json_int_t)d->weight_count));
        json_object_set_new(out, "losses", train_all(model, d));
        status = write_results(d, folder, err);
    }
    if (!status && json_dumpf(out, stdout, JSON_REAL_PRECISION(17)))
        status = error_set(err, ERROR_SYSTEM, "cannot print the losses");
    json_decref(out);
    release(d);
    return status;
}

int dump_main(int argc, char **argv, const struct dump_model *model)
{
    struct error err = {0};
    struct dump d = {0};
    json_t *json = argc == 2 ? json_loadf(stdin, 0, NULL) : NULL;
    int status =
        json ? read_spec(json, &d.spec, &err)
             : error_set(&err, ERROR_INPUT, "usage: %s FOLDER < SPEC.json", model->name);
    if (!status)
        status = model->open(json, &d, &err);
    if (!status)
        status = dump(model, &d, argv[1], &err);
    model->close(&d);
    json_decref(json);
    if (status)
        fprintf(stderr, "%s: %s\n", model->name, err.text);
    return status ? 1 : 0;
}
