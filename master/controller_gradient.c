/* SPDX-License-Identifier: Apache-2.0 */
/* The exact gradient by back-propagation through all steps of a chunk, the chunks' sums
 * added in order, then clipping and Adam. Complete rows have zero gradients, so they need
 * no special case. */
#include "master/controller_private.h"

#include <math.h>
#include <string.h>

static bool same_head(const struct controller_step *a, const struct controller_step *b)
{
    return b->active && b->decision.type == DECISION_CHOICE &&
           a->decision.kind == b->decision.kind;
}

/* Heads of rows [first, first + n), all of one kind, at step t. */
static void head_back(struct controller *c, size_t t, size_t first, size_t n)
{
    const struct lstm *l = &c->lstm;
    struct controller_kind *k = &c->kind[controller_at(c, t, first)->decision.kind];
    const float *d = controller_dlogits(c, t, first);
    float *dh = c->tape.dh + ((l->layers - 1) * c->tape.rows + first) * l->width;
    lstm_multiply(l, n, l->units, k->choices, d, c->tape.wide, k->w_back, l->width, dh,
                  l->width);
    lstm_multiply_transposed(l, n, l->units, k->choices, controller_top(c, t, first),
                             l->width, d, c->tape.wide, k->d_w, k->padded);
    for (size_t r = 0; r < n; r++)
        for (size_t j = 0; j < k->choices; j++)
            k->d_bias[j] += d[r * c->tape.wide + j];
}

/* Everything that reads the top layer's h after step t. */
static void outputs_back(struct controller *c, size_t t)
{
    size_t rows = c->tape.rows;
    float *dh = c->tape.dh + (c->lstm.layers - 1) * rows * c->lstm.width;
    for (size_t r = 0, n; r < rows; r += n) {
        const struct controller_step *s = controller_at(c, t, r);
        n = 1;
        if (!s->active)
            continue;
        if (s->decision.type != DECISION_CHOICE) {
            controller_anchor_back(c, t, r, dh + r * c->lstm.width);
        } else {
            while (r + n < rows && same_head(s, controller_at(c, t, r + n)))
                n++;
            head_back(c, t, r, n);
        }
    }
    for (size_t r = 0; r < rows && c->tape.anchors > 0; r++)
        if (controller_at(c, t, r)->active)
            controller_anchor_collect(c, t, r, dh + r * c->lstm.width);
}

static void step_back(struct controller *c, size_t t)
{
    struct controller_tape *tape = &c->tape;
    size_t width = c->lstm.width;
    struct lstm_step_back s = {
        .rows = tape->rows,
        .c_prev = tape->c + controller_slot(c, t),
        .acts = tape->acts + t * tape->rows * LSTM_ACTS * width,
        .state_layer = tape->state_layer,
        .acts_layer = tape->acts_layer,
        .dh = tape->dh,
        .dc = tape->dc,
        .d_layer = tape->rows * width,
        .dgates = tape->dgates + t * tape->rows * c->lstm.columns,
        .dgates_layer = tape->gates_layer,
    };
    lstm_backward(&c->lstm, &s);
}

static void inputs_back(struct controller *c, size_t t)
{
    size_t columns = c->lstm.columns;
    for (size_t r = 0; r < c->tape.rows; r++) {
        int source = controller_at(c, t, r)->source;
        const float *d = c->tape.dgates + (t * c->tape.rows + r) * columns;
        if (source == SOURCE_VECTOR)
            controller_anchor_input_back(c, t, r, d);
        if (source < 0)
            continue;
        float *sum = c->d_table + (size_t)source * columns;
        for (size_t i = 0; i < columns; i++)
            sum[i] += d[i];
    }
}

static void chunk_back(struct controller *c, size_t steps)
{
    struct controller_tape *tape = &c->tape;
    size_t width = c->lstm.width, layer = tape->rows * width;
    size_t anchors = tape->rows * tape->anchors * width * sizeof(float);
    memset(tape->dh, 0, c->lstm.layers * layer * sizeof(float));
    memset(tape->dc, 0, c->lstm.layers * layer * sizeof(float));
    memset(tape->d_previous, 0, anchors);
    memset(tape->d_anchor, 0, anchors);
    for (size_t t = steps; t-- > 0;) {
        outputs_back(c, t);
        step_back(c, t);
        inputs_back(c, t);
    }
    for (size_t i = 0; i < c->lstm.layers; i++) {
        const float *h = tape->h + i * tape->state_layer;
        lstm_gradient(&c->lstm, i, steps * tape->rows, h,
                      i > 0 ? h - tape->state_layer + layer : NULL,
                      tape->dgates + i * tape->gates_layer);
    }
}

int controller_gradient(struct controller *c, const struct architecture *const *a,
                        const double *advantages, size_t n, double entropy_weight,
                        struct error *err)
{
    controller_gradient_clear(c);
    for (size_t first = 0; first < n; first += CONTROLLER_CHUNK) {
        size_t left = n - first, steps = 0;
        struct controller_run run = {
            .c = c,
            .rows = left < CONTROLLER_CHUNK ? left : CONTROLLER_CHUNK,
            .score = true,
            .gradient = true,
            .entropy_weight = entropy_weight / (double)n,
        };
        int status = controller_given(c, a + first, run.rows, true, err);
        if (status < 0)
            return status;
        for (size_t r = 0; r < run.rows; r++)
            c->rows[r].advantage = advantages[first + r] / (double)n;
        status = controller_run(&run, &steps, err);
        if (status < 0)
            return status;
        chunk_back(c, steps);
    }
    controller_gradient_unpack(c);
    return 0;
}

int controller_update(struct controller *c, const struct architecture *const *a,
                      const double *advantages, size_t n, struct error *err)
{
    const struct optimizer_adam adam = {
        .lr = (float)c->config.lr, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    int status = controller_gradient(c, a, advantages, n, c->config.entropy, err);
    if (status < 0)
        return status;
    if (c->config.clip > 0)
        optimizer_clip(c->gradient, c->count, c->config.clip);
    optimizer_adam_step(&c->optimizer, &adam, c->parameters, c->gradient);
    c->version++;
    controller_pack(c);
    return 0;
}
