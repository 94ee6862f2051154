/* SPDX-License-Identifier: Apache-2.0 */
/* The buffers of one chunk, carved out of one allocation that only grows: sampling one
 * architecture after another allocates nothing. The pads of dgates and dlogits rely on
 * their rows starting at multiples of the row's length, so the carving keeps that and the
 * memory is cleared when it is made. */
#include "master/controller_private.h"

#include <stdlib.h>
#include <string.h>

static bool fits(size_t wanted, size_t *total, size_t count, size_t size)
{
    size_t bytes;
    return !__builtin_mul_overflow(count, size, &bytes) &&
           !__builtin_add_overflow(wanted, bytes, total);
}

/* One buffer of the plan: where its pointer goes and its floats. */
struct piece {
    float **where;
    size_t rows, row;
};

enum { PIECES = 17 };

static size_t list_pieces(struct controller *c, struct piece list[PIECES])
{
    struct controller_tape *t = &c->tape;
    size_t layers = c->lstm.layers, width = c->lstm.width, columns = c->lstm.columns;
    size_t slots = t->history ? t->steps + 1 : 1, kept = t->keep ? t->steps : 0;
    size_t anchors = t->rows * t->anchors, back = t->keep ? 1 : 0;
    const struct piece pieces[] = {
        {&t->h, layers * slots * t->rows, width},
        {&t->c, layers * slots * t->rows, width},
        {&t->acts, kept ? layers * kept * t->rows : 1, LSTM_ACTS * width},
        {&t->dgates, layers * kept * t->rows, columns},
        {&t->gates, t->rows < CONTROLLER_CHUNK ? t->rows : CONTROLLER_CHUNK, columns},
        {&t->inputs, t->anchors ? t->steps * t->rows : 0, width},
        {&t->logits, t->rows, t->wide},
        {&t->weights, t->rows, t->wide},
        {&t->slopes, controller_may_squash(c) ? t->rows : 0, t->wide},
        {&t->dlogits, kept * t->rows, t->wide},
        {&t->dh, back * layers * t->rows, width},
        {&t->dc, back * layers * t->rows, width},
        {&t->previous, anchors, width},
        {&t->d_previous, back * anchors, width},
        {&t->d_anchor, back * anchors, width},
        {&t->mixed, t->anchors, width},
        {&t->d_mixed, back * t->anchors, width},
    };
    memcpy(list, pieces, sizeof pieces);
    return sizeof pieces / sizeof *pieces;
}

/* Floats that the pieces need, each with slack behind it; false on overflow. */
static bool count_floats(const struct piece *list, size_t n, size_t *ret)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        if (!fits(total, &total, list[i].rows, list[i].row) ||
            !fits(total, &total, 2, LSTM_LANES))
            return false;
    *ret = total;
    return true;
}

static void carve(struct controller_tape *t, const struct piece *list, size_t n)
{
    float *at = t->floats;
    for (size_t i = 0; i < n; i++) {
        *list[i].where = at;
        at += list[i].rows * list[i].row + LSTM_LANES;
    }
}

static int grow(struct controller_tape *t, size_t floats, struct error *err)
{
    size_t steps = t->steps * t->rows, anchors = t->rows * (t->anchors + 1);
    if (floats > t->float_capacity) {
        free(t->floats);
        t->floats = lstm_alloc(floats);
        t->float_capacity = t->floats ? floats : 0;
    }
    if (steps > t->step_capacity) {
        free(t->step);
        t->step = calloc(steps, sizeof *t->step);
        t->step_capacity = t->step ? steps : 0;
    }
    if (anchors > t->anchor_capacity) {
        free(t->anchor_step);
        free(t->anchors_done);
        t->anchor_step = calloc(anchors, sizeof *t->anchor_step);
        t->anchors_done = calloc(anchors, sizeof *t->anchors_done);
        t->anchor_capacity = t->anchor_step && t->anchors_done ? anchors : 0;
    }
    if (!t->float_capacity || !t->step_capacity || !t->anchor_capacity)
        return error_set(err, ERROR_SYSTEM,
                         "controller: no memory for %zu steps of %zu "
                         "architectures",
                         t->steps, t->rows);
    return 0;
}

int controller_tape_reserve(struct controller *c, const struct controller_tape_size *size,
                            bool keep, struct error *err)
{
    struct controller_tape *t = &c->tape;
    struct piece list[PIECES];
    size_t floats;
    bool same = t->floats && t->rows == size->rows && t->steps == size->steps &&
                t->anchors == size->anchors && t->keep == keep;
    t->rows = size->rows;
    t->steps = size->steps;
    t->anchors = size->anchors;
    t->keep = keep;
    t->history = keep || t->anchors > 0;
    size_t wide =
        lstm_pad(size->choices) > c->max_padded ? lstm_pad(size->choices) : c->max_padded;
    same = same && wide == t->wide;
    t->wide = wide;
    size_t slots = t->history ? t->steps + 1 : 1;
    t->state_layer = slots * t->rows * c->lstm.width;
    t->acts_layer = keep ? t->steps * t->rows * LSTM_ACTS * c->lstm.width : 0;
    t->gates_layer = t->steps * t->rows * c->lstm.columns;
    size_t n = list_pieces(c, list);
    if (!count_floats(list, n, &floats))
        return error_set(err, ERROR_SYSTEM, "controller: %zu steps are too many",
                         t->steps);
    int status = grow(t, floats, err);
    if (status < 0)
        return status;
    if (!same) { /* another layout left its numbers in the pads */
        carve(t, list, n);
        memset(t->floats, 0, floats * sizeof *t->floats);
    }
    return 0;
}

void controller_tape_fini(struct controller_tape *t)
{
    free(t->floats);
    free(t->step);
    free(t->anchor_step);
    free(t->anchors_done);
    *t = (struct controller_tape){0};
}
