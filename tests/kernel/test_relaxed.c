/* SPDX-License-Identifier: Apache-2.0 */
/* Relaxed recurrent cells against a reference in double precision: the loss, the state,
 * and by central differences of the reference the gradients of parameters and alpha. */
#include "relaxed_reference.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "relaxed_rig.h"
#include "tests/unit/unit.h"

/* What is differentiated, and by which number. */
static double derivative_of(struct relaxed_rig *g, double *at, double eps)
{
    double value = *at, side[2];
    for (int s = 0; s < 2; s++) {
        *at = value + (s ? eps : -eps);
        side[s] = relaxed_reference_loss(g->r, g->exact, g->exact_alpha, &g->w, g->before,
                                         NULL);
    }
    *at = value;
    return (side[1] - side[0]) / (2 * eps);
}

/* False across the kink of a ReLU, where two step sizes disagree. */
static bool near_derivative(struct relaxed_rig *g, double *at, float found,
                            const char *what)
{
    double wide = derivative_of(g, at, 1e-5), exact = derivative_of(g, at, 1e-6);
    if (fabs(wide - exact) > 1e-6 + 1e-3 * fabs(exact))
        return false;
    ck_assert_msg(fabs((double)found - exact) < 5e-6 + 2e-3 * fabs(exact),
                  "%s: %g, should be %g", what, (double)found, exact);
    return true;
}

static void check_gradients(struct relaxed_rig *g)
{
    int kinks = 0, looks = 0;
    for (; looks < 40; looks++) {
        size_t at = (size_t)rig_below((int)g->count);
        kinks += !near_derivative(g, &g->exact[at], g->gradient[at], "a parameter");
    }
    for (size_t i = 0; i < g->alphas; i++, looks++)
        kinks +=
            !near_derivative(g, &g->exact_alpha[i], g->alpha_gradient[i], "an alpha");
    ck_assert_int_lt(kinks, looks / 10 + 2);
}

static void check_model(const struct relaxed_options *o,
                        const struct recurrent_dropout *dropout)
{
    struct relaxed_rig g;
    rig_init(&g, o);
    g.w.dropout = dropout;
    double *state = malloc(g.states * sizeof *state);
    double loss = relaxed_gradient(g.r, g.parameters, g.alpha, &g.w, 1, g.gradient,
                                   g.alpha_gradient);
    double exact =
        relaxed_reference_loss(g.r, g.exact, g.exact_alpha, &g.w, g.before, state);
    ck_assert_double_eq_tol(loss, exact, 5e-5);
    for (size_t i = 0; i < g.states; i++)
        ck_assert_double_eq_tol((double)g.state[i], state[i],
                                1e-4 * (1 + fabs(state[i])));
    rig_restart(&g);
    ck_assert_double_eq(relaxed_loss(g.r, g.parameters, g.alpha, &g.w), loss);
    check_gradients(&g);
    free(state);
    rig_fini(&g);
}

static void check_kernels(const char *kernels)
{
    for (int k = 0; k < 12; k++) {
        struct relaxed_options o = {.vocabulary = 2 + rig_below(40),
                                    .hidden = 1 + rig_below(21),
                                    .steps = 1 + rig_below(5),
                                    .batch = 1 + rig_below(9),
                                    .nodes = 1 + rig_below(5),
                                    .norm = k % 3 == 2,
                                    .threads = 1 + rig_below(3),
                                    .kernels = kernels};
        struct recurrent_dropout d = {.embedding = 0.2,
                                      .input = k % 2 ? 0.3 : 0,
                                      .state = k % 3 ? 0.4 : 0,
                                      .output = k % 2 ? 0 : 0.5,
                                      .seed = (uint64_t)rig_below(1000),
                                      .step = (uint64_t)k};
        if (o.norm)
            o.batch += 6; /* of few columns rounding makes much of a difference */
        check_model(&o, k > 5 ? &d : NULL);
    }
}

static const struct relaxed_options small = {
    .vocabulary = 23, .hidden = 19, .steps = 5, .batch = 7, .nodes = 4, .threads = 1};

START_TEST(bad_sizes_are_refused)
{
    struct relaxed *r = NULL;
    for (int k = 0; k < 6; k++)
        for (int value = -1; value <= 0; value++) {
            struct relaxed_options o = small;
            int *const fields[] = {&o.vocabulary, &o.hidden, &o.steps,
                                   &o.batch,      &o.nodes,  &o.threads};
            struct error err = {0};
            *fields[k] = value;
            ck_assert_int_eq(relaxed_new(&o, &r, &err), ERROR_INPUT);
            ck_assert_ptr_nonnull(strstr(err.text, "allowed are 1 to"));
        }
    struct relaxed_options o = small;
    o.nodes = RELAXED_MAX_NODES + 1;
    ck_assert_int_eq(relaxed_new(&o, &r, NULL), ERROR_INPUT);
    ck_assert_ptr_null(r);
    relaxed_free(NULL);
}
END_TEST

