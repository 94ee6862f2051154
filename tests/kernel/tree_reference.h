/* SPDX-License-Identifier: Apache-2.0 */
/* The language model of a tree in double precision, beside recurrent_reference.h. */
#ifndef ARCHWAY_TESTS_KERNEL_TREE_REFERENCE_H
#define ARCHWAY_TESTS_KERNEL_TREE_REFERENCE_H

#include "common/nn/recurrent_private.h"

/* As reference_loss, of options.tree: states are (2, batch, H), h and c, and so are the
 * factors `cut` (2, steps, batch). */
double tree_reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                           const double *parameters, const struct recurrent_window *w,
                           const float *state, double *cut, bool write,
                           double *ret_state);

#endif
