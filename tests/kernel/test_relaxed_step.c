/* SPDX-License-Identifier: Apache-2.0 */
/* The second-order gradient of alpha against differences of the objective itself: in
 * double precision the training loss is differentiated, one step made, and the validation
 * loss taken; all of it again for each alpha a little larger and smaller. And searches by
 * first and second order, which must learn. */
#include "common/nn/relaxed_step.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/optimizer.h"
#include "relaxed_reference.h"
#include "relaxed_rig.h"
#include "tests/unit/unit.h"

/* Parameters and alpha are those of `train`. */
struct objective {
    struct relaxed_rig *train, *valid;
    struct recurrent_descent d;
    double factor;        /* on the training gradient */
    double *ahead, *base; /* w', and w' of alpha as it is */
};

static double loss_of(const struct relaxed_rig *g, const double *parameters,
                      const double *alpha)
{
    return relaxed_reference_loss(g->r, parameters, alpha, &g->w, g->before, NULL);
}

/* The norm of the training gradient; w' from it. */
static double look_ahead(const struct objective *o)
{
    struct relaxed_rig *g = o->train;
    double squares = 0, eps = 1e-5;
    for (size_t i = 0; i < g->count; i++) {
        double value = g->exact[i], side[2];
        for (int s = 0; s < 2; s++) {
            g->exact[i] = value + (s ? eps : -eps);
            side[s] = loss_of(g, g->exact, g->exact_alpha);
        }
        g->exact[i] = value;
        double slope = (side[1] - side[0]) / (2 * eps);
        squares += slope * slope;
        o->ahead[i] = value - o->d.lr * (o->factor * slope + o->d.decay * value);
    }
    return sqrt(squares);
}

/* The derivative of the objective, w' being moved along or not. */
static double derivative(const struct objective *o, size_t at, double eps, bool moved)
{
    double *alpha = o->train->exact_alpha, value = alpha[at], side[2];
    for (int s = 0; s < 2; s++) {
        alpha[at] = value + (s ? eps : -eps);
        if (moved)
            look_ahead(o);
        side[s] = loss_of(o->valid, moved ? o->ahead : o->base, alpha);
    }
    alpha[at] = value;
    return (side[1] - side[0]) / (2 * eps);
}

static double unrolled(struct objective *o, double radius)
{
    const struct relaxed_unrolled u = {.descent = o->d, .radius = radius};
    struct relaxed_rig *g = o->train;
    memset(g->alpha_gradient, 0, g->alphas * sizeof *g->alpha_gradient);
    rig_restart(o->valid);
    return relaxed_step_unrolled(g->r, g->parameters, g->alpha, &u, &g->w, &o->valid->w,
                                 g->alpha_gradient);
}

/* The largest second-order part, which is told from the first-order one by holding w'
 * still, and the largest error. False where two step sizes disagree: an alpha moves a
 * ReLU over its kink. */
static bool look(struct objective *o, double *ret_largest, double *ret_worst)
{
    struct relaxed_rig *g = o->train;
    double largest = 0, worst = 0;
    for (size_t i = 0; i < g->alphas; i++) {
        double exact = derivative(o, i, 1e-4, true), wide = derivative(o, i, 4e-4, true);
        if (fabs(wide - exact) > 1e-6 + 1e-3 * fabs(exact))
            return false;
        largest = fmax(largest, fabs(exact - derivative(o, i, 1e-4, false)));
        worst = fmax(worst, fabs((double)g->alpha_gradient[i] - exact));
    }
    *ret_largest = largest;
    *ret_worst = worst;
    return true;
}

/* To 1 % of the largest second-order part. False where that part is too small to be seen,
 * or there is a kink nearby: along v two radii then disagree. */
static bool check_derivatives(struct objective *o)
{
    struct relaxed_rig *g = o->train;
    double largest, worst, apart = 0;
    float *closer = malloc(g->alphas * sizeof *closer);
    unrolled(o, 2.5e-4);
    memcpy(closer, g->alpha_gradient, g->alphas * sizeof *closer);
    unrolled(o, 1e-3);
    for (size_t i = 0; i < g->alphas; i++)
        apart = fmax(apart, fabs((double)closer[i] - (double)g->alpha_gradient[i]));
    free(closer);
    if (!look(o, &largest, &worst) || largest < 1e-3 || apart > 0.01 * largest)
        return false;
    ck_assert_msg(worst < 0.01 * largest, "off by %g, second-order part up to %g", worst,
                  largest);
    return true;
}

/* Larger parameters, of which more depends. */
static void strengthen(struct relaxed_rig *g)
{
    for (size_t i = 0; i < g->count; i++)
        g->exact[i] = (double)(g->parameters[i] *= 4);
}

