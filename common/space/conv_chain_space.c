/* SPDX-License-Identifier: Apache-2.0 */
/* conv-chain as a space: tokens and decisions on one side, struct conv_chain on the
 * other. Token index of layer l without anchors: 4 l + k for kind k. With anchors l bits
 * follow the four choices of layer l, so layer l begins at 4 l + l (l - 1) / 2.
 * Everything after the tokens (hash, cost, JSON, pictures) works on the network that the
 * trainer builds. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/space/conv_chain.h"
#include "common/space/space_ops.h"

enum { KIND_FILTER_HEIGHT, KIND_FILTER_WIDTH, KIND_FILTERS, KIND_STRIDE, KINDS };

struct conv_chain_space {
    struct space base;
    int layers, grow_every, grow_by, max_depth;
    bool skip;
    struct config_list choices[KINDS];
};

static const struct kind {
    const char *key; /* of the configuration */
    size_t offset;   /* in struct config_conv_chain */
    int max;
} kinds[KINDS] = {
    {"filter_heights", offsetof(struct config_conv_chain, filter_heights),
     CONV_CHAIN_MAX_FILTER},
    {"filter_widths", offsetof(struct config_conv_chain, filter_widths),
     CONV_CHAIN_MAX_FILTER},
    {"filters", offsetof(struct config_conv_chain, filters), CONV_CHAIN_MAX_FILTERS},
    {"strides", offsetof(struct config_conv_chain, strides), CONV_CHAIN_MAX_STRIDE},
};

static const char *const kind_names[KINDS] = {"filter height", "filter width", "filters",
                                              "stride"};

static const struct conv_chain_space *chain_space(const struct space *space)
{
    return (const struct conv_chain_space *)space;
}

/* Index of the first token of a layer, which is also the number of tokens before it. */
static int layer_begin(const struct conv_chain_space *s, int layer)
{
    return KINDS * layer + (s->skip ? layer * (layer - 1) / 2 : 0);
}

static int check_list(const struct kind *kind, const struct config_list *list,
                      struct error *err)
{
    if (list->count < 1 || list->count > CONFIG_LIST)
        return error_set(err, ERROR_INPUT,
                         "space.%s: the list has %d entries, allowed are 1 to %d",
                         kind->key, list->count, CONFIG_LIST);
    for (int i = 0; i < list->count; i++)
        if (list->values[i] < 1 || list->values[i] > kind->max)
            return error_set(err, ERROR_INPUT,
                             "space.%s: %d in the list, allowed are 1 to %d", kind->key,
                             list->values[i], kind->max);
    return 0;
}

static int chain_init(struct conv_chain_space *s, const struct config_conv_chain *c,
                      struct error *err)
{
    s->skip = c->skip;
    s->max_depth = CONV_CHAIN_MAX_LAYERS;
    while (layer_begin(s, s->max_depth) > ARCHITECTURE_MAX_TOKENS)
        s->max_depth--;
    if (c->layers < 1 || c->layers > s->max_depth)
        return error_set(err, ERROR_INPUT,
                         "space.layers: %d found, allowed are 1 to %d%s", c->layers,
                         s->max_depth, s->skip ? " with skip" : "");
    if (c->grow_every < 0 || c->grow_by < 0)
        return error_set(err, ERROR_INPUT,
                         "space.grow: {every: %d, by: %d} found, neither may be negative",
                         c->grow_every, c->grow_by);
    s->layers = c->layers;
    s->grow_every = c->grow_every;
    s->grow_by = c->grow_by;
    for (int k = 0; k < KINDS; k++) {
        const void *list = (const char *)c + kinds[k].offset;
        s->choices[k] = *(const struct config_list *)list;
        int status = check_list(&kinds[k], &s->choices[k], err);
        if (status)
            return status;
    }
    return 0;
}

static int chain_new(const struct config *config, struct space **ret, struct error *err)
{
    struct conv_chain_space *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "space: out of memory");
    s->base.ops = &conv_chain_space_ops;
    int status = chain_init(s, &config->space.conv_chain, err);
    if (status)
        free(s);
    else
        *ret = &s->base;
    return status;
}

static void chain_free(struct space *space)
{
    free(space);
}

static int chain_kinds(const struct space *space)
{
    (void)space;
    return KINDS;
}

static const char *chain_kind_name(const struct space *space, int kind)
{
    (void)space;
    return kind_names[kind];
}

static int chain_min_depth(const struct space *space)
{
    (void)space;
    return 1;
}

static int chain_kind_choices(const struct space *space, int kind)
{
    return chain_space(space)->choices[kind].count;
}

static bool chain_has_anchors(const struct space *space)
{
    return chain_space(space)->skip;
}

static int chain_max_depth(const struct space *space)
{
    return chain_space(space)->max_depth;
}

