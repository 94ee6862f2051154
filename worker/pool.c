/* SPDX-License-Identifier: Apache-2.0 */
/* A language model whose cell changes from call to call. Gradients of lanes add up in one
 * vector, of which only the parts that some lane touched are cleared, clipped and
 * applied: what a step does not use, it does not decay either. */
#include "worker/pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t state_size(const struct pool_settings *s)
{
    return (size_t)s->language.batch * (size_t)s->language.hidden;
}

/* E, W_x, W_0 and the pairs of the edges. */
static size_t part_count(int nodes)
{
    return 3 + (size_t)nodes * (size_t)(nodes - 1) / 2;
}

size_t pool_bytes(const struct pool_settings *s, int vocabulary)
{
    return language_pool_bytes(&s->language, vocabulary, s->nodes) +
           (size_t)s->samples * state_size(s) * sizeof(float) +
           part_count(s->nodes) * sizeof(struct recurrent_range);
}

static int check_text(const struct pool *p, const struct corpus *corpus,
                      struct error *err)
{
    const struct language_settings *s = &p->settings.language;
    size_t count = corpus->parts[CORPUS_VALIDATION].count;
    int batch = s->batch > s->eval_batch ? s->batch : s->eval_batch;
    if (count >= 2 * (size_t)batch)
        return 0;
    return error_set(
        err, ERROR_INPUT,
        "the validation text has %zu words, which are too few for %d columns of "
        "at least 2",
        count, batch);
}

int pool_init(struct pool *p, const struct pool_settings *settings,
              const struct corpus *corpus, uint64_t seed, struct error *err)
{
    *p = (struct pool){.settings = *settings};
    p->settings.language.patience = 0;
    int status = check_text(p, corpus, err);
    if (status == 0)
        status = language_init_pool(&p->language, &p->settings.language, corpus,
                                    settings->nodes, seed, err);
    if (status != 0)
        return status;
    size_t parts = part_count(settings->nodes);
    p->states = malloc((size_t)settings->samples * state_size(settings) * sizeof(float));
    p->ranges = malloc(parts * sizeof *p->ranges);
    if (!p->states || !p->ranges) {
        pool_fini(p);
        return error_set(err, ERROR_SYSTEM, "no memory for shared weights");
    }
    struct text_columns columns =
        text_columns_make(&corpus->parts[CORPUS_TRAIN], p->settings.language.batch);
    p->windows = text_columns_windows(&columns, p->settings.language.steps);
    p->range_count = 0;
    return 0;
}

void pool_fini(struct pool *p)
{
    language_fini(&p->language);
    free(p->states);
    free(p->ranges);
    *p = (struct pool){0};
}

void pool_restart(struct pool *p)
{
    language_draw(&p->language);
    p->at = (struct pool_position){0};
    p->spoiled = false;
    p->range_count = 0;
}

/* Into the ascending list, once; what is new to it starts as a gradient of 0. */
static void touch(struct pool *p, struct recurrent_range range)
{
    int at = 0;
    while (at < p->range_count && p->ranges[at].first < range.first)
        at++;
    if (at < p->range_count && p->ranges[at].first == range.first)
        return;
    memmove(p->ranges + at + 1, p->ranges + at,
            (size_t)(p->range_count - at) * sizeof *p->ranges);
    p->ranges[at] = range;
    p->range_count++;
    recurrent_clear(p->language.model, &range, 1, p->language.gradient);
}

static void touch_all(struct pool *p, const struct recurrent_cell *cell)
{
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    int count = recurrent_touched(p->language.model, cell, ranges);
    for (int i = 0; i < count; i++)
        touch(p, ranges[i]);
}

static void make_step(struct pool *p, double lr)
{
    const struct language_settings *s = &p->settings.language;
    struct recurrent_descent d = {.lr = lr, .clip = s->clip, .decay = s->decay};
    if (!p->spoiled)
        recurrent_descend(p->language.model, &d, p->ranges, p->range_count,
                          p->language.gradient, p->language.parameters);
    p->spoiled = false;
    p->range_count = 0;
    p->at.part = 0;
    p->at.step++;
}

double pool_train(struct pool *p, const struct recurrent_cell *cell, double lr)
{
    const struct language_settings *s = &p->settings.language;
    struct language *l = &p->language;
    struct text_columns columns =
        text_columns_make(&l->corpus->parts[CORPUS_TRAIN], s->batch);
    size_t window = (size_t)(p->at.step % p->windows), size = state_size(&p->settings);
    float *state = p->states + (size_t)p->at.part * size;
    struct recurrent_dropout dropout = s->dropout;
    dropout.seed = l->seed;
    dropout.step = p->at.step * (uint64_t)p->settings.samples + (uint64_t)p->at.part;
    if (window == 0)
        memset(state, 0, size * sizeof *state);
    struct recurrent_window w = {.batch = s->batch,
                                 .inputs = l->inputs,
                                 .targets = l->targets,
                                 .state = state,
                                 .dropout = &dropout};
    w.steps = text_columns_window(&columns, s->steps, window, l->inputs, l->targets);
    touch_all(p, cell);
    double loss = recurrent_gradient(l->model, l->parameters, cell, &w,
                                     1 / (float)p->settings.samples, l->gradient);
    if (!isfinite(loss)) {
        p->spoiled = true;
        memset(state, 0, size * sizeof *state);
    }
    if (++p->at.part == p->settings.samples)
        make_step(p, lr);
    return loss;
}

static double score_window(struct pool *p, const struct recurrent_cell *cell,
                           int32_t part)
{
    const struct language_settings *s = &p->settings.language;
    struct language *l = &p->language;
    struct text_columns columns =
        text_columns_make(&l->corpus->parts[CORPUS_VALIDATION], s->batch);
    size_t window = (size_t)part % text_columns_windows(&columns, s->steps);
    struct recurrent_window w = {
        .batch = s->batch, .inputs = l->inputs, .targets = l->targets, .state = l->state};
    w.steps = text_columns_window(&columns, s->steps, window, l->inputs, l->targets);
    memset(l->state, 0, state_size(&p->settings) * sizeof *l->state);
    return recurrent_loss(l->model, l->parameters, cell, &w);
}

double pool_score(struct pool *p, const struct recurrent_cell *cell, int32_t part,
                  const struct training_watch *watch, bool *ret_stopped)
{
    *ret_stopped = false;
    if (part >= 0)
        return score_window(p, cell, part);
    p->language.cell = *cell;
    return language_evaluate(&p->language, CORPUS_VALIDATION,
                             p->settings.language.eval_batch, watch, ret_stopped);
}