/* What is promised of parameters, states and the loss. */
static void check_rest(struct objective *o)
{
    struct relaxed_rig *train = o->train, *valid = o->valid;
    double loss = unrolled(o, 1e-3);
    ck_assert_double_eq_tol(loss, loss_of(valid, o->base, train->exact_alpha), 1e-5);
    ck_assert_mem_eq(train->state, train->before, train->states * sizeof *train->state);
    ck_assert_mem_ne(valid->state, valid->before, valid->states * sizeof *valid->state);
    for (size_t i = 0; i < train->count; i++)
        ck_assert(train->parameters[i] == (float)train->exact[i]);
}

/* clipped: to half the gradient's norm. False where nothing can be said. */
static bool check_objective(const struct relaxed_options *options, bool clipped)
{
    struct relaxed_rig train, valid;
    rig_init(&train, options);
    rig_init(&valid, options);
    struct objective o = {.train = &train,
                          .valid = &valid,
                          .d = {.lr = 0.7, .decay = 0.05},
                          .factor = 1,
                          .ahead = malloc(train.count * sizeof *o.ahead),
                          .base = malloc(train.count * sizeof *o.base)};
    train.w.same_weights = valid.w.same_weights = true; /* must not be believed */
    strengthen(&train);
    if (clipped) {
        double norm = look_ahead(&o);
        o.d.clip = norm / 2;
        o.factor = o.d.clip / (norm + 1e-6);
    }
    look_ahead(&o);
    memcpy(o.base, o.ahead, train.count * sizeof *o.base);
    check_rest(&o);
    bool said = check_derivatives(&o);
    free(o.ahead);
    free(o.base);
    rig_fini(&train);
    rig_fini(&valid);
    return said;
}

static const struct relaxed_options small = {.vocabulary = 6,
                                             .hidden = 4,
                                             .steps = 3,
                                             .batch = 5,
                                             .nodes = 2,
                                             .unrolled = true,
                                             .threads = 2};

static double step_of(struct relaxed_rig *g, struct relaxed_rig *valid, double lr)
{
    const struct relaxed_unrolled u = {.descent = {.lr = lr}, .radius = 0.01};
    return relaxed_step_unrolled(g->r, g->parameters, g->alpha, &u, &g->w, &valid->w,
                                 g->alpha_gradient);
}

/* A number that is none: for the step to make, in a state, or in the parameters. */
START_TEST(what_is_no_number_adds_nothing)
{
    struct relaxed_rig g, valid;
    rig_start();
    rig_init(&g, &small);
    rig_init(&valid, &small);
    ck_assert(isnan(step_of(&g, &valid, (double)INFINITY)));
    rig_restart(&valid);
    ck_assert(isnan(step_of(&g, &valid, (double)NAN)));
    rig_restart(&valid);
    g.state[0] = NAN;
    ck_assert(isnan(step_of(&g, &valid, 1)));
    rig_restart(&g);
    rig_restart(&valid);
    g.parameters[relaxed_matrix(g.r, 1)] = NAN;
    ck_assert(isnan(step_of(&g, &valid, 1)));
    for (size_t i = 0; i < g.alphas; i++)
        ck_assert(g.alpha_gradient[i] == 0);
    rig_restart(&valid);
    g.parameters[relaxed_matrix(g.r, 1)] = 0.1f;
    ck_assert(isfinite(step_of(&g, &valid, 1)));
    rig_fini(&g);
    rig_fini(&valid);
}
END_TEST

/* With a rate of 0 nothing is looked ahead to: the first-order gradient remains. */
START_TEST(no_step_ahead_is_first_order)
{
    struct relaxed_rig g, valid;
    rig_start();
    rig_init(&g, &small);
    rig_init(&valid, &small);
    double loss = step_of(&g, &valid, 0);
    rig_restart(&valid);
    ck_assert_double_eq(relaxed_gradient(g.r, g.parameters, g.alpha, &valid.w, 1, NULL,
                                         valid.alpha_gradient),
                        loss);
    ck_assert_mem_eq(g.alpha_gradient, valid.alpha_gradient, g.alphas * sizeof(float));
    rig_fini(&g);
    rig_fini(&valid);
}
END_TEST

/* Some models of random sizes; of four times as many, the rest may say nothing. */
static void check_objectives(bool norm, int wanted)
{
    int said = 0;
    for (int k = 0; k < 4 * wanted && said < wanted; k++) {
        struct relaxed_options o = small;
        o.vocabulary = 2 + rig_below(4);
        o.hidden = 2 + rig_below(3);
        o.nodes = 1 + rig_below(3);
        o.steps = 2 + rig_below(2);
        o.batch = norm ? 10 : 2 + rig_below(3);
        o.norm = norm;
        said += check_objective(&o, k % 2 == 1);
    }
    ck_assert_int_eq(said, wanted);
}

START_TEST(the_gradient_is_that_of_the_unrolled_objective)
{
    rig_start();
    check_objectives(false, 6);
}
END_TEST

START_TEST(the_gradient_goes_through_norms)
{
    rig_start();
    check_objectives(true, 2);
}
END_TEST

