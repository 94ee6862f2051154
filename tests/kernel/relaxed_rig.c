/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers are of a size at which no function saturates and all operations count. */
#include "relaxed_rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"

static struct rng rng;
static uint64_t seed;

void rig_seed(uint64_t number)
{
    seed = number ? number : (uint64_t)time(NULL);
}

void rig_start(void)
{
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
}

int rig_below(int n)
{
    return (int)rng_below(&rng, (uint32_t)n);
}

static void allocate(struct relaxed_rig *g)
{
    size_t rows = (size_t)g->o.steps * (size_t)g->o.batch;
    struct error err = {0};
    ck_assert_msg(relaxed_new(&g->o, &g->r, &err) == 0, "%s", err.text);
    g->count = relaxed_count(g->r);
    g->alphas = relaxed_edges(g->o.nodes) * RELAXED_OPERATIONS;
    g->states = (size_t)g->o.batch * (size_t)g->o.hidden;
    g->parameters = malloc(g->count * sizeof *g->parameters);
    g->gradient = calloc(g->count, sizeof *g->gradient);
    g->exact = malloc(g->count * sizeof *g->exact);
    g->alpha = malloc(g->alphas * sizeof *g->alpha);
    g->alpha_gradient = calloc(g->alphas, sizeof *g->alpha_gradient);
    g->exact_alpha = malloc(g->alphas * sizeof *g->exact_alpha);
    g->state = malloc(g->states * sizeof *g->state);
    g->before = malloc(g->states * sizeof *g->before);
    g->inputs = malloc(rows * sizeof *g->inputs);
    g->targets = malloc(rows * sizeof *g->targets);
    g->w = (struct recurrent_window){.steps = g->o.steps,
                                     .batch = g->o.batch,
                                     .inputs = g->inputs,
                                     .targets = g->targets,
                                     .state = g->state};
}

void rig_init(struct relaxed_rig *g, const struct relaxed_options *o)
{
    *g = (struct relaxed_rig){.o = *o};
    allocate(g);
    for (size_t i = 0; i < g->count; i++)
        g->exact[i] = (double)(g->parameters[i] = rng_float(&rng) - 0.5f);
    for (size_t i = 0; i < g->alphas; i++)
        g->exact_alpha[i] = (double)(g->alpha[i] = 2 * rng_float(&rng) - 1);
    for (size_t i = 0; i < g->states; i++)
        g->state[i] = g->before[i] = rng_float(&rng) - 0.5f;
    for (int i = 0; i < o->steps * o->batch; i++) {
        g->inputs[i] = rig_below(o->vocabulary);
        g->targets[i] = rig_below(o->vocabulary);
    }
}

void rig_copy(struct relaxed_rig *ret, const struct relaxed_rig *g)
{
    size_t words = (size_t)g->o.steps * (size_t)g->o.batch * sizeof *g->inputs;
    *ret = (struct relaxed_rig){.o = g->o};
    allocate(ret);
    memcpy(ret->parameters, g->parameters, g->count * sizeof *g->parameters);
    memcpy(ret->exact, g->exact, g->count * sizeof *g->exact);
    memcpy(ret->alpha, g->alpha, g->alphas * sizeof *g->alpha);
    memcpy(ret->exact_alpha, g->exact_alpha, g->alphas * sizeof *g->exact_alpha);
    memcpy(ret->before, g->before, g->states * sizeof *g->before);
    memcpy(ret->state, g->before, g->states * sizeof *g->before);
    memcpy(ret->inputs, g->inputs, words);
    memcpy(ret->targets, g->targets, words);
    ret->w.dropout = g->w.dropout;
}

void rig_fini(struct relaxed_rig *g)
{
    void *const owned[] = {g->parameters,     g->gradient,    g->exact, g->alpha,
                           g->alpha_gradient, g->exact_alpha, g->state, g->before,
                           g->inputs,         g->targets};
    relaxed_free(g->r);
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
}

void rig_restart(struct relaxed_rig *g)
{
    memcpy(g->state, g->before, g->states * sizeof *g->state);
}

double rig_all_gradients(struct relaxed_rig *g, const struct relaxed_unrolled *u)
{
    struct recurrent_window train = g->w;
    double sum = relaxed_gradient(g->r, g->parameters, g->alpha, &g->w, 0.5f, g->gradient,
                                  g->alpha_gradient);
    train.state = g->before;
    sum += relaxed_step_unrolled(g->r, g->parameters, g->alpha, u, &train, &g->w,
                                 g->alpha_gradient);
    return sum;
}
