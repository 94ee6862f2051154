/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent language models of random cells against a reference in double precision: the
 * loss, the state, and by central differences of the reference the gradient. */
#include "recurrent_rig.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct recurrent_cell random_cell(int nodes)
{
    struct recurrent_cell c = {.nodes = nodes};
    for (int j = 0; j < nodes; j++) {
        c.activation[j] = (uint8_t)rig_below(RECURRENT_ACTIVATIONS);
        c.previous[j] = (uint8_t)(j > 0 ? rig_below(j) : 0);
    }
    return c;
}

static void check_kernels(const char *kernels)
{
    for (int k = 0; k < 18; k++) {
        struct recurrent_options o = {.vocabulary = 2 + rig_below(40),
                                      .hidden = 1 + rig_below(21),
                                      .steps = 1 + rig_below(6),
                                      .batch = 1 + rig_below(9),
                                      .nodes = 1 + rig_below(7),
                                      .output = (enum recurrent_output)(k % 3),
                                      .norm = k % 5 == 3,
                                      .drop_weights = k > 6,
                                      .state_clip = k % 4 == 2 ? 0.4 : 0,
                                      .threads = 1 + rig_below(3),
                                      .kernels = kernels};
        struct recurrent_cell cell = random_cell(1 + rig_below(o.nodes));
        struct recurrent_dropout d = {.embedding = 0.2,
                                      .input = k % 2 ? 0.3 : 0,
                                      .state = k % 3 ? 0.4 : 0,
                                      .output = k % 2 ? 0 : 0.5,
                                      .weight = o.drop_weights ? 0.25 : 0,
                                      .seed = rig_seed_of(),
                                      .step = (uint64_t)k};
        if (k % 2)
            o.only = &cell;
        if (o.norm && o.batch < 4)
            o.batch = 4;
        rig_check(&o, &cell, k > 4 ? &d : NULL);
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
    rig_start();
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
    rig_start();
    struct recurrent_cell cell = random_cell(2);
    rig_check(&o, &cell, NULL);
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
    rig_start();
    struct recurrent_cell cell = random_cell(6), other = random_cell(4);
    struct recurrent_rig g;
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
    struct recurrent_rig g;
    float first[3600];
    rig_start();
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
    rig_start();
    struct recurrent_cell cell = random_cell(4), other = random_cell(4);
    struct recurrent_rig g;
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
    struct recurrent_rig g;
    double square = 0;
    rig_start();
    rig_init(&g, &o, &cell);
    for (size_t i = 0; i < g.count; i++)
        g.gradient[i] = rig_float() - 0.5f;
    int n = recurrent_touched(g.r, &cell, ranges);
    for (size_t i = 0; i < g.count; i++)
        if (rig_touched(&g, i))
            square += (double)g.gradient[i] * (double)g.gradient[i];
    double norm = recurrent_descend(g.r, &d, ranges, n, g.gradient, g.parameters);
    ck_assert_double_eq_tol(norm, sqrt(square), 1e-4);
    for (size_t i = 0; i < g.count; i++) {
        double step = 0.25 / (norm + 1e-6) * (double)g.gradient[i] + 0.01 * g.exact[i];
        double wanted = rig_touched(&g, i) ? g.exact[i] - 0.5 * step : g.exact[i];
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
        ck_assert_int_eq(g.gradient[i] == 0, rig_touched(&g, i));
    free(before);
    rig_fini(&g);
}
END_TEST

START_TEST(averages_are_means)
{
    struct recurrent_options o = {
        .vocabulary = 700, .hidden = 30, .steps = 1, .batch = 1, .nodes = 1, .threads = 2};
    struct recurrent_cell cell = {.nodes = 1};
    struct recurrent_rig g;
    rig_start();
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
    rig_seed(argc > 1 ? strtoull(argv[1], NULL, 10) : 0);
    return unit_main("recurrent", tests);
}