/* A text in which each word names the next. */
static void rewrite(struct relaxed_rig *g)
{
    for (int i = 0; i < g->o.batch; i++)
        g->inputs[i] = rig_below(g->o.vocabulary);
    for (int i = 0; i < g->o.steps * g->o.batch; i++) {
        if (i >= g->o.batch)
            g->inputs[i] = g->targets[i - g->o.batch];
        g->targets[i] = (3 * g->inputs[i] + 1) % g->o.vocabulary;
    }
}

/* One step of alpha, one of the parameters, as the search alternates them. */
static double search_step(struct relaxed_rig *g, struct relaxed_rig *valid,
                          struct optimizer *adam, bool second)
{
    const struct optimizer_adam settings = {3e-2f, 0.9f, 0.999f, 1e-8f, 1e-3f};
    const struct relaxed_unrolled u = {{.lr = 2, .clip = 0.25, .decay = 5e-7}, 0.01};
    double loss;
    rewrite(g);
    rewrite(valid);
    memset(g->alpha_gradient, 0, g->alphas * sizeof *g->alpha_gradient);
    if (second)
        loss = relaxed_step_unrolled(g->r, g->parameters, g->alpha, &u, &g->w, &valid->w,
                                     g->alpha_gradient);
    else
        loss = relaxed_gradient(g->r, g->parameters, g->alpha, &valid->w, 1, NULL,
                                g->alpha_gradient);
    optimizer_adam_step(adam, &settings, g->alpha, g->alpha_gradient);
    relaxed_clear(g->r, g->gradient);
    relaxed_gradient(g->r, g->parameters, g->alpha, &g->w, 1, g->gradient, NULL);
    relaxed_descend(g->r, &u.descent, g->gradient, g->parameters);
    return loss;
}

#ifdef __SANITIZE_ADDRESS__ /* many times slower */
enum { SEARCH_STEPS = 60 };
static const double search_rest = 0.9;
#else
enum { SEARCH_STEPS = 200 };
static const double search_rest = 0.2;
#endif

/* One thread: how threads share the work is tested with the gradients, and on a busy
 * machine those that wait for each other at every norm would take minutes. */
static void check_search(bool second)
{
    const struct relaxed_options o = {.vocabulary = 8,
                                      .hidden = 16,
                                      .steps = 6,
                                      .batch = 16,
                                      .nodes = 3,
                                      .norm = true,
                                      .unrolled = second,
                                      .threads = 1};
    struct relaxed_rig g, valid;
    struct recurrent_cell cell;
    struct optimizer adam;
    double first = 0, last = 0;
    rig_init(&g, &o);
    rig_init(&valid, &o);
    ck_assert_int_eq(optimizer_init(&adam, g.alphas, true, NULL), 0);
    for (int i = 0; i < SEARCH_STEPS; i++) {
        double loss = search_step(&g, &valid, &adam, second);
        first += i < 10 ? loss / 10 : 0;
        last += i >= SEARCH_STEPS - 10 ? loss / 10 : 0;
    }
    ck_assert_msg(last < search_rest * first, "validation loss %g to %g", first, last);
    ck_assert_int_eq(relaxed_derive(g.alpha, o.nodes, &cell, NULL), 0);
    ck_assert_int_eq(recurrent_cell_check(&cell, o.nodes + 1, NULL), 0);
    optimizer_fini(&adam);
    rig_fini(&g);
    rig_fini(&valid);
}

START_TEST(searches_learn)
{
    rig_start();
    check_search(false);
    check_search(true);
}
END_TEST

/* With the parameters held still, alpha alone brings the loss of a window down. */
START_TEST(alpha_alone_learns)
{
    const struct optimizer_adam settings = {3e-2f, 0.9f, 0.999f, 1e-8f, 0};
    struct relaxed_rig g;
    struct optimizer adam;
    double loss = 0, first = 0;
    rig_start();
    rig_init(&g, &small);
    ck_assert_int_eq(optimizer_init(&adam, g.alphas, true, NULL), 0);
    for (int i = 0; i < 60; i++) {
        rig_restart(&g);
        memset(g.alpha_gradient, 0, g.alphas * sizeof *g.alpha_gradient);
        loss =
            relaxed_gradient(g.r, g.parameters, g.alpha, &g.w, 1, NULL, g.alpha_gradient);
        first = i == 0 ? loss : first;
        optimizer_adam_step(&adam, &settings, g.alpha, g.alpha_gradient);
    }
    ck_assert_msg(loss < first - 1e-3, "loss %g to %g", first, loss);
    optimizer_fini(&adam);
    rig_fini(&g);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {what_is_no_number_adds_nothing,
                                  no_step_ahead_is_first_order,
                                  the_gradient_is_that_of_the_unrolled_objective,
                                  the_gradient_goes_through_norms,
                                  searches_learn,
                                  alpha_alone_learns,
                                  NULL};
    rig_seed(argc > 1 ? strtoull(argv[1], NULL, 10) : 0);
    return unit_main("relaxed_step", tests);
}
