/* SPDX-License-Identifier: Apache-2.0 */
/* A controller over some space, and its gradient against finite differences. */
#ifndef ARCHWAY_TESTS_UNIT_CONTROLLER_RIG_H
#define ARCHWAY_TESTS_UNIT_CONTROLLER_RIG_H

#include <math.h>

#include "master/controller.h"
#include "tests/search/space_rig.h"
#include "unit.h"

struct rig {
    struct config config;
    struct space *space;
    struct controller *c;
};

/* With g->space, or that of config. */
static inline void rig_init(struct rig *g, const struct config *config)
{
    struct error err = {0};
    g->config = *config;
    if (!g->space)
        ck_assert_msg(space_new(config, &g->space, &err) == 0, "%s", err.text);
    ck_assert_msg(controller_new(&g->config.search.controller, g->space, config->seed,
                                 &g->c, &err) == 0,
                  "%s", err.text);
}

static inline void rig_fini(struct rig *g)
{
    controller_free(g->c);
    space_free(g->space);
}

static inline double loss(struct rig *g, const struct architecture *const *a,
                          const double *advantages, size_t n, double weight)
{
    struct controller_score score[64];
    double sum = 0;
    ck_assert_int_eq(controller_score(g->c, a, n, score, NULL, NULL), 0);
    for (size_t k = 0; k < n; k++)
        sum -= advantages[k] * score[k].log_probability + weight * score[k].entropy;
    return sum / (double)n;
}

/* Move every block along its own gradient: the loss must change by eps |g|^2. */
static inline void check_blocks(struct rig *g, const struct architecture *const *a,
                                const double *advantages, size_t n, double weight)
{
    const struct controller_block *blocks;
    size_t count = controller_parameter_count(g->c);
    float *saved = calloc(count, sizeof *saved), *moved = calloc(count, sizeof *moved);
    float *gradient = calloc(count, sizeof *gradient);
    ck_assert_int_eq(controller_gradient(g->c, a, advantages, n, weight, NULL), 0);
    memcpy(saved, controller_parameters(g->c), count * sizeof *saved);
    memcpy(gradient, controller_gradient_vector(g->c), count * sizeof *gradient);
    size_t block_count = controller_blocks(g->c, &blocks);
    for (size_t b = 0; b < block_count; b++) {
        size_t first = blocks[b].offset;
        size_t end =
            first + blocks[b].dims[0] * (blocks[b].rank == 2 ? blocks[b].dims[1] : 1);
        double square = 0, side[2];
        for (size_t i = first; i < end; i++)
            square += (double)gradient[i] * (double)gradient[i];
        ck_assert_msg(square > 0, "%s has no gradient", blocks[b].name);
        double eps = 0.02 / sqrt(square);
        for (int s = 0; s < 2; s++) {
            memcpy(moved, saved, count * sizeof *saved);
            for (size_t i = first; i < end; i++)
                moved[i] += (float)((s ? eps : -eps) * (double)gradient[i]);
            controller_set_parameters(g->c, moved);
            side[s] = loss(g, a, advantages, n, weight);
        }
        double ratio = (side[1] - side[0]) / (2 * eps * square);
        ck_assert_msg(fabs(ratio - 1) < 5e-3, "%s: %g", blocks[b].name, ratio);
    }
    controller_set_parameters(g->c, saved);
    free(saved);
    free(moved);
    free(gradient);
}

#endif
