/* SPDX-License-Identifier: Apache-2.0 */
/* A language model whose cell changes from call to call. Of its vectors only the parts
 * that some lane touched are cleared, clipped and applied: what a step does not use, it
 * does not decay either. The gradient of a single lane stays where it was made. */
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

/* Weights: of the pool, and of one cell, floats. */
static size_t pool_floats(const struct pool_settings *s, int vocabulary, size_t pairs)
{
    size_t hidden = (size_t)s->language.hidden;
    return (size_t)vocabulary * hidden + 2 * hidden * hidden * pairs;
}

static struct lanes_shape shape_of(const struct pool_settings *s, int vocabulary)
{
    size_t all = part_count(s->nodes), cell = (size_t)s->nodes + 2;
    struct lanes_shape shape = {.samples = s->samples,
                                .ranges = s->sync > 1 ? all : cell,
                                .state = state_size(s)};
    if (s->samples > 1)
        shape.values = pool_floats(s, vocabulary, shape.ranges - 1);
    return shape;
}

static struct lanes_shape draft_of(struct lanes_shape shape)
{
    shape.values = 0;
    return shape;
}

static size_t replica_floats(const struct pool_settings *s, int vocabulary)
{
    size_t count = pool_floats(s, vocabulary, part_count(s->nodes) - 1);
    return s->sync > 1 ? (size_t)s->samples * count : 0;
}

