/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a relaxed cell. All inputs of node j meet the same weights, so what goes
 * into its edges is one product over the columns of s_0 ... s_{j-1}; each edge's mixture
 * is then added to s_j. On the way back each edge's a becomes its gradient, and one
 * product brings them all to the inputs. Node 0 and the mean are those of discrete cells.
 */
#include "common/nn/relaxed_private.h"

/* Floats between the edges of a node, and between the s of nodes. */
static size_t edge_floats(const struct recurrent *r)
{
    return (size_t)r->options.steps * (size_t)r->options.batch * 2 * r->hidden;
}

static size_t node_floats(const struct recurrent *r)
{
    return (size_t)(r->h[1] - r->h[0]);
}

/* a of the edge (i, j), first row of the strip. */
static float *edge(const struct recurrent_strip *p, int i, int j)
{
    const struct recurrent *r = p->r;
    return r->a[j] + (size_t)i * edge_floats(r) + p->at * 2 * r->hidden;
}

/* What goes into the edges of node j: a = s_i W_j for all i. */
static void feed(const struct recurrent_strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    r->kernels->product(&(struct recurrent_product){.m = p->columns,
                                                    .n = 2 * n,
                                                    .k = n,
                                                    .a = r->h[0] + p->at * n,
                                                    .a_row = n,
                                                    .packed = r->matrix[j].forward,
                                                    .c = edge(p, 0, j),
                                                    .c_row = 2 * n,
                                                    .more = (size_t)j - 1,
                                                    .a_next = node_floats(r),
                                                    .c_next = edge_floats(r)});
}

static void mix(const struct recurrent_strip *p, int i, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    struct recurrent_mixture m = {.rows = p->columns,
                                  .hidden = n,
                                  .a = edge(p, i, j),
                                  .p = r->h[i] + p->at * n,
                                  .h = r->h[j] + p->at * n,
                                  .add = i > 0};
    relaxed_edge_shares(r->relaxed, relaxed_edge(i, j), m.share);
    r->kernels->mixture(&m);
}

/* Of all columns at this step. */
static struct recurrent_normal normal(const struct recurrent_strip *p, int j, float *x)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, batch = (size_t)p->w->batch;
    size_t step = (size_t)j * (size_t)r->options.steps + (size_t)p->t;
    return (struct recurrent_normal){.rows = batch,
                                     .x = x,
                                     .y = r->h[j] + (size_t)p->t * batch * n,
                                     .deviation = r->deviation + step * n};
}

/* Threads without a column take part in norms. */
static void forward(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    for (int j = 0; j < r->cell->nodes; j++) {
        if (j == 0 && p->columns > 0)
            recurrent_node(p, 0);
        if (j > 0 && p->columns > 0)
            feed(p, j);
        for (int i = 0; i < j && p->columns > 0; i++)
            mix(p, i, j);
        if (r->options.norm) {
            struct recurrent_normal s = normal(p, j, NULL);
            s.x = s.y;
            recurrent_norm(r, &s);
        }
    }
    recurrent_mean(p);
}

static void mix_back(const struct recurrent_strip *p, int i, int j)
{
    const struct recurrent *r = p->r;
    const struct relaxed *x = r->relaxed;
    size_t n = r->hidden, each = x->edges * RECURRENT_ACTIVATIONS;
    size_t number = relaxed_edge(i, j);
    double *sums = x->sums + p->from * each + number * RECURRENT_ACTIVATIONS;
    struct recurrent_mixture_back m = {.rows = p->columns,
                                       .hidden = n,
                                       .a = edge(p, i, j),
                                       .p = r->h[i] + p->at * n,
                                       .dh = r->dh[j] + p->from * n,
                                       .dp = r->dh[i] + p->from * n,
                                       .sums = x->wanted ? sums : NULL,
                                       .sums_row = each};
    relaxed_edge_shares(x, number, m.share);
    r->kernels->mixture_back(&m);
}

/* ds_i += the gradient of a W_j' for all i. */
static void feed_back(const struct recurrent_strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    r->kernels->product(
        &(struct recurrent_product){.m = p->columns,
                                    .n = n,
                                    .k = 2 * n,
                                    .a = edge(p, 0, j),
                                    .a_row = 2 * n,
                                    .packed = r->matrix[j].back,
                                    .c = r->dh[0] + p->from * n,
                                    .c_row = n,
                                    .add = true,
                                    .more = (size_t)j - 1,
                                    .a_next = edge_floats(r),
                                    .c_next = (size_t)(r->dh[1] - r->dh[0])});
}

static void back(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    recurrent_mean_back(p);
    for (int j = r->cell->nodes - 1; j >= 0; j--) {
        if (r->options.norm) {
            struct recurrent_normal s = normal(p, j, r->dh[j]);
            recurrent_norm_back(r, &s);
        }
        for (int i = 0; i < j && p->columns > 0; i++)
            mix_back(p, i, j);
        if (j > 0 && p->columns > 0)
            feed_back(p, j);
        if (j == 0 && p->columns > 0)
            recurrent_node_back(p, 0);
    }
}

static void weights_back(const struct recurrent *r, const struct recurrent_part *part,
                         float *gradient)
{
    for (int j = 1; j < r->cell->nodes; j++)
        for (int i = 0; i < j; i++)
            recurrent_weight_back(r, part, j, r->h[i],
                                  r->a[j] + (size_t)i * edge_floats(r),
                                  gradient + recurrent_edge(r, j - 1, j));
}

const struct recurrent_nodes recurrent_nodes_relaxed = {
    .forward = forward, .back = back, .weights_back = weights_back};
