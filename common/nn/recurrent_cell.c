/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a discrete cell: each follows one earlier node, and its a (what its
 * product makes of that) becomes on the way forward the gate and the activation, on the
 * way back the gradient with respect to a. Node 0 and the mean serve relaxed cells as
 * well. */
#include "common/nn/recurrent_private.h"

#include <string.h>

/* What feeds node j at some row. */
static const float *source(const struct recurrent *r, int j, size_t at)
{
    return (j == 0 ? r->s : r->h[r->cell->previous[j]]) + at * r->hidden;
}

/* What goes into node j: a = source W, for node 0 added to x W_x, which is there. */
static void feed(const struct recurrent_strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    struct recurrent_product product = {.m = p->columns,
                                        .n = 2 * n,
                                        .k = n,
                                        .a = source(r, j, p->at),
                                        .a_row = n,
                                        .packed = r->matrix[j].forward,
                                        .c = r->a[j] + p->at * 2 * n,
                                        .c_row = 2 * n,
                                        .add = j == 0};
    r->kernels->product(&product);
}

void recurrent_node(const struct recurrent_strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    struct recurrent_highway h = {.rows = p->columns,
                                  .hidden = n,
                                  .activation = r->cell->activation[j],
                                  .a = r->a[j] + p->at * 2 * n,
                                  .p = source(r, j, p->at),
                                  .h = r->h[j] + p->at * n};
    feed(p, j);
    r->kernels->highway(&h);
}

void recurrent_mean(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, count = p->columns * n;
    float share = 1 / (float)r->leaves, *out = r->out + p->at * n;
    r->kernels->scale(count, share, r->h[r->leaf[0]] + p->at * n, out);
    for (int i = 1; i < r->leaves; i++)
        r->kernels->add_scaled(count, share, r->h[r->leaf[i]] + p->at * n, out);
}

void recurrent_mean_back(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, count = p->columns * n;
    const float *dout = r->dout + p->at * n;
    for (int j = 0; j < r->cell->nodes; j++)
        memset(r->dh[j] + p->from * n, 0, count * sizeof(float));
    for (int i = 0; i < r->leaves; i++)
        r->kernels->scale(count, 1 / (float)r->leaves, dout,
                          r->dh[r->leaf[i]] + p->from * n);
}

void recurrent_node_back(const struct recurrent_strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    float *to = (j == 0 ? r->dstate : r->dh[r->cell->previous[j]]) + p->from * n;
    struct recurrent_highway_back h = {.rows = p->columns,
                                       .hidden = n,
                                       .activation = r->cell->activation[j],
                                       .a = r->a[j] + p->at * 2 * n,
                                       .p = source(r, j, p->at),
                                       .dh = r->dh[j] + p->from * n,
                                       .dp = to};
    struct recurrent_product product = {.m = p->columns,
                                        .n = n,
                                        .k = 2 * n,
                                        .a = h.a,
                                        .a_row = 2 * n,
                                        .packed = r->matrix[j].back,
                                        .c = to,
                                        .c_row = n,
                                        .add = true};
    r->kernels->highway_back(&h);
    r->kernels->product(&product);
}

static void forward(const struct recurrent_strip *p)
{
    for (int j = 0; j < p->r->cell->nodes && p->columns > 0; j++)
        recurrent_node(p, j);
    recurrent_mean(p);
    recurrent_norm_out(p);
}

static void back(const struct recurrent_strip *p)
{
    recurrent_norm_out_back(p);
    recurrent_mean_back(p);
    for (int j = p->r->cell->nodes - 1; j >= 0 && p->columns > 0; j--)
        recurrent_node_back(p, j);
}

static void weights_back(const struct recurrent *r, const struct recurrent_part *part,
                         float *gradient)
{
    for (int j = 1; j < r->cell->nodes; j++)
        recurrent_weight_back(r, part, j, source(r, j, 0), r->a[j],
                              gradient + recurrent_edge(r, r->cell->previous[j], j));
}

const struct recurrent_nodes recurrent_nodes_discrete = {
    .forward = forward, .back = back, .weights_back = weights_back};
