/* SPDX-License-Identifier: Apache-2.0 */
/* The chain as a network: which outputs nobody reads, what it costs, how it is shown.
 * Sizes follow from 'same' padding alone: ceil(size / stride) after a layer, the largest
 * height and width where several maps are concatenated. Costs are doubles: exact for
 * every network that can be trained, and without overflow for those that cannot. */
#include "common/space/conv_chain.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

void conv_chain_find_outputs(struct conv_chain *chain)
{
    uint64_t read = 0;
    for (int l = 0; l < chain->layer_count; l++)
        for (int i = 0; i < chain->layers[l].input_count; i++)
            if (chain->layers[l].inputs[i] != CONV_CHAIN_IMAGE)
                read |= UINT64_C(1) << chain->layers[l].inputs[i];
    chain->output_count = 0;
    for (int l = 0; l < chain->layer_count; l++)
        if (!(read >> l & 1))
            chain->outputs[chain->output_count++] = l;
}

struct map {
    int h, w, c;
};

static void map_concat(struct map *all, const struct map *one)
{
    if (one->h > all->h)
        all->h = one->h;
    if (one->w > all->w)
        all->w = one->w;
    all->c += one->c;
}

void conv_chain_cost(const struct conv_chain *chain, int height, int width, int channels,
                     int classes, double *ret_params, double *ret_flops)
{
    const struct map image = {height, width, channels};
    struct map maps[CONV_CHAIN_MAX_LAYERS];
    double params = 0, flops = 0, features = 0;
    for (int l = 0; l < chain->layer_count; l++) {
        const struct conv_chain_layer *layer = &chain->layers[l];
        struct map in = {0, 0, 0};
        for (int i = 0; i < layer->input_count; i++)
            map_concat(&in, layer->inputs[i] == CONV_CHAIN_IMAGE
                                ? &image
                                : &maps[layer->inputs[i]]);
        maps[l] =
            (struct map){(in.h + layer->stride - 1) / layer->stride,
                         (in.w + layer->stride - 1) / layer->stride, layer->filters};
        double weights =
            (double)layer->filter_height * layer->filter_width * in.c * layer->filters;
        params += weights + 2.0 * layer->filters;
        flops += 2 * weights * maps[l].h * maps[l].w;
    }
    for (int i = 0; i < chain->output_count; i++)
        features += maps[chain->outputs[i]].c;
    *ret_params = params + (features + 1) * classes;
    *ret_flops = flops + 2 * features * classes;
}

void conv_chain_draw(const struct conv_chain *chain, struct diagram *d)
{
    int layers[CONV_CHAIN_MAX_LAYERS],
        image = diagram_add_node(d, "image", "image", true);
    for (int l = 0; l < chain->layer_count; l++) {
        const struct conv_chain_layer *layer = &chain->layers[l];
        char name[32], label[96];
        snprintf(name, sizeof name, "layer%d", l);
        snprintf(label, sizeof label, "layer %d: %d x %d x %d, stride %d", l,
                 layer->filter_height, layer->filter_width, layer->filters,
                 layer->stride);
        layers[l] = diagram_add_node(d, name, label, false);
        for (int i = 0; i < layer->input_count; i++)
            diagram_add_edge(
                d,
                layer->inputs[i] == CONV_CHAIN_IMAGE ? image : layers[layer->inputs[i]],
                layers[l]);
    }
    int classifier = diagram_add_node(d, "classifier", "mean, linear, softmax", true);
    for (int i = 0; i < chain->output_count; i++)
        diagram_add_edge(d, layers[chain->outputs[i]], classifier);
}

/* Text of bounded size that remembers whether something was cut off. */
struct line {
    char *text;
    unsigned size, used;
    bool cut;
};

static void __attribute__((format(printf, 2, 3)))
line_append(struct line *line, const char *format, ...)
{
    va_list args;
    if (line->cut)
        return;
    va_start(args, format);
    int n = vsnprintf(line->text + line->used, line->size - line->used, format, args);
    va_end(args);
    if (n < 0 || (unsigned)n >= line->size - line->used)
        line->cut = true;
    else
        line->used += (unsigned)n;
}

static bool reads_only(const struct conv_chain_layer *layer, int input)
{
    return layer->input_count == 1 && layer->inputs[0] == input;
}

void conv_chain_describe(const struct conv_chain *chain, char *text, unsigned size)
{
    struct line line = {.text = text, .size = size};
    if (size == 0)
        return;
    text[0] = '\0';
    for (int l = 0; l < chain->layer_count; l++) {
        const struct conv_chain_layer *layer = &chain->layers[l];
        line_append(&line, "%s%dx%dx%d/%d", l ? " " : "", layer->filter_height,
                    layer->filter_width, layer->filters, layer->stride);
        if (reads_only(layer, l - 1)) /* the image is -1, too */
            continue;
        for (int i = 0; i < layer->input_count; i++)
            if (layer->inputs[i] == CONV_CHAIN_IMAGE)
                line_append(&line, "%cimage", i ? ',' : '[');
            else
                line_append(&line, "%c%d", i ? ',' : '[', layer->inputs[i]);
        line_append(&line, "]");
    }
    if (line.cut && size > 4)
        memcpy(text + (line.used < size - 4 ? line.used : size - 4), "...", 4);
}
