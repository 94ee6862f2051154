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

/* Seconds to wait for lanes of other ranks: at least, and in lanes of one's own; and
 * before asking for them again. */
static const double shortest_wait = 3, lanes_waited = 5, shortest_question = 0.5;

struct trainer_shared {
    struct config config;
    const struct corpus *corpus; /* borrowed */
    char *folder;                /* owned */
    bool made;
    struct pool pool;
    uint64_t saved; /* newest step that is on disk as far as this trainer knows */
    uint64_t since; /* the weights have made all steps from this one on here */
    int ranks;      /* that make lanes together */
    bool disturbed; /* lanes of other ranks may not come */
    bool vain;      /* they did not */
    bool keeps;     /* the last lane of the round under way was made here */
    double seconds; /* that a lane took */
};

/* A task at work. */
struct shared_task {
    struct trainer_shared *s;
    const struct trainer_trial_setup *setup;
    const struct trainer_patience *patience;
    struct language_cell cell;
    struct trial_epoch values;
};

enum outcome { OUTCOME_DONE, OUTCOME_STOPPED, OUTCOME_BEHIND };

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
    s->ranks = 1;
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
    if (s->pool.step == s->saved)
        return;
    if (pool_file_write(s->folder, &s->pool, &err) != 0)
        warn(err.text);
    else
        s->saved = s->pool.step;
}

void trainer_shared_free(struct trainer_shared *s)
{
    if (!s)
        return;
    if (s->made)
        save(s);
    pool_fini(&s->pool);
    free(s->folder);
    free(s);
}

static struct pool_settings settings_of(const struct trainer_shared *s)
{
    return (struct pool_settings){
        .language = trainer_language_settings(&s->config),
        .nodes = s->config.space.rnn.nodes,
        .samples = s->config.search.shared.samples,
        .sync = s->config.search.shared.sync_every,
    };
}

static int make(struct trainer_shared *s, struct trainer_output *output,
                struct error *err)
{
    const struct pool_settings settings = settings_of(s);
    if (s->made)
        return 0;
    int status = trainer_language_fits(&s->config,
                                       pool_bytes(&settings, s->corpus->vocabulary), err);
    if (status == 0)
        status = pool_init(&s->pool, &settings, s->corpus, s->config.seed, err);
    if (status != 0)
        return status;
    s->made = true;
    const struct lanes *lanes = &s->pool.lanes;
    if (settings.samples > 1)
        trainer_side_encode_lanes(lanes->fd, lanes->stride, settings.samples,
                                  &output->lines);
    return trainer_output_flush(output, err);
}

/* --- rounds ------------------------------------------------------------------------- */

static uint64_t sync_of(const struct trainer_shared *s)
{
    return (uint64_t)s->config.search.shared.sync_every;
}

static double rate(const struct trainer_shared *s, uint64_t step)
{
    int epoch = (int)(step / (uint64_t)s->config.search.shared.steps);
    return schedule_rate(&s->config.trainer.builtin, epoch);
}

/* Take the round under way, if all its lanes are there. */
static bool take_round(struct trainer_shared *s)
{
    if (pool_next(&s->pool) >= 0)
        return false;
    pool_take(&s->pool, rate(s, s->pool.step));
    if (s->keeps && config_keeps_state(&s->config.search.shared, s->pool.step))
        save(s);
    s->keeps = s->disturbed = s->vain = false;
    return true;
}

void trainer_shared_gang(struct trainer_shared *s, int ranks)
{
    s->ranks = ranks;
    s->disturbed = true;
    s->vain = false;
}

void trainer_shared_arrived(struct trainer_shared *s, uint64_t round, int part)
{
    struct pool *p = &s->pool;
    if (!s->made || part < 0 || part >= p->settings.samples || round != pool_round(p))
        return; /* one of the next round is found when that begins */
    s->vain = false;
    if (p->made[part] == 0)
        pool_accept(p, part);
}

void trainer_shared_idle(struct trainer_shared *s)
{
    if (s->made)
        take_round(s);
}

static int ask_for_lanes(const struct shared_task *t, struct error *err)
{
    struct trainer_output *output = t->setup->output;
    trainer_side_encode_missing(pool_round(&t->s->pool), &output->lines);
    return trainer_output_flush(output, err);
}

/* Until the last lane of the round is there, if there is hope. Asked for again, a lane
 * that has got lost may come. */
