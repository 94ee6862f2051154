/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling and scoring, chunk by chunk. Given architectures are walked through the space
 * first: they are checked, and the walk says how many steps and anchors there are, so
 * that buffers fit long and short ones alike. */
#include "master/controller_private.h"

#include <string.h>

/* How far one architecture's decisions go; grows *size. */
static void measure(const struct controller *c, const struct architecture *a,
                    struct architecture *walk, struct controller_tape_size *size)
{
    struct decision d;
    size_t steps = 0;
    walk->depth = a->depth;
    walk->count = 0;
    for (; walk->count < a->count && space_next(c->space, walk, &d); steps++) {
        size_t tokens = d.type == DECISION_ANCHOR ? (size_t)d.choices : 1;
        size_t left = (size_t)(a->count - walk->count);
        tokens = tokens < left ? tokens : left;
        memcpy(walk->tokens + walk->count, a->tokens + walk->count,
               tokens * sizeof *a->tokens);
        walk->count = (uint16_t)(walk->count + tokens);
        if (d.type != DECISION_CHOICE && (size_t)d.choices > size->choices)
            size->choices = (size_t)d.choices;
    }
    size->steps = steps > size->steps ? steps : size->steps;
}

int controller_given(struct controller *c, const struct architecture *const *a, size_t n,
                     bool keep, struct error *err)
{
    struct controller_tape_size size = {.rows = n, .steps = 1};
    for (size_t r = 0; r < n; r++) {
        int status = space_validate(c->space, a[r], err);
        if (status < 0)
            return status;
        measure(c, a[r], &c->prefixes[r], &size);
        c->prefixes[r].count = 0;
        c->rows[r].prefix = &c->prefixes[r];
        c->rows[r].given = a[r];
    }
    size.anchors = size.choices;
    return controller_tape_reserve(c, &size, keep, err);
}

static void copy_hidden(const struct controller *c, size_t steps, size_t rows, float *ret)
{
    for (size_t r = 0; r < rows; r++) {
        size_t last = steps;
        while (last > 0 && !controller_at(c, last - 1, r)->active)
            last--;
        if (last > 0)
            memcpy(ret + r * c->lstm.units, controller_top(c, last - 1, r),
                   c->lstm.units * sizeof *ret);
    }
}

int controller_score(struct controller *c, const struct architecture *const *a, size_t n,
                     struct controller_score *ret, float *ret_hidden, struct error *err)
{
    for (size_t first = 0; first < n; first += CONTROLLER_CHUNK) {
        size_t left = n - first, steps = 0;
        struct controller_run run = {
            .c = c,
            .rows = left < CONTROLLER_CHUNK ? left : CONTROLLER_CHUNK,
            .score = true,
        };
        int status = controller_given(c, a + first, run.rows, ret_hidden != NULL, err);
        if (status == 0)
            status = controller_run(&run, &steps, err);
        if (status < 0)
            return status;
        for (size_t r = 0; r < run.rows; r++)
            ret[first + r] =
                (struct controller_score){c->rows[r].log_probability, c->rows[r].entropy};
        if (ret_hidden)
            copy_hidden(c, steps, run.rows, ret_hidden + first * c->lstm.units);
    }
    return 0;
}

int controller_sample(struct controller *c, int depth, const uint64_t *ids, size_t n,
                      struct architecture *ret, double *ret_log_probability,
                      struct error *err)
{
    int flattest = space_min_depth(c->space), deepest = space_max_depth(c->space);
    if (depth < flattest || depth > deepest)
        return error_set(err, ERROR_INPUT, "space '%s': depth %d, allowed are %d to %d",
                         space_name(c->space), depth, flattest, deepest);
    int tokens = space_max_tokens(c->space, depth);
    for (size_t first = 0; first < n; first += CONTROLLER_SAMPLE_CHUNK) {
        size_t left = n - first, steps = 0;
        struct controller_run run = {.c = c, .share = true};
        run.rows = left < CONTROLLER_SAMPLE_CHUNK ? left : CONTROLLER_SAMPLE_CHUNK;
        struct controller_tape_size size = {.rows = run.rows, .steps = (size_t)tokens};
        if (c->has_anchors)
            size.anchors = size.choices = (size_t)tokens;
        int status = controller_tape_reserve(c, &size, false, err);
        for (size_t r = 0; r < run.rows; r++) {
            struct controller_row *row = &c->rows[r];
            row->given = NULL;
            row->prefix = &ret[first + r];
            row->prefix->depth = (uint16_t)depth;
            row->prefix->count = 0;
            rng_init(&row->rng, c->seed, RNG_CONTROLLER_SAMPLE, ids[first + r]);
        }
        if (status == 0)
            status = controller_run(&run, &steps, err);
        if (status < 0)
            return status;
        for (size_t r = 0; r < run.rows && ret_log_probability; r++)
            ret_log_probability[first + r] = c->rows[r].log_probability;
    }
    return 0;
}
