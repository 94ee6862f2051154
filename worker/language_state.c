/* SPDX-License-Identifier: Apache-2.0 */
/* A text is read in the same order in every epoch, so most of a position follows from
 * (epoch, window): what contradicts that is no state of this training. Gradients are
 * cleared before every update and the masks of dropout are functions of the update, so
 * neither is part of it. */
#include "worker/language_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int epoch_of(const void *training)
{
    const struct language *l = training;
    return l->position.epoch;
}

/* Floats of the hidden state that count: an epoch begins with zeros. */
static size_t state_count(const struct language *l, const struct language_position *p)
{
    return p->window == 0 ? 0 : recurrent_state(l->model, l->settings.batch);
}

static size_t average_count(const struct language *l, const struct language_position *p)
{
    return p->averaged == 0 ? 0 : recurrent_count(l->model);
}

static void put(const void *training, struct state_writer *out)
{
    const struct language *l = training;
    const struct language_position *p = &l->position;
    struct bytes *small = &out->small;
    bytes_put_u64(small, p->window);
    bytes_put_u64(small, p->updates);
    bytes_put_u64(small, p->averaged);
    bytes_put_f64(small, p->loss);
    bytes_put_u64(small, p->tokens);
    bytes_put_f64(small, p->seconds);
    bytes_put_u32(small, (uint32_t)l->loss_count);
    for (int i = 0; i < l->loss_count; i++)
        bytes_put_f64(small, l->losses[i]);
    state_writer_put_floats(out, l->parameters, recurrent_count(l->model));
    state_writer_put_floats(out, l->average, average_count(l, p));
    state_writer_put_floats(out, l->state, state_count(l, p));
}

static struct language_position get_position(struct state_reader *in, int epoch)
{
    struct language_position p = {.epoch = epoch};
    p.window = state_reader_u64(in);
    p.updates = state_reader_u64(in);
    p.averaged = state_reader_u64(in);
    p.loss = state_reader_f64(in);
    p.tokens = state_reader_u64(in);
    p.seconds = state_reader_f64(in);
    return p;
}

/* Averaging begins at the end of an epoch, and every update since has counted. */
static bool average_fits(const struct language *l, const struct language_position *p,
                         uint64_t windows)
{
    if (p->averaged == 0)
        return true;
    if (l->settings.patience == 0 || p->averaged - 1 > p->updates)
        return false;
    uint64_t before = p->updates - (p->averaged - 1);
    return before > 0 && before % windows == 0;
}

static bool position_fits(const struct language *l, const struct language_position *p,
                          int epochs)
{
    const struct language_settings *s = &l->settings;
    struct text_columns columns =
        text_columns_make(&l->corpus->parts[CORPUS_TRAIN], s->batch);
    uint64_t windows = text_columns_windows(&columns, s->steps);
    if (p->window > windows || (p->window > 0 && p->epoch >= epochs))
        return false;
    uint64_t rows = p->window * (uint64_t)s->steps;
    rows = rows < columns.rows ? rows : columns.rows;
    return p->updates == (uint64_t)p->epoch * windows + p->window &&
           p->tokens == rows * (uint64_t)s->batch && isfinite(p->loss) &&
           (p->loss == 0 || p->window > 0) && p->seconds >= 0 && isfinite(p->seconds) &&
           average_fits(l, p, windows);
}

/* One of every epoch that is over, at most those that fit. */
static bool get_losses(struct state_reader *in, struct language *l, int epoch, bool take)
{
    uint32_t count = state_reader_u32(in), room = (uint32_t)l->settings.patience + 1;
    if (l->settings.patience == 0)
        room = 0;
    if (in->failed || count > room || count > (uint32_t)epoch)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        double loss = state_reader_f64(in);
        if (!isfinite(loss))
            return false;
        if (take)
            l->losses[i] = loss;
    }
    if (take)
        l->loss_count = (int)count;
    return !in->failed;
}

static const char *get(void *training, int epoch, int epochs, struct state_reader *in,
                       bool take)
{
    struct language *l = training;
    struct language_position p = get_position(in, epoch);
    if (in->failed || !position_fits(l, &p, epochs) || !get_losses(in, l, epoch, take))
        return "stands at a place that this training does not pass";
    state_reader_get_floats(in, recurrent_count(l->model), take ? l->parameters : NULL);
    state_reader_get_floats(in, average_count(l, &p), take ? l->average : NULL);
    state_reader_get_floats(in, state_count(l, &p), take ? l->state : NULL);
    if (take)
        l->position = p;
    return NULL;
}

static void restart(void *training)
{
    struct language *l = training;
    language_draw(l);
    l->loss_count = 0;
    l->position = (struct language_position){0};
}

static uint64_t most(const void *training)
{
    const struct language *l = training;
    size_t state = recurrent_state(l->model, l->settings.batch);
    return 256 + ((size_t)l->settings.patience + 1) * sizeof *l->losses +
           (2 * recurrent_count(l->model) + state) * sizeof(float);
}

static const struct trainer_state_kind kind = {
    .epoch = epoch_of, .put = put, .get = get, .restart = restart, .most = most};

int language_state_init(struct trainer_state *ret, struct language *l,
                        const struct config *config, const struct trainer_order *order,
                        struct error *err)
{
    const struct corpus *c = l->corpus;
    char lines[256];
    snprintf(lines, sizeof lines, "kernels: %.40s\nwords: %zu %zu, %d different\n",
             recurrent_kernels_find(l->settings.kernels)->name,
             c->parts[CORPUS_TRAIN].count, c->parts[CORPUS_VALIDATION].count,
             c->vocabulary);
    return trainer_state_init(ret, &kind, l, config, order, lines, err);
}
