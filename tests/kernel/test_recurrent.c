/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent language models of random cells against a reference in double precision: the
 * loss, the state, and by central differences of the reference the gradient. */
#include "recurrent_reference.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "tests/unit/unit.h"

static struct rng rng;
static uint64_t seed;

static void start_random(void)
{
    if (!seed)
        seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
}

static int below(int n)
{
    return (int)rng_below(&rng, (uint32_t)n);
}

static struct recurrent_cell random_cell(int nodes)
{
    struct recurrent_cell c = {.nodes = nodes};
    for (int j = 0; j < nodes; j++) {
        c.activation[j] = (uint8_t)below(RECURRENT_ACTIVATIONS);
        c.previous[j] = (uint8_t)(j > 0 ? below(j) : 0);
    }
    return c;
}

/* A model, its parameters and a window of random words. */
struct rig {
    struct recurrent_options o;
    struct recurrent_cell cell;
    struct recurrent *r;
    size_t count;
    float *parameters, *gradient, *state, *before;
    double *exact, *cut;
    int32_t *inputs, *targets;
    struct recurrent_dropout dropout;
    struct recurrent_window w;
};

static void rig_init(struct rig *g, const struct recurrent_options *o,
                     const struct recurrent_cell *cell)
{
    struct error err = {0};
    size_t rows = (size_t)o->steps * (size_t)o->batch;
    size_t states = (size_t)o->batch * (size_t)o->hidden;
    *g = (struct rig){.o = *o, .cell = *cell};
    ck_assert_msg(recurrent_new(&g->o, &g->r, &err) == 0, "%s", err.text);
    g->count = recurrent_count(g->r);
    g->parameters = malloc(g->count * sizeof *g->parameters);
    g->gradient = calloc(g->count, sizeof *g->gradient);
    g->exact = malloc(g->count * sizeof *g->exact);
    g->cut = malloc(rows * sizeof *g->cut);
    g->state = malloc(states * sizeof *g->state);
    g->before = malloc(states * sizeof *g->before);
    g->inputs = malloc(rows * sizeof *g->inputs);
    g->targets = malloc(rows * sizeof *g->targets);
    for (size_t i = 0; i < g->count; i++)
        g->exact[i] = (double)(g->parameters[i] = rng_float(&rng) - 0.5f);
    for (size_t i = 0; i < states; i++)
        g->state[i] = g->before[i] = rng_float(&rng) - 0.5f;
    for (size_t i = 0; i < rows; i++) {
        g->inputs[i] = below(o->vocabulary);
        g->targets[i] = below(o->vocabulary);
    }
    g->w = (struct recurrent_window){.steps = o->steps,
                                     .batch = o->batch,
                                     .inputs = g->inputs,
                                     .targets = g->targets,
                                     .state = g->state};
}

static void rig_fini(struct rig *g)
{
    recurrent_free(g->r);
    free(g->parameters);
    free(g->gradient);
    free(g->exact);
    free(g->cut);
    free(g->state);
    free(g->before);
    free(g->inputs);
    free(g->targets);
}

static double reference(struct rig *g, bool write, double *ret_state)
{
    return reference_loss(g->r, &g->o, g->exact, &g->cell, &g->w, g->before, g->cut, write,
                          ret_state);
}

/* Derivative by two step sizes: across the kink of a ReLU they disagree. */
static bool derivative(struct rig *g, size_t at, double *ret)
{
    double value = g->exact[at], d[2];
    for (int k = 0; k < 2; k++) {
        double eps = k ? 1e-5 : 1e-4, side[2];
        for (int s = 0; s < 2; s++) {
            g->exact[at] = value + (s ? eps : -eps);
            side[s] = reference(g, false, NULL);
        }
        g->exact[at] = value;
        d[k] = (side[1] - side[0]) / (2 * eps);
    }
    *ret = d[1];
    return fabs(d[0] - d[1]) < 1e-6 + 1e-3 * fabs(d[1]);
}

