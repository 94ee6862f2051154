/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over epochs and batches. The order of an epoch is shuffled from the identity,
 * not from the order before, so that an epoch is a function of (seed, epoch) alone.
 * Losses are summed in double, weighted by the images of their batch. */
#include "worker/training.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/kernel_names.h"
#include "common/rng.h"
#include "common/text.h"
#include "worker/child_conv.h"
#include "worker/schedule.h"

static int largest_part(const struct dataset *data)
{
    int train = data_count(data, DATA_TRAIN);
    int validation = data_count(data, DATA_VALIDATION);
    return train > validation ? train : validation;
}

static size_t image_floats(const struct dataset *data)
{
    const struct data_facts *facts = data_facts(data);
    return (size_t)facts->height * (size_t)facts->width * (size_t)facts->channels;
}

/* Bytes besides the network and its optimiser. */
static size_t buffer_bytes(const struct training *t)
{
    size_t batch = (size_t)t->batch;
    return batch * image_floats(t->data) * sizeof(float) + batch * sizeof *t->labels +
           (size_t)largest_part(t->data) * sizeof *t->order;
}

static int refuse_memory(size_t need, size_t limit, struct error *err)
{
    char need_text[32], limit_text[32];
    text_format_size((double)need, need_text, sizeof need_text);
    text_format_size((double)limit, limit_text, sizeof limit_text);
    return error_set(err, ERROR_INPUT,
                     "the child network needs %s to be trained, "
                     "resources.memory_per_trial allows %s",
                     need_text, limit_text);
}

static int build(struct training *t, const struct config *config,
                 const struct conv_chain *chain, struct error *err)
{
    const struct data_facts *facts = data_facts(t->data);
    size_t limit = (size_t)config->resources.memory_per_trial;
    size_t buffers = buffer_bytes(t);
    if (limit && buffers >= limit)
        return refuse_memory(buffers, limit, err);
    struct nn_graph_options options = {.max_batch = t->batch,
                                       .threads = config->resources.threads_per_trial,
                                       .memory_limit = limit ? limit - buffers : 0,
                                       .kernels = kernel_names_wanted(config)};
    struct nn_shape image = {facts->height, facts->width, facts->channels};
    int status = child_conv_new(chain, image, facts->classes, &options, &t->graph, err);
    if (status)
        return status;
    size_t moments = t->settings->optimizer.name == OPTIMIZER_ADAM ? 2 : 1;
    size_t need = buffers + nn_graph_memory(t->graph) +
                  moments * nn_graph_parameter_count(t->graph) * sizeof(float);
    return limit && need > limit ? refuse_memory(need, limit, err) : 0;
}

static int allocate(struct training *t, struct error *err)
{
    size_t batch = (size_t)t->batch;
    t->images = malloc(batch * image_floats(t->data) * sizeof *t->images);
    t->labels = malloc(batch);
    t->order = malloc((size_t)largest_part(t->data) * sizeof *t->order);
    if (!t->images || !t->labels || !t->order)
        return error_set(err, ERROR_SYSTEM, "no memory for a batch of %d images",
                         t->batch);
    return descent_init(&t->descent, t->graph, t->settings, err);
}

int training_init(struct training *t, const struct config *config,
                  const struct dataset *data, const struct conv_chain *chain,
                  uint64_t seed, struct error *err)
{
    int most = largest_part(data), batch = config->trainer.builtin.batch;
    struct training fresh = {.settings = &config->trainer.builtin,
                             .data = data,
                             .seed = seed,
                             .batch = batch < most ? batch : most};
    if (data_count(data, DATA_TRAIN) < 1)
        return error_set(err, ERROR_INPUT, "there are no training images");
    int status = build(&fresh, config, chain, err);
    if (!status)
        status = allocate(&fresh, err);
    if (status) {
        training_fini(&fresh);
        return status;
    }
    nn_graph_init(fresh.graph, seed);
    *t = fresh;
    return 0;
}

void training_fini(struct training *t)
{
    if (!t)
        return;
    descent_fini(&t->descent);
    nn_graph_free(t->graph);
    free(t->images);
    free(t->labels);
    free(t->order);
    *t = (struct training){0};
}