START_TEST(bad_alphas_derive_nothing)
{
    float alpha[3 * RELAXED_OPERATIONS] = {0};
    struct recurrent_cell cell = {.nodes = 77};
    struct error err = {0};
    ck_assert_int_eq(relaxed_derive(alpha, 0, &cell, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "0 nodes, allowed are 1 to 63"));
    ck_assert_int_eq(relaxed_derive(alpha, RELAXED_MAX_NODES + 1, &cell, NULL),
                     ERROR_INPUT);
    alpha[7] = NAN;
    ck_assert_int_eq(relaxed_derive(alpha, 2, &cell, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "alpha 7 is no number"));
    alpha[7] = INFINITY;
    ck_assert_int_eq(relaxed_derive(alpha, 2, &cell, NULL), ERROR_INPUT);
    ck_assert_int_eq(cell.nodes, 77);
    ck_assert_int_eq(relaxed_derive(alpha, 1, &cell, NULL), 0); /* that edge has 5 */
}
END_TEST

/* One pair a node, however many inputs it has. */
START_TEST(a_model_is_one_pair_a_node)
{
    struct relaxed *r;
    size_t pair = 2 * 19 * 19, next = 23 * 19;
    struct relaxed_options o = small;
    ck_assert_uint_eq(relaxed_edges(1), 1);
    ck_assert_uint_eq(relaxed_edges(8), 36);
    ck_assert_uint_eq(relaxed_edge(0, 1), 0);
    ck_assert_uint_eq(relaxed_edge(2, 4), 8);
    ck_assert_int_eq(relaxed_new(&o, &r, NULL), 0);
    ck_assert_uint_eq(relaxed_count(r), next + 6 * pair);
    for (int j = -1; j <= 4; j++, next += pair)
        ck_assert_uint_eq(relaxed_matrix(r, j), next);
    size_t bytes = relaxed_bytes(&o);
    ck_assert_uint_gt(bytes, relaxed_edges(4) * 5 * 7 * 2 * 19 * sizeof(float));
    o.unrolled = true;
    ck_assert_uint_eq(relaxed_bytes(&o) - bytes,
                      (2 * relaxed_count(r) + 7 * 19) * sizeof(float));
    relaxed_free(r);
}
END_TEST

START_TEST(shares_are_softmaxes)
{
    float alpha[2 * RELAXED_OPERATIONS] = {0, 1, 2, 3, 4, -2e4f, 1e4f, 9e3f, 0, 0};
    float q[2 * RELAXED_OPERATIONS];
    double sum = 0;
    relaxed_shares(alpha, 2, q);
    for (int o = 0; o < RELAXED_OPERATIONS; o++)
        sum += exp((double)alpha[o]);
    for (int o = 0; o < RELAXED_OPERATIONS; o++) {
        ck_assert_double_eq_tol((double)q[o], exp((double)alpha[o]) / sum, 1e-7);
        ck_assert(q[RELAXED_OPERATIONS + o] == (o == RELAXED_TANH));
    }
}
END_TEST

START_TEST(losses_and_gradients_are_those_of_the_reference)
{
    const struct recurrent_kernels *const *all = recurrent_kernels_all();
    rig_start();
    for (; *all; all++)
        if ((*all)->runs_here())
            check_kernels(*all == &recurrent_kernels_plain ? "generic" : (*all)->name);
}
END_TEST

/* Each gradient alone, and from weights that were packed before, has the same bits;
 * weights scale them, and they are added to what is there. */
START_TEST(gradients_are_asked_for_one_by_one)
{
    struct relaxed_rig g, h;
    rig_start();
    rig_init(&g, &small);
    rig_copy(&h, &g);
    relaxed_gradient(g.r, g.parameters, g.alpha, &g.w, 1, g.gradient, g.alpha_gradient);
    relaxed_gradient(h.r, g.parameters, g.alpha, &h.w, 1, h.gradient, NULL);
    ck_assert_mem_eq(h.gradient, g.gradient, g.count * sizeof *g.gradient);
    rig_restart(&h);
    h.w.same_weights = true;
    relaxed_gradient(h.r, g.parameters, g.alpha, &h.w, 1, NULL, h.alpha_gradient);
    ck_assert_mem_eq(h.alpha_gradient, g.alpha_gradient, g.alphas * sizeof *g.alpha);
    rig_restart(&h);
    relaxed_gradient(h.r, g.parameters, g.alpha, &h.w, 0.5f, h.gradient,
                     h.alpha_gradient);
    for (size_t i = 0; i < g.count; i++)
        ck_assert_double_eq_tol((double)h.gradient[i], 1.5 * (double)g.gradient[i], 1e-6);
    for (size_t i = 0; i < g.alphas; i++)
        ck_assert_double_eq_tol((double)h.alpha_gradient[i],
                                1.5 * (double)g.alpha_gradient[i], 1e-6);
    rig_fini(&g);
    rig_fini(&h);
}
END_TEST