static bool is_touched(const struct rig *g, size_t at)
{
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    int n = recurrent_touched(g->r, &g->cell, ranges);
    for (int i = 0; i < n; i++)
        if (at >= ranges[i].first && at < ranges[i].first + ranges[i].count)
            return true;
    return false;
}

/* `looks` random parameters, those that the cell does not use among them. */
static void check_gradient(struct rig *g, int looks)
{
    int kinks = 0;
    for (int k = 0; k < looks; k++) {
        size_t at = rng_below(&rng, (uint32_t)g->count);
        double exact = 0, found = (double)g->gradient[at];
        if (!is_touched(g, at)) {
            ck_assert_double_eq(found, 0);
            continue;
        }
        if (!derivative(g, at, &exact)) {
            kinks++;
            continue;
        }
        ck_assert_msg(fabs(found - exact) < 2e-6 + 2e-3 * fabs(exact),
                      "parameter %zu of %zu: %g, should be %g", at, g->count, found, exact);
    }
    ck_assert_int_lt(kinks, looks / 10 + 2);
}

static void check_model(const struct recurrent_options *o, const struct recurrent_cell *cell,
                        const struct recurrent_dropout *dropout)
{
    struct rig g;
    rig_init(&g, o, cell);
    g.w.dropout = dropout;
    double *state = malloc((size_t)o->batch * (size_t)o->hidden * sizeof *state);
    double loss = recurrent_gradient(g.r, g.parameters, cell, &g.w, 1, g.gradient);
    double exact = reference(&g, true, state);
    ck_assert_double_eq_tol(loss, exact, 5e-5);
    for (int i = 0; i < o->batch * o->hidden; i++)
        ck_assert_double_eq_tol((double)g.state[i], state[i], 5e-5 * (1 + fabs(state[i])));
    memcpy(g.state, g.before, (size_t)(o->batch * o->hidden) * sizeof *g.state);
    ck_assert_double_eq(recurrent_loss(g.r, g.parameters, cell, &g.w), loss);
    check_gradient(&g, 60);
    free(state);
    rig_fini(&g);
}

static void check_kernels(const char *kernels)
{
    for (int k = 0; k < 18; k++) {
        struct recurrent_options o = {.vocabulary = 2 + below(40),
                                      .hidden = 1 + below(21),
                                      .steps = 1 + below(6),
                                      .batch = 1 + below(9),
                                      .nodes = 1 + below(7),
                                      .output = (enum recurrent_output)(k % 3),
                                      .norm = k % 5 == 3,
                                      .drop_weights = k > 6,
                                      .state_clip = k % 4 == 2 ? 0.4 : 0,
                                      .threads = 1 + below(3),
                                      .kernels = kernels};
        struct recurrent_cell cell = random_cell(1 + below(o.nodes));
        struct recurrent_dropout d = {.embedding = 0.2,
                                      .input = k % 2 ? 0.3 : 0,
                                      .state = k % 3 ? 0.4 : 0,
                                      .output = k % 2 ? 0 : 0.5,
                                      .weight = o.drop_weights ? 0.25 : 0,
                                      .seed = seed,
                                      .step = (uint64_t)k};
        if (k % 2)
            o.only = &cell;
        if (o.norm && o.batch < 4)
            o.batch = 4;
        check_model(&o, &cell, k > 4 ? &d : NULL);
    }
}

START_TEST(bad_sizes_are_refused)
{
    static const struct recurrent_options good = {.vocabulary = 3,
                                                  .hidden = 4,
                                                  .steps = 2,
                                                  .batch = 2,
                                                  .nodes = 3,
                                                  .threads = 1};
    struct recurrent *r = NULL;
    for (int k = 0; k < 6; k++)
        for (int value = -1; value <= 0; value++) {
            struct recurrent_options o = good;
            int *const fields[] = {&o.vocabulary, &o.hidden, &o.steps,
                                   &o.batch,      &o.nodes,  &o.threads};
            struct error err = {0};
            *fields[k] = value;
            ck_assert_int_eq(recurrent_new(&o, &r, &err), ERROR_INPUT);
            ck_assert_ptr_nonnull(strstr(err.text, "allowed are 1 to"));
        }
    struct recurrent_options o = good;
    o.nodes = RECURRENT_MAX_NODES + 1;
    ck_assert_int_eq(recurrent_new(&o, &r, NULL), ERROR_INPUT);
    ck_assert_ptr_null(r);
    recurrent_free(NULL);
}
END_TEST

