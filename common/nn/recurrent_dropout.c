/* SPDX-License-Identifier: Apache-2.0 */
/* Masks hold 0 for what is dropped and 1 / (1 - share) for what is left (inverted dropout),
 * so that evaluation needs no factor. Every mask has a stream of its own, (seed,
 * RNG_DROPOUT, 256 step + which), so threads can draw them in any order. Variational masks
 * are those of Gal & Ghahramani (NIPS 2016), those of weights DropConnect as in Merity et
 * al. (ICLR 2018). */
#include "common/nn/recurrent_private.h"

#include <omp.h>

#include "common/rng.h"

enum { STREAM_WORDS = MASKS, STREAM_MATRIX, STREAMS = 256 };

static void draw(const struct recurrent_dropout *d, int which, double share, size_t count,
                 float *mask)
{
    float keep = (float)(1 / (1 - share)), limit = (float)share;
    struct rng rng;
    rng_init(&rng, d->seed, RNG_DROPOUT, d->step * STREAMS + (uint64_t)which);
    for (size_t i = 0; i < count; i++)
        mask[i] = rng_float(&rng) < limit ? 0 : keep;
}

static void draw_one(struct recurrent *r, int which)
{
    const struct recurrent_dropout *d = r->dropout;
    size_t n = r->hidden, units = (size_t)r->options.batch * n;
    const double shares[MASKS] = {d->input, d->state, d->output};
    if (which < MASKS && shares[which] > 0)
        draw(d, which, shares[which], units, r->mask[which]);
    if (which == STREAM_WORDS)
        draw(d, which, d->embedding, (size_t)r->options.vocabulary, r->words);
    if (which >= STREAM_MATRIX && d->weight > 0)
        draw(d, which, d->weight, n * r->width, r->matrix[which - STREAM_MATRIX].mask);
}

void recurrent_draw(struct recurrent *r, const struct recurrent_dropout *dropout)
{
    r->dropout = dropout;
    if (!dropout)
        return;
#pragma omp parallel for schedule(dynamic) num_threads(r->options.threads)
    for (int which = 0; which < STREAM_MATRIX + r->cell->nodes; which++)
        draw_one(r, which);
}
