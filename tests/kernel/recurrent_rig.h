/* SPDX-License-Identifier: Apache-2.0 */
/* A recurrent model with random parameters, state and words, of a cell of nodes or, with
 * options.tree, of a tree, beside its reference in double precision. */
#ifndef ARCHWAY_TESTS_KERNEL_RECURRENT_RIG_H
#define ARCHWAY_TESTS_KERNEL_RECURRENT_RIG_H

#include "common/nn/recurrent_private.h"

struct recurrent_rig {
    struct recurrent_options o;
    struct recurrent_cell cell; /* of nodes */
    struct recurrent *r;
    size_t count, states; /* floats of the parameters, of the window's state */
    float *parameters, *gradient, *state, *before;
    double *exact; /* the parameters */
    double *cut;   /* (2, steps, batch) */
    int32_t *inputs, *targets;
    struct recurrent_window w;
};

/* 0: by the clock. Then print it and begin its numbers: first thing in a random test. */
void rig_seed(uint64_t seed);
void rig_start(void);
uint64_t rig_seed_of(void);
int rig_below(int n);
float rig_float(void); /* from 0 to below 1 */

/* cell: NULL with options.tree. */
void rig_init(struct recurrent_rig *g, const struct recurrent_options *o,
              const struct recurrent_cell *cell);
void rig_fini(struct recurrent_rig *g);
/* The state as it was. */
void rig_restart(struct recurrent_rig *g);
/* Does the cell use this parameter? */
bool rig_touched(const struct recurrent_rig *g, size_t at);
/* Loss, state and gradient of such a model are those of its reference; played again with
 * other numbers where kinks of ReLUs leave no derivatives to compare with. */
void rig_check(const struct recurrent_options *o, const struct recurrent_cell *cell,
               const struct recurrent_dropout *dropout);

#endif