START_TEST(bad_cells_are_refused)
{
    struct recurrent_cell cell = {.nodes = 2};
    struct error err = {0};
    ck_assert_int_eq(recurrent_cell_check(&cell, 2, &err), 0);
    ck_assert_int_eq(recurrent_cell_check(&cell, 1, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "2 nodes, allowed are 1 to 1"));
    cell.previous[1] = 1;
    ck_assert_int_eq(recurrent_cell_check(&cell, 2, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "no earlier one"));
    cell.previous[1] = 0;
    cell.activation[0] = RECURRENT_ACTIVATIONS;
    ck_assert_int_eq(recurrent_cell_check(&cell, 2, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "unknown activation"));
    cell.nodes = 0;
    ck_assert_int_eq(recurrent_cell_check(&cell, 2, NULL), ERROR_INPUT);
}
END_TEST

/* One pair of matrices an edge, the input's, the state's and the embeddings: no more. */
START_TEST(a_pool_is_its_edges)
{
    struct recurrent_options o = {
        .vocabulary = 11, .hidden = 5, .steps = 1, .batch = 1, .nodes = 12, .threads = 1};
    struct recurrent *r;
    size_t pair = 2 * 5 * 5, next = 11 * 5;
    ck_assert_int_eq(recurrent_new(&o, &r, NULL), 0);
    ck_assert_uint_eq(recurrent_count(r), 11 * 5 + pair * (2 + 12 * 11 / 2));
    ck_assert_uint_eq(recurrent_input(r), next);
    ck_assert_uint_eq(recurrent_edge(r, -1, 0), next += pair);
    for (int j = 1; j < 12; j++)
        for (int i = 0; i < j; i++)
            ck_assert_uint_eq(recurrent_edge(r, i, j), next += pair);
    recurrent_free(r);
}
END_TEST

START_TEST(losses_and_gradients_are_those_of_the_reference)
{
    const struct recurrent_kernels *const *all = recurrent_kernels_all();
    start_random();
    for (; *all; all++)
        if ((*all)->runs_here())
            check_kernels(*all == &recurrent_kernels_plain ? "generic" : (*all)->name);
}
END_TEST

/* More rows than a chunk of logits, more words than a slice. */
START_TEST(large_windows_and_vocabularies)
{
    struct recurrent_options o = {.vocabulary = 2100,
                                  .hidden = 3,
                                  .steps = 30,
                                  .batch = 13,
                                  .nodes = 2,
                                  .threads = 2};
    start_random();
    struct recurrent_cell cell = random_cell(2);
    check_model(&o, &cell, NULL);
}
END_TEST

