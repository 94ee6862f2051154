/* SPDX-License-Identifier: Apache-2.0 */
/* One vector of weights and one of alpha, stepped in turn. A step that fails anywhere
 * must leave both as they were, or whoever makes it again from the record would get
 * something else: alpha and its moments, which are small, are copied before; the weights
 * are not touched before all is known to be finite. */
#include "worker/relaxed_pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/relaxed_step.h"
#include "common/rng.h"

static const double alpha_deviation = 1e-3, radius = 0.01; /* as published */

static int wider(const struct language_settings *s)
{
    return s->batch > s->eval_batch ? s->batch : s->eval_batch;
}

static struct relaxed_options options_of(const struct relaxed_pool_settings *settings,
                                         int vocabulary)
{
    const struct language_settings *s = &settings->language;
    return (struct relaxed_options){.vocabulary = vocabulary,
                                    .hidden = s->hidden,
                                    .steps = s->steps,
                                    .batch = wider(s),
                                    .nodes = settings->nodes,
                                    .norm = s->norm,
                                    .unrolled = settings->order == 2,
                                    .threads = s->threads,
                                    .kernels = s->kernels};
}

static size_t state_size(const struct language_settings *s)
{
    return (size_t)s->batch * (size_t)s->hidden;
}

static size_t score_size(const struct language_settings *s)
{
    return (size_t)s->eval_batch * (size_t)s->hidden;
}

size_t relaxed_pool_bytes(const struct relaxed_pool_settings *settings, int vocabulary)
{
    const struct language_settings *s = &settings->language;
    struct relaxed_options o = options_of(settings, vocabulary);
    size_t hidden = (size_t)s->hidden;
    size_t weights =
        (size_t)vocabulary * hidden + 2 * hidden * hidden * (size_t)(settings->nodes + 2);
    size_t alphas = relaxed_edges(settings->nodes) * RELAXED_OPERATIONS;
    size_t words = 2 * (size_t)s->steps * (size_t)(wider(s) + s->batch);
    return relaxed_bytes(&o) + words * sizeof(int32_t) +
           (2 * weights + 7 * alphas + 2 * state_size(s) + score_size(s)) * sizeof(float);
}

/* Columns of at least two words each. */
static int check_part(const struct corpus *corpus, enum corpus_part_name part,
                      const char *name, int batch, struct error *err)
{
    size_t count = corpus->parts[part].count;
    if (batch >= 1 && count >= 2 * (size_t)batch)
        return 0;
    return error_set(err, ERROR_INPUT,
                     "the %s text has %zu words, which are too few for %d columns of at "
                     "least 2",
                     name, count, batch);
}

static int check(const struct relaxed_pool_settings *settings,
                 const struct corpus *corpus, struct error *err)
{
    const struct language_settings *s = &settings->language;
    if (settings->order != 1 && settings->order != 2)
        return error_set(err, ERROR_INPUT, "relaxed cell: order %d, allowed are 1 and 2",
                         settings->order);
    if (s->eval_batch < 1)
        return error_set(err, ERROR_INPUT, "relaxed cell: a score in %d columns",
                         s->eval_batch);
    int status = check_part(corpus, CORPUS_TRAIN, "training", s->batch, err);
    return status ? status
                  : check_part(corpus, CORPUS_VALIDATION, "validation", wider(s), err);
}

static bool allocate_words(struct relaxed_pool *p)
{
    const struct language_settings *s = &p->settings.language;
    size_t all = (size_t)s->steps * (size_t)wider(s);
    size_t valid = (size_t)s->steps * (size_t)s->batch;
    p->inputs = malloc(all * sizeof *p->inputs);
    p->targets = malloc(all * sizeof *p->targets);
    p->valid_inputs = malloc(valid * sizeof *p->valid_inputs);
    p->valid_targets = malloc(valid * sizeof *p->valid_targets);
    return p->inputs && p->targets && p->valid_inputs && p->valid_targets;
}

static bool allocate_floats(struct relaxed_pool *p)
{
    const struct language_settings *s = &p->settings.language;
    size_t count = relaxed_count(p->model), alphas = relaxed_pool_alphas(p);
    p->parameters = malloc(count * sizeof *p->parameters);
    p->gradient = malloc(count * sizeof *p->gradient);
    p->alpha = malloc(alphas * sizeof *p->alpha);
    p->alpha_gradient = malloc(alphas * sizeof *p->alpha_gradient);
    p->kept = malloc(3 * alphas * sizeof *p->kept);
    p->train_state = malloc(state_size(s) * sizeof *p->train_state);
    p->valid_state = malloc(state_size(s) * sizeof *p->valid_state);
    p->score_state = malloc(score_size(s) * sizeof *p->score_state);
    return p->parameters && p->gradient && p->alpha && p->alpha_gradient && p->kept &&
           p->train_state && p->valid_state && p->score_state;
}

