/* SPDX-License-Identifier: Apache-2.0 */
/* A small pool on the text of text_rig.h, and random cells for it. */
#ifndef ARCHWAY_TESTS_POOL_RIG_H
#define ARCHWAY_TESTS_POOL_RIG_H

#include "text_rig.h"
#include "unit.h"
#include "worker/pool.h"

enum { POOL_NODES = 5 };

static inline struct pool_settings pool_rig_settings(int samples)
{
    return (struct pool_settings){.language = {.hidden = 8,
                                               .batch = 8,
                                               .steps = 10,
                                               .eval_batch = 5,
                                               .init = 0.1,
                                               .clip = 0.5,
                                               .decay = 1e-3,
                                               .threads = 1},
                                  .nodes = POOL_NODES,
                                  .samples = samples,
                                  .sync = 1};
}

static inline void pool_rig_init(struct pool *p, const struct pool_settings *s,
                                 const struct corpus *c)
{
    struct error err = {0};
    ck_assert_msg(pool_init(p, s, c, 3, &err) == 0, "%s", err.text);
}

static inline struct recurrent_cell pool_rig_cell(uint64_t number)
{
    struct recurrent_cell cell = {.nodes = POOL_NODES};
    struct rng rng;
    rng_init(&rng, 11, RNG_TEST, number);
    for (uint32_t j = 0; j < POOL_NODES; j++) {
        cell.activation[j] = (uint8_t)rng_below(&rng, 4);
        cell.previous[j] = (uint8_t)(j > 0 ? rng_below(&rng, j) : 0);
    }
    return cell;
}

/* Train a lane with this cell; its round is taken when it was the last. */
static inline double pool_rig_lane(struct pool *p, int part,
                                   const struct recurrent_cell *cell, double lr)
{
    double loss = pool_train(p, part, cell, lr);
    if (pool_next(p) < 0)
        pool_take(p, lr);
    return loss;
}

/* The cell of the lane's next step is that of its number. */
static inline void pool_rig_next(struct pool *p, int part, double lr)
{
    uint64_t step = p->step + (uint64_t)p->made[part];
    struct recurrent_cell cell =
        pool_rig_cell(step * (uint64_t)p->settings.samples + (uint64_t)part);
    ck_assert(pool_rig_lane(p, part, &cell, lr) > 0);
}

/* Take the next `count` lanes. */
static inline void pool_rig_train(struct pool *p, int count, double lr)
{
    for (int i = 0; i < count; i++)
        pool_rig_next(p, pool_next(p), lr);
}

static inline bool pool_rig_equal(const struct pool *a, const struct pool *b)
{
    size_t states = (size_t)a->settings.samples * 8 * 8;
    return a->step == b->step && pool_next(a) == pool_next(b) &&
           memcmp(a->language.parameters, b->language.parameters,
                  recurrent_count(a->language.model) * sizeof(float)) == 0 &&
           memcmp(a->states, b->states, states * sizeof(float)) == 0;
}

#endif
