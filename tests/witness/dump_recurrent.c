/* SPDX-License-Identifier: Apache-2.0 */
/* Lets an outside witness see a recurrent model from inside.
 *
 *   dump-recurrent FOLDER < SPEC.json
 *
 * Writes FOLDER/weights.f32 (initial, flat), text.i32 (windows * steps + 1, batch),
 * gradients.f32 (of every window, flat) and states.f32 (after every window), and prints
 * where the matrices stand, the loss of every window, each followed by a step of plain
 * SGD, and that of the first window, without a step, when all is done. Raw little-endian
 * numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "common/nn/recurrent.h"
#include "dump.h"

static const char *const activation_names[RECURRENT_ACTIVATIONS] = {
    [RECURRENT_TANH] = "tanh",
    [RECURRENT_RELU] = "relu",
    [RECURRENT_IDENTITY] = "identity",
    [RECURRENT_SIGMOID] = "sigmoid"};

static const char *const output_names[] = {[RECURRENT_LEAVES] = "leaves",
                                           [RECURRENT_ALL] = "all",
                                           [RECURRENT_ALL_BUT_FIRST] = "all but first"};
enum { OUTPUTS = sizeof output_names / sizeof *output_names };

struct spec {
    struct recurrent_options options;
    struct recurrent_cell cell;
    int windows;
    uint64_t seed;
    double rate; /* of SGD */
};

struct run {
    const struct spec *spec;
    struct recurrent *model;
    size_t count, columns, state_count;
    float *weights, *gradients, *state, *states;
    int32_t *text;
};

