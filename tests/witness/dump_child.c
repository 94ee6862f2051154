/* SPDX-License-Identifier: Apache-2.0 */
/* Lets an outside witness see a child network from inside.
 *
 *   dump-child steps FOLDER < SPEC.json        numbers of a short training
 *   dump-child data FOLDER CONFIG.yaml CACHE   the prepared images of a configuration
 *
 * `steps` writes FOLDER/weights.f32 (initial, flat), images.f32 (steps, batch, h, w, c) and
 * labels.u8, and prints the layout of the parameters, the loss of every step and the loss
 * of the last batch under the running statistics. `data` writes train.f32, train.u8,
 * validation.f32, validation.u8 and prints the shape. Raw little-endian numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "common/config.h"
#include "common/rng.h"
#include "worker/child_conv.h"
#include "worker/data/data.h"
#include "worker/descent.h"
#include "worker/threads.h"

static int fail(const char *what)
{
    fprintf(stderr, "dump-child: %s\n", what);
    return 1;
}

static int write_file(const char *folder, const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f)
        return fail(path);
    size_t written = fwrite(data, 1, size, f);
    return fclose(f) || written != size ? fail(path) : 0;
}

struct spec {
    struct conv_chain chain;
    struct nn_shape image;
    struct config_builtin_trainer settings;
    const char *kernels;
    int classes, steps;
    uint64_t seed;
};

static int read_spec(json_t *json, struct spec *s, struct error *err)
{
    const char *optimizer;
    int nesterov;
    json_int_t seed;
    if (json_unpack(json, "{s:[iii], s:i, s:i, s:i, s:I, s?s, s:{s:s, s:F, s:F, s:F, s:b}}",
                    "image", &s->image.h, &s->image.w, &s->image.c, "classes", &s->classes,
                    "batch", &s->settings.batch, "steps", &s->steps, "seed", &seed,
                    "kernels", &s->kernels, "optimizer", "name", &optimizer, "lr",
                    &s->settings.optimizer.lr, "momentum", &s->settings.optimizer.momentum,
                    "weight_decay", &s->settings.optimizer.weight_decay, "nesterov",
                    &nesterov))
        return error_set(err, ERROR_INPUT, "the specification lacks a field");
    s->seed = (uint64_t)seed;
    s->settings.optimizer.nesterov = nesterov != 0;
    s->settings.optimizer.name =
        strcmp(optimizer, "adam") == 0 ? OPTIMIZER_ADAM : OPTIMIZER_SGD;
    return conv_chain_from_json(json_object_get(json, "architecture"), &s->chain, err);
}

static json_t *describe_parameters(const struct nn_graph *g)
{
    const struct nn_parameter *list;
    int count = nn_graph_parameter_list(g, &list);
    json_t *array = json_array();
    for (int i = 0; i < count; i++) {
        json_t *dims = json_array();
        for (int d = 0; d < list[i].rank; d++)
            json_array_append_new(dims, json_integer(list[i].dims[d]));
        json_t *entry = json_pack("{s:s, s:I, s:I, s:o}", "name", list[i].name, "offset",
                                  (json_int_t)list[i].offset, "count",
                                  (json_int_t)list[i].count, "dims", dims);
        json_array_append_new(array, entry);
    }
    return array;
}

/* Noise on one of two patterns a class, so that there is something to learn. */
static void fill_batches(const struct spec *s, float *images, uint8_t *labels)
{
    size_t size = (size_t)s->image.h * (size_t)s->image.w * (size_t)s->image.c;
    struct rng rng;
    rng_init(&rng, s->seed, RNG_TEST, 1);
    for (int n = 0; n < s->steps * s->settings.batch; n++) {
        labels[n] = (uint8_t)rng_below(&rng, (uint32_t)s->classes);
        for (size_t i = 0; i < size; i++)
            images[(size_t)n * size + i] =
                (float)rng_normal(&rng) + (i >> labels[n] & 1 ? 0.5f : -0.5f);
    }
}

/* All steps, then the last batch once more under the running statistics; as JSON. */
static json_t *train(const struct spec *s, struct descent *d, const float *images,
                     const uint8_t *labels)
{
    size_t batch = (size_t)s->settings.batch, last = (size_t)s->steps - 1;
    size_t size = batch * (size_t)s->image.h * (size_t)s->image.w * (size_t)s->image.c;
    json_t *losses = json_array();
    struct nn_result result;
    for (size_t step = 0; step <= last; step++) {
        descent_step(d, s->settings.optimizer.lr, s->settings.batch, images + step * size,
                     labels + step * batch, &result);
        json_array_append_new(losses, json_real(result.loss));
    }
    nn_graph_forward(d->graph, s->settings.batch, images + last * size,
                     labels + last * batch, false, &result);
    return json_pack("{s:s, s:o, s:o, s:f}", "kernels", nn_graph_kernels(d->graph),
                     "parameters", describe_parameters(d->graph), "losses", losses,
                     "eval_loss", result.loss);
}

