/* SPDX-License-Identifier: Apache-2.0 */
/* Small trainings of either kind whose state can be saved, for the tests of trainer_state
 * and its fuzz target. Whatever goes wrong here ends the program. */
#ifndef ARCHWAY_TESTS_STATE_RIG_H
#define ARCHWAY_TESTS_STATE_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "common/space/rnn_dag.h"
#include "common/space/rnn_tree.h"
#include "tests/unit/text_rig.h"
#include "worker/language_state.h"
#include "worker/schedule.h"
#include "worker/trainer_language.h"
#include "worker/training_state.h"

enum state_rig_kind { RIG_IMAGES, RIG_TEXT, RIG_TREE, RIG_KINDS };

struct state_rig {
    enum state_rig_kind kind;
    struct config config;
    struct trainer_order order; /* seed and architecture only */
    struct dataset *data;       /* of images */
    struct conv_chain chain;
    struct corpus corpus; /* of a text */
    struct language_cell cell;
};

/* A training of the rig, with the state that goes with it. */
struct state_trial {
    enum state_rig_kind kind;
    const struct config_builtin_trainer *settings; /* borrowed from the rig */
    struct training training;
    struct language language;
    struct trainer_state state;
};

static inline void rig_need(int ok, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "rig: %s\n", err->text);
    abort();
}

/* 100 images in batches of 16 (the last one of 4), flipped and shifted: 7 steps of
 * training and 2 of validation an epoch. */
static inline void rig_open_images(struct state_rig *r, const char *cache)
{
    struct error err = {0};
    struct config_builtin_trainer *b = &r->config.trainer.builtin;
    r->config.task.data.format = DATA_GENERATED;
    r->config.task.data.classes = 3;
    r->config.task.data.height = 6;
    r->config.task.data.width = 5;
    r->config.task.data.channels = 1;
    r->config.task.data.images = 130;
    r->config.task.train = 100;
    r->config.task.validation = 30;
    b->batch = 16;
    b->epochs = 3;
    b->augment.pad = 1;
    b->augment.flip = true;
    r->order.architecture =
        json_pack("{s:[{s:i,s:i,s:i,s:i,s:[i]}]}", "layers", "filter_height", 3,
                  "filter_width", 3, "filters", 3, "stride", 2, "inputs", -1);
    rig_need(conv_chain_from_json(r->order.architecture, &r->chain, &err) == 0, &err);
    rig_need(data_open(&r->config, cache, &r->data, &err) == 0, &err);
}

/* A tree of two leaves, whose memory is what the first one has come to. */
static inline json_t *rig_tree(void)
{
    static const struct rnn_tree tree = {
        .base = 2,
        .nodes = {{RNN_ADD, RNN_TANH}, {RNN_ELEM_MULT, RNN_SIGMOID}, {RNN_ADD, RNN_TANH}},
        .inject = {RNN_ADD, RNN_RELU},
        .memory = 0,
        .injected = 1};
    json_t *object = json_pack("{s:s}", "space", "rnn-tree");
    if (!object || !rnn_tree_to_json(&tree, object))
        abort();
    return object;
}

/* 240 words in 4 columns: 6 windows of 10 rows, the last one of 9, and 3 of validation;
 * at a rate that is soon too high, so that averaging begins on the way. */
static inline void rig_open_text(struct state_rig *r)
{
    struct error err = {0};
    struct config_builtin_trainer *b = &r->config.trainer.builtin;
    r->corpus = text_corpus();
    r->corpus.parts[CORPUS_TRAIN].count = 240;
    r->corpus.parts[CORPUS_VALIDATION].count = 90;
    r->config.task.data.format = DATA_TEXT;
    snprintf(r->config.task.kind, sizeof r->config.task.kind, "language-model");
    b->hidden = 6;
    b->batch = 4;
    b->epochs = 10;
    b->optimizer.lr = 40;
    b->optimizer.momentum = 0;
    b->schedule.name = SCHEDULE_STEP;
    b->schedule.every = 4;
    b->schedule.factor = 0.7;
    b->recurrent.bptt = 10;
    b->recurrent.eval_batch = 3;
    b->recurrent.average_after = 2;
    b->recurrent.dropout.input = 0.2;
    b->recurrent.dropout.weight = 0.2;
    if (r->kind == RIG_TREE)
        r->order.architecture = rig_tree();
    else
        r->order.architecture =
            json_pack("{s:[{s:s,s:i},{s:s,s:i}]}", "nodes", "activation", "tanh",
                      "previous", RNN_DAG_INPUT, "activation", "relu", "previous", 0);
    rig_need(language_cell_read(r->order.architecture, &r->cell, &err) == 0, &err);
}

static inline void rig_open(struct state_rig *r, enum state_rig_kind kind,
                            const char *cache)
{
    *r = (struct state_rig){.kind = kind, .order = {.type = ORDER_TASK, .seed = 4}};
    config_defaults(&r->config);
    r->config.resources.threads_per_trial = 1;
    if (kind != RIG_IMAGES)
        rig_open_text(r);
    else
        rig_open_images(r, cache);
}

static inline void rig_close(struct state_rig *r)
{
    json_decref(r->order.architecture);
    data_close(r->data);
}

static inline void rig_begin(struct state_rig *r, struct state_trial *t)
{
    struct error err = {0};
    *t = (struct state_trial){.kind = r->kind, .settings = &r->config.trainer.builtin};
    struct language_settings settings = trainer_language_settings(&r->config);
    int status = r->kind != RIG_IMAGES ? language_init(&t->language, &settings, &r->corpus,
                                                     &r->cell, r->order.seed, &err)
                                     : training_init(&t->training, &r->config, r->data,
                                                     &r->chain, r->order.seed, &err);
    rig_need(status == 0, &err);
    status =
        r->kind != RIG_IMAGES
            ? language_state_init(&t->state, &t->language, &r->config, &r->order, &err)
            : training_state_init(&t->state, &t->training, &r->config, &r->order, &err);
    rig_need(status == 0, &err);
}

static inline void rig_end(struct state_trial *t)
{
    training_fini(&t->training);
    language_fini(&t->language);
    trainer_state_fini(&t->state);
}

static inline int rig_epoch(const struct state_trial *t)
{
    return t->state.kind->epoch(t->state.training);
}

/* Has it not begun? */
static inline bool rig_is_fresh(const struct state_trial *t)
{
    return rig_epoch(t) == 0 && t->training.position.at == 0 &&
           t->language.position.window == 0 && t->language.position.updates == 0;
}

static inline const float *rig_parameters(const struct state_trial *t, size_t *ret_count)
{
    bool text = t->kind != RIG_IMAGES;
    *ret_count = text ? recurrent_count(t->language.model)
                      : nn_graph_parameter_count(t->training.graph);
    return text ? t->language.parameters : nn_graph_parameters(t->training.graph);
}

static inline bool rig_count_down(void *context)
{
    return (*(int *)context)-- <= 0;
}

/* Train on for `steps` batches, those of the validation included, or to the end; true
 * when that came first. A loss that is not finite changes nothing about that. */
static inline bool rig_train(struct state_trial *t, int steps)
{
    struct training_watch watch = {rig_count_down, &steps};
    for (int now; (now = rig_epoch(t)) < t->state.epochs;) {
        struct trial_epoch *to = &t->state.curve[now];
        enum training_outcome outcome =
            t->kind != RIG_IMAGES
                ? language_epoch(&t->language, schedule_rate(t->settings, now), &watch,
                                 to)
                : training_epoch(&t->training, now, &watch, to);
        if (outcome == TRAINING_STOPPED)
            return false;
    }
    return true;
}

#endif
