/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent language model in double precision, one loop a formula: the reference of
 * losses, and by differences of gradients. */
#ifndef ARCHWAY_TESTS_KERNEL_RECURRENT_REFERENCE_H
#define ARCHWAY_TESTS_KERNEL_RECURRENT_REFERENCE_H

#include "common/nn/recurrent_private.h"

enum { REFERENCE_HIDDEN = 64, REFERENCE_BATCH = 64 };

double reference_activate(double a, int f);
/* a (2H) += p (H) W (H, 2H), W times its mask if there is one. */
void reference_add_product(const double *p, const double *w, const float *mask, int n,
                           double *a);
/* h = p + g (f(a's second half) - p), g = sigmoid of its first. */
void reference_mix(const double *a, const double *p, int f, int n, double *h);
/* All columns at one step: mean 0, variance 1. */
void reference_normalise(int batch, int n, double out[][REFERENCE_HIDDEN]);

/* What a walk through a window's steps needs; as for reference_loss. */
struct reference {
    const struct recurrent *r;
    const struct recurrent_options *o;
    const double *parameters;
    const struct recurrent_window *w;
    const float *state;
    double *cut;
    bool write;
};
/* One step of all columns: out (batch, H) from what enters. */
typedef void (*reference_step)(const struct reference *f, const void *cell,
                               double x[][REFERENCE_HIDDEN],
                               double state[][REFERENCE_HIDDEN],
                               double out[][REFERENCE_HIDDEN]);
double reference_walk(const struct reference *f, reference_step cell_step,
                      const void *cell, double *ret_state);

/* Mean loss over the window from these parameters (as many as recurrent_count, in its
 * order). ret_state: (batch, H) after the last step, or NULL. cut: (steps, batch) factors
 * on the states; `write`: they are computed and written, else taken as given. Masks are
 * those that the model drew for its last window. */
double reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                      const double *parameters, const struct recurrent_cell *cell,
                      const struct recurrent_window *w, const float *state, double *cut,
                      bool write, double *ret_state);

#endif
