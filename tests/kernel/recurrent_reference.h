/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent language model in double precision, one loop a formula: the reference of
 * losses, and by differences of gradients. */
#ifndef ARCHWAY_TESTS_KERNEL_RECURRENT_REFERENCE_H
#define ARCHWAY_TESTS_KERNEL_RECURRENT_REFERENCE_H

#include "common/nn/recurrent_private.h"

/* Mean loss over the window from these parameters (as many as recurrent_count, in its
 * order). ret_state: (batch, H) after the last step, or NULL. cut: (steps, batch) factors
 * on the states; `write`: they are computed and written, else taken as given. Masks are
 * those that the model drew for its last window. */
double reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                      const double *parameters, const struct recurrent_cell *cell,
                      const struct recurrent_window *w, const float *state, double *cut,
                      bool write, double *ret_state);

#endif
