/* SPDX-License-Identifier: Apache-2.0 */
/* Making a controller: its parameters' places in one flat vector, their names, their
 * initial values. The order of the blocks is the order of the random numbers and of the
 * saved arrays: LSTM layers, then embedding and head of each kind, then the anchors. The
 * work is done in controller_run.c (forward), controller_gradient.c (back) and
 * controller_pack.c (what is derived from the parameters). */
#include "master/controller_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS_PER_LAYER = 3, BLOCKS_PER_KIND = 3, BLOCKS_OF_ANCHORS = 3 };

static void add_block(struct controller *c, size_t offset, size_t rows, size_t columns,
                      const char *format, int number)
    __attribute__((format(printf, 5, 0)));

/* columns 0: a vector. */
static void add_block(struct controller *c, size_t offset, size_t rows, size_t columns,
                      const char *format, int number)
{
    struct controller_block *b = &c->blocks[c->block_count++];
    b->offset = offset;
    b->rank = columns ? 2 : 1;
    b->dims[0] = rows;
    b->dims[1] = columns;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(b->name, sizeof b->name, format, number);
#pragma GCC diagnostic pop
}

static size_t take(size_t *offset, size_t count)
{
    size_t at = *offset;
    *offset += count;
    return at;
}

static void place_lstm(struct controller *c)
{
    size_t units = c->lstm.units;
    for (size_t i = 0; i < c->lstm.layers; i++) {
        const struct lstm_layer *y = &c->lstm.layer[i];
        add_block(c, y->input, units, 4 * units, "lstm.%d.input", (int)i);
        add_block(c, y->hidden, units, 4 * units, "lstm.%d.hidden", (int)i);
        add_block(c, y->bias, 4 * units, 0, "lstm.%d.bias", (int)i);
    }
}

static void place_kind(struct controller *c, size_t i, size_t *offset)
{
    struct controller_kind *k = &c->kind[i];
    size_t units = c->lstm.units;
    k->choices = (size_t)space_kind_choices(c->space, (int)i);
    k->padded = lstm_pad(k->choices);
    k->first_row = c->tokens;
    k->embedding = take(offset, k->choices * units);
    k->weight = take(offset, units * k->choices);
    k->bias = take(offset, k->choices);
    c->tokens += k->choices;
    c->max_padded = k->padded > c->max_padded ? k->padded : c->max_padded;
    add_block(c, k->embedding, k->choices, units, "embedding.%d", (int)i);
    add_block(c, k->weight, units, k->choices, "head.%d.weight", (int)i);
    add_block(c, k->bias, k->choices, 0, "head.%d.bias", (int)i);
}

static void place_anchors(struct controller *c, size_t *offset)
{
    struct controller_anchor *a = &c->anchor;
    size_t units = c->lstm.units;
    a->previous = take(offset, units * units);
    a->current = take(offset, units * units);
    a->vector = take(offset, units);
    add_block(c, a->previous, units, units, "anchor.previous", 0);
    add_block(c, a->current, units, units, "anchor.current", 0);
    add_block(c, a->vector, units, 0, "anchor.v", 0);
}

static int check(const struct config_controller *config, const struct space *space,
                 struct error *err)
{
    if (config->layers < 1 || config->layers > CONTROLLER_MAX_LAYERS)
        return error_set(err, ERROR_INPUT,
                         "search.controller.layers is %d, allowed are 1 to %d",
                         config->layers, CONTROLLER_MAX_LAYERS);
    if (config->hidden < 1 || config->hidden > CONTROLLER_MAX_HIDDEN)
        return error_set(err, ERROR_INPUT,
                         "search.controller.hidden is %d, allowed are 1 to %d",
                         config->hidden, CONTROLLER_MAX_HIDDEN);
    if (!(config->temperature > 0) || !(config->tanh_constant >= 0))
        return error_set(
            err, ERROR_INPUT,
            "search.controller: temperature %g and tanh_constant %g, allowed "
            "are a temperature above 0 and a constant that is not negative",
            config->temperature, config->tanh_constant);
    if (space_kinds(space) < 1)
        return error_set(err, ERROR_INPUT, "space '%s' has nothing to choose",
                         space_name(space));
    for (int i = 0; i < space_kinds(space); i++)
        if (space_kind_choices(space, i) < 1 || space_kind_choices(space, i) > UINT16_MAX)
            return error_set(err, ERROR_INPUT,
                             "space '%s': %s has %d choices, allowed are 1 to %d",
                             space_name(space), space_kind_name(space, i),
                             space_kind_choices(space, i), UINT16_MAX);
    return 0;
}

