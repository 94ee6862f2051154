/* SPDX-License-Identifier: Apache-2.0 */
/* A small relaxed cell on the text of text_rig.h. */
#ifndef ARCHWAY_TESTS_RELAXED_RIG_H
#define ARCHWAY_TESTS_RELAXED_RIG_H

#include "text_rig.h"
#include "unit.h"
#include "worker/relaxed_pool.h"

enum { RELAXED_RIG_NODES = 3 };

static inline struct relaxed_pool_settings relaxed_rig_settings(int order)
{
    return (struct relaxed_pool_settings){.language = {.hidden = 8,
                                                       .batch = 8,
                                                       .steps = 10,
                                                       .eval_batch = 5,
                                                       .init = 0.1,
                                                       .clip = 0.5,
                                                       .decay = 1e-3,
                                                       .norm = true,
                                                       .threads = 1},
                                          .nodes = RELAXED_RIG_NODES,
                                          .order = order,
                                          .alpha_lr = 3e-3,
                                          .alpha_decay = 1e-3};
}

static inline void relaxed_rig_init(struct relaxed_pool *p,
                                    const struct relaxed_pool_settings *s,
                                    const struct corpus *c)
{
    struct error err = {0};
    ck_assert_msg(relaxed_pool_init(p, s, c, 3, &err) == 0, "%s", err.text);
}

static inline void relaxed_rig_train(struct relaxed_pool *p, int steps, double lr)
{
    double valid;
    for (int i = 0; i < steps; i++) {
        ck_assert(relaxed_pool_step(p, lr, &valid) > 0);
        ck_assert(valid > 0);
    }
}

static inline bool relaxed_rig_equal(const struct relaxed_pool *a,
                                     const struct relaxed_pool *b)
{
    size_t alphas = relaxed_pool_alphas(a) * sizeof(float), state = 8 * 8 * sizeof(float);
    return a->step == b->step && a->adam.step == b->adam.step &&
           memcmp(a->parameters, b->parameters,
                  relaxed_count(a->model) * sizeof(float)) == 0 &&
           memcmp(a->alpha, b->alpha, alphas) == 0 &&
           memcmp(a->adam.m, b->adam.m, alphas) == 0 &&
           memcmp(a->adam.v, b->adam.v, alphas) == 0 &&
           memcmp(a->train_state, b->train_state, state) == 0 &&
           memcmp(a->valid_state, b->valid_state, state) == 0;
}

#endif
