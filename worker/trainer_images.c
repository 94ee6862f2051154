/* SPDX-License-Identifier: Apache-2.0 */
/* What a training on images is to trainer_trial.c. */
#include "worker/trainer_images.h"

#include <stdio.h>

#include "common/space/conv_chain.h"
#include "worker/training_state.h"

struct image_child {
    const struct dataset *data;
    struct conv_chain chain;
    struct training training;
};

static int prepare(void *child, const struct config *config,
                   const struct trainer_order *order, struct error *err)
{
    struct image_child *c = child;
    int status = conv_chain_from_json(order->architecture, &c->chain, err);
    return status ? status
                  : training_init(&c->training, config, c->data, &c->chain, order->seed,
                                  err);
}

static int state(void *child, const struct config *config,
                 const struct trainer_order *order, struct trainer_state *ret,
                 struct error *err)
{
    struct image_child *c = child;
    return training_state_init(ret, &c->training, config, order, err);
}

static int position(const void *child)
{
    const struct image_child *c = child;
    return c->training.position.epoch;
}

static enum training_outcome epoch(void *child, const struct training_watch *watch,
                                   struct trial_epoch *ret)
{
    struct image_child *c = child;
    return training_epoch(&c->training, c->training.position.epoch, watch, ret);
}

static void size(const void *child, double *ret_params, double *ret_flops)
{
    const struct image_child *c = child;
    *ret_params = (double)nn_graph_parameter_count(c->training.graph);
    *ret_flops = nn_graph_flops(c->training.graph);
}

static void explain(const struct trial_epoch *values, char *ret, size_t size)
{
    snprintf(ret, size, "at learning rate %g: the training loss is %g",
             (double)values->lr, (double)values->train_loss);
}

static const struct trainer_child_kind kind = {.prepare = prepare,
                                               .state = state,
                                               .position = position,
                                               .epoch = epoch,
                                               .size = size,
                                               .explain = explain};

int trainer_images_run(const struct trainer_trial_setup *setup,
                       const struct dataset *data, int *ret_epochs, struct error *err)
{
    struct image_child child = {.data = data};
    int status = trainer_trial_run(setup, &kind, &child, ret_epochs, err);
    training_fini(&child.training);
    return status;
}
