/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the relaxed model only. All but the nodes (relaxed_cell.c) is
 * done by a recurrent model, the core: to it the cell is a chain of N + 1 nodes, which
 * has the same parameters. */
#ifndef ARCHWAY_COMMON_NN_RELAXED_PRIVATE_H
#define ARCHWAY_COMMON_NN_RELAXED_PRIVATE_H

#include "common/nn/recurrent_private.h"
#include "common/nn/relaxed.h"

struct relaxed {
    struct relaxed_options options;
    struct recurrent_cell chain;
    struct recurrent *core; /* owned, as all below */
    size_t edges;
    float *shares; /* (edges, RELAXED_OPERATIONS): of the alpha at hand */
    double *sums;  /* (B, edges, RECURRENT_ACTIVATIONS): gradients of shares by column */
    double *steps; /* (2, edges, RELAXED_OPERATIONS): of alpha, for relaxed_step.c */
    bool wanted;   /* are the sums? */

    /* Only with options.unrolled. */
    float *ahead, *direction; /* laid out as the parameters */
    float *state;             /* (B, H) */
};

/* relaxed.c: relaxed_gradient, but alpha_gradient is overwritten, and in double. weight
 * 0: the loss alone. */
double relaxed_run(struct relaxed *r, const float *parameters, const float *alpha,
                   const struct recurrent_window *window, float weight, float *gradient,
                   double *alpha_gradient);

/* The shares of an edge in the order of enum recurrent_activation. */
void relaxed_edge_shares(const struct relaxed *r, size_t edge,
                         float ret[RECURRENT_ACTIVATIONS]);
/* The activation of an operation from RELAXED_TANH on. */
enum recurrent_activation relaxed_activation(enum relaxed_operation o);

#endif
