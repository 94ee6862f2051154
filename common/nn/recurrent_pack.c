/* SPDX-License-Identifier: Apache-2.0 */
/* Every weight is used once a step, so it is packed once a window. The embeddings are
 * packed by slices; each job is one matrix or one slice. */
#include "common/nn/recurrent_private.h"

#include <omp.h>
#include <string.h>

/* The weights that are left after dropping some: a copy in this thread's scratch. */
static const float *masked(const struct recurrent *r, const float *w,
                           const struct recurrent_matrix *m)
{
    size_t count = r->hidden * r->width;
    float *copy = r->scratch + (size_t)omp_get_thread_num() * r->scratch_each;
    memcpy(copy, w, count * sizeof *copy);
    r->kernels->multiply(count, m->mask, copy);
    return copy;
}

static void pack_matrix(const struct recurrent *r, const float *w,
                        struct recurrent_matrix *m, bool back)
{
    size_t n = r->hidden;
    if (m != &r->input && r->dropout && r->dropout->weight > 0)
        w = masked(r, w, m);
    r->kernels->pack(n, r->width, w, r->width, m->forward);
    if (back)
        r->kernels->pack_transposed(r->width, n, w, r->width, m->back);
}

static void pack_slice(const struct recurrent *r, const float *parameters, int i, bool back)
{
    size_t n = r->hidden, words = (size_t)recurrent_slice_words(r, i);
    const float *rows = parameters + (size_t)i * RECURRENT_SLICE * n;
    r->kernels->pack_transposed(n, words, rows, n,
                                r->embedding_forward + recurrent_slice_forward(r, i));
    if (back)
        r->kernels->pack(words, n, rows, n, r->embedding_back + recurrent_slice_back(r, i));
}

/* W_x, then the weights into each node. */
static const float *matrix_of(const struct recurrent *r, const float *parameters, int job)
{
    int j = job - 1;
    if (job == 0)
        return parameters + recurrent_input(r);
    return parameters + recurrent_edge(r, j == 0 ? -1 : r->cell->previous[j], j);
}

void recurrent_pack(struct recurrent *r, const float *parameters, bool back)
{
    int matrices = 1 + r->cell->nodes;
#pragma omp parallel for schedule(dynamic) num_threads(r->options.threads)
    for (int job = 0; job < matrices + r->slices; job++)
        if (job < matrices)
            pack_matrix(r, matrix_of(r, parameters, job),
                        job == 0 ? &r->input : &r->matrix[job - 1], back);
        else
            pack_slice(r, parameters, job - matrices, back);
}
