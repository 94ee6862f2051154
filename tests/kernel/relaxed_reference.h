/* SPDX-License-Identifier: Apache-2.0 */
/* The relaxed cell in double precision, one loop a formula. */
#ifndef ARCHWAY_TESTS_KERNEL_RELAXED_REFERENCE_H
#define ARCHWAY_TESTS_KERNEL_RELAXED_REFERENCE_H

#include "common/nn/relaxed_private.h"

/* Mean loss over the window, as reference_loss of recurrent_reference.h; alpha in
 * relaxed.h's order. */
double relaxed_reference_loss(const struct relaxed *r, const double *parameters,
                              const double *alpha, const struct recurrent_window *w,
                              const float *state, double *ret_state);

#endif
