/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient by which alpha is stepped (Liu et al., ICLR 2019, section 2.3).
 *
 * First order: that of the validation loss at the parameters as they are; this is
 * relaxed_gradient with alpha's gradient alone. Second order: of the validation loss
 * after one more step on the training loss, whose dependence on alpha counts,
 *
 *     w' = w - eta (f dL_train/dw(w, alpha) + decay w),
 *     dL_val/dalpha(w', alpha) - eta f (D+ - D-) / (2 e),
 *     D+- = dL_train/dalpha(w +- e v, alpha),
 *     v = dL_val/dw(w', alpha),  e = radius / |v|,
 *
 * where f = min(1, clip / (|dL_train/dw| + 1e-6)) is the factor that clips the step,
 * counted as a constant; v is not clipped. */
#ifndef ARCHWAY_COMMON_NN_RELAXED_STEP_H
#define ARCHWAY_COMMON_NN_RELAXED_STEP_H

#include "common/nn/relaxed.h"

struct relaxed_unrolled {
    struct recurrent_descent descent; /* the step ahead: lr is eta, clip 0: f = 1 */
    double radius;                    /* > 0; 0.01 as published */
};

/* Adds the second-order gradient to alpha_gradient (laid out as alpha) and returns the
 * validation loss at w'. The model must have been made with `unrolled`. The parameters
 * stay as they are, the state of `train` too, that of `valid` goes on from w';
 * same_weights of both is not asked for. NAN, with nothing added and the state of `valid`
 * unspecified, where a gradient or the loss is no finite number. */
double relaxed_step_unrolled(struct relaxed *r, const float *parameters,
                             const float *alpha, const struct relaxed_unrolled *u,
                             const struct recurrent_window *train,
                             const struct recurrent_window *valid, float *alpha_gradient);

#endif
