/* SPDX-License-Identifier: Apache-2.0 */
/* A second, independent reading of what a network computes: every node in double,
 * straight from the definitions in graph.h, with none of the graph's code. Slow on
 * purpose. */
#ifndef ARCHWAY_TESTS_KERNEL_REFERENCE_H
#define ARCHWAY_TESTS_KERNEL_REFERENCE_H

#include <stdint.h>

#include "common/nn/graph.h"

enum net_kind {
    NET_INPUT,
    NET_CONV,
    NET_NORM,
    NET_CONCAT,
    NET_POOL,
    NET_LINEAR,
    NET_LOSS
};
enum { NET_MAX_NODES = 24 };

struct net_node {
    enum net_kind kind;
    int in[4], in_count;         /* earlier nodes */
    struct nn_shape shape;       /* input only */
    int kh, kw, k, stride, relu; /* conv; k: linear as well; relu: norm */
};

struct net {
    const char *name;
    struct net_node nodes[NET_MAX_NODES]; /* ends after NET_LOSS */
};

/* The same network as a graph, finished. Exits the test program on failure. */
struct nn_graph *net_build(const struct net *net, const struct nn_graph_options *options);

/* Mean loss of a training forward over n images with the given flat parameters (of the
 * graph's layout). When ret_out is not NULL, *ret_out[node] points to the node's
 * activations (n, h, w, c), owned by the caller through reference_free. */
double reference_loss(const struct net *net, int n, const double *images,
                      const uint8_t *labels, const double *parameters,
                      double *ret_out[NET_MAX_NODES]);
void reference_free(double *out[NET_MAX_NODES]);

#endif