/* The same bits for any number of threads, more than columns among them, and when the
 * model could have taken larger windows. */
static void check_threads(bool norm)
{
    struct relaxed_options o = {.vocabulary = 1500,
                                .hidden = 37,
                                .steps = 7,
                                .batch = 11,
                                .nodes = 5,
                                .norm = norm,
                                .unrolled = true,
                                .threads = 1};
    struct recurrent_dropout d = {.embedding = 0.1,
                                  .input = 0.2,
                                  .state = 0.3,
                                  .output = 0.4,
                                  .seed = 3,
                                  .step = 8};
    const struct relaxed_unrolled u = {{0.5, 0.25, 0.01}, 0.01};
    struct relaxed_rig g, h;
    rig_init(&g, &o);
    g.w.dropout = &d;
    double loss = rig_all_gradients(&g, &u);
    for (o.threads = 2; o.threads <= 13; o.threads += o.threads < 5 ? 1 : 8) {
        rig_copy(&h, &g);
        relaxed_free(h.r);
        o.batch = 13;
        o.steps = 9;
        ck_assert_int_eq(relaxed_new(&o, &h.r, NULL), 0);
        ck_assert_double_eq(rig_all_gradients(&h, &u), loss);
        ck_assert_mem_eq(h.gradient, g.gradient, g.count * sizeof *g.gradient);
        ck_assert_mem_eq(h.alpha_gradient, g.alpha_gradient, g.alphas * sizeof *g.alpha);
        ck_assert_mem_eq(h.state, g.state, g.states * sizeof *g.state);
        rig_fini(&h);
    }
    rig_fini(&g);
}

START_TEST(threads_change_no_bit)
{
    rig_start();
    check_threads(false);
    check_threads(true);
}
END_TEST

/* alpha that leaves one operation of one input to each node. */
static void choose(struct relaxed_rig *g, struct recurrent_cell *ret)
{
    *ret = (struct recurrent_cell){.nodes = g->o.nodes + 1};
    memset(g->alpha, 0, g->alphas * sizeof *g->alpha);
    ret->activation[0] = RECURRENT_TANH;
    for (int j = 1; j <= g->o.nodes; j++) {
        int from = rig_below(j), o = RELAXED_TANH + rig_below(RECURRENT_ACTIVATIONS);
        ret->previous[j] = (uint8_t)from;
        ret->activation[j] = (uint8_t)relaxed_activation((enum relaxed_operation)o);
        for (int i = 0; i < j; i++)
            g->alpha[relaxed_edge(i, j) * RELAXED_OPERATIONS +
                     (size_t)(i == from ? o : RELAXED_NONE)] = 1e4f;
    }
}

static void check_derived(struct relaxed_rig *g)
{
    struct recurrent_cell cell, derived;
    struct recurrent *discrete;
    struct error err = {0};
    choose(g, &cell);
    ck_assert_msg(relaxed_derive(g->alpha, g->o.nodes, &derived, &err) == 0, "%s",
                  err.text);
    ck_assert_mem_eq(&derived, &cell, sizeof cell);
    const struct recurrent_options o = {.vocabulary = g->o.vocabulary,
                                        .hidden = g->o.hidden,
                                        .steps = g->o.steps,
                                        .batch = g->o.batch,
                                        .nodes = cell.nodes,
                                        .only = &cell,
                                        .output = RECURRENT_ALL_BUT_FIRST,
                                        .threads = 1};
    ck_assert_int_eq(recurrent_new(&o, &discrete, NULL), 0);
    ck_assert_uint_eq(recurrent_count(discrete), g->count);
    float *gradient = calloc(g->count, sizeof *gradient);
    double loss = recurrent_gradient(discrete, g->parameters, &cell, &g->w, 1, gradient);
    rig_restart(g);
    ck_assert_double_eq(
        relaxed_gradient(g->r, g->parameters, g->alpha, &g->w, 1, g->gradient, NULL),
        loss);
    for (size_t i = 0; i < g->count; i++)
        ck_assert_double_eq_tol((double)g->gradient[i], (double)gradient[i], 1e-7);
    free(gradient);
    recurrent_free(discrete);
}

START_TEST(certain_alphas_are_the_derived_cell)
{
    rig_start();
    for (int k = 0; k < 10; k++) {
        struct relaxed_options o = small;
        struct relaxed_rig g;
        o.nodes = 1 + k;
        rig_init(&g, &o);
        check_derived(&g);
        rig_fini(&g);
    }
}
END_TEST