static enum outcome wait_for_lanes(const struct shared_task *t)
{
    struct trainer_shared *s = t->s;
    double begun = clock_now(&clock_system), asked = begun, now = begun;
    double often = fmax(shortest_question, s->seconds);
    while (pool_next(&s->pool) >= 0) {
        double longest = s->disturbed ? shortest_question
                                      : fmax(shortest_wait, lanes_waited * s->seconds);
        if (s->ranks < 2 || s->vain || now - begun > longest) {
            s->vain = true; /* tasks that wait behind this one need not try */
            return OUTCOME_BEHIND;
        }
        if (t->patience->wait(t->patience->context, longest - (now - begun) < often
                                                        ? longest - (now - begun)
                                                        : often))
            return OUTCOME_STOPPED;
        now = clock_now(&clock_system);
        if (now - asked < often)
            continue;
        asked = now;
        if (ask_for_lanes(t, NULL) != 0)
            return OUTCOME_STOPPED;
    }
    return OUTCOME_DONE;
}

/* The pool, to exactly so many steps, the beginning of a round. `waits`: for lanes that
 * others make. */
static enum outcome come_to(const struct shared_task *t, uint64_t step, bool waits)
{
    struct trainer_shared *s = t->s;
    struct pool *p = &s->pool;
    enum outcome outcome = OUTCOME_DONE;
    if (p->step + sync_of(s) == step && waits)
        outcome = wait_for_lanes(t);
    if (outcome == OUTCOME_STOPPED)
        return outcome;
    if (p->step + sync_of(s) == step)
        take_round(s);
    if (p->step == step)
        return OUTCOME_DONE;
    bool beyond = p->step > step;
    if (pool_file_read(s->folder, beyond ? 0 : p->step + 1, step, p, warn)) {
        s->saved = s->since = p->step;
        s->keeps = s->disturbed = s->vain = false;
    } else if (beyond) {
        pool_restart(p);
        s->since = 0;
    }
    return p->step == step ? OUTCOME_DONE : OUTCOME_BEHIND;
}

/* --- tasks -------------------------------------------------------------------------- */

static enum outcome score(struct shared_task *t)
{
    const struct trainer_order *order = t->setup->order;
    bool stopped = false;
    enum outcome outcome = come_to(t, order->shared.step, false);
    if (outcome == OUTCOME_DONE)
        t->values.val_loss = (float)pool_score(&t->s->pool, &t->cell.graph, order->shared.part,
                                               &t->setup->watch, &stopped);
    return stopped ? OUTCOME_STOPPED : outcome;
}

/* What is left of a round when the last of its lanes is there. A state that others will
 * score with is kept before anybody hears that the step is made. Lanes that are made
 * again (attempt 0) are made by this trainer alone. */
static enum outcome finish_lane(const struct shared_task *t, int part)
{
    struct trainer_shared *s = t->s;
    struct pool *p = &s->pool;
    bool last = part == p->settings.samples - 1 && p->made[part] == p->settings.sync;
    enum outcome outcome = OUTCOME_DONE;
    s->keeps |= last;
    if (last && t->setup->order->attempt > 0 &&
        config_keeps_state(&s->config.search.shared, p->step + sync_of(s)))
        outcome = wait_for_lanes(t);
    if (outcome == OUTCOME_DONE)
        take_round(s);
    return outcome;
}

/* Is a step that is made again, for the weights alone, behind them? */
static bool is_past(const struct shared_task *t, uint64_t first, int made)
{
    const struct pool *p = &t->s->pool;
    if (t->setup->order->attempt > 0)
        return false;
    if (p->step > first) /* unless another task has led beyond it */
        return first >= t->s->since;
    return p->step == first && p->made[t->setup->order->shared.part] > made;
}

/* The lane has come to its end before, but nobody has heard of it: its round is under
 * way, or was the last one to be taken. */
static bool is_made(const struct shared_task *t, uint64_t first, int made,
                    double *ret_loss)
{
    const struct pool *p = &t->s->pool;
    uint64_t sync = sync_of(t->s);
    int part = t->setup->order->shared.part;
    bool near = p->step == first ? p->made[part] == p->settings.sync
                                 : p->step == first + sync && first >= t->s->since;
    return near && (uint64_t)made + 1 == sync && pool_recall(p, first, part, ret_loss);
}

/* Others will score with a state that is due, so it is there before anybody hears that
 * its last lane is made. */
static enum outcome finish_again(const struct shared_task *t, uint64_t first, int part)
{
    struct trainer_shared *s = t->s;
    if (s->pool.step == first)
        return finish_lane(t, part);
    if (config_keeps_state(&s->config.search.shared, s->pool.step))
        save(s);
    return OUTCOME_DONE;
}