static int find_name(const char *name, const char *const *names, int count)
{
    for (int i = 0; name && i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static int read_cell(json_t *list, struct recurrent_cell *c, struct error *err)
{
    c->nodes = (int)json_array_size(list);
    if (c->nodes < 1 || c->nodes > RECURRENT_MAX_NODES)
        return error_set(err, ERROR_INPUT, "the cell has %d nodes", c->nodes);
    for (int j = 0; j < c->nodes; j++) {
        json_t *node = json_array_get(list, (size_t)j);
        int previous = (int)json_integer_value(json_array_get(node, 0));
        int activation = find_name(json_string_value(json_array_get(node, 1)),
                                   activation_names, RECURRENT_ACTIVATIONS);
        if (activation < 0 || previous < 0)
            return error_set(err, ERROR_INPUT, "node %d is none", j);
        c->previous[j] = (uint8_t)previous;
        c->activation[j] = (uint8_t)activation;
    }
    return recurrent_cell_check(c, c->nodes, err);
}

static int read_spec(json_t *json, struct spec *s, struct error *err)
{
    struct recurrent_options *o = &s->options;
    int pool, norm;
    const char *output;
    json_int_t seed;
    json_t *cell;
    if (json_unpack(
            json,
            "{s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:s, s:F, s:i, s:i, s:I, s:F, s?s, s:o}",
            "vocabulary", &o->vocabulary, "hidden", &o->hidden, "steps", &o->steps,
            "batch", &o->batch, "nodes", &o->nodes, "pool", &pool, "norm", &norm,
            "output", &output, "state_clip", &o->state_clip, "threads", &o->threads,
            "windows", &s->windows, "seed", &seed, "rate", &s->rate, "kernels",
            &o->kernels, "cell", &cell))
        return error_set(err, ERROR_INPUT, "the specification lacks a field");
    if (s->windows < 1 || s->windows > 1000)
        return error_set(err, ERROR_INPUT, "windows: %d", s->windows);
    s->seed = (uint64_t)seed;
    if (find_name(output, output_names, OUTPUTS) < 0)
        return error_set(err, ERROR_INPUT, "output: '%s'", output);
    o->output = (enum recurrent_output)find_name(output, output_names, OUTPUTS);
    o->norm = norm != 0;
    o->only = pool ? NULL : &s->cell;
    return read_cell(cell, &s->cell, err);
}

static struct recurrent_window window_at(const struct run *r, int i)
{
    const struct recurrent_options *o = &r->spec->options;
    const int32_t *from = r->text + (size_t)(i * o->steps) * r->columns;
    return (struct recurrent_window){.steps = o->steps,
                                     .batch = o->batch,
                                     .inputs = from,
                                     .targets = from + r->columns,
                                     .state = r->state};
}

static json_t *train(struct run *r)
{
    json_t *losses = json_array();
    for (int i = 0; i < r->spec->windows; i++) {
        struct recurrent_window w = window_at(r, i);
        float *gradient = r->gradients + (size_t)i * r->count;
        double loss =
            recurrent_gradient(r->model, r->weights, &r->spec->cell, &w, 1, gradient);
        json_array_append_new(losses, json_real(loss));
        for (size_t j = 0; j < r->count; j++)
            r->weights[j] -= (float)r->spec->rate * gradient[j];
        memcpy(r->states + (size_t)i * r->state_count, r->state,
               r->state_count * sizeof *r->state);
    }
    struct recurrent_window first = window_at(r, 0);
    json_array_append_new(
        losses, json_real(recurrent_loss(r->model, r->weights, &r->spec->cell, &first)));
    return losses;
}

static json_t *describe_edges(const struct run *r)
{
    const struct recurrent_cell *c = &r->spec->cell;
    json_t *edges = json_array();
    for (int j = 0; j < c->nodes; j++) {
        int from = j ? c->previous[j] : -1;
        json_array_append_new(
            edges, json_integer((json_int_t)recurrent_edge(r->model, from, j)));
    }
    return edges;
}

static int write_numbers(struct run *r, const char *folder, struct error *err)
{
    size_t windows = (size_t)r->spec->windows;
    size_t words = (windows * (size_t)r->spec->options.steps + 1) * r->columns;
    int status = dump_write(folder, "weights.f32", r->weights, r->count * 4, err);
    if (!status)
        status = dump_write(folder, "start.f32", r->state, r->state_count * 4, err);
    if (!status)
        status = dump_write(folder, "text.i32", r->text, words * 4, err);
    json_t *losses = status ? NULL : train(r);
    if (!status)
        status = dump_write(folder, "gradients.f32", r->gradients, windows * r->count * 4,
                            err);
    if (!status)
        status = dump_write(folder, "states.f32", r->states, windows * r->state_count * 4,
                            err);
    json_t *out = json_pack("{s:I, s:I, s:o, s:o*}", "count", (json_int_t)r->count,
                            "input", (json_int_t)recurrent_input(r->model), "edges",
                            describe_edges(r), "losses", losses);
    if (!status && (!out || json_dumpf(out, stdout, JSON_REAL_PRECISION(17))))
        status = error_set(err, ERROR_SYSTEM, "cannot print the losses");
    json_decref(out);
    return status;
}

static int dump(const struct spec *s, const char *folder, struct error *err)
{
    struct run r = {.spec = s};
    int status = recurrent_new(&s->options, &r.model, err);
    if (status)
        return status;
    size_t windows = (size_t)s->windows;
    r.count = recurrent_count(r.model);
    r.columns = (size_t)s->options.batch;
    size_t words = (windows * (size_t)s->options.steps + 1) * r.columns;
    r.state_count = r.columns * (size_t)s->options.hidden;
    r.weights = calloc(r.count, sizeof *r.weights);
    r.gradients = calloc(windows * r.count, sizeof *r.gradients);
    r.state = calloc(r.state_count, sizeof *r.state);
    r.states = calloc(windows * r.state_count, sizeof *r.states);
    r.text = calloc(words, sizeof *r.text);
    if (r.weights && r.gradients && r.state && r.states && r.text) {
        const struct dump_numbers numbers = {.weights = r.weights,
                                             .weight_count = r.count,
                                             .text = r.text,
                                             .text_count = words,
                                             .state = r.state,
                                             .state_count = r.state_count};
        dump_fill(&numbers, s->seed, s->options.vocabulary, s->options.hidden);
        status = write_numbers(&r, folder, err);
    } else
        status = error_set(err, ERROR_SYSTEM, "no memory");
    free(r.weights);
    free(r.gradients);
    free(r.state);
    free(r.states);
    free(r.text);
    recurrent_free(r.model);
    return status;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct spec spec = {0};
    json_t *json = argc == 2 ? json_loadf(stdin, 0, NULL) : NULL;
    int status =
        json ? read_spec(json, &spec, &err)
             : error_set(&err, ERROR_INPUT, "usage: dump-recurrent FOLDER < SPEC.json");
    if (!status)
        status = dump(&spec, argv[1], &err);
    json_decref(json);
    if (status)
        fprintf(stderr, "dump-recurrent: %s\n", err.text);
    return status ? 1 : 0;
}