/* Edges are compared by what none leaves to them, operations without it. */
START_TEST(the_strongest_shares_are_derived)
{
    float alpha[6][RELAXED_OPERATIONS] = {
        {9, 0, 0, 0, 0},     /* 0 -> 1: none is no choice; of equals the first */
        {9, 3, 0, 0, 0},     /* 0 -> 2: the larger alpha but the smaller share */
        {-9, 0, 1, 0, 0},    /* 1 -> 2 */
        {0, 0, 0, 2, 0},     /* 0 -> 3: of equal edges the first */
        {0, 0, 2, 0, 0},     /* 1 -> 3 */
        {1, 1, 1, 1, 2.5f}}; /* 2 -> 3: weaker */
    struct recurrent_cell cell;
    ck_assert_int_eq(relaxed_derive(alpha[0], 3, &cell, NULL), 0);
    ck_assert_int_eq(cell.nodes, 4);
    ck_assert_int_eq(cell.activation[0], RECURRENT_TANH);
    ck_assert_int_eq(cell.previous[1], 0);
    ck_assert_int_eq(cell.activation[1], RECURRENT_TANH);
    ck_assert_int_eq(cell.previous[2], 1);
    ck_assert_int_eq(cell.activation[2], RECURRENT_RELU);
    ck_assert_int_eq(cell.previous[3], 0);
    ck_assert_int_eq(cell.activation[3], RECURRENT_SIGMOID);
    alpha[5][RELAXED_IDENTITY] = 9;
    ck_assert_int_eq(relaxed_derive(alpha[0], 3, &cell, NULL), 0);
    ck_assert_int_eq(cell.previous[3], 2);
    ck_assert_int_eq(cell.activation[3], RECURRENT_IDENTITY);
}
END_TEST

START_TEST(settling_is_the_shares_of_the_cell)
{
    float alpha[6][RELAXED_OPERATIONS] = {{0}};
    struct recurrent_cell cell;
    ck_assert_int_eq(relaxed_derive(alpha[0], 3, &cell, NULL), 0);
    ck_assert_double_eq_tol(relaxed_settled(alpha[0], &cell), -3 * log(4), 1e-12);
    alpha[4][RELAXED_SIGMOID] = 2; /* 1 -> 3 */
    ck_assert_int_eq(relaxed_derive(alpha[0], 3, &cell, NULL), 0);
    ck_assert_double_eq_tol(relaxed_settled(alpha[0], &cell),
                            -2 * log(4) + 2 - log(3 + exp(2)), 1e-12);
    for (int e = 0; e < 6; e++)
        alpha[e][RELAXED_NONE] = 2 * (alpha[e][RELAXED_RELU] = 1e4f);
    ck_assert_int_eq(relaxed_derive(alpha[0], 3, &cell, NULL), 0);
    ck_assert_double_eq(relaxed_settled(alpha[0], &cell), 0);
}
END_TEST

START_TEST(descent_takes_all_parameters)
{
    struct recurrent_descent d = {.lr = 0.5, .clip = 0.25, .decay = 0.01};
    struct relaxed_rig g;
    double square = 0;
    rig_start();
    rig_init(&g, &small);
    for (size_t i = 0; i < g.count; i++) {
        g.gradient[i] = (float)rig_below(100) / 100;
        square += (double)g.gradient[i] * (double)g.gradient[i];
    }
    double norm = relaxed_descend(g.r, &d, g.gradient, g.parameters);
    ck_assert_double_eq_tol(norm, sqrt(square), 1e-4);
    for (size_t i = 0; i < g.count; i++) {
        double step = 0.25 / (norm + 1e-6) * (double)g.gradient[i] + 0.01 * g.exact[i];
        ck_assert_double_eq_tol((double)g.parameters[i], g.exact[i] - 0.5 * step, 1e-6);
    }
    relaxed_clear(g.r, g.gradient);
    for (size_t i = 0; i < g.count; i++)
        ck_assert(g.gradient[i] == 0);
    rig_fini(&g);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {bad_sizes_are_refused,
                                  bad_alphas_derive_nothing,
                                  a_model_is_one_pair_a_node,
                                  shares_are_softmaxes,
                                  losses_and_gradients_are_those_of_the_reference,
                                  gradients_are_asked_for_one_by_one,
                                  threads_change_no_bit,
                                  certain_alphas_are_the_derived_cell,
                                  the_strongest_shares_are_derived,
                                  settling_is_the_shares_of_the_cell,
                                  descent_takes_all_parameters,
                                  NULL};
    rig_seed(argc > 1 ? strtoull(argv[1], NULL, 10) : 0);
    return unit_main("relaxed", tests);
}