static enum outcome train_lane(struct shared_task *t, uint64_t first, int made, double lr)
{
    struct trainer_shared *s = t->s;
    struct pool *p = &s->pool;
    int part = t->setup->order->shared.part;
    enum outcome outcome = come_to(t, first, t->setup->order->attempt > 0);
    double begun = clock_now(&clock_system);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (p->made[part] > made)
        p->made[part] = 0;
    if (p->made[part] != made)
        return OUTCOME_BEHIND;
    t->values.train_loss = (float)pool_train(p, part, &t->cell.graph, lr);
    s->seconds = clock_now(&clock_system) - begun;
    return finish_lane(t, part);
}

static enum outcome train(struct shared_task *t)
{
    struct trainer_shared *s = t->s;
    uint64_t step = t->setup->order->shared.step, first = step - step % sync_of(s);
    int part = t->setup->order->shared.part, made = (int)(step - first);
    double lr = rate(s, step), loss;
    t->values.lr = (float)lr;
    if (is_past(t, first, made))
        return OUTCOME_DONE;
    if (!is_made(t, first, made, &loss))
        return train_lane(t, first, made, lr);
    t->values.train_loss = (float)loss;
    return finish_again(t, first, part);
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

/* From where on this trainer lacks steps that the task needs: a lane in the middle of a
 * round needs nothing of the others. */
static struct trial_shared lacks(const struct trainer_shared *s,
                                 const struct trainer_order *order)
{
    const struct pool *p = &s->pool;
    const struct trial_shared *want = &order->shared;
    uint64_t first = want->step - want->step % sync_of(s);
    bool last =
        want->part == p->settings.samples - 1 && want->step + 1 == first + sync_of(s);
    int next = pool_next(p);
    if (order->kind == TRIAL_TRAIN_SHARED && p->step == first && !last)
        next = want->part;
    if (next < 0) /* all lanes are there */
        return (struct trial_shared){p->step + sync_of(s), 0};
    return (struct trial_shared){p->step + (uint64_t)p->made[next], next};
}

static void answer_behind(const struct trainer_shared *s,
                          const struct trainer_trial_setup *setup)
{
    const struct trial_shared at = lacks(s, setup->order);
    trainer_side_encode_behind(setup->order->trial, setup->order->attempt, &at,
                               &setup->output->lines);
}

static int check_task(const struct shared_task *t, struct error *err)
{
    const struct pool *p = &t->s->pool;
    const struct trainer_order *order = t->setup->order;
    int status = recurrent_cell_check(&t->cell.graph, p->settings.nodes, err);
    if (status == 0 && order->kind == TRIAL_TRAIN_SHARED &&
        order->shared.part >= p->settings.samples)
        status = error_set(err, ERROR_PEER, "part %d of a step of %d architectures",
                           order->shared.part, p->settings.samples);
    return status;
}

/* 0: a line was encoded; 1: stopped; negative: it cannot be done. */
static int serve(struct shared_task *t, struct error *err)
{
    const struct trainer_order *order = t->setup->order;
    double started = clock_now(&clock_system);
    int status = language_cell_read(order->architecture, &t->cell, err);
    if (status == 0)
        status = make(t->s, t->setup->output, err);
    if (status == 0)
        status = check_task(t, err);
    if (status != 0)
        return status;
    enum outcome outcome = order->kind == TRIAL_TRAIN_SHARED ? train(t) : score(t);
    t->values.seconds = (float)(clock_now(&clock_system) - started);
    if (outcome == OUTCOME_BEHIND)
        answer_behind(t->s, t->setup);
    else if (outcome == OUTCOME_DONE)
        report(t->s, t->setup, language_cell_matrices(&t->cell), &t->values);
    return outcome == OUTCOME_STOPPED;
}

int trainer_shared_run(struct trainer_shared *s, const struct trainer_trial_setup *setup,
                       const struct trainer_patience *patience, struct error *err)
{
    struct error failure = {0};
    struct shared_task t = {.s = s,
                            .setup = setup,
                            .patience = patience,
                            .values = {NAN, NAN, NAN, NAN, NAN, NAN}};
    int status = serve(&t, &failure);
    if (status > 0)
        return 1;
    if (status < 0)
        trainer_side_encode_failure(setup->order->trial, setup->order->attempt,
                                    failure.text, &setup->output->lines);
    return trainer_output_flush(setup->output, err);
}