size_t pool_bytes(const struct pool_settings *s, int vocabulary)
{
    struct lanes_shape shape = shape_of(s, vocabulary);
    struct lanes_shape draft = draft_of(shape);
    return language_pool_bytes(&s->language, vocabulary, s->nodes) + lanes_bytes(&draft) +
           (s->samples > 1 ? lanes_bytes(&shape) : 0) +
           ((size_t)s->samples * state_size(s) + replica_floats(s, vocabulary)) *
               sizeof(float) +
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

static int allocate(struct pool *p, int vocabulary, struct error *err)
{
    const struct pool_settings *s = &p->settings;
    struct lanes_shape shape = shape_of(s, vocabulary);
    size_t samples = (size_t)s->samples;
    size_t replicas = replica_floats(s, vocabulary);
    p->states = malloc(samples * state_size(s) * sizeof(float));
    p->made = calloc(samples, sizeof *p->made);
    p->ranges = malloc(part_count(s->nodes) * sizeof *p->ranges);
    p->replicas = replicas > 0 ? malloc(replicas * sizeof(float)) : NULL;
    if (!p->states || !p->made || !p->ranges || (replicas > 0 && !p->replicas))
        return error_set(err, ERROR_SYSTEM, "no memory for shared weights");
    struct lanes_shape draft = draft_of(shape);
    int status = lanes_init(&p->drafts, &draft, err);
    return status == 0 && samples > 1 ? lanes_init(&p->lanes, &shape, err) : status;
}

int pool_init(struct pool *p, const struct pool_settings *settings,
              const struct corpus *corpus, uint64_t seed, struct error *err)
{
    *p = (struct pool){.settings = *settings, .drafts.fd = -1, .lanes.fd = -1};
    p->settings.language.patience = 0;
    int status = check_text(p, corpus, err);
    if (status == 0)
        status = language_init_pool(&p->language, &p->settings.language, corpus,
                                    settings->nodes, seed, err);
    if (status != 0)
        return status;
    status = allocate(p, corpus->vocabulary, err);
    if (status != 0) {
        pool_fini(p);
        return status;
    }
    struct text_columns columns =
        text_columns_make(&corpus->parts[CORPUS_TRAIN], p->settings.language.batch);
    p->windows = text_columns_windows(&columns, p->settings.language.steps);
    return 0;
}

void pool_fini(struct pool *p)
{
    language_fini(&p->language);
    lanes_fini(&p->drafts);
    lanes_fini(&p->lanes);
    free(p->states);
    free(p->made);
    free(p->ranges);
    free(p->replicas);
    *p = (struct pool){.drafts.fd = -1, .lanes.fd = -1};
}

void pool_begin(struct pool *p)
{
    memset(p->made, 0, (size_t)p->settings.samples * sizeof *p->made);
}

void pool_restart(struct pool *p)
{
    language_draw(&p->language);
    p->step = 0;
    pool_begin(p);
}

uint64_t pool_round(const struct pool *p)
{
    return p->step / (uint64_t)p->settings.sync;
}

static struct lane *draft(const struct pool *p, int part)
{
    return lanes_at(&p->drafts, pool_round(p), part);
}

/* One that has come to the end of the round. */
static struct lane *lane_of(const struct pool *p, int part)
{
    return p->settings.samples > 1 ? lanes_at(&p->lanes, pool_round(p), part)
                                   : draft(p, part);
}

static float *replica_of(const struct pool *p, int part)
{
    return p->replicas + (size_t)part * recurrent_count(p->language.model);
}

/* --- what lanes touch --------------------------------------------------------------- */

/* Into an ascending list, once. Is it new there? */
static bool add_range(struct recurrent_range *list, uint32_t *count,
                      struct recurrent_range range)
{
    uint32_t at = 0;
    while (at < *count && list[at].first < range.first)
        at++;
    if (at < *count && list[at].first == range.first)
        return false;
    memmove(list + at + 1, list + at, (*count - at) * sizeof *list);
    list[at] = range;
    ++*count;
    return true;
}

static void touch(struct lane *lane, const struct recurrent_range *ranges, int count)
{
    for (int i = 0; i < count; i++)
        if (add_range(lane->ranges, &lane->range_count, ranges[i]))
            lane->values += ranges[i].count;
}

static void unite(struct pool *p)
{
    uint32_t count = 0;
    for (int part = 0; part < p->settings.samples; part++) {
        const struct lane *lane = lane_of(p, part);
        for (uint32_t i = 0; i < lane->range_count; i++)
            add_range(p->ranges, &count, lane->ranges[i]);
    }
    p->range_count = (int)count;
}

/* --- a lane ------------------------------------------------------------------------- */

static struct recurrent_descent descent_of(const struct pool *p, double lr)
{
    const struct language_settings *s = &p->settings.language;
    return (struct recurrent_descent){.lr = lr, .clip = s->clip, .decay = s->decay};
}

/* The gradient of one lane's window, times its share, in the parts that the cell uses. */
static double gradient(struct pool *p, int part, const struct recurrent_cell *cell,
                       const float *parameters, float *state,
                       const struct recurrent_range *ranges, int count)
{
    const struct language_settings *s = &p->settings.language;
    struct language *l = &p->language;
    struct text_columns columns =
        text_columns_make(&l->corpus->parts[CORPUS_TRAIN], s->batch);
    uint64_t step = p->step + (uint64_t)p->made[part];
    size_t window = (size_t)(step % p->windows);
    struct recurrent_dropout dropout = s->dropout;
    dropout.seed = l->seed;
    dropout.step = step * (uint64_t)p->settings.samples + (uint64_t)part;
    if (window == 0)
        memset(state, 0, state_size(&p->settings) * sizeof *state);
    struct recurrent_window w = {.batch = s->batch,
                                 .inputs = l->inputs,
                                 .targets = l->targets,
                                 .state = state,
                                 .dropout = &dropout};
    w.steps = text_columns_window(&columns, s->steps, window, l->inputs, l->targets);
    recurrent_clear(l->model, ranges, count, l->gradient);
    float share = p->settings.sync > 1 ? 1 : 1 / (float)p->settings.samples;
    double loss = recurrent_gradient(l->model, parameters, cell, &w, share, l->gradient);
    if (!isfinite(loss))
        memset(state, 0, state_size(&p->settings) * sizeof *state);
    return loss;
}

static void begin_lane(struct pool *p, int part, struct lane *lane)
{
    size_t size = state_size(&p->settings) * sizeof(float);
    lane_open(lane, part);
    memcpy(lane_state(&p->drafts, lane), p->states + (size_t)part * size / sizeof(float),
           size);
    if (p->replicas)
        memcpy(replica_of(p, part), p->language.parameters,
               recurrent_count(p->language.model) * sizeof(float));
}

/* What it gives: its gradient, or how far its weights have moved. */
static void pack(struct pool *p, int part)
{
    const struct recurrent *model = p->language.model;
    struct lane *lane = lane_of(p, part);
    float *at = lane_values(&p->lanes, lane);
    lane_copy(&p->lanes, lane, draft(p, part));
    for (uint32_t i = 0; i < lane->range_count; i++) {
        struct recurrent_range r = lane->ranges[i];
        const float *from =
            (p->replicas ? replica_of(p, part) : p->language.gradient) + r.first;
        memcpy(at, from, r.count * sizeof *at);
        if (p->replicas)
            recurrent_add(model, r.count, -1, p->language.parameters + r.first, at);
        at += r.count;
    }
    lane_close(&p->lanes, lane, pool_round(p));
}

/* Another rank may put the same lane into the shared memory meanwhile, so it is made
 * beside it. */
double pool_train(struct pool *p, int part, const struct recurrent_cell *cell, double lr)
{
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    struct lane *lane = draft(p, part);
    int count = recurrent_touched(p->language.model, cell, ranges);
    if (p->made[part] == 0)
        begin_lane(p, part, lane);
    float *weights = p->replicas ? replica_of(p, part) : p->language.parameters;
    double loss =
        gradient(p, part, cell, weights, lane_state(&p->drafts, lane), ranges, count);
    touch(lane, ranges, count);
    if (p->replicas && isfinite(loss)) {
        struct recurrent_descent d = descent_of(p, lr);
        recurrent_descend(p->language.model, &d, ranges, count, p->language.gradient,
                          weights);
    }
    lane->spoiled = !p->replicas && !isfinite(loss);
    lane->loss = loss;
    if (++p->made[part] == p->settings.sync && p->settings.samples > 1)
        pack(p, part);
    return loss;
}

/* --- a round ------------------------------------------------------------------------ */

static bool fits(const struct pool *p, uint64_t round, int part)
{
    const struct recurrent *model = p->language.model;
    size_t hidden = (size_t)p->settings.language.hidden;
    return lane_fits(&p->lanes, lanes_at(&p->lanes, round, part), round, part,
                     recurrent_input(model), 2 * hidden * hidden, recurrent_count(model));
}

bool pool_accept(struct pool *p, int part)
{
    if (!fits(p, pool_round(p), part))
        return false;
    p->made[part] = p->settings.sync;
    return true;
}

bool pool_recall(const struct pool *p, uint64_t step, int part, double *ret_loss)
{
    uint64_t round = step / (uint64_t)p->settings.sync;
    if (p->settings.samples == 1 || !fits(p, round, part))
        return false;
    *ret_loss = lanes_at(&p->lanes, round, part)->loss;
    return true;
}

int pool_next(const struct pool *p)
{
    int next = 0;
    for (int part = 1; part < p->settings.samples; part++)
        if (p->made[part] < p->made[next])
            next = part;
    return p->made[next] < p->settings.sync ? next : -1;
}

/* The values of a lane in one of its ranges; NULL when it has no such range. */
static const float *values_in(const struct pool *p, struct lane *lane, size_t first)
{
    const float *at = lane_values(&p->lanes, lane);
    for (uint32_t i = 0; i < lane->range_count; i++) {
        if (lane->ranges[i].first == first)
            return at;
        at += lane->ranges[i].count;
    }
    return NULL;
}

/* to += share x the sum over the lanes, in their order. */
static void add_lanes(struct pool *p, struct recurrent_range range, float share,
                      float *to)
{
    for (int part = 0; part < p->settings.samples; part++) {
        const float *values = values_in(p, lane_of(p, part), range.first);
        if (values)
            recurrent_add(p->language.model, range.count, share, values, to);
    }
}

static bool is_spoiled(const struct pool *p)
{
    bool spoiled = false;
    for (int part = 0; part < p->settings.samples; part++)
        spoiled |= lane_of(p, part)->spoiled;
    return spoiled;
}

static void descend(struct pool *p, double lr)
{
    struct language *l = &p->language;
    struct recurrent_descent d = descent_of(p, lr);
    if (p->settings.samples > 1) {
        recurrent_clear(l->model, p->ranges, p->range_count, l->gradient);
        for (int i = 0; i < p->range_count; i++)
            add_lanes(p, p->ranges[i], 1, l->gradient + p->ranges[i].first);
    }
    recurrent_descend(l->model, &d, p->ranges, p->range_count, l->gradient,
                      l->parameters);
}

static void move_to_mean(struct pool *p)
{
    float share = 1 / (float)p->settings.samples;
    for (int i = 0; i < p->range_count; i++)
        add_lanes(p, p->ranges[i], share, p->language.parameters + p->ranges[i].first);
}

void pool_take(struct pool *p, double lr)
{
    size_t size = state_size(&p->settings);
    unite(p);
    if (p->replicas)
        move_to_mean(p);
    else if (!is_spoiled(p))
        descend(p, lr);
    for (int part = 0; part < p->settings.samples; part++)
        memcpy(p->states + (size_t)part * size, lane_state(&p->drafts, lane_of(p, part)),
               size * sizeof(float));
    p->step += (uint64_t)p->settings.sync;
    pool_begin(p);
    for (int part = 0; part < p->settings.samples && p->settings.samples > 1; part++)
        pool_accept(p, part);
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
