/* SPDX-License-Identifier: Apache-2.0 */
/* The second-order gradient takes four passes: w' from the training window, v and alpha's
 * gradient from the validation window at w', then alpha's gradient on the training window
 * on both sides of w along v. Two vectors suffice: the gradient that leads to w' is spent
 * when v takes its place, w' when the two sides do. */
#include "common/nn/relaxed_step.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/nn/relaxed_private.h"

/* relaxed_run on a window whose state is kept. */
static double run_kept(struct relaxed *r, const float *parameters, const float *alpha,
                       const struct recurrent_window *window, float *gradient,
                       double *alpha_gradient)
{
    struct recurrent_window w = *window;
    w.state = r->state;
    w.same_weights = false;
    memcpy(w.state, window->state,
           (size_t)w.batch * (size_t)r->options.hidden * sizeof *w.state);
    return relaxed_run(r, parameters, alpha, &w, 1, gradient, alpha_gradient);
}

/* r->ahead = w', r->direction = the gradient that leads there. Returns eta f, or
 * NAN where that gradient is none. */
static double look_ahead(struct relaxed *r, const float *parameters, const float *alpha,
                         const struct recurrent_descent *d,
                         const struct recurrent_window *train)
{
    relaxed_clear(r, r->direction);
    run_kept(r, parameters, alpha, train, r->direction, NULL);
    memcpy(r->ahead, parameters, relaxed_count(r) * sizeof *r->ahead);
    double norm = relaxed_descend(r, d, r->direction, r->ahead);
    return isfinite(norm) ? d->lr * recurrent_clip_factor(d, norm) : NAN;
}

/* alpha's gradient on the training window at w + e v. */
static void look_aside(struct relaxed *r, const float *parameters, const float *alpha,
                       double e, const struct recurrent_window *train, double *ret)
{
    struct recurrent_descent along = {.lr = -e};
    memcpy(r->ahead, parameters, relaxed_count(r) * sizeof *r->ahead);
    relaxed_descend(r, &along, r->direction, r->ahead);
    run_kept(r, r->ahead, alpha, train, NULL, ret);
}

/* What is subtracted from alpha's gradient: step (D+ - D-) / (2 e). */
static void add_implicit(struct relaxed *r, const float *parameters, const float *alpha,
                         double e, double step, const struct recurrent_window *train,
                         double *gradient)
{
    size_t count = r->edges * RELAXED_OPERATIONS;
    double *side = r->steps + count;
    for (int sign = -1; sign <= 1; sign += 2) {
        look_aside(r, parameters, alpha, sign * e, train, side);
        for (size_t i = 0; i < count; i++)
            gradient[i] -= sign * step * side[i] / (2 * e);
    }
}

double relaxed_step_unrolled(struct relaxed *r, const float *parameters,
                             const float *alpha, const struct relaxed_unrolled *u,
                             const struct recurrent_window *train,
                             const struct recurrent_window *valid, float *alpha_gradient)
{
    struct recurrent_range all = {0, relaxed_count(r)};
    struct recurrent_window w = *valid;
    double *gradient = r->steps, sum = 0;
    size_t count = r->edges * RELAXED_OPERATIONS;
    assert(r->options.unrolled);
    double step = look_ahead(r, parameters, alpha, &u->descent, train);
    relaxed_clear(r, r->direction);
    w.same_weights = false;
    double loss = relaxed_run(r, r->ahead, alpha, &w, 1, r->direction, gradient);
    double norm = recurrent_norm_of(r->core, &all, 1, r->direction);
    if (isfinite(norm) && norm > 0)
        add_implicit(r, parameters, alpha, u->radius / norm, step, train, gradient);
    for (size_t i = 0; i < count; i++)
        sum += gradient[i];
    if (!isfinite(step) || !isfinite(norm) || !isfinite(loss) || !isfinite(sum))
        return NAN;
    for (size_t i = 0; i < count; i++)
        alpha_gradient[i] += (float)gradient[i];
    return loss;
}
