/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrence over all steps of a window and its way back. Columns of the batch do not
 * meet before the gradients of the weights are summed, so every thread takes some columns
 * through all steps without waiting for the others. Then each weight's gradient is one
 * product over all steps and columns, of which every thread makes some of the result's
 * columns. */
#include "common/nn/recurrent_private.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Columns of a batch that one thread takes, at step t. */
struct strip {
    const struct recurrent *r;
    const struct recurrent_window *w;
    size_t from, columns;
    size_t at; /* first row: t * batch + from */
};

static struct strip strip_at(const struct recurrent *r, const struct recurrent_window *w,
                             int t)
{
    size_t from, to;
    recurrent_share((size_t)w->batch, 1, omp_get_num_threads(), omp_get_thread_num(),
                    &from, &to);
    return (struct strip){.r = r,
                          .w = w,
                          .from = from,
                          .columns = to - from,
                          .at = (size_t)t * (size_t)w->batch + from};
}

/* Rows of this strip, times the mask of some kind if there is one. */
static void mask(const struct strip *p, int kind, float *rows)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    if (recurrent_drops(r, kind))
        r->kernels->multiply(p->columns * n, r->mask[kind] + p->from * n, rows);
}

static void embed(const struct strip *p, const float *parameters)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    for (size_t i = 0; i < p->columns; i++) {
        size_t word = (size_t)p->w->inputs[p->at + i];
        float factor = r->dropout ? r->words[word] : 1;
        r->kernels->scale(n, factor, parameters + word * n, r->x + (p->at + i) * n);
    }
    mask(p, MASK_INPUT, r->x + p->at * n);
}

/* What goes into node j: a = source W, for node 0 added to x W_x. */
static void feed(const struct strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    struct recurrent_product product = {.m = p->columns,
                                        .n = 2 * n,
                                        .k = n,
                                        .a = recurrent_source(r, j, p->at),
                                        .a_row = n,
                                        .packed = r->matrix[j].forward,
                                        .c = r->a[j] + p->at * 2 * n,
                                        .c_row = 2 * n,
                                        .add = j == 0};
    if (j == 0) {
        struct recurrent_product input = product;
        input.a = r->x + p->at * n;
        input.packed = r->input.forward;
        input.add = false;
        r->kernels->product(&input);
    }
    r->kernels->product(&product);
}

static void node(const struct strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    struct recurrent_highway h = {.rows = p->columns,
                                  .hidden = n,
                                  .activation = r->cell->activation[j],
                                  .a = r->a[j] + p->at * 2 * n,
                                  .p = recurrent_source(r, j, p->at),
                                  .h = r->h[j] + p->at * n};
    feed(p, j);
    r->kernels->highway(&h);
}

static void mean(const struct strip *p)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, count = p->columns * n;
    float share = 1 / (float)r->leaves, *out = r->out + p->at * n;
    r->kernels->scale(count, share, r->h[r->leaf[0]] + p->at * n, out);
    for (int i = 1; i < r->leaves; i++)
        r->kernels->add_scaled(count, share, r->h[r->leaf[i]] + p->at * n, out);
}

/* The state that enters the next step, and what the softmax sees of h_t. */
static void leave(const struct strip *p, bool last)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, batch = (size_t)p->w->batch;
    float *out = r->out + p->at * n;
    for (size_t i = 0; i < p->columns; i++) {
        double square =
            r->options.state_clip > 0 ? r->kernels->sum_of_squares(n, out + i * n) : 0;
        bool cut = sqrt(square) > r->options.state_clip;
        r->cut[p->at + i] = cut ? (float)(r->options.state_clip / sqrt(square)) : 1;
        r->kernels->scale(n, r->cut[p->at + i], out + i * n,
                          r->s + (p->at + batch + i) * n);
    }
    if (!last)
        mask(p, MASK_STATE, r->s + (p->at + batch) * n);
    mask(p, MASK_OUTPUT, out);
}

void recurrent_forward(struct recurrent *r, const float *parameters,
                       const struct recurrent_window *w)
{
    size_t state = (size_t)w->batch * r->hidden;
    memcpy(r->s, w->state, state * sizeof *w->state);
#pragma omp parallel num_threads(r->options.threads)
    for (int t = 0; t < w->steps; t++) {
        struct strip p = strip_at(r, w, t);
        if (t == 0)
            mask(&p, MASK_STATE, r->s + p.at * r->hidden);
        embed(&p, parameters);
        for (int j = 0; j < r->cell->nodes && p.columns > 0; j++)
            node(&p, j);
        mean(&p);
        if (r->options.norm)
            recurrent_norm(r, w, t);
        leave(&p, t + 1 == w->steps);
    }
    memcpy(w->state, r->s + (size_t)w->steps * state, state * sizeof *w->state);
}

