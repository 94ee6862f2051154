/* SPDX-License-Identifier: Apache-2.0 */
/* All steps of one chunk of architectures, sampled or given, on one path: what a step
 * computes for a row is the same in both cases, so the probability of a proposal is the
 * one that scoring it later gives. Rows that are complete ride along and are ignored. */
#include "master/controller_private.h"

#include <string.h>

/* Ask the space for the next decision of every row; *ret_any: one is still incomplete. */
static int plan_step(const struct controller_run *run, size_t t, bool *ret_any,
                     struct error *err)
{
    const struct controller *c = run->c;
    bool any = false;
    for (size_t r = 0; r < run->rows; r++) {
        struct controller_row *row = &c->rows[r];
        struct controller_step *s = controller_at(c, t, r);
        struct decision *d = &s->decision;
        s->source = row->next_source;
        s->position = row->prefix->count;
        s->active = space_next(c->space, row->prefix, d);
        row->next_source = SOURCE_ZERO;
        if (!s->active)
            continue;
        any = true;
        bool choice = d->type == DECISION_CHOICE;
        size_t tokens = d->type == DECISION_ANCHOR ? (size_t)d->choices : 1;
        if (d->choices < 1 || s->position + tokens > ARCHITECTURE_MAX_TOKENS ||
            (choice && ((size_t)d->kind >= c->kinds ||
                        (size_t)d->choices > c->kind[d->kind].choices)))
            return error_set(
                err, ERROR_INPUT,
                "space '%s': decision at token %zu is out of bounds (at most "
                "%d tokens)",
                space_name(c->space), s->position, ARCHITECTURE_MAX_TOKENS);
        if ((size_t)d->layer < c->tape.anchors)
            c->tape.anchor_step[r * c->tape.anchors + (size_t)d->layer] = (int)t;
    }
    *ret_any = any;
    return 0;
}

/* First layer's x W_x + b of `n` states from the first-th on. */
static void fill_gates(const struct controller_run *run, size_t t, size_t first, size_t n)
{
    const struct controller *c = run->c;
    const struct lstm *l = &c->lstm;
    for (size_t k = 0; k < n; k++) {
        size_t r = c->states.first[first + k];
        int source = controller_at(c, t, r)->source;
        float *gates = c->tape.gates + k * l->columns;
        const float *from =
            source < 0 ? l->layer[0].bias_row : c->table + (size_t)source * l->columns;
        memcpy(gates, from, l->columns * sizeof *gates);
        if (source == SOURCE_VECTOR)
            lstm_multiply(l, 1, 4 * l->units, l->units,
                          c->tape.inputs + (t * run->rows + r) * l->width, l->width,
                          l->layer[0].w_input, l->columns, gates, l->columns);
    }
}

/* One step of `n` states from the first-th on. */
static void advance(const struct controller_run *run, size_t t, size_t first, size_t n)
{
    const struct controller *c = run->c;
    const struct controller_tape *tape = &c->tape;
    size_t acts_row = tape->keep ? LSTM_ACTS * c->lstm.width : 0;
    size_t before = controller_slot(c, t) + first * c->lstm.width;
    size_t after = controller_slot(c, t + 1) + first * c->lstm.width;
    struct lstm_step s = {
        .rows = n,
        .gates = tape->gates,
        .h_prev = tape->h + before,
        .c_prev = tape->c + before,
        .h = tape->h + after,
        .c = tape->c + after,
        .state_layer = tape->state_layer,
        .acts = tape->acts + (t * run->rows + first) * acts_row,
        .acts_layer = tape->acts_layer,
        .acts_row = acts_row,
    };
    lstm_forward(&c->lstm, &s);
}

static void advance_all(const struct controller_run *run, size_t t)
{
    size_t count = run->c->states.count;
    for (size_t first = 0; first < count; first += CONTROLLER_CHUNK) {
        size_t left = count - first;
        size_t n = left < CONTROLLER_CHUNK ? left : CONTROLLER_CHUNK;
        fill_gates(run, t, first, n);
        advance(run, t, first, n);
    }
}

/* The token of a CHOICE is the next step's input. */
static void choose(const struct controller_run *run, size_t t, size_t r)
{
    const struct controller *c = run->c;
    const struct controller_kind *k = &c->kind[controller_at(c, t, r)->decision.kind];
    size_t token = controller_take(run, t, r);
    c->rows[r].next_source = (int)(k->first_row + token);
}

static void decide(struct controller_run *run, size_t t)
{
    controller_softmax_all(run->c, t);
    for (size_t r = 0; r < run->rows; r++) {
        const struct controller_step *s = controller_at(run->c, t, r);
        if (!s->active)
            continue;
        if (s->decision.type == DECISION_CHOICE)
            choose(run, t, r);
        else if (s->decision.type == DECISION_POINTER)
            controller_pointer_decide(run, t, r);
        else
            controller_anchor_decide(run, t, r);
    }
}

static void start(const struct controller_run *run)
{
    const struct controller *c = run->c;
    const struct controller_tape *tape = &c->tape;
    size_t size = run->rows * c->lstm.width * sizeof(float);
    for (size_t i = 0; i < c->lstm.layers; i++) {
        memset(tape->h + i * tape->state_layer, 0, size);
        memset(tape->c + i * tape->state_layer, 0, size);
    }
    for (size_t r = 0; r < run->rows; r++) {
        c->rows[r].next_source = SOURCE_ZERO;
        c->rows[r].log_probability = c->rows[r].entropy = 0;
    }
    controller_share_start(run->c, run->rows, run->share);
    memset(tape->anchors_done, 0, run->rows * sizeof *tape->anchors_done);
    if (run->gradient)
        memset(tape->dlogits, 0,
               tape->steps * run->rows * tape->wide * sizeof *tape->dlogits);
}

int controller_run(struct controller_run *run, size_t *ret_steps, struct error *err)
{
    size_t t = 0;
    start(run);
    for (;; t++) {
        bool any = false;
        if (t == run->c->tape.steps)
            break;
        int status = plan_step(run, t, &any, err);
        if (status < 0)
            return status;
        if (!any)
            break;
        controller_share_step(run->c, t, run->rows);
        advance_all(run, t);
        decide(run, t);
    }
    *ret_steps = t;
    return 0;
}
