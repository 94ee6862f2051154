/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of convolutions (Zoph & Le, ICLR 2017, section 3.1 and 3.3), as the trainer
 * builds it. Tokens per layer l: filter height, filter width, number of filters, stride,
 * then with skip connections l anchor bits. Each layer is convolution ('same' padding,
 * output size ceil(size / stride)), batch norm, ReLU; the inputs of a layer are
 * concatenated in depth, smaller ones zero-padded at the bottom and right to the largest.
 * A layer with no input gets the image. The outputs of layers that nobody reads are
 * concatenated before global average pooling and the linear classifier. */
#ifndef ARCHWAY_COMMON_SPACE_CONV_CHAIN_H
#define ARCHWAY_COMMON_SPACE_CONV_CHAIN_H

#include <stdbool.h>
#include <jansson.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/space/diagram.h"

enum {
    CONV_CHAIN_MAX_LAYERS = 64,
    CONV_CHAIN_IMAGE = -1, /* in inputs: the image */
    CONV_CHAIN_MAX_FILTER = 31,
    CONV_CHAIN_MAX_FILTERS = 4096,
    CONV_CHAIN_MAX_STRIDE = 16
};

struct conv_chain_layer {
    int filter_height, filter_width, filters, stride;
    int input_count;
    int inputs[CONV_CHAIN_MAX_LAYERS]; /* ascending; CONV_CHAIN_IMAGE or a layer */
};

struct conv_chain {
    int layer_count;
    struct conv_chain_layer layers[CONV_CHAIN_MAX_LAYERS];
    int output_count; /* layers whose output nobody reads, ascending */
    int outputs[CONV_CHAIN_MAX_LAYERS];
};

/* Read "layers" of a task's architecture (see space_to_json), all bounds checked, and
 * work out the outputs. ERROR_INPUT naming layer and key otherwise. */
int conv_chain_from_json(const json_t *architecture, struct conv_chain *ret,
                         struct error *err);

/* The "layers" array of the above. New reference; NULL when memory is gone. */
json_t *conv_chain_to_json(const struct conv_chain *chain);

/* Fill outputs and output_count from the layers. */
void conv_chain_find_outputs(struct conv_chain *chain);

/* Parameters (convolutions without bias, scale and shift of batch norms, linear layer
 * with bias) and forward FLOPs per image: 2 x multiply-adds of convolutions and the
 * linear layer, the whole kernel counted at every output position. Equal to
 * nn_graph_flops and nn_graph_parameter_count of the network that the trainer builds. */
void conv_chain_cost(const struct conv_chain *chain, int height, int width, int channels,
                     int classes, double *ret_params, double *ret_flops);

/* Append a byte string that two chains share exactly when they are the same network up to
 * isomorphism: a canonical order of the layers, then each layer and its inputs. At most
 * CONV_CHAIN_CANONICAL_SIZE bytes. */
enum { CONV_CHAIN_CANONICAL_SIZE = 16 + CONV_CHAIN_MAX_LAYERS * 16 };
void conv_chain_canonical(const struct conv_chain *chain, struct bytes *out);

/* Append boxes and arrows. */
void conv_chain_draw(const struct conv_chain *chain, struct diagram *d);
/* See space_describe. */
void conv_chain_describe(const struct conv_chain *chain, char *text, unsigned size);

#endif
