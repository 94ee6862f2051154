/* SPDX-License-Identifier: Apache-2.0 */
/* Output, loss and their way back, some rows of logits at a time, so that these stay in
 * the caches: threads share the rows, then, for dE, the words. A row's sums do not depend
 * on who makes it; dE's go over the rows in their order. */
#include "common/nn/recurrent_private.h"

#include <omp.h>

/* Rows [from, to) of a chunk that begins at row `first`. */
struct part {
    const struct recurrent *r;
    size_t first, from, to;
};

static void logits_of(const struct part *p, int slice)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, words = (size_t)r->options.vocabulary;
    size_t column = (size_t)slice * RECURRENT_SLICE;
    struct recurrent_product product = {.m = p->to - p->from,
                                        .n = (size_t)recurrent_slice_words(r, slice),
                                        .k = n,
                                        .a = r->out + (p->first + p->from) * n,
                                        .a_row = n,
                                        .packed = r->embedding_forward +
                                                  recurrent_slice_forward(r, slice),
                                        .c = r->logits + p->from * words + column,
                                        .c_row = words};
    r->kernels->product(&product);
}

/* dout += dlogits E, slice by slice. */
static void outputs_back(const struct part *p, int slice)
{
    const struct recurrent *r = p->r;
    size_t n = r->hidden, words = (size_t)r->options.vocabulary;
    struct recurrent_product product = {
        .m = p->to - p->from,
        .n = n,
        .k = (size_t)recurrent_slice_words(r, slice),
        .a = r->logits + p->from * words + (size_t)slice * RECURRENT_SLICE,
        .a_row = words,
        .packed = r->embedding_back + recurrent_slice_back(r, slice),
        .c = r->dout + (p->first + p->from) * n,
        .c_row = n,
        .add = slice > 0};
    r->kernels->product(&product);
}

static void rows_of(const struct part *p, const struct recurrent_window *w, float weight)
{
    const struct recurrent *r = p->r;
    size_t words = (size_t)r->options.vocabulary;
    for (int i = 0; i < r->slices; i++)
        logits_of(p, i);
    for (size_t i = p->from; i < p->to; i++)
        r->losses[i] = r->kernels->cross_entropy(
            words, r->logits + i * words, (size_t)w->targets[p->first + i], weight);
    for (int i = 0; i < r->slices && weight > 0; i++)
        outputs_back(p, i);
}

/* dE += dlogits' out over the chunk's rows, words [from, to). */
static void words_back(const struct recurrent *r, size_t first, size_t rows, size_t from,
                       size_t to, float *gradient)
{
    size_t n = r->hidden, words = (size_t)r->options.vocabulary;
    struct recurrent_transposed product = {.m = to - from,
                                           .n = n,
                                           .k = rows,
                                           .a = r->logits + from,
                                           .b = r->out + first * n,
                                           .a_row = words,
                                           .b_row = n,
                                           .c = gradient + from * n,
                                           .c_row = n,
                                           .add = true};
    r->kernels->product_transposed(&product);
}

static void chunk(const struct recurrent *r, const struct recurrent_window *w,
                  size_t first, size_t rows, float weight, float *gradient)
{
    int threads = omp_get_num_threads(), me = omp_get_thread_num();
    struct part p = {.r = r, .first = first};
    size_t from, to;
    recurrent_share(rows, 1, threads, me, &p.from, &p.to);
    if (p.from < p.to)
        rows_of(&p, w, weight);
#pragma omp barrier
    recurrent_share((size_t)r->options.vocabulary, 16, threads, me, &from, &to);
    if (gradient && from < to)
        words_back(r, first, rows, from, to, gradient);
}

double recurrent_decode(struct recurrent *r, const struct recurrent_window *w,
                        float weight, float *gradient)
{
    size_t rows = (size_t)w->steps * (size_t)w->batch;
    double sum = 0;
    for (size_t first = 0; first < rows; first += RECURRENT_CHUNK) {
        size_t left = rows - first,
               count = left < RECURRENT_CHUNK ? left : RECURRENT_CHUNK;
#pragma omp parallel num_threads(r->options.threads)
        chunk(r, w, first, count, weight, gradient);
        for (size_t i = 0; i < count; i++)
            sum += r->losses[i];
    }
    return sum;
}
