/* SPDX-License-Identifier: Apache-2.0 */
/* As in trainer_shared.c the cell is made with the first task, and what cannot be saved
 * is said and done without: whoever misses the state later says that it is behind, and
 * the steps are made again. */
#include "worker/trainer_relaxed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/space/rnn_dag.h"
#include "worker/relaxed_pool.h"
#include "worker/relaxed_pool_file.h"
#include "worker/schedule.h"
#include "worker/trainer_language.h"

struct trainer_relaxed {
    struct config config;
    const struct corpus *corpus; /* borrowed */
    char *folder;                /* owned */
    bool made;
    struct relaxed_pool pool;
    uint64_t saved; /* newest step that is on disk as far as this trainer knows */
};

int trainer_relaxed_new(const struct config *config, const struct corpus *corpus,
                        const char *folder, struct trainer_relaxed **ret,
                        struct error *err)
{
    struct trainer_relaxed *r = calloc(1, sizeof *r);
    if (!r || !(r->folder = strdup(folder))) {
        free(r);
        return error_set(err, ERROR_SYSTEM, "no memory for a relaxed cell");
    }
    r->config = *config;
    r->config.trainer.builtin.epochs = config->search.shared.epochs; /* of the schedule */
    r->corpus = corpus;
    *ret = r;
    return 0;
}

static void warn(const char *text)
{
    log_message(LOG_WARNING, "trainer: the relaxed cell: %s", text);
}

static void save(struct trainer_relaxed *r)
{
    struct error err = {0};
    if (r->pool.step == r->saved)
        return;
    if (relaxed_pool_file_write(r->folder, &r->pool, &err) != 0)
        warn(err.text);
    else
        r->saved = r->pool.step;
}

void trainer_relaxed_rest(struct trainer_relaxed *r)
{
    if (!r->made)
        return;
    save(r);
    relaxed_pool_fini(&r->pool);
    r->made = false;
    r->saved = 0;
}

void trainer_relaxed_free(struct trainer_relaxed *r)
{
    if (!r)
        return;
    trainer_relaxed_rest(r);
    free(r->folder);
    free(r);
}

static struct relaxed_pool_settings settings_of(const struct config *config)
{
    const struct config_shared *c = &config->search.shared;
    struct relaxed_pool_settings s = {.language = trainer_language_settings(config),
                                      .nodes = config->space.rnn.nodes - 1,
                                      .order = c->order,
                                      .alpha_lr = c->alpha_lr,
                                      .alpha_decay = c->alpha_weight_decay};
    s.language.norm = c->norm;
    return s;
}

static int make(struct trainer_relaxed *r, struct error *err)
{
    const struct relaxed_pool_settings settings = settings_of(&r->config);
    if (r->made)
        return 0;
    if (settings.nodes < 1 || settings.nodes > RELAXED_MAX_NODES)
        return error_set(err, ERROR_INPUT, "a relaxed cell of %d nodes besides the first",
                         settings.nodes);
    int status = trainer_language_fits(
        &r->config, relaxed_pool_bytes(&settings, r->corpus->vocabulary), err);
    if (status == 0)
        status = relaxed_pool_init(&r->pool, &settings, r->corpus, r->config.seed, err);
    r->made = status == 0;
    return status;
}

/* As close to it as states on disk allow, but not beyond. */
static bool reach(struct trainer_relaxed *r, uint64_t step)
{
    struct relaxed_pool *p = &r->pool;
    if (p->step == step)
        return true;
    uint64_t least = p->step < step ? p->step + 1 : 0;
    if (relaxed_pool_file_read(r->folder, least, step, p, warn))
        r->saved = p->step;
    else if (p->step > step)
        relaxed_pool_restart(p);
    return p->step == step;
}

static void train(struct trainer_relaxed *r, struct trial_epoch *ret)
{
    const struct config_shared *c = &r->config.search.shared;
    int epoch = (int)(r->pool.step / (uint64_t)c->steps);
    double lr = schedule_rate(&r->config.trainer.builtin, epoch), valid = NAN;
    ret->train_loss = (float)relaxed_pool_step(&r->pool, lr, &valid);
    ret->val_loss = (float)valid;
    ret->lr = (float)lr;
    if (config_keeps_state(c, r->pool.step))
        save(r);
}

/* --- answers ------------------------------------------------------------------------ */