/* The gradient of h_t: what leaves through the output and the state. */
static void leave_back(const struct strip *p, bool last)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    float *dout = r->dout + p->at * n, *dstate = r->dstate + p->from * n;
    mask(p, MASK_OUTPUT, dout);
    if (!last)
        mask(p, MASK_STATE, dstate);
    for (size_t i = 0; i < p->columns; i++)
        r->kernels->add_scaled(n, r->cut[p->at + i], dstate + i * n, dout + i * n);
    memset(dstate, 0, p->columns * n * sizeof *dstate);
}

/* Then that of the nodes. */
static void mean_back(const struct strip *p)
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

/* Through one node: its a becomes the gradient, its source's gradient grows. */
static void node_back(const struct strip *p, int j)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    float *to = (j == 0 ? r->dstate : r->dh[r->cell->previous[j]]) + p->from * n;
    struct recurrent_highway_back h = {.rows = p->columns,
                                       .hidden = n,
                                       .activation = r->cell->activation[j],
                                       .a = r->a[j] + p->at * 2 * n,
                                       .p = recurrent_source(r, j, p->at),
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
    if (j > 0)
        return;
    product.packed = r->input.back;
    product.c = r->dx + p->at * n;
    product.add = false;
    r->kernels->product(&product);
}

/* dW of dropped weights is made in scratch, then its rest is added. */
static void masked_back(const struct recurrent *r, struct recurrent_transposed *product,
                        const float *mask, float *scratch)
{
    float *dw = product->c;
    size_t width = product->n;
    product->c = scratch;
    product->c_row = width;
    product->add = false;
    r->kernels->product_transposed(product);
    for (size_t i = 0; i < r->hidden; i++) {
        float *row = product->c + i * width;
        r->kernels->multiply(width, mask + i * 2 * r->hidden, row);
        r->kernels->add_scaled(width, 1, row, dw + i * 2 * r->hidden);
    }
}

/* Columns [from, to) of dW (H, 2H) += rows' A^T D. mask: of the weights, or NULL. */
static void weight_back(const struct recurrent *r, size_t rows, const float *a,
                        const float *d, size_t from, size_t to, const float *mask,
                        float *scratch, float *dw)
{
    size_t n = r->hidden;
    struct recurrent_transposed product = {.m = n,
                                           .n = to - from,
                                           .k = rows,
                                           .a = a,
                                           .b = d + from,
                                           .a_row = n,
                                           .b_row = 2 * n,
                                           .c = dw + from,
                                           .c_row = 2 * n,
                                           .add = true};
    if (mask)
        masked_back(r, &product, mask + from, scratch);
    else
        r->kernels->product_transposed(&product);
}

/* A thread's columns of all weights' gradients. */
static void weights_back(const struct recurrent *r, size_t rows, float *gradient)
{
    size_t n = r->hidden, from, to;
    float *scratch = r->scratch + (size_t)omp_get_thread_num() * r->scratch_each;
    recurrent_share(2 * n, r->kernels->panel, omp_get_num_threads(), omp_get_thread_num(),
                    &from, &to);
    if (from == to)
        return;
    bool dropped = r->dropout && r->dropout->weight > 0;
    weight_back(r, rows, r->x, r->a[0], from, to, NULL, scratch,
                gradient + recurrent_input(r));
    for (int j = 0; j < r->cell->nodes; j++) {
        int i = j == 0 ? -1 : r->cell->previous[j];
        weight_back(r, rows, recurrent_source(r, j, 0), r->a[j], from, to,
                    dropped ? r->matrix[j].mask : NULL, scratch,
                    gradient + recurrent_edge(r, i, j));
    }
}

/* Rows of dE that were inputs; a thread takes some units of all of them. */
static void embeddings_back(const struct recurrent *r, const struct recurrent_window *w,
                            size_t rows, float *gradient)
{
    size_t n = r->hidden, from, to;
    recurrent_share(n, 16, omp_get_num_threads(), omp_get_thread_num(), &from, &to);
    for (size_t i = 0; i < rows && from < to; i++) {
        size_t word = (size_t)w->inputs[i], column = i % (size_t)w->batch;
        float *dx = r->dx + i * n + from;
        if (recurrent_drops(r, MASK_INPUT))
            r->kernels->multiply(to - from, r->mask[MASK_INPUT] + column * n + from, dx);
        r->kernels->add_scaled(to - from, r->dropout ? r->words[word] : 1, dx,
                               gradient + word * n + from);
    }
}

void recurrent_backward(struct recurrent *r, const struct recurrent_window *w,
                        float *gradient)
{
    size_t rows = (size_t)w->steps * (size_t)w->batch;
    memset(r->dstate, 0, (size_t)w->batch * r->hidden * sizeof *r->dstate);
#pragma omp parallel num_threads(r->options.threads)
    {
        for (int t = w->steps - 1; t >= 0; t--) {
            struct strip p = strip_at(r, w, t);
            leave_back(&p, t + 1 == w->steps);
            if (r->options.norm)
                recurrent_norm_back(r, w, t);
            mean_back(&p);
            for (int j = r->cell->nodes - 1; j >= 0 && p.columns > 0; j--)
                node_back(&p, j);
        }
#pragma omp barrier
        weights_back(r, rows, gradient);
        embeddings_back(r, w, rows, gradient);
    }
}
