/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters lie in one flat vector, so an update is a few loops over ranges: neighbours
 * that agree on weight decay are joined. Adam's interface takes the whole vector at once;
 * its decay is added to the gradients of the ranges that have one, which is what L2
 * regularisation means there. */
#include "worker/descent.h"

#include <math.h>

int descent_init(struct descent *d, struct nn_graph *graph,
                 const struct config_builtin_trainer *settings, struct error *err)
{
    struct descent fresh = {.graph = graph, .settings = settings};
    int status = optimizer_init(&fresh.optimizer, nn_graph_parameter_count(graph),
                                settings->optimizer.name == OPTIMIZER_ADAM, err);
    if (!status)
        *d = fresh;
    return status;
}

void descent_fini(struct descent *d)
{
    if (d)
        optimizer_fini(&d->optimizer);
}

struct range {
    size_t offset, count;
    bool decay;
};

/* The longest run of parameters from list[*at] on that lie side by side and agree on
 * decay; *at moves behind it. */
static struct range next_range(const struct nn_parameter *list, int count, int *at)
{
    struct range r = {list[*at].offset, list[*at].count, list[*at].decay};
    for (++*at; *at < count; ++*at) {
        if (list[*at].decay != r.decay || list[*at].offset != r.offset + r.count)
            break;
        r.count += list[*at].count;
    }
    return r;
}

static void update_sgd(struct descent *d, double lr)
{
    const struct nn_parameter *list;
    int count = nn_graph_parameter_list(d->graph, &list);
    for (int at = 0; at < count;) {
        struct range r = next_range(list, count, &at);
        struct optimizer_sgd sgd = {
            .lr = (float)lr,
            .momentum = (float)d->settings->optimizer.momentum,
            .weight_decay = r.decay ? (float)d->settings->optimizer.weight_decay : 0,
            .nesterov = d->settings->optimizer.nesterov,
        };
        optimizer_sgd_range(&d->optimizer, &sgd, r.offset, r.count,
                            nn_graph_parameters(d->graph), nn_graph_gradients(d->graph));
    }
}

static void add_decay(struct descent *d)
{
    const struct nn_parameter *list;
    int count = nn_graph_parameter_list(d->graph, &list);
    float decay = (float)d->settings->optimizer.weight_decay;
    for (int at = 0; at < count;) {
        struct range r = next_range(list, count, &at);
        const float *p = nn_graph_parameters(d->graph) + r.offset;
        float *g = nn_graph_gradients(d->graph) + r.offset;
        for (size_t i = 0; r.decay && i < r.count; i++)
            g[i] += decay * p[i];
    }
}

static void update_adam(struct descent *d, double lr)
{
    struct optimizer_adam adam = {
        .lr = (float)lr, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    if (d->settings->optimizer.weight_decay > 0)
        add_decay(d);
    optimizer_adam_step(&d->optimizer, &adam, nn_graph_parameters(d->graph),
                        nn_graph_gradients(d->graph));
}

void descent_step(struct descent *d, double lr, int n, const float *images,
                  const uint8_t *labels, struct nn_result *ret)
{
    nn_graph_forward(d->graph, n, images, labels, true, ret);
    if (!isfinite(ret->loss))
        return;
    nn_graph_backward(d->graph);
    if (d->settings->optimizer.name == OPTIMIZER_ADAM)
        update_adam(d, lr);
    else
        update_sgd(d, lr);
}