/* The cell that alpha stands for, as the space writes it (caller frees), and how far it
 * has settled on it. */
static int derive(const struct trainer_relaxed *r, char **ret, double *ret_settled,
                  struct error *err)
{
    static const int activations[] = {[RECURRENT_TANH] = RNN_TANH,
                                      [RECURRENT_RELU] = RNN_RELU,
                                      [RECURRENT_IDENTITY] = RNN_IDENTITY,
                                      [RECURRENT_SIGMOID] = RNN_SIGMOID};
    struct recurrent_cell cell;
    int status = relaxed_derive(r->pool.alpha, r->pool.settings.nodes, &cell, err);
    if (status != 0)
        return status;
    struct rnn_dag dag = {.node_count = cell.nodes};
    for (int j = 0; j < cell.nodes; j++)
        dag.nodes[j] =
            (struct rnn_dag_node){.activation = activations[cell.activation[j]],
                                  .previous = j > 0 ? cell.previous[j] : RNN_DAG_INPUT};
    json_t *json =
        json_pack("{s:s, s:o}", "space", "rnn-dag", "nodes", rnn_dag_to_json(&dag));
    *ret_settled = relaxed_settled(r->pool.alpha, &cell);
    *ret = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return *ret ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a derived cell");
}

/* Parameters, and what a token takes: all edges into node j meet one pair of matrices. */
static void cost_of(const struct trainer_relaxed *r, double *ret_params,
                    double *ret_flops)
{
    double h = r->config.trainer.builtin.hidden, v = r->corpus->vocabulary;
    double pairs = 2 + (double)relaxed_edges(r->pool.settings.nodes);
    *ret_params = (double)relaxed_count(r->pool.model);
    *ret_flops = 2 * (2 * pairs * h * h + v * h);
}

static int report(const struct trainer_relaxed *r,
                  const struct trainer_trial_setup *setup,
                  const struct trial_epoch *values, struct error *err)
{
    const struct trainer_order *order = setup->order;
    struct bytes *out = &setup->output->lines;
    double params, flops, settled = NAN;
    char *cell = NULL;
    cost_of(r, &params, &flops);
    if (order->kind != TRIAL_RELAX) {
        trainer_side_encode_result(order->trial, order->attempt, values, values->seconds,
                                   params, flops, out);
        return 0;
    }
    int status = derive(r, &cell, &settled, err);
    if (status == 0)
        trainer_side_encode_derived(order->trial, order->attempt, values, values->seconds,
                                    params, flops, cell, settled, out);
    free(cell);
    return status;
}

static void answer_behind(const struct trainer_relaxed *r,
                          const struct trainer_trial_setup *setup)
{
    const struct trial_shared at = {.step = r->pool.step};
    trainer_side_encode_behind(setup->order->trial, setup->order->attempt, &at,
                               &setup->output->lines);
}

/* 0: a line was encoded; 1: stopped; negative: it cannot be done. */
static int serve(struct trainer_relaxed *r, const struct trainer_trial_setup *setup,
                 struct error *err)
{
    struct trial_epoch values = {NAN, NAN, NAN, NAN, NAN, NAN};
    const struct trainer_order *order = setup->order;
    double started = clock_now(&clock_system);
    bool stopped = false;
    int status = make(r, err);
    if (status == 0 && order->kind == TRIAL_RELAX && order->shared.part != 0)
        status = error_set(err, ERROR_PEER, "part %d of a step of a relaxed cell",
                           order->shared.part);
    if (status != 0)
        return status;
    if (!reach(r, order->shared.step)) {
        answer_behind(r, setup);
        return 0;
    }
    if (order->kind == TRIAL_RELAX)
        train(r, &values);
    else
        values.val_loss = (float)relaxed_pool_score(&r->pool, &setup->watch, &stopped);
    if (stopped)
        return 1;
    values.seconds = (float)(clock_now(&clock_system) - started);
    return report(r, setup, &values, err);
}

int trainer_relaxed_run(struct trainer_relaxed *r,
                        const struct trainer_trial_setup *setup, struct error *err)
{
    struct error failure = {0};
    int status = serve(r, setup, &failure);
    if (status > 0)
        return 1;
    if (status < 0)
        trainer_side_encode_failure(setup->order->trial, setup->order->attempt,
                                    failure.text, &setup->output->lines);
    return trainer_output_flush(setup->output, err);
}
