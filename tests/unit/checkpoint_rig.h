/* SPDX-License-Identifier: Apache-2.0 */
/* A small training whose state can be saved, for the tests of checkpoints and their fuzz
 * target. Whatever goes wrong here ends the program. */
#ifndef ARCHWAY_TESTS_CHECKPOINT_RIG_H
#define ARCHWAY_TESTS_CHECKPOINT_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "worker/checkpoint.h"

enum { RIG_EPOCHS = 3 };

struct checkpoint_rig {
    struct config config;
    struct dataset *data;
    struct conv_chain chain;
    struct trainer_order order; /* seed and architecture only */
};

/* A training of the rig; its `c` goes with it. */
struct checkpoint_trial {
    struct training training;
    struct checkpoint c;
};

static inline void rig_need(int ok, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "rig: %s\n", err->text);
    abort();
}

/* 100 images in batches of 16 (the last one of 4), flipped and shifted. */
static inline void rig_open(struct checkpoint_rig *r, const char *cache)
{
    struct error err = {0};
    config_defaults(&r->config);
    r->config.task.data.format = DATA_GENERATED;
    r->config.task.data.classes = 3;
    r->config.task.data.height = 6;
    r->config.task.data.width = 5;
    r->config.task.data.channels = 1;
    r->config.task.data.images = 130;
    r->config.task.train = 100;
    r->config.task.validation = 30;
    r->config.trainer.builtin.batch = 16;
    r->config.trainer.builtin.epochs = RIG_EPOCHS;
    r->config.trainer.builtin.augment.pad = 1;
    r->config.trainer.builtin.augment.flip = true;
    r->order = (struct trainer_order){.type = ORDER_TASK, .seed = 4};
    r->order.architecture =
        json_pack("{s:[{s:i,s:i,s:i,s:i,s:[i]}]}", "layers", "filter_height", 3,
                  "filter_width", 3, "filters", 3, "stride", 2, "inputs", -1);
    rig_need(conv_chain_from_json(r->order.architecture, &r->chain, &err) == 0, &err);
    rig_need(data_open(&r->config, cache, &r->data, &err) == 0, &err);
}

static inline void rig_close(struct checkpoint_rig *r)
{
    json_decref(r->order.architecture);
    data_close(r->data);
}

static inline void rig_begin(struct checkpoint_rig *r, struct checkpoint_trial *t)
{
    struct error err = {0};
    rig_need(training_init(&t->training, &r->config, r->data, &r->chain, r->order.seed,
                           &err) == 0,
             &err);
    t->c = (struct checkpoint){
        .identity = checkpoint_identity(&r->config, &t->training, &r->order),
        .curve = calloc((size_t)r->config.trainer.builtin.epochs, sizeof *t->c.curve)};
    rig_need(t->c.identity && t->c.curve, &err);
}

static inline void rig_end(struct checkpoint_trial *t)
{
    training_fini(&t->training);
    checkpoint_fini(&t->c);
}

static inline bool rig_count_down(void *context)
{
    return (*(int *)context)-- <= 0;
}

/* Train on for `steps` batches, those of the validation included, or to the end; true
 * when that came first. */
static inline bool rig_train(struct checkpoint_trial *t, int steps)
{
    struct training_watch watch = {rig_count_down, &steps};
    for (int *epoch = &t->training.position.epoch;
         *epoch < t->training.settings->epochs;) {
        int now = *epoch;
        if (training_epoch(&t->training, now, &watch, &t->c.curve[now]) != TRAINING_DONE)
            return false;
    }
    return true;
}

#endif
