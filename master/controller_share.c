/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a batch that have the same tokens so far have the same state, so the LSTM runs
 * once for all of them: the first step once for the whole batch, the second once per
 * first token, and so on until every prefix is its own. A sharp policy shares nearly all
 * steps. As a state's values do not depend on what it is computed beside, sharing changes
 * no bit.
 *
 * States are numbered in the order of their first row. So the k-th new state comes from a
 * state numbered at most k, and moving them from the last to the first needs no copy. */
#include "master/controller_private.h"

#include <stdlib.h>
#include <string.h>

int controller_share_init(struct controller *c, struct error *err)
{
    struct controller_states *s = &c->states;
    size_t n = CONTROLLER_SAMPLE_CHUNK;
    s->of = calloc(n, sizeof *s->of);
    s->first = calloc(n, sizeof *s->first);
    s->parent = calloc(n, sizeof *s->parent);
    if (c->tokens <= CONTROLLER_SHARE_TOKENS)
        s->child = calloc(n * (c->tokens + 1), sizeof *s->child);
    if (!s->of || !s->first || !s->parent ||
        (c->tokens <= CONTROLLER_SHARE_TOKENS && !s->child))
        return error_set(err, ERROR_SYSTEM, "controller: no memory");
    return 0;
}

void controller_share_fini(struct controller *c)
{
    free(c->states.of);
    free(c->states.first);
    free(c->states.parent);
    free(c->states.child);
}

void controller_share_start(struct controller *c, size_t rows, bool share)
{
    struct controller_states *s = &c->states;
    bool possible = share && s->child && c->tape.anchors == 0;
    s->count = possible ? 1 : rows;
    for (size_t r = 0; r < rows; r++)
        s->of[r] = s->first[r] = possible ? 0 : r;
}

/* New states of (old state, token) pairs; returns how many. */
static size_t split(struct controller *c, size_t t, size_t rows)
{
    struct controller_states *s = &c->states;
    size_t per_state = c->tokens + 1, n = 0;
    memset(s->child, 0, s->count * per_state * sizeof *s->child);
    for (size_t r = 0; r < rows; r++) {
        size_t source = (size_t)(controller_at(c, t, r)->source - SOURCE_ZERO);
        uint16_t *child = &s->child[s->of[r] * per_state + source];
        if (*child == 0) {
            s->parent[n] = s->of[r];
            s->first[n++] = r;
            *child = (uint16_t)n;
        }
        s->of[r] = *child - 1u;
    }
    return n;
}

void controller_share_step(struct controller *c, size_t t, size_t rows)
{
    struct controller_states *s = &c->states;
    struct controller_tape *tape = &c->tape;
    size_t width = c->lstm.width, size = width * sizeof(float);
    if (s->count == rows)
        return;
    s->count = split(c, t, rows);
    for (size_t k = s->count; k-- > 0;) {
        if (s->parent[k] == k)
            continue;
        for (size_t i = 0; i < c->lstm.layers; i++) {
            float *h = tape->h + i * tape->state_layer;
            float *cell = tape->c + i * tape->state_layer;
            memcpy(h + k * width, h + s->parent[k] * width, size);
            memcpy(cell + k * width, cell + s->parent[k] * width, size);
        }
    }
}