static int allocate(struct controller *c, struct error *err)
{
    size_t blocks = c->lstm.layers * BLOCKS_PER_LAYER + c->kinds * BLOCKS_PER_KIND +
                    BLOCKS_OF_ANCHORS;
    c->kind = calloc(c->kinds, sizeof *c->kind);
    c->blocks = calloc(blocks, sizeof *c->blocks);
    c->rows = calloc(CONTROLLER_SAMPLE_CHUNK, sizeof *c->rows);
    c->prefixes = calloc(CONTROLLER_CHUNK, sizeof *c->prefixes);
    if (!c->kind || !c->blocks || !c->rows || !c->prefixes)
        return error_set(err, ERROR_SYSTEM, "controller: no memory");
    return 0;
}

static int build(struct controller *c, struct error *err)
{
    size_t offset = 0;
    int status = lstm_init(&c->lstm, (size_t)c->config.layers, (size_t)c->config.hidden,
                           NULL, &offset, err);
    if (status == 0)
        status = allocate(c, err);
    if (status < 0)
        return status;
    place_lstm(c);
    for (size_t i = 0; i < c->kinds; i++)
        place_kind(c, i, &offset);
    if (c->has_anchors)
        place_anchors(c, &offset);
    c->count = offset;
    c->parameters = lstm_alloc(c->count);
    c->gradient = lstm_alloc(c->count);
    if (!c->parameters || !c->gradient)
        return error_set(err, ERROR_SYSTEM, "controller: no memory for %zu parameters",
                         c->count);
    status = optimizer_init(&c->optimizer, c->count, true, err);
    if (status == 0)
        status = controller_share_init(c, err);
    return status < 0 ? status : controller_pack_init(c, err);
}

static void draw_parameters(struct controller *c)
{
    struct rng rng;
    float limit = (float)c->config.init;
    rng_init(&rng, c->seed, RNG_CONTROLLER_INIT, 0);
    for (size_t i = 0; i < c->count; i++)
        c->parameters[i] = limit * (2 * rng_float(&rng) - 1);
}

int controller_new(const struct config_controller *config, const struct space *space,
                   uint64_t seed, struct controller **ret, struct error *err)
{
    int status = check(config, space, err);
    if (status < 0)
        return status;
    struct controller *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ERROR_SYSTEM, "controller: no memory");
    c->config = *config;
    c->space = space;
    c->seed = seed;
    c->kinds = (size_t)space_kinds(space);
    c->has_anchors = space_has_anchors(space);
    status = build(c, err);
    if (status < 0) {
        controller_free(c);
        return status;
    }
    draw_parameters(c);
    controller_pack(c);
    *ret = c;
    return 0;
}

void controller_free(struct controller *c)
{
    if (!c)
        return;
    controller_pack_fini(c);
    controller_share_fini(c);
    controller_tape_fini(&c->tape);
    optimizer_fini(&c->optimizer);
    lstm_fini(&c->lstm);
    free(c->kind);
    free(c->blocks);
    free(c->rows);
    free(c->prefixes);
    free(c->parameters);
    free(c->gradient);
    free(c);
}

void controller_set_plain(struct controller *c, bool plain)
{
    c->plain = plain;
}

uint32_t controller_version(const struct controller *c)
{
    return c->version;
}

size_t controller_hidden(const struct controller *c)
{
    return c->lstm.units;
}

size_t controller_blocks(const struct controller *c, const struct controller_block **ret)
{
    *ret = c->blocks;
    return c->block_count;
}

size_t controller_parameter_count(const struct controller *c)
{
    return c->count;
}

const float *controller_parameters(const struct controller *c)
{
    return c->parameters;
}

const float *controller_gradient_vector(const struct controller *c)
{
    return c->gradient;
}

void controller_set_parameters(struct controller *c, const float *parameters)
{
    memcpy(c->parameters, parameters, c->count * sizeof *parameters);
    controller_pack(c);
}