static struct text_columns columns_of(const struct relaxed_pool *p,
                                      enum corpus_part_name part, int batch)
{
    return text_columns_make(&p->corpus->parts[part], batch);
}

static int make(struct relaxed_pool *p, struct error *err)
{
    const struct language_settings *s = &p->settings.language;
    struct relaxed_options o = options_of(&p->settings, p->corpus->vocabulary);
    int status = relaxed_new(&o, &p->model, err);
    if (status == 0)
        status = optimizer_init(&p->adam, relaxed_pool_alphas(p), true, err);
    if (status != 0)
        return status;
    if (!allocate_floats(p) || !allocate_words(p))
        return error_set(err, ERROR_SYSTEM, "no memory for a relaxed cell");
    struct text_columns train = columns_of(p, CORPUS_TRAIN, s->batch);
    struct text_columns valid = columns_of(p, CORPUS_VALIDATION, s->batch);
    p->train_windows = text_columns_windows(&train, s->steps);
    p->valid_windows = text_columns_windows(&valid, s->steps);
    relaxed_pool_restart(p);
    return 0;
}

int relaxed_pool_init(struct relaxed_pool *p,
                      const struct relaxed_pool_settings *settings,
                      const struct corpus *corpus, uint64_t seed, struct error *err)
{
    *p = (struct relaxed_pool){.settings = *settings, .corpus = corpus, .seed = seed};
    p->settings.language.dropout.weight = 0; /* of which the model knows nothing */
    int status = check(settings, corpus, err);
    if (status == 0)
        status = make(p, err);
    if (status != 0)
        relaxed_pool_fini(p);
    return status;
}

void relaxed_pool_fini(struct relaxed_pool *p)
{
    relaxed_free(p->model);
    optimizer_fini(&p->adam);
    float *floats[] = {p->parameters, p->gradient,    p->alpha,       p->alpha_gradient,
                       p->kept,       p->train_state, p->valid_state, p->score_state};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        free(floats[i]);
    free(p->inputs);
    free(p->targets);
    free(p->valid_inputs);
    free(p->valid_targets);
    *p = (struct relaxed_pool){0};
}

size_t relaxed_pool_alphas(const struct relaxed_pool *p)
{
    return relaxed_edges(p->settings.nodes) * RELAXED_OPERATIONS;
}

static void clear_states(struct relaxed_pool *p)
{
    size_t bytes = state_size(&p->settings.language) * sizeof(float);
    memset(p->train_state, 0, bytes);
    memset(p->valid_state, 0, bytes);
}

void relaxed_pool_restart(struct relaxed_pool *p)
{
    size_t count = relaxed_count(p->model), alphas = relaxed_pool_alphas(p);
    float limit = (float)p->settings.language.init;
    struct rng rng;
    rng_init(&rng, p->seed, RNG_CHILD_INIT, 0);
    for (size_t i = 0; i < count; i++)
        p->parameters[i] = limit * (2 * rng_float(&rng) - 1);
    rng_init(&rng, p->seed, RNG_SEARCH, 0);
    for (size_t i = 0; i < alphas; i++)
        p->alpha[i] = (float)(alpha_deviation * rng_normal(&rng));
    memset(p->adam.m, 0, alphas * sizeof *p->adam.m);
    memset(p->adam.v, 0, alphas * sizeof *p->adam.v);
    p->adam.step = p->step = 0;
    clear_states(p);
}

/* --- a step ------------------------------------------------------------------------- */

/* What a step reads: its two windows, and the masks of each. */
struct sides {
    struct recurrent_window train, valid;
    struct recurrent_dropout train_dropout, valid_dropout;
};

/* Masks are numbered: two windows a step. */
static struct recurrent_dropout dropout_of(const struct relaxed_pool *p, unsigned window)
{
    struct recurrent_dropout d = p->settings.language.dropout;
    d.seed = p->seed;
    d.step = 2 * p->step + window;
    return d;
}

static void open_sides(struct relaxed_pool *p, struct sides *s)
{
    const struct language_settings *l = &p->settings.language;
    struct text_columns train = columns_of(p, CORPUS_TRAIN, l->batch);
    struct text_columns valid = columns_of(p, CORPUS_VALIDATION, l->batch);
    size_t at = (size_t)(p->step % p->train_windows);
    size_t valid_at = (size_t)(p->step % p->valid_windows);
    size_t bytes = state_size(l) * sizeof(float);
    *s = (struct sides){
        .train = {.batch = l->batch, .inputs = p->inputs, .targets = p->targets},
        .valid = {.batch = l->batch,
                  .inputs = p->valid_inputs,
                  .targets = p->valid_targets},
        .train_dropout = dropout_of(p, 0),
        .valid_dropout = dropout_of(p, 1)};
    s->train.steps = text_columns_window(&train, l->steps, at, p->inputs, p->targets);
    s->valid.steps = text_columns_window(&valid, l->steps, valid_at, p->valid_inputs,
                                         p->valid_targets);
    s->train.dropout = &s->train_dropout;
    s->valid.dropout = &s->valid_dropout;
    s->train.state = p->train_state;
    s->valid.state = p->valid_state;
    if (at == 0)
        memset(p->train_state, 0, bytes);
    if (valid_at == 0)
        memset(p->valid_state, 0, bytes);
}

