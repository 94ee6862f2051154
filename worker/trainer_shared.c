/* SPDX-License-Identifier: Apache-2.0 */
/* The pool is made with the first task, as a trainer that is never given one needs no
 * memory for it. What cannot be saved is said and done without: whoever misses the state
 * later says that it is behind, and the steps are made again. */
#include "worker/trainer_shared.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/pool.h"
#include "worker/pool_file.h"
#include "worker/schedule.h"
#include "worker/trainer_language.h"

struct trainer_shared {
    struct config config;
    const struct corpus *corpus; /* borrowed */
    char *folder;                /* owned */
    bool made;
    struct pool pool;
    uint64_t saved; /* newest step that is on disk as far as this trainer knows */
};

int trainer_shared_new(const struct config *config, const struct corpus *corpus,
                       const char *folder, struct trainer_shared **ret, struct error *err)
{
    struct trainer_shared *s = calloc(1, sizeof *s);
    if (!s || !(s->folder = strdup(folder))) {
        free(s);
        return error_set(err, ERROR_SYSTEM, "no memory for shared weights");
    }
    s->config = *config;
    s->config.trainer.builtin.epochs = config->search.shared.epochs; /* of the schedule */
    s->corpus = corpus;
    *ret = s;
    return 0;
}

static void warn(const char *text)
{
    log_message(LOG_WARNING, "trainer: shared weights: %s", text);
}

static void save(struct trainer_shared *s)
{
    struct error err = {0};
    if (s->pool.at.step == s->saved)
        return;
    if (pool_file_write(s->folder, &s->pool, &err) != 0)
        warn(err.text);
    else
        s->saved = s->pool.at.step;
}

void trainer_shared_free(struct trainer_shared *s)
{
    if (!s)
        return;
    if (s->made && s->pool.at.part == 0)
        save(s);
    pool_fini(&s->pool);
    free(s->folder);
    free(s);
}

static int make(struct trainer_shared *s, struct error *err)
{
    const struct pool_settings settings = {
        .language = trainer_language_settings(&s->config),
        .nodes = s->config.space.rnn.nodes,
        .samples = s->config.search.shared.samples,
    };
    if (s->made)
        return 0;
    int status = trainer_language_fits(&s->config,
                                       pool_bytes(&settings, s->corpus->vocabulary), err);
    if (status == 0)
        status = pool_init(&s->pool, &settings, s->corpus, s->config.seed, err);
    s->made = status == 0;
    return status;
}

/* What the pool has to have come to for a task. */
static struct pool_position needed(const struct trainer_order *order)
{
    bool train = order->kind == TRIAL_TRAIN_SHARED;
    return (struct pool_position){order->shared.step, train ? order->shared.part : 0};
}

static int compare(const struct pool_position *a, const struct pool_position *b)
{
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return (a->part > b->part) - (a->part < b->part);
}

/* As close to it as states on disk allow, but not beyond. */
static bool reach(struct trainer_shared *s, const struct pool_position *want)
{
    struct pool *p = &s->pool;
    int order = compare(&p->at, want);
    if (order == 0)
        return true;
    uint64_t least = order < 0 ? p->at.step + 1 : 0;
    if (pool_file_read(s->folder, least, want->step, p, warn))
        s->saved = p->at.step;
    else if (order > 0)
        pool_restart(p);
    return compare(&p->at, want) == 0;
}

static double rate(const struct trainer_shared *s, uint64_t step)
{
    int epoch = (int)(step / (uint64_t)s->config.search.shared.steps);
    return schedule_rate(&s->config.trainer.builtin, epoch);
}

static void train(struct trainer_shared *s, const struct recurrent_cell *cell,
                  struct trial_epoch *ret)
{
    const struct config_shared *c = &s->config.search.shared;
    double lr = rate(s, s->pool.at.step);
    ret->train_loss = (float)pool_train(&s->pool, cell, lr);
    ret->lr = (float)lr;
    uint64_t step = s->pool.at.step;
    bool due = step % (uint64_t)c->save_every == 0 || step % (uint64_t)c->steps == 0;
    if (s->pool.at.part == 0 && due)
        save(s);
}

/* 1: stopped. */
static int work(struct trainer_shared *s, const struct trainer_trial_setup *setup,
                const struct recurrent_cell *cell, struct trial_epoch *ret)
{
    const struct trainer_order *order = setup->order;
    bool stopped = false;
    if (order->kind == TRIAL_TRAIN_SHARED)
        train(s, cell, ret);
    else
        ret->val_loss = (float)pool_score(&s->pool, cell, order->shared.part,
                                          &setup->watch, &stopped);
    return stopped;
}

static void report(const struct trainer_shared *s,
                   const struct trainer_trial_setup *setup, int matrices,
                   const struct trial_epoch *values)
{
    const struct trainer_order *order = setup->order;
    double h = s->config.trainer.builtin.hidden, v = s->corpus->vocabulary;
    double weights = matrices * h * h + v * h;
    trainer_side_encode_result(order->trial, order->attempt, values, values->seconds,
                               weights, 2 * weights, &setup->output->lines);
}

static void answer_behind(const struct trainer_shared *s,
                          const struct trainer_trial_setup *setup)
{
    const struct trial_shared at = {s->pool.at.step, s->pool.at.part};
    trainer_side_encode_behind(setup->order->trial, setup->order->attempt, &at,
                               &setup->output->lines);
}

/* 0: a line was encoded; 1: stopped; negative: it cannot be done. */
static int serve(struct trainer_shared *s, const struct trainer_trial_setup *setup,
                 struct error *err)
{
    struct trial_epoch values = {NAN, NAN, NAN, NAN, NAN, NAN};
    struct pool_position want = needed(setup->order);
    struct recurrent_cell cell;
    int matrices = 0;
    double started = clock_now(&clock_system);
    int status = trainer_language_cell(setup->order->architecture, &cell, &matrices, err);
    if (status == 0)
        status = make(s, err);
    if (status == 0)
        status = recurrent_cell_check(&cell, s->pool.settings.nodes, err);
    if (status == 0 && want.part >= s->pool.settings.samples)
        status = error_set(err, ERROR_PEER, "part %d of a step of %d architectures",
                           want.part, s->pool.settings.samples);
    if (status != 0)
        return status;
    if (!reach(s, &want)) {
        answer_behind(s, setup);
        return 0;
    }
    if (work(s, setup, &cell, &values))
        return 1;
    values.seconds = (float)(clock_now(&clock_system) - started);
    report(s, setup, matrices, &values);
    return 0;
}

int trainer_shared_run(struct trainer_shared *s, const struct trainer_trial_setup *setup,
                       struct error *err)
{
    struct error failure = {0};
    int status = serve(s, setup, &failure);
    if (status > 0)
        return 1;
    if (status < 0)
        trainer_side_encode_failure(setup->order->trial, setup->order->attempt,
                                    failure.text, &setup->output->lines);
    return trainer_output_flush(setup->output, err);
}
