/* SPDX-License-Identifier: Apache-2.0 */
#include "recurrent_rig.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "recurrent_reference.h"
#include "tree_reference.h"

static struct rng rng;
static uint64_t seed;

void rig_seed(uint64_t given)
{
    seed = given;
}

void rig_start(void)
{
    if (!seed)
        seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
}

uint64_t rig_seed_of(void)
{
    return seed;
}

int rig_below(int n)
{
    return (int)rng_below(&rng, (uint32_t)n);
}

float rig_float(void)
{
    return rng_float(&rng);
}

static void draw(struct recurrent_rig *g, size_t rows)
{
    for (size_t i = 0; i < g->count; i++)
        g->exact[i] = (double)(g->parameters[i] = rig_float() - 0.5f);
    for (size_t i = 0; i < g->states; i++)
        g->state[i] = g->before[i] = rig_float() - 0.5f;
    for (size_t i = 0; i < rows; i++) {
        g->inputs[i] = rig_below(g->o.vocabulary);
        g->targets[i] = rig_below(g->o.vocabulary);
    }
}

void rig_init(struct recurrent_rig *g, const struct recurrent_options *o,
              const struct recurrent_cell *cell)
{
    struct error err = {0};
    size_t rows = (size_t)o->steps * (size_t)o->batch;
    *g = (struct recurrent_rig){.o = *o};
    if (cell)
        g->cell = *cell;
    ck_assert_msg(recurrent_new(&g->o, &g->r, &err) == 0, "%s", err.text);
    g->count = recurrent_count(g->r);
    g->states = (size_t)o->batch * (size_t)o->hidden * (o->tree ? 2 : 1);
    g->parameters = malloc(g->count * sizeof *g->parameters);
    g->gradient = calloc(g->count, sizeof *g->gradient);
    g->exact = malloc(g->count * sizeof *g->exact);
    g->cut = malloc(2 * rows * sizeof *g->cut);
    g->state = malloc(g->states * sizeof *g->state);
    g->before = malloc(g->states * sizeof *g->before);
    g->inputs = malloc(rows * sizeof *g->inputs);
    g->targets = malloc(rows * sizeof *g->targets);
    draw(g, rows);
    g->w = (struct recurrent_window){.steps = o->steps,
                                     .batch = o->batch,
                                     .inputs = g->inputs,
                                     .targets = g->targets,
                                     .state = g->state};
}

void rig_fini(struct recurrent_rig *g)
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

void rig_restart(struct recurrent_rig *g)
{
    memcpy(g->state, g->before, g->states * sizeof *g->state);
}

static double reference(struct recurrent_rig *g, bool write, double *ret_state)
{
    if (g->o.tree)
        return tree_reference_loss(g->r, &g->o, g->exact, &g->w, g->before, g->cut, write,
                                   ret_state);
    return reference_loss(g->r, &g->o, g->exact, &g->cell, &g->w, g->before, g->cut,
                          write, ret_state);
}

/* Derivatives to both sides: at the kink of a ReLU, which rounding may take from the
 * other side, they disagree. */
static bool derivative(struct recurrent_rig *g, double here, size_t at, double *ret)
{
    double kept = g->exact[at], eps = 1e-5, side[2];
    for (int s = 0; s < 2; s++) {
        g->exact[at] = kept + (s ? eps : -eps);
        side[s] = (reference(g, false, NULL) - here) / (s ? eps : -eps);
    }
    g->exact[at] = kept;
    *ret = (side[0] + side[1]) / 2;
    return fabs(side[1] - side[0]) < 2e-6 + 2e-3 * fabs(*ret);
}

bool rig_touched(const struct recurrent_rig *g, size_t at)
{
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    int n = recurrent_touched(g->r, &g->cell, ranges);
    for (int i = 0; i < n; i++)
        if (at >= ranges[i].first && at < ranges[i].first + ranges[i].count)
            return true;
    return false;
}

/* `looks` random parameters, those that the cell does not use among them. False when too
 * many stand beside a kink. */
static bool check_gradient(struct recurrent_rig *g, int looks)
{
    double here = reference(g, false, NULL);
    int kinks = 0;
    for (int k = 0; k < looks; k++) {
        size_t at = rng_below(&rng, (uint32_t)g->count);
        double exact = 0, found = (double)g->gradient[at];
        if (!rig_touched(g, at)) {
            ck_assert_double_eq(found, 0);
            continue;
        }
        if (!derivative(g, here, at, &exact)) {
            kinks++;
            continue;
        }
        ck_assert_msg(fabs(found - exact) < 2e-6 + 2e-3 * fabs(exact),
                      "parameter %zu of %zu: %g, should be %g", at, g->count, found,
                      exact);
    }
    return kinks < looks / 10 + 2;
}

static bool check_once(const struct recurrent_options *o,
                       const struct recurrent_cell *cell,
                       const struct recurrent_dropout *dropout)
{
    struct recurrent_rig g;
    rig_init(&g, o, cell);
    g.w.dropout = dropout;
    double *state = malloc(g.states * sizeof *state);
    double loss = recurrent_gradient(g.r, g.parameters, cell, &g.w, 1, g.gradient);
    double exact = reference(&g, true, state);
    ck_assert_double_eq_tol(loss, exact, 5e-5 * (1 + exact / 10));
    for (size_t i = 0; i < g.states; i++)
        ck_assert_double_eq_tol((double)g.state[i], state[i],
                                5e-5 * (1 + fabs(state[i])));
    rig_restart(&g);
    ck_assert_double_eq(recurrent_loss(g.r, g.parameters, cell, &g.w), loss);
    bool smooth = check_gradient(&g, 60);
    free(state);
    rig_fini(&g);
    return smooth;
}

void rig_check(const struct recurrent_options *o, const struct recurrent_cell *cell,
               const struct recurrent_dropout *dropout)
{
    int attempts = 5;
    while (attempts > 0 && !check_once(o, cell, dropout))
        attempts--;
    ck_assert_int_gt(attempts, 0);
}
