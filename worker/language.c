/* SPDX-License-Identifier: Apache-2.0 */
/* One model serves training and evaluation: its buffers hold the larger of the two. */
#include "worker/language.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/rng.h"

static int wider(const struct language_settings *s)
{
    return s->batch > s->eval_batch ? s->batch : s->eval_batch;
}

/* cell: NULL for a pool of all cells of so many nodes. */
static struct recurrent_options options_of(const struct language_settings *s,
                                           int vocabulary, int nodes,
                                           const struct language_cell *cell)
{
    bool tree = cell && cell->is_tree;
    return (struct recurrent_options){.vocabulary = vocabulary,
                                      .hidden = s->hidden,
                                      .steps = s->steps,
                                      .batch = wider(s),
                                      .nodes = nodes,
                                      .only = cell && !tree ? &cell->graph : NULL,
                                      .tree = tree ? &cell->tree : NULL,
                                      .output = s->output,
                                      .norm = s->norm,
                                      .drop_weights = s->dropout.weight > 0,
                                      .state_clip = s->state_clip,
                                      .threads = s->threads,
                                      .kernels = s->kernels};
}

static size_t bytes_of(const struct language_settings *s,
                       const struct recurrent_options *o, size_t matrices)
{
    size_t hidden = (size_t)s->hidden, vectors = s->patience > 0 ? 3 : 2;
    size_t count = (size_t)o->vocabulary * hidden + hidden * hidden * matrices;
    size_t words = 2 * (size_t)s->steps * (size_t)wider(s) * sizeof(int32_t);
    size_t state = (size_t)wider(s) * hidden * (o->tree ? 2 : 1);
    return recurrent_bytes(o) + vectors * count * sizeof(float) + words +
           state * sizeof(float);
}

size_t language_bytes(const struct language_settings *s, int vocabulary,
                      const struct language_cell *cell)
{
    struct recurrent_options o = options_of(s, vocabulary, cell->graph.nodes, cell);
    return bytes_of(s, &o, (size_t)language_cell_matrices(cell));
}

size_t language_pool_bytes(const struct language_settings *s, int vocabulary, int nodes)
{
    struct recurrent_options o = options_of(s, vocabulary, nodes, NULL);
    return bytes_of(s, &o, 4 + (size_t)nodes * (size_t)(nodes - 1));
}

static int check_text(const struct language_settings *s, const struct corpus *corpus,
                      struct error *err)
{
    size_t count = corpus->parts[CORPUS_TRAIN].count;
    if (s->batch >= 1 && count >= 2 * (size_t)s->batch)
        return 0;
    return error_set(err, ERROR_INPUT,
                     "the training text has %zu words, which are too few for %d columns of "
                     "at least 2",
                     count, s->batch);
}

static int allocate(struct language *l, struct error *err)
{
    const struct language_settings *s = &l->settings;
    size_t count = recurrent_count(l->model), rows = (size_t)wider(s);
    size_t words = (size_t)s->steps * rows;
    l->parameters = malloc(count * sizeof *l->parameters);
    l->gradient = malloc(count * sizeof *l->gradient);
    l->average = s->patience > 0 ? malloc(count * sizeof *l->average) : NULL;
    l->state = malloc(recurrent_state(l->model, wider(s)) * sizeof *l->state);
    l->inputs = malloc(words * sizeof *l->inputs);
    l->targets = malloc(words * sizeof *l->targets);
    l->losses = calloc((size_t)s->patience + 1, sizeof *l->losses);
    if (l->parameters && l->gradient && l->state && l->inputs && l->targets && l->losses &&
        (l->average || s->patience == 0))
        return 0;
    return error_set(err, ERROR_SYSTEM, "no memory for a model of %zu parameters", count);
}

void language_draw(struct language *l)
{
    size_t count = recurrent_count(l->model);
    float limit = (float)l->settings.init;
    struct rng rng;
    rng_init(&rng, l->seed, RNG_CHILD_INIT, 0);
    for (size_t i = 0; i < count; i++)
        l->parameters[i] = limit * (2 * rng_float(&rng) - 1);
}

static int init(struct language *l, const struct recurrent_options *o, struct error *err)
{
    const struct language_settings *settings = &l->settings;
    int status = check_text(settings, l->corpus, err);
    if (status == 0 && (settings->patience < 0 || settings->patience > LANGUAGE_MAX_PATIENCE))
        status = error_set(err, ERROR_INPUT, "averaging after %d epochs, allowed are 0 to %d",
                           settings->patience, LANGUAGE_MAX_PATIENCE);
    if (status == 0)
        status = recurrent_new(o, &l->model, err);
    if (status == 0)
        status = allocate(l, err);
    if (status != 0) {
        language_fini(l);
        return status;
    }
    language_draw(l);
    return 0;
}

int language_init(struct language *l, const struct language_settings *settings,
                  const struct corpus *corpus, const struct language_cell *cell,
                  uint64_t seed, struct error *err)
{
    struct recurrent_options o =
        options_of(settings, corpus->vocabulary, cell->graph.nodes, cell);
    *l = (struct language){
        .settings = *settings, .corpus = corpus, .cell = cell->graph, .seed = seed};
    return init(l, &o, err);
}

int language_init_pool(struct language *l, const struct language_settings *settings,
                       const struct corpus *corpus, int nodes, uint64_t seed,
                       struct error *err)
{
    struct recurrent_options o = options_of(settings, corpus->vocabulary, nodes, NULL);
    *l = (struct language){.settings = *settings, .corpus = corpus, .seed = seed};
    return init(l, &o, err);
}

void language_fini(struct language *l)
{
    recurrent_free(l->model);
    free(l->parameters);
    free(l->gradient);
    free(l->average);
    free(l->state);
    free(l->inputs);
    free(l->targets);
    free(l->losses);
    *l = (struct language){0};
}