/* The same bits for any number of threads, in a smaller window, and beside other cells. */
START_TEST(threads_change_no_bit)
{
    struct recurrent_options o = {.vocabulary = 1500,
                                  .hidden = 37,
                                  .steps = 9,
                                  .batch = 11,
                                  .nodes = 6,
                                  .norm = true,
                                  .drop_weights = true,
                                  .threads = 1};
    struct recurrent_dropout d = {.embedding = 0.1,
                                  .input = 0.2,
                                  .state = 0.3,
                                  .output = 0.4,
                                  .weight = 0.5,
                                  .seed = 3,
                                  .step = 8};
    start_random();
    struct recurrent_cell cell = random_cell(6), other = random_cell(4);
    struct rig g;
    rig_init(&g, &o, &cell);
    size_t states = 11 * 37;
    g.w.dropout = &d;
    double loss = recurrent_gradient(g.r, g.parameters, &cell, &g.w, 0.5f, g.gradient);
    float *gradient = malloc(g.count * sizeof *gradient);
    float *state = malloc(states * sizeof *state);
    for (o.threads = 2; o.threads <= 5; o.threads++) {
        struct recurrent *r;
        ck_assert_int_eq(recurrent_new(&o, &r, NULL), 0);
        struct recurrent_window w = g.w;
        w.state = state;
        memcpy(state, g.before, states * sizeof *state);
        recurrent_loss(r, g.parameters, &other, &w);
        memset(gradient, 0, g.count * sizeof *gradient);
        memcpy(state, g.before, states * sizeof *state);
        ck_assert_double_eq(
            recurrent_gradient(r, g.parameters, &cell, &w, 0.5f, gradient), loss);
        ck_assert_mem_eq(gradient, g.gradient, g.count * sizeof *gradient);
        ck_assert_mem_eq(state, g.state, states * sizeof *state);
        recurrent_free(r);
    }
    free(gradient);
    free(state);
    rig_fini(&g);
}
END_TEST

static double share_of_zeros(const float *mask, size_t count, float keep)
{
    size_t zeros = 0;
    for (size_t i = 0; i < count; i++) {
        ck_assert(mask[i] == 0 || mask[i] == keep);
        zeros += mask[i] == 0;
    }
    return (double)zeros / (double)count;
}

/* Every kind of mask has its share, and another window has others. */
START_TEST(masks_drop_their_share)
{
    struct recurrent_options o = {.vocabulary = 9000,
                                  .hidden = 60,
                                  .steps = 1,
                                  .batch = 60,
                                  .nodes = 2,
                                  .drop_weights = true,
                                  .threads = 2};
    struct recurrent_dropout d = {.embedding = 0.1,
                                  .input = 0.2,
                                  .state = 0.3,
                                  .output = 0.4,
                                  .weight = 0.5,
                                  .seed = 3};
    struct recurrent_cell cell = {.nodes = 2};
    struct rig g;
    float first[3600];
    start_random();
    rig_init(&g, &o, &cell);
    g.w.dropout = &d;
    recurrent_loss(g.r, g.parameters, &cell, &g.w);
    ck_assert_double_eq_tol(share_of_zeros(g.r->words, 9000, 1 / 0.9f), 0.1, 0.02);
    for (int kind = 0; kind < MASKS; kind++)
        ck_assert_double_eq_tol(
            share_of_zeros(g.r->mask[kind], 3600, (float)(1 / (0.8 - 0.1 * kind))),
            0.2 + 0.1 * kind, 0.04);
    for (int j = 0; j < 2; j++)
        ck_assert_double_eq_tol(share_of_zeros(g.r->matrix[j].mask, 7200, 2), 0.5, 0.03);
    ck_assert_mem_ne(g.r->matrix[0].mask, g.r->matrix[1].mask, 7200 * sizeof(float));
    memcpy(first, g.r->mask[MASK_INPUT], sizeof first);
    d.step = 1;
    recurrent_loss(g.r, g.parameters, &cell, &g.w);
    ck_assert_mem_ne(first, g.r->mask[MASK_INPUT], sizeof first);
    rig_fini(&g);
}
END_TEST

/* Gradients of several architectures add up, each with its weight. */
START_TEST(gradients_add_up)
{
    struct recurrent_options o = {
        .vocabulary = 9, .hidden = 8, .steps = 4, .batch = 3, .nodes = 4, .threads = 1};
    start_random();
    struct recurrent_cell cell = random_cell(4), other = random_cell(4);
    struct rig g;
    rig_init(&g, &o, &cell);
    float *sum = calloc(g.count, sizeof *sum), *part = calloc(g.count, sizeof *part);
    recurrent_gradient(g.r, g.parameters, &cell, &g.w, 0.25f, sum);
    memcpy(g.state, g.before, 24 * sizeof *g.state);
    recurrent_gradient(g.r, g.parameters, &other, &g.w, 0.75f, sum);
    memcpy(g.state, g.before, 24 * sizeof *g.state);
    recurrent_gradient(g.r, g.parameters, &cell, &g.w, 1, g.gradient);
    memcpy(g.state, g.before, 24 * sizeof *g.state);
    recurrent_gradient(g.r, g.parameters, &other, &g.w, 1, part);
    for (size_t i = 0; i < g.count; i++)
        ck_assert_double_eq_tol((double)sum[i],
                                0.25 * (double)g.gradient[i] + 0.75 * (double)part[i], 1e-6);
    free(sum);
    free(part);
    rig_fini(&g);
}
END_TEST

