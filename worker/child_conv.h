/* SPDX-License-Identifier: Apache-2.0 */
/* The child network of a conv-chain architecture, as a graph ready to be trained. */
#ifndef ARCHWAY_WORKER_CHILD_CONV_H
#define ARCHWAY_WORKER_CHILD_CONV_H

#include "common/error.h"
#include "common/nn/graph.h"
#include "common/space/conv_chain.h"

/* Build and finish the graph of `chain` for images of `image` and `classes` outputs: each
 * layer is convolution, batch norm, ReLU over the depth concatenation of its inputs; the
 * outputs nobody reads are concatenated, averaged over the map and classified by a linear
 * layer with softmax cross-entropy. Parameters are not initialised (nn_graph_init).
 * Errors as nn_graph_finish: ERROR_INPUT when options->memory_limit is exceeded. Caller
 * frees with nn_graph_free. */
int child_conv_new(const struct conv_chain *chain, struct nn_shape image, int classes,
                   const struct nn_graph_options *options, struct nn_graph **ret,
                   struct error *err);

#endif
