/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of Zoph & Le (ICLR 2017): an LSTM that emits an architecture token by token.
 *
 * - Start: h = c = 0 and a first input of 0. At every decision the LSTM advances one step
 *   and the top layer's h chooses; what was chosen is the next step's input.
 * - CHOICE of kind k: softmax(h W_k + b_k), one head per kind. The next input is the
 *   token's row in the kind's embedding table.
 * - ANCHOR at layer i: every earlier layer j is an input, independently, with probability
 *   sigmoid(v' tanh(W_prev h_j + W_curr h_i)) (section 3.3). All bits are decided at one
 *   step. h_i is h at that step; h_j is h at the last step that belonged to layer j: its
 *   own ANCHOR decision, or its last CHOICE where it has none (the first layer). The
 *   next input is (sum of the chosen h_j) / (1 + their number), as in ENAS; 0 when none
 * is chosen.
 * - POINTER at node i: one earlier node j, by softmax over v' tanh(W_prev h_j + W_curr
 * h_i) (Pham et al., ICML 2018, the recurrent cell). The next input is the chosen h_j.
 * - Every logit z of a decision counts as tanh_constant tanh(z / temperature) (Bello et
 *   al., 2016, section 5), unless the controller is told to decide plainly.
 * - All parameters start uniform in [-init, init], numbers from (seed,
 *   RNG_CONTROLLER_INIT). One bias a gate.
 *
 * Sampling trial `id` reads only the stream (seed, RNG_CONTROLLER_SAMPLE, id): what is
 * proposed depends on parameters and id, and is the same bit for bit sampled alone or in
 * any batch, and on any instruction set. One controller is used by one thread at a time;
 * calls marked "scratch" change no state that a caller can see. */
#ifndef ARCHWAY_MASTER_CONTROLLER_H
#define ARCHWAY_MASTER_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/architecture.h"
#include "common/config.h"
#include "common/error.h"
#include "common/space/space.h"
#include "common/state.h"

enum { CONTROLLER_MAX_LAYERS = 8, CONTROLLER_MAX_HIDDEN = 1024 };

struct controller; /* opaque */

/* config->layers, hidden, init and the space (borrowed) decide the parameters; lr, clip
 * and entropy are used by controller_update. ERROR_INPUT when layers or hidden are out of
 * bounds or the space has no decisions, ERROR_SYSTEM when memory is gone. */
int controller_new(const struct config_controller *config, const struct space *space,
                   uint64_t seed, struct controller **ret, struct error *err);
void controller_free(struct controller *c); /* NULL is allowed */

/* Sample n architectures of one depth, the k-th as trial ids[k]. ret_log_probability: n
 * natural logarithms, or NULL. ERROR_INPUT when the space emits more tokens than
 * ARCHITECTURE_MAX_TOKENS. Scratch. */
int controller_sample(struct controller *c, int depth, const uint64_t *ids, size_t n,
                      struct architecture *ret, double *ret_log_probability,
                      struct error *err);

/* Without temperature and tanh constant, as the policy is used when the search is over;
 * `plain` is false at first. Applies to all calls that follow. */
void controller_set_plain(struct controller *c, bool plain);

struct controller_score {
    double log_probability; /* sum over decisions of log P(token | tokens before) */
    double entropy; /* sum over decisions of the full entropy of the softmax (or of each
                       anchor's Bernoulli), nats */
};
/* Score given architectures under the current policy. ret_hidden: (n, hidden) top-layer h
 * at the last decision's step (it has seen every token but the last), or NULL.
 * ERROR_INPUT when one does not belong to the space. Scratch. */
int controller_score(struct controller *c, const struct architecture *const *a, size_t n,
                     struct controller_score *ret, float *ret_hidden, struct error *err);

/* Gradient of what an update minimises,
 *
 *     L = -(1/n) sum_k [ advantage_k log P(a_k) + entropy_weight H(a_k) ],
 *
 * H as in controller_score: a sum over the decisions (not a mean), a mean over the batch.
 * The policy is re-run on the given tokens, so those of an older policy are allowed: the
 * gradient is then that of the current policy at these tokens, without importance
 * weights, as in the paper's asynchronous training. The result lies in
 * controller_gradient_vector. Errors as controller_score. */
int controller_gradient(struct controller *c, const struct architecture *const *a,
                        const double *advantages, size_t n, double entropy_weight,
                        struct error *err);
/* controller_gradient with config->entropy, clip to config->clip, one step of Adam
 * (config->lr, beta 0.9 and 0.999, epsilon 1e-8); the version grows by one. */
int controller_update(struct controller *c, const struct architecture *const *a,
                      const double *advantages, size_t n, struct error *err);

uint32_t controller_version(const struct controller *c); /* updates made */
size_t controller_hidden(const struct controller *c);

/* One named array of parameters, as it is saved. */
struct controller_block {
    char name[64]; /* "lstm0.input", "embedding.1", "head.0.weight", "anchor.v", ... */
    size_t offset; /* in the flat vector, floats */
    int rank;
    size_t dims[2];
};
size_t controller_blocks(const struct controller *c, const struct controller_block **ret);
size_t controller_parameter_count(const struct controller *c);
const float *controller_parameters(const struct controller *c);      /* flat, borrowed */
const float *controller_gradient_vector(const struct controller *c); /* likewise */
/* Replace all parameters (copied); moments and version stay. */
void controller_set_parameters(struct controller *c, const float *parameters);

/* Parameters, Adam's moments and the version, bit for bit, as PREFIXcontroller/NAME,
 * PREFIXoptimizer/m/NAME, PREFIXoptimizer/v/NAME, PREFIXoptimizer/step. load leaves the
 * controller as it was on failure. */
int controller_save(const struct controller *c, const char *prefix, struct state *state,
                    struct error *err);
int controller_load(struct controller *c, const char *prefix, const struct state *state,
                    struct error *err);

#endif