static struct recurrent_descent descent_of(const struct relaxed_pool *p, double lr)
{
    const struct language_settings *l = &p->settings.language;
    return (struct recurrent_descent){.lr = lr, .clip = l->clip, .decay = l->decay};
}

/* alpha's gradient, whatever the order; the validation loss. */
static double look(struct relaxed_pool *p, const struct sides *s, double lr)
{
    struct relaxed_unrolled u = {.descent = descent_of(p, lr), .radius = radius};
    memset(p->alpha_gradient, 0, relaxed_pool_alphas(p) * sizeof *p->alpha_gradient);
    if (p->settings.order == 2)
        return relaxed_step_unrolled(p->model, p->parameters, p->alpha, &u, &s->train,
                                     &s->valid, p->alpha_gradient);
    return relaxed_gradient(p->model, p->parameters, p->alpha, &s->valid, 1, NULL,
                            p->alpha_gradient);
}

/* False, with nothing changed, where a gradient is no number. */
static bool step_alpha(struct relaxed_pool *p)
{
    struct optimizer_adam adam = {.lr = (float)p->settings.alpha_lr,
                                  .beta1 = 0.9f,
                                  .beta2 = 0.999f,
                                  .epsilon = 1e-8f,
                                  .weight_decay = (float)p->settings.alpha_decay};
    for (size_t i = 0; i < relaxed_pool_alphas(p); i++)
        if (!isfinite(p->alpha_gradient[i]))
            return false;
    optimizer_adam_step(&p->adam, &adam, p->alpha, p->alpha_gradient);
    return true;
}

static double step_weights(struct relaxed_pool *p, const struct sides *s, double lr)
{
    struct recurrent_descent d = descent_of(p, lr);
    relaxed_clear(p->model, p->gradient);
    double loss = relaxed_gradient(p->model, p->parameters, p->alpha, &s->train, 1,
                                   p->gradient, NULL);
    if (!isfinite(loss))
        return NAN;
    double norm = relaxed_descend(p->model, &d, p->gradient, p->parameters);
    return isfinite(norm) ? loss : NAN;
}

static void keep(struct relaxed_pool *p)
{
    size_t n = relaxed_pool_alphas(p), bytes = n * sizeof *p->kept;
    memcpy(p->kept, p->alpha, bytes);
    memcpy(p->kept + n, p->adam.m, bytes);
    memcpy(p->kept + 2 * n, p->adam.v, bytes);
}

static void take_back(struct relaxed_pool *p, uint64_t updates)
{
    size_t n = relaxed_pool_alphas(p), bytes = n * sizeof *p->kept;
    memcpy(p->alpha, p->kept, bytes);
    memcpy(p->adam.m, p->kept + n, bytes);
    memcpy(p->adam.v, p->kept + 2 * n, bytes);
    p->adam.step = updates;
}

double relaxed_pool_step(struct relaxed_pool *p, double lr, double *ret_valid)
{
    uint64_t updates = p->adam.step;
    struct sides s;
    open_sides(p, &s);
    keep(p);
    *ret_valid = look(p, &s, lr);
    bool stepped = isfinite(*ret_valid) && step_alpha(p);
    double loss = stepped ? step_weights(p, &s, lr) : NAN;
    if (!isfinite(loss)) {
        take_back(p, updates);
        clear_states(p);
    }
    p->step++;
    return loss;
}

double relaxed_pool_score(struct relaxed_pool *p, const struct training_watch *watch,
                          bool *ret_stopped)
{
    const struct language_settings *s = &p->settings.language;
    struct text_columns columns = columns_of(p, CORPUS_VALIDATION, s->eval_batch);
    struct recurrent_window w = {.batch = s->eval_batch,
                                 .inputs = p->inputs,
                                 .targets = p->targets,
                                 .state = p->score_state};
    double sum = 0, tokens = 0;
    memset(p->score_state, 0, score_size(s) * sizeof *p->score_state);
    *ret_stopped = false;
    for (size_t k = 0; (w.steps = text_columns_window(&columns, s->steps, k, p->inputs,
                                                      p->targets)) > 0;
         k++) {
        *ret_stopped = watch && watch->stop(watch->context);
        if (*ret_stopped)
            return NAN;
        w.same_weights = k > 0;
        double count = (double)w.steps * (double)w.batch;
        sum += count * relaxed_loss(p->model, p->parameters, p->alpha, &w);
        tokens += count;
    }
    return sum / tokens;
}
