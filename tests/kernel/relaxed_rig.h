/* SPDX-License-Identifier: Apache-2.0 */
/* A relaxed model with random parameters, alpha, state and words, for its tests. */
#ifndef ARCHWAY_TESTS_KERNEL_RELAXED_RIG_H
#define ARCHWAY_TESTS_KERNEL_RELAXED_RIG_H

#include "common/nn/relaxed.h"
#include "common/nn/relaxed_step.h"

struct relaxed_rig {
    struct relaxed_options o;
    struct relaxed *r;
    size_t count, alphas, states;
    float *parameters, *gradient, *alpha, *alpha_gradient, *state, *before;
    double *exact, *exact_alpha; /* the same numbers */
    int32_t *inputs, *targets;
    struct recurrent_window w;
};

/* 0: by the clock. Then print it and begin its numbers: first thing in a random test. */
void rig_seed(uint64_t seed);
void rig_start(void);
int rig_below(int n);

void rig_init(struct relaxed_rig *g, const struct relaxed_options *o);
/* Another model of the same numbers, with gradients of 0 and the state from before. */
void rig_copy(struct relaxed_rig *ret, const struct relaxed_rig *g);
void rig_fini(struct relaxed_rig *g);
/* The state as it was. */
void rig_restart(struct relaxed_rig *g);
/* Add up first and second-order gradients on the window, which is the training window as
 * well; returns the sum of the losses. */
double rig_all_gradients(struct relaxed_rig *g, const struct relaxed_unrolled *u);

#endif
