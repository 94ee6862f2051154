/* SPDX-License-Identifier: Apache-2.0 */
/* Random search: every trial uniform over the tokens of its depth, from the stream
 * (seed, RNG_RANDOM_ARM, id). It has no state and learns nothing; an architecture may
 * come again, above all in a small space. The control arm of every search. */
#include "master/search/search.h"

#include <math.h>
#include <stdlib.h>

struct random_search {
    uint64_t seed;
    const struct space *space; /* borrowed */
};

static int random_create(const struct search_setup *setup, void **ret, struct error *err)
{
    struct random_search *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "random search: no memory");
    s->seed = setup->config->seed;
    s->space = setup->space;
    *ret = s;
    return 0;
}

static void random_destroy(void *self)
{
    free(self);
}

static int random_ask(void *self, uint64_t id, struct proposal *ret,
                      enum search_answer *ret_answer, struct error *err)
{
    const struct random_search *s = self;
    struct rng rng;
    rng_init(&rng, s->seed, RNG_RANDOM_ARM, id);
    space_sample(s->space, space_depth(s->space, id), &rng, &ret->architecture);
    ret->log_probability = NAN;
    ret->policy_version = 0;
    *ret_answer = SEARCH_TASK;
    return 0;
}

static int random_tell(void *self, const struct trial *trial, struct error *err)
{
    return 0;
}

static int random_save(const void *self, struct state *state, struct error *err)
{
    return 0;
}

static int random_load(void *self, const struct state *state, struct error *err)
{
    return 0;
}

const struct search_ops search_random = {
    .name = "random",
    .oblivious = true,
    .create = random_create,
    .destroy = random_destroy,
    .ask = random_ask,
    .tell = random_tell,
    .save = random_save,
    .load = random_load,
};
