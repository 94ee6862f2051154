/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrence over all steps of a window and its way back, around the nodes of a cell
 * (recurrent_cell.c, recurrent_tree.c, relaxed_cell.c). Columns of the batch do not meet
 * before the gradients of the weights are summed (but for norms), so every thread takes
 * some columns through all steps without waiting for the others. Then each weight's
 * gradient is a product over all steps and columns, of which every thread makes some of
 * the result's columns. */
#include "common/nn/recurrent_private.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static struct recurrent_strip strip_at(const struct recurrent *r,
                                       const struct recurrent_window *w, int t)
{
    size_t from, to;
    recurrent_share((size_t)w->batch, 1, omp_get_num_threads(), omp_get_thread_num(),
                    &from, &to);
    return (struct recurrent_strip){.r = r,
                                    .w = w,
                                    .t = t,
                                    .from = from,
                                    .columns = to - from,
                                    .at = (size_t)t * (size_t)w->batch + from};
}

/* Rows of all steps that this thread takes where no column waits for its state. */
static void rows_of_thread(const struct recurrent_window *w, size_t *from, size_t *to)
{
    recurrent_share((size_t)w->steps * (size_t)w->batch, 1, omp_get_num_threads(),
                    omp_get_thread_num(), from, to);
}

/* Rows of this strip, times the mask of some kind if there is one. */
static void mask(const struct recurrent_strip *p, int kind, float *rows)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden;
    if (recurrent_drops(r, kind))
        r->kernels->multiply(p->columns * n, r->mask[kind] + p->from * n, rows);
}

static void embed(const struct recurrent_strip *p, const float *parameters)
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

/* Embedded inputs times W_x do not wait for any state: all steps are one product, of
 * which each thread makes some rows. */
static void inputs(const struct recurrent *r, const struct recurrent_window *w,
                   const float *parameters)
{
    size_t n = r->hidden, from, to;
    for (int t = 0; t < w->steps; t++) {
        struct recurrent_strip p = strip_at(r, w, t);
        embed(&p, parameters);
    }
#pragma omp barrier
    rows_of_thread(w, &from, &to);
    if (from < to)
        r->kernels->product(&(struct recurrent_product){.m = to - from,
                                                        .n = r->width,
                                                        .k = n,
                                                        .a = r->x + from * n,
                                                        .a_row = n,
                                                        .packed = r->input.forward,
                                                        .c = r->inputs + from * r->width,
                                                        .c_row = r->width});
#pragma omp barrier
}

static void inputs_back(const struct recurrent *r, const struct recurrent_window *w)
{
    size_t n = r->hidden, from, to;
    rows_of_thread(w, &from, &to);
    if (from < to)
        r->kernels->product(&(struct recurrent_product){.m = to - from,
                                                        .n = n,
                                                        .k = r->width,
                                                        .a = r->inputs + from * r->width,
                                                        .a_row = r->width,
                                                        .packed = r->input.back,
                                                        .c = r->dx + from * n,
                                                        .c_row = n});
#pragma omp barrier
}

void recurrent_cut(const struct recurrent *r, size_t rows, const float *from,
                   float *factors, float *to)
{
    size_t n = r->hidden;
    for (size_t i = 0; i < rows; i++) {
        double square =
            r->options.state_clip > 0 ? r->kernels->sum_of_squares(n, from + i * n) : 0;
        bool cut = sqrt(square) > r->options.state_clip;
        factors[i] = cut ? (float)(r->options.state_clip / sqrt(square)) : 1;
        r->kernels->scale(n, factors[i], from + i * n, to + i * n);
    }
}

/* The state that enters the next step, and what the softmax sees of h_t. */
static void leave(const struct recurrent_strip *p, bool last)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, batch = (size_t)p->w->batch;
    float *out = r->out + p->at * n;
    recurrent_cut(r, p->columns, out, r->cut + p->at, r->s + (p->at + batch) * n);
    if (!last)
        mask(p, MASK_STATE, r->s + (p->at + batch) * n);
    mask(p, MASK_OUTPUT, out);
}

void recurrent_forward(struct recurrent *r, const float *parameters,
                       const struct recurrent_window *w)
{
    size_t state = (size_t)w->batch * r->hidden;
    memcpy(r->s, w->state, state * sizeof *w->state);
    if (r->nodes->enter)
        r->nodes->enter(r, w);
#pragma omp parallel num_threads(r->options.threads)
    {
        inputs(r, w, parameters);
        for (int t = 0; t < w->steps; t++) {
            struct recurrent_strip p = strip_at(r, w, t);
            if (t == 0)
                mask(&p, MASK_STATE, r->s + p.at * r->hidden);
            r->nodes->forward(&p);
            leave(&p, t + 1 == w->steps);
        }
    }
    memcpy(w->state, r->s + (size_t)w->steps * state, state * sizeof *w->state);
    if (r->nodes->leave)
        r->nodes->leave(r, w);
}

/* The gradient of h_t: what leaves through the output and the state. */
static void leave_back(const struct recurrent_strip *p, bool last)
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

/* dW of dropped weights is made in scratch, then its rest is added. */
static void masked_back(const struct recurrent *r, struct recurrent_transposed *product,
                        const float *mask)
{
    float *dw = product->c;
    float *scratch = r->scratch + (size_t)omp_get_thread_num() * r->scratch_each;
    size_t width = product->n;
    product->c = scratch;
    product->c_row = width;
    product->add = false;
    r->kernels->product_transposed(product);
    for (size_t i = 0; i < r->hidden; i++) {
        float *row = product->c + i * width;
        r->kernels->multiply(width, mask + i * r->width, row);
        r->kernels->add_scaled(width, 1, row, dw + i * r->width);
    }
}

void recurrent_weight_back(const struct recurrent *r, const struct recurrent_part *part,
                           int j, const float *a, const float *d, float *dw)
{
    size_t n = r->hidden;
    struct recurrent_transposed product = {.m = n,
                                           .n = part->to - part->from,
                                           .k = part->rows,
                                           .a = a,
                                           .b = d + part->from,
                                           .a_row = n,
                                           .b_row = r->width,
                                           .c = dw + part->from,
                                           .c_row = r->width,
                                           .add = true};
    if (j >= 0 && r->dropout && r->dropout->weight > 0)
        masked_back(r, &product, r->matrix[j].mask + part->from);
    else
        r->kernels->product_transposed(&product);
}

/* A thread's columns of all weights' gradients. */
static void weights_back(const struct recurrent *r, size_t rows, float *gradient)
{
    struct recurrent_part part = {.rows = rows};
    recurrent_share(r->width, r->kernels->panel, omp_get_num_threads(),
                    omp_get_thread_num(), &part.from, &part.to);
    if (part.from == part.to)
        return;
    recurrent_weight_back(r, &part, -1, r->x, r->inputs, gradient + recurrent_input(r));
    recurrent_weight_back(r, &part, 0, r->s, r->a[0],
                          gradient + recurrent_edge(r, -1, 0));
    if (r->nodes->weights_back)
        r->nodes->weights_back(r, &part, gradient);
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
            struct recurrent_strip p = strip_at(r, w, t);
            leave_back(&p, t + 1 == w->steps);
            r->nodes->back(&p);
        }
#pragma omp barrier
        if (gradient) {
            inputs_back(r, w);
            weights_back(r, rows, gradient);
            embeddings_back(r, w, rows, gradient);
        }
    }
}
