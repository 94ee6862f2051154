/* SPDX-License-Identifier: Apache-2.0 */
/* A feed-forward network of images, built node by node, trained with exact gradients.
 *
 * Activations are NHWC, float32. All parameters live in one flat vector, gradients in a
 * second one of the same layout, so that an optimiser is one loop. Build the nodes,
 * finish once (allocates everything), then run forward and backward any number of times
 * without allocating. One graph uses one thread unless `threads` says more; results do
 * not depend on the machine's kernels beyond rounding, and are the same bits for the same
 * kernels and number of threads. */
#ifndef ARCHWAY_COMMON_NN_GRAPH_H
#define ARCHWAY_COMMON_NN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct nn_graph; /* opaque */

struct nn_shape {
    int h, w, c; /* of one image; the batch comes on top */
};

struct nn_parameter {
    const char *name;     /* "conv0.weight", "bn0.scale", ...; borrowed from the graph */
    size_t offset, count; /* in the flat vector, floats */
    int rank, dims[4];    /* conv weight: (KH, KW, C, K); linear weight: (C, K) */
    bool decay;           /* weight decay applies (weights of conv and linear only) */
};

struct nn_graph_options {
    int max_batch;       /* images */
    int threads;         /* at least 1 */
    const char *kernels; /* implementation to use, NULL: the fastest that runs here */
    size_t memory_limit; /* bytes; 0: none. nn_graph_finish fails beyond it */
    size_t cache;        /* bytes that a group of images worked on at once may take; 0: a
                            size that suits most second-level caches. Changes rounding */
};

int nn_graph_new(const struct nn_graph_options *options, struct nn_graph **ret,
                 struct error *err);
void nn_graph_free(struct nn_graph *g); /* NULL is allowed */

/* Nodes. Each returns the new node's index (>= 0) or a negative status; `input`s are
 * earlier nodes. A failed call leaves the graph unusable but freeable, and every later
 * call returns the first error, so errors may be checked once, in nn_graph_finish. */
int nn_graph_input(struct nn_graph *g, struct nn_shape shape);
/* Convolution without bias, 'same' padding: output ceil(h / stride), ceil(w / stride);
 * total padding max((o - 1) * stride + k - h, 0), the smaller half above and left. */
int nn_graph_conv(struct nn_graph *g, int input, int filter_height, int filter_width,
                  int filters, int stride);
/* Batch norm over (N, H, W) per channel, biased variance, eps 1e-5, running statistics
 * with momentum 0.1 (unbiased variance, as PyTorch), then ReLU when `relu`. */
int nn_graph_batch_norm(struct nn_graph *g, int input, bool relu);
/* Concatenate in depth; smaller maps are zero-padded at the bottom and right. */
int nn_graph_concat(struct nn_graph *g, const int *inputs, int count);
int nn_graph_global_pool(struct nn_graph *g, int input);         /* mean over (H, W) */
int nn_graph_linear(struct nn_graph *g, int input, int outputs); /* with bias */
/* Mean softmax cross-entropy over the batch; ends the graph. */
int nn_graph_softmax_loss(struct nn_graph *g, int logits);

/* Allocate activations, parameters, gradients. ERROR_INPUT when an earlier call failed or
 * the memory limit is exceeded (saying how much would be needed), ERROR_SYSTEM when
 * memory is gone. */
int nn_graph_finish(struct nn_graph *g, struct error *err);

struct nn_shape nn_graph_shape(const struct nn_graph *g, int node);
size_t nn_graph_memory(const struct nn_graph *g); /* bytes allocated by finish */
double nn_graph_flops(const struct nn_graph *g); /* forward, per image, 2 x multiply-adds,
                                                    convolutions and linear layers */
size_t nn_graph_parameter_count(const struct nn_graph *g); /* floats */
float *nn_graph_parameters(struct nn_graph *g);            /* flat, borrowed */
float *nn_graph_gradients(struct nn_graph *g);             /* flat, borrowed */
int nn_graph_parameter_list(const struct nn_graph *g, const struct nn_parameter **ret);
/* Running statistics of batch norms: flat, borrowed; layout mean then variance per norm.
 */
float *nn_graph_statistics(struct nn_graph *g, size_t *ret_count);

/* He-uniform for convolution, U(+-1/sqrt(inputs)) for linear, scale 1, shift 0; numbers
 * from (seed, RNG_CHILD_INIT). */
void nn_graph_init(struct nn_graph *g, uint64_t seed);

struct nn_result {
    double loss; /* mean over the batch; NAN or infinite when training diverged */
    int correct; /* images whose largest logit is the label */
};
/* images: (n, H, W, C) with n <= max_batch; labels: n, each in [0, outputs). `training`
 * uses the batch's statistics and updates the running ones; otherwise the running ones
 * are folded into the convolutions. */
void nn_graph_forward(struct nn_graph *g, int n, const float *images,
                      const uint8_t *labels, bool training, struct nn_result *ret);
/* Gradients of the last training forward's loss, written (not added) to the flat vector.
 */
void nn_graph_backward(struct nn_graph *g);
/* Activations of any node in the last forward, which was a training one; ret: (n, h, w,
 * c). For tests and diagnostics: most are not stored but made again. */
void nn_graph_output(struct nn_graph *g, int node, float *ret);
/* Name of the implementation in use ("avx2", "generic"); static. */
const char *nn_graph_kernels(const struct nn_graph *g);

/* Treat denormal numbers as zero in this thread and those it starts later: decaying
 * weights and gradients reach them, and many processors compute them a hundred times
 * slower. */
void nn_set_flush_denormals(bool flush);

#endif