static int chain_depth(const struct space *space, uint64_t id)
{
    const struct conv_chain_space *s = chain_space(space);
    if (s->grow_every == 0 || s->grow_by == 0)
        return s->layers;
    uint64_t room = (uint64_t)(s->max_depth - s->layers);
    uint64_t steps = id / (uint64_t)s->grow_every;
    if (steps > room / (uint64_t)s->grow_by)
        return s->max_depth;
    return s->layers + (int)steps * s->grow_by;
}

static int chain_max_tokens(const struct space *space, int depth)
{
    return layer_begin(chain_space(space), depth);
}

static bool chain_next(const struct space *space, const struct architecture *a,
                       struct decision *ret)
{
    const struct conv_chain_space *s = chain_space(space);
    int layer = a->count / KINDS; /* at least the layer meant, exact without anchors */
    while (layer_begin(s, layer) > a->count)
        layer--;
    if (layer >= a->depth)
        return false;
    int kind = a->count - layer_begin(s, layer);
    assert(kind <= KINDS); /* else the tokens end inside an anchor decision */
    if (kind < KINDS)
        *ret = (struct decision){DECISION_CHOICE, kind, s->choices[kind].count, layer};
    else
        *ret = (struct decision){DECISION_ANCHOR, 0, layer, layer};
    return true;
}

static void set_inputs(const struct conv_chain_space *s, const uint16_t *anchors, int l,
                       struct conv_chain_layer *layer)
{
    layer->input_count = 0;
    for (int j = 0; s->skip && j < l; j++)
        if (anchors[j])
            layer->inputs[layer->input_count++] = j;
    if (layer->input_count > 0)
        return;
    layer->inputs[0] =
        s->skip ? CONV_CHAIN_IMAGE : l - 1; /* layer 0: the image as well */
    layer->input_count = 1;
}

/* The network that the tokens stand for. */
static void chain_build(const struct space *space, const struct architecture *a,
                        struct conv_chain *ret)
{
    const struct conv_chain_space *s = chain_space(space);
    ret->layer_count = a->depth;
    for (int l = 0; l < a->depth; l++) {
        const uint16_t *t = a->tokens + layer_begin(s, l);
        struct conv_chain_layer *layer = &ret->layers[l];
        layer->filter_height =
            s->choices[KIND_FILTER_HEIGHT].values[t[KIND_FILTER_HEIGHT]];
        layer->filter_width = s->choices[KIND_FILTER_WIDTH].values[t[KIND_FILTER_WIDTH]];
        layer->filters = s->choices[KIND_FILTERS].values[t[KIND_FILTERS]];
        layer->stride = s->choices[KIND_STRIDE].values[t[KIND_STRIDE]];
        set_inputs(s, t + KINDS, l, layer);
    }
    conv_chain_find_outputs(ret);
}

static void chain_canonical(const struct space *space, const struct architecture *a,
                            struct bytes *out)
{
    struct conv_chain chain;
    chain_build(space, a, &chain);
    conv_chain_canonical(&chain, out);
}

static double chain_log10_size(const struct space *space, int depth)
{
    const struct conv_chain_space *s = chain_space(space);
    double size = 0;
    for (int k = 0; k < KINDS; k++)
        size += depth * log10(s->choices[k].count);
    if (s->skip)
        size += depth * (depth - 1) / 2 * log10(2);
    return size;
}

static struct space_cost chain_cost(const struct space *space,
                                    const struct architecture *a,
                                    const struct space_task *task)
{
    struct conv_chain chain;
    struct space_cost cost;
    chain_build(space, a, &chain);
    conv_chain_cost(&chain, task->height, task->width, task->channels, task->classes,
                    &cost.params, &cost.flops);
    return cost;
}

static bool chain_to_json(const struct space *space, const struct architecture *a,
                          json_t *object)
{
    struct conv_chain chain;
    chain_build(space, a, &chain);
    return json_object_set_new(object, "layers", conv_chain_to_json(&chain)) == 0;
}

static void chain_draw(const struct space *space, const struct architecture *a,
                       struct diagram *d)
{
    struct conv_chain chain;
    chain_build(space, a, &chain);
    conv_chain_draw(&chain, d);
}

static void chain_describe(const struct space *space, const struct architecture *a,
                           char *text, unsigned size)
{
    struct conv_chain chain;
    chain_build(space, a, &chain);
    conv_chain_describe(&chain, text, size);
}

const struct space_ops conv_chain_space_ops = {
    .name = "conv-chain",
    .unit = "layer",
    .units = "layers",
    .input = SPACE_INPUT_IMAGES,
    .new = chain_new,
    .free = chain_free,
    .kinds = chain_kinds,
    .kind_name = chain_kind_name,
    .kind_choices = chain_kind_choices,
    .has_anchors = chain_has_anchors,
    .min_depth = chain_min_depth,
    .max_depth = chain_max_depth,
    .depth = chain_depth,
    .max_tokens = chain_max_tokens,
    .next = chain_next,
    .canonical = chain_canonical,
    .log10_size = chain_log10_size,
    .cost = chain_cost,
    .to_json = chain_to_json,
    .draw = chain_draw,
    .describe = chain_describe,
};