static bool is_stopped(const struct training_watch *watch)
{
    return watch && watch->stop(watch->context);
}

/* One update; false when the loss or the gradient is no number. */
static bool learn(struct language *l, int steps, double lr)
{
    struct language_position *p = &l->position;
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    struct recurrent_dropout dropout = l->settings.dropout;
    dropout.seed = l->seed;
    dropout.step = p->updates;
    struct recurrent_window w = {.steps = steps,
                                 .batch = l->settings.batch,
                                 .inputs = l->inputs,
                                 .targets = l->targets,
                                 .state = l->state,
                                 .dropout = &dropout};
    struct recurrent_descent d = {
        .lr = lr, .clip = l->settings.clip, .decay = l->settings.decay};
    int count = recurrent_touched(l->model, &l->cell, ranges);
    recurrent_clear(l->model, ranges, count, l->gradient);
    double loss =
        recurrent_gradient(l->model, l->parameters, &l->cell, &w, 1, l->gradient);
    double norm =
        recurrent_descend(l->model, &d, ranges, count, l->gradient, l->parameters);
    uint64_t tokens = (uint64_t)steps * (uint64_t)l->settings.batch;
    p->loss += loss * (double)tokens;
    p->tokens += tokens;
    p->updates++;
    p->window++;
    if (p->averaged > 0)
        recurrent_average(l->model, ++p->averaged, l->parameters, l->average);
    return isfinite(loss) && isfinite(norm);
}

static enum training_outcome windows(struct language *l, double lr,
                                     const struct training_watch *watch)
{
    const struct language_settings *s = &l->settings;
    struct text_columns columns =
        text_columns_make(&l->corpus->parts[CORPUS_TRAIN], s->batch);
    int steps;
    if (l->position.window == 0)
        memset(l->state, 0, recurrent_state(l->model, s->batch) * sizeof *l->state);
    while ((steps = text_columns_window(&columns, s->steps, l->position.window, l->inputs,
                                        l->targets)) > 0) {
        if (is_stopped(watch))
            return TRAINING_STOPPED;
        if (!learn(l, steps, lr))
            return TRAINING_DIVERGED;
    }
    return TRAINING_DONE;
}

double language_evaluate(struct language *l, enum corpus_part_name part, int batch,
                         const struct training_watch *watch, bool *ret_stopped)
{
    const struct language_settings *s = &l->settings;
    struct text_columns columns = text_columns_make(&l->corpus->parts[part], batch);
    const float *parameters = l->position.averaged > 0 ? l->average : l->parameters;
    double sum = 0, tokens = 0;
    int steps;
    if (ret_stopped)
        *ret_stopped = false;
    memset(l->state, 0, recurrent_state(l->model, batch) * sizeof *l->state);
    for (size_t k = 0; (steps = text_columns_window(&columns, s->steps, k, l->inputs,
                                                    l->targets)) > 0;
         k++) {
        struct recurrent_window w = {.steps = steps,
                                     .batch = batch,
                                     .inputs = l->inputs,
                                     .targets = l->targets,
                                     .state = l->state,
                                     .same_weights = k > 0};
        if (is_stopped(watch)) {
            if (ret_stopped)
                *ret_stopped = true;
            return NAN;
        }
        double count = (double)steps * (double)batch;
        sum += count * recurrent_loss(l->model, parameters, &l->cell, &w);
        tokens += count;
    }
    return tokens > 0 ? sum / tokens : NAN;
}

/* Algorithm 1 of Merity et al.: is the loss worse than the best of those more than
 * `patience` epochs ago? losses is a ring of the last patience + 1, its place 0 the best of
 * all older ones. */
static void maybe_average(struct language *l, double loss)
{
    const struct language_settings *s = &l->settings;
    struct language_position *p = &l->position;
    if (s->patience == 0 || p->averaged > 0 || !isfinite(loss))
        return;
    if (l->loss_count == s->patience + 1) {
        if (loss > l->losses[0]) {
            memcpy(l->average, l->parameters,
                   recurrent_count(l->model) * sizeof *l->average);
            p->averaged = 1;
            return;
        }
        l->losses[1] = fmin(l->losses[0], l->losses[1]);
        memmove(l->losses, l->losses + 1, (size_t)s->patience * sizeof *l->losses);
        l->loss_count--;
    }
    l->losses[l->loss_count++] = loss;
}

enum training_outcome language_epoch(struct language *l, double lr,
                                     const struct training_watch *watch,
                                     struct trial_epoch *ret)
{
    double started = clock_now(&clock_system);
    struct language_position *p = &l->position;
    enum training_outcome outcome = windows(l, lr, watch);
    p->seconds += clock_now(&clock_system) - started;
    if (outcome == TRAINING_STOPPED)
        return outcome;
    double validation = NAN;
    bool stopped = false;
    if (outcome == TRAINING_DONE) {
        started = clock_now(&clock_system);
        validation = language_evaluate(l, CORPUS_VALIDATION, l->settings.eval_batch, watch,
                                       &stopped);
        p->seconds += clock_now(&clock_system) - started;
    }
    if (stopped)
        return TRAINING_STOPPED;
    *ret = (struct trial_epoch){.train_loss = (float)(p->loss / (double)p->tokens),
                                .train_accuracy = NAN,
                                .val_loss = (float)validation,
                                .val_accuracy = NAN,
                                .lr = (float)lr,
                                .seconds = (float)p->seconds};
    if (outcome == TRAINING_DIVERGED)
        ret->train_loss = NAN;
    maybe_average(l, validation);
    p->epoch++;
    p->window = p->tokens = 0;
    p->loss = p->seconds = 0;
    return outcome;
}
