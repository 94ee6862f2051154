/* SPDX-License-Identifier: Apache-2.0 */
/* From layers to graph nodes, one to three nodes a layer. A concatenation is built only
 * where there is more than one input, so that a plain chain has no copies. Graph errors
 * are checked once, in nn_graph_finish (see common/nn/graph.h). Zoph & Le, ICLR 2017,
 * sections 3.1 and 3.3. */
#include "worker/child_conv.h"

/* One node that holds all of `layers` (CONV_CHAIN_IMAGE or layer numbers) side by side.
 */
static int join(struct nn_graph *g, int image, const int *nodes, const int *layers,
                int count)
{
    int inputs[CONV_CHAIN_MAX_LAYERS];
    if (count == 0)
        return image;
    for (int i = 0; i < count; i++)
        inputs[i] = layers[i] == CONV_CHAIN_IMAGE ? image : nodes[layers[i]];
    return count == 1 ? inputs[0] : nn_graph_concat(g, inputs, count);
}

static void add_nodes(struct nn_graph *g, const struct conv_chain *chain,
                      struct nn_shape shape, int classes)
{
    int nodes[CONV_CHAIN_MAX_LAYERS];
    int image = nn_graph_input(g, shape);
    for (int l = 0; l < chain->layer_count; l++) {
        const struct conv_chain_layer *layer = &chain->layers[l];
        int node = join(g, image, nodes, layer->inputs, layer->input_count);
        node = nn_graph_conv(g, node, layer->filter_height, layer->filter_width,
                             layer->filters, layer->stride);
        nodes[l] = nn_graph_batch_norm(g, node, true);
    }
    int node = join(g, image, nodes, chain->outputs, chain->output_count);
    node = nn_graph_global_pool(g, node);
    node = nn_graph_linear(g, node, classes);
    nn_graph_softmax_loss(g, node);
}

int child_conv_new(const struct conv_chain *chain, struct nn_shape image, int classes,
                   const struct nn_graph_options *options, struct nn_graph **ret,
                   struct error *err)
{
    struct nn_graph *g = NULL;
    int status = nn_graph_new(options, &g, err);
    if (status)
        return status;
    add_nodes(g, chain, image, classes);
    status = nn_graph_finish(g, err);
    if (status) {
        nn_graph_free(g);
        return status;
    }
    *ret = g;
    return 0;
}