/* Clipped, decayed, only in the parts that are asked for, and not at all by a gradient that
 * is no number. */
START_TEST(descent_follows_its_formula)
{
    struct recurrent_options o = {
        .vocabulary = 900, .hidden = 24, .steps = 1, .batch = 1, .nodes = 3, .threads = 2};
    struct recurrent_descent d = {.lr = 0.5, .clip = 0.25, .decay = 0.01};
    struct recurrent_cell cell = {.nodes = 2};
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    struct rig g;
    double square = 0;
    start_random();
    rig_init(&g, &o, &cell);
    for (size_t i = 0; i < g.count; i++)
        g.gradient[i] = rng_float(&rng) - 0.5f;
    int n = recurrent_touched(g.r, &cell, ranges);
    for (size_t i = 0; i < g.count; i++)
        if (is_touched(&g, i))
            square += (double)g.gradient[i] * (double)g.gradient[i];
    double norm = recurrent_descend(g.r, &d, ranges, n, g.gradient, g.parameters);
    ck_assert_double_eq_tol(norm, sqrt(square), 1e-4);
    for (size_t i = 0; i < g.count; i++) {
        double step = 0.25 / (norm + 1e-6) * (double)g.gradient[i] + 0.01 * g.exact[i];
        double wanted = is_touched(&g, i) ? g.exact[i] - 0.5 * step : g.exact[i];
        ck_assert_double_eq_tol((double)g.parameters[i], wanted, 1e-6);
    }
    float *before = malloc(g.count * sizeof *before);
    memcpy(before, g.parameters, g.count * sizeof *before);
    g.gradient[recurrent_input(g.r)] = NAN;
    ck_assert(isnan(recurrent_descend(g.r, &d, ranges, n, g.gradient, g.parameters)));
    ck_assert_mem_eq(before, g.parameters, g.count * sizeof *before);
    for (size_t i = 0; i < g.count; i++)
        g.gradient[i] = 1;
    recurrent_clear(g.r, ranges, n, g.gradient);
    for (size_t i = 0; i < g.count; i++)
        ck_assert_int_eq(g.gradient[i] == 0, is_touched(&g, i));
    free(before);
    rig_fini(&g);
}
END_TEST

START_TEST(averages_are_means)
{
    struct recurrent_options o = {
        .vocabulary = 700, .hidden = 30, .steps = 1, .batch = 1, .nodes = 1, .threads = 2};
    struct recurrent_cell cell = {.nodes = 1};
    struct rig g;
    start_random();
    rig_init(&g, &o, &cell);
    for (uint64_t n = 1; n <= 4; n++) {
        for (size_t i = 0; i < g.count; i++)
            g.parameters[i] = (float)(n * n) + (float)i;
        recurrent_average(g.r, n, g.parameters, g.gradient);
    }
    for (size_t i = 0; i < g.count; i++)
        ck_assert_double_eq_tol((double)g.gradient[i], 7.5 + (double)i, 1e-2);
    rig_fini(&g);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {bad_sizes_are_refused,
                                  bad_cells_are_refused,
                                  a_pool_is_its_edges,
                                  losses_and_gradients_are_those_of_the_reference,
                                  large_windows_and_vocabularies,
                                  threads_change_no_bit,
                                  masks_drop_their_share,
                                  gradients_add_up,
                                  descent_follows_its_formula,
                                  averages_are_means,
                                  NULL};
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    return unit_main("recurrent", tests);
}