static void count_up(struct training *t, int n)
{
    for (int i = 0; i < n; i++)
        t->order[i] = (uint32_t)i;
}

/* Fisher-Yates over all training images. */
static void shuffle(struct training *t, int epoch, int n)
{
    struct rng rng;
    rng_init(&rng, t->seed, RNG_CHILD_SHUFFLE, (uint64_t)epoch);
    count_up(t, n);
    for (int i = n - 1; i > 0; i--) {
        uint32_t j = rng_below(&rng, (uint32_t)i + 1);
        uint32_t swapped = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = swapped;
    }
}

/* Sums over the images of an epoch. */
static void position_add(struct training_position *p, const struct nn_result *r, int n)
{
    p->loss += r->loss * n;
    p->correct += r->correct;
    p->images += n;
}

static bool asked_to_stop(const struct training_watch *watch)
{
    return watch && watch->stop && watch->stop(watch->context);
}

/* From t->position to the end of its epoch. */
static enum training_outcome train(struct training *t, double lr,
                                   const struct training_watch *watch)
{
    struct training_position *p = &t->position;
    struct data_augment augment = {.pad = t->settings->augment.pad,
                                   .flip = t->settings->augment.flip};
    int count = data_count(t->data, DATA_TRAIN);
    if (p->at == 0)
        rng_init(&p->augment, t->seed, RNG_CHILD_AUGMENT, (uint64_t)p->epoch);
    shuffle(t, p->epoch, count);
    for (int n; p->at < count; p->at += n) {
        struct nn_result result;
        n = count - p->at < t->batch ? count - p->at : t->batch;
        if (n == 1 && p->at > 0 && t->batch > 1)
            break;
        if (asked_to_stop(watch))
            return TRAINING_STOPPED;
        data_batch(t->data, DATA_TRAIN, t->order + p->at, n, &augment, &p->augment,
                   t->images, t->labels);
        descent_step(&t->descent, lr, n, t->images, t->labels, &result);
        position_add(p, &result, n);
        if (!isfinite(result.loss))
            return TRAINING_DIVERGED;
    }
    return TRAINING_DONE;
}

/* Changes nothing of the training, so what is stopped here begins anew. */
static enum training_outcome validate(struct training *t,
                                      const struct training_watch *watch,
                                      struct training_position *sums)
{
    int count = data_count(t->data, DATA_VALIDATION);
    count_up(t, count);
    for (int at = 0, n; at < count; at += n) {
        struct nn_result result;
        n = count - at < t->batch ? count - at : t->batch;
        if (asked_to_stop(watch))
            return TRAINING_STOPPED;
        data_batch(t->data, DATA_VALIDATION, t->order + at, n, NULL, NULL, t->images,
                   t->labels);
        nn_graph_forward(t->graph, n, t->images, t->labels, false, &result);
        position_add(sums, &result, n);
    }
    return TRAINING_DONE;
}

enum training_outcome training_epoch(struct training *t, int epoch,
                                     const struct training_watch *watch,
                                     struct trial_epoch *ret)
{
    double lr = schedule_rate(t->settings, epoch), start = clock_now(&clock_system);
    struct training_position *p = &t->position, validated = {0};
    if (p->epoch != epoch)
        *p = (struct training_position){.epoch = epoch};
    enum training_outcome outcome = train(t, lr, watch);
    if (outcome == TRAINING_DONE)
        outcome = validate(t, watch, &validated);
    p->seconds += clock_now(&clock_system) - start;
    if (outcome == TRAINING_STOPPED)
        return outcome;
    double images = (double)p->images, seen = (double)validated.images;
    *ret = (struct trial_epoch){
        .train_loss = (float)(p->loss / images),
        .train_accuracy = (float)((double)p->correct / images),
        .val_loss = seen > 0 ? (float)(validated.loss / seen) : NAN,
        .val_accuracy = seen > 0 ? (float)((double)validated.correct / seen) : NAN,
        .lr = (float)lr,
        .seconds = (float)p->seconds,
    };
    *p = (struct training_position){.epoch = epoch + 1};
    return outcome;
}