static int dump_training(const struct spec *s, struct descent *d, const char *folder)
{
    size_t count = (size_t)s->steps * (size_t)s->settings.batch;
    size_t size = count * (size_t)s->image.h * (size_t)s->image.w * (size_t)s->image.c;
    float *images = calloc(size + 16, sizeof *images); /* kernels read past the end */
    uint8_t *labels = calloc(count, 1);
    int status = 1;
    if (!images || !labels)
        goto out;
    nn_graph_init(d->graph, s->seed);
    fill_batches(s, images, labels);
    status = write_file(folder, "weights.f32", nn_graph_parameters(d->graph),
                        nn_graph_parameter_count(d->graph) * sizeof(float)) ||
             write_file(folder, "images.f32", images, size * sizeof *images) ||
             write_file(folder, "labels.u8", labels, count);
    json_t *json = status ? NULL : train(s, d, images, labels);
    status = !json || json_dumpf(json, stdout, JSON_REAL_PRECISION(17));
    json_decref(json);
out:
    free(images);
    free(labels);
    return status;
}

static int dump_steps(const char *folder, struct error *err)
{
    struct spec s = {0};
    struct nn_graph *g = NULL;
    struct descent descent = {0};
    json_t *json = json_loadf(stdin, 0, NULL);
    int status = read_spec(json, &s, err);
    struct nn_graph_options options = {
        .max_batch = s.settings.batch, .threads = 1, .kernels = s.kernels};
    if (!status)
        status = child_conv_new(&s.chain, s.image, s.classes, &options, &g, err);
    if (!status)
        status = descent_init(&descent, g, &s.settings, err);
    if (!status && dump_training(&s, &descent, folder))
        status = error_set(err, ERROR_SYSTEM, "cannot write the numbers");
    descent_fini(&descent);
    nn_graph_free(g);
    json_decref(json);
    return status;
}

static int dump_part(const struct dataset *d, enum data_part part, const char *name,
                     const char *folder)
{
    const struct data_facts *facts = data_facts(d);
    size_t count = (size_t)data_count(d, part);
    size_t size = (size_t)facts->height * (size_t)facts->width * (size_t)facts->channels;
    float *images = calloc(count * size + 16, sizeof *images);
    uint8_t *labels = calloc(count + 1, 1);
    uint32_t *all = calloc(count + 1, sizeof *all);
    char file[64];
    int status = 1;
    if (!images || !labels || !all)
        goto out;
    for (size_t i = 0; i < count; i++)
        all[i] = (uint32_t)i;
    data_batch(d, part, all, (int)count, NULL, NULL, images, labels);
    snprintf(file, sizeof file, "%s.f32", name);
    status = write_file(folder, file, images, count * size * sizeof *images);
    snprintf(file, sizeof file, "%s.u8", name);
    status = status || write_file(folder, file, labels, count);
out:
    free(images);
    free(labels);
    free(all);
    return status;
}

static int dump_data(const char *folder, const char *path, const char *cache,
                     struct error *err)
{
    struct config config;
    struct dataset *d = NULL;
    int status = config_read(path, &config, err);
    if (!status)
        status = data_open(&config, cache, &d, err);
    if (status)
        return status;
    const struct data_facts *f = data_facts(d);
    printf("{\"image\": [%d, %d, %d], \"classes\": %d}\n", f->height, f->width, f->channels,
           f->classes);
    if (dump_part(d, DATA_TRAIN, "train", folder) ||
        dump_part(d, DATA_VALIDATION, "validation", folder))
        status = error_set(err, ERROR_SYSTEM, "cannot write the images");
    data_close(d);
    return status;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    int status;
    threads_set(1);
    if (argc == 3 && strcmp(argv[1], "steps") == 0)
        status = dump_steps(argv[2], &err);
    else if (argc == 5 && strcmp(argv[1], "data") == 0)
        status = dump_data(argv[2], argv[3], argv[4], &err);
    else
        return fail("usage: dump-child steps FOLDER | data FOLDER CONFIG CACHE");
    return status ? fail(err.text) : 0;
}
