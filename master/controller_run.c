/* SPDX-License-Identifier: Apache-2.0 */
/* All steps of one chunk of architectures, sampled or given, on one path: what a step
 * computes for a row is the same in both cases, so the probability of a proposal is the
 * one that scoring it later gives. Rows that ask for the same kind of choice side by side
 * share one product; rows that are complete ride along and are ignored.
 *
 * A softmax is evaluated as exp(z - max) / sum, the sum in the order of the choices. With
 * L as in controller.h: dL/dz_j = -A (1[j = token] - p_j) + w p_j (log p_j + H), A and w
 * already divided by the size of the batch. */
#include "master/controller_private.h"

#include <math.h>
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
        size_t tokens = choice ? 1 : (size_t)d->choices;
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

/* First layer's x W_x + b of every row. */
static void fill_gates(const struct controller_run *run, size_t t)
{
    const struct controller *c = run->c;
    const struct lstm *l = &c->lstm;
    for (size_t r = 0; r < run->rows; r++) {
        int source = controller_at(c, t, r)->source;
        float *gates = c->tape.gates + r * l->columns;
        const float *from =
            source < 0 ? l->layer[0].bias_row : c->table + (size_t)source * l->columns;
        memcpy(gates, from, l->columns * sizeof *gates);
        if (source == SOURCE_VECTOR)
            lstm_multiply(l, 1, 4 * l->units, l->units,
                          c->tape.inputs + (t * run->rows + r) * l->width, l->width,
                          l->layer[0].w_input, l->columns, gates, l->columns);
    }
}

static void advance(const struct controller_run *run, size_t t)
{
    const struct controller *c = run->c;
    const struct controller_tape *tape = &c->tape;
    size_t before = controller_slot(c, t), after = controller_slot(c, t + 1);
    size_t acts = tape->keep ? t * run->rows * LSTM_ACTS * c->lstm.width : 0;
    struct lstm_step s = {
        .rows = run->rows,
        .gates = tape->gates,
        .h_prev = tape->h + before,
        .c_prev = tape->c + before,
        .h = tape->h + after,
        .c = tape->c + after,
        .state_layer = tape->state_layer,
        .acts = tape->acts + acts,
        .acts_layer = tape->acts_layer,
        .acts_row = tape->keep ? LSTM_ACTS * c->lstm.width : 0,
    };
    lstm_forward(&c->lstm, &s);
}

/* Logits less their maximum, and their exponentials, of rows [first, first + n). */
static void softmax_rows(const struct controller_run *run, size_t t, size_t first,
                         size_t n)
{
    const struct controller *c = run->c;
    const struct controller_tape *tape = &c->tape;
    const struct controller_kind *k = &c->kind[controller_at(c, t, first)->decision.kind];
    float *z = tape->logits + first * tape->wide, *e = tape->weights + first * tape->wide;
    for (size_t r = 0; r < n; r++)
        memcpy(z + r * tape->wide, k->bias_row, k->padded * sizeof *z);
    lstm_multiply(&c->lstm, n, k->choices, c->lstm.units, controller_top(c, t, first),
                  c->lstm.width, k->w, k->padded, z, tape->wide);
    for (size_t r = 0; r < n; r++, z += tape->wide, e += tape->wide) {
        size_t choices = (size_t)controller_at(c, t, first + r)->decision.choices;
        float top = z[0];
        for (size_t j = 1; j < choices; j++)
            top = z[j] > top ? z[j] : top;
        for (size_t j = 0; j < k->padded; j++)
            e[j] = z[j] = z[j] - top;
        c->lstm.kernels->exp(e, choices);
    }
}

static size_t draw(struct rng *rng, const float *e, size_t choices, float sum)
{
    float threshold = rng_float(rng) * sum, reached = e[0];
    size_t token = 0;
    while (reached <= threshold && token + 1 < choices)
        reached += e[++token];
    return token;
}

static void choice_gradient(const struct controller_run *run, const float *z,
                            const float *e, size_t choices, size_t token,
                            double advantage, double log_sum, double entropy, float *ret)
{
    double scale = exp(-log_sum);
    for (size_t j = 0; j < choices; j++) {
        double p = (double)e[j] * scale, log_p = (double)z[j] - log_sum;
        double hit = j == token ? 1.0 : 0.0;
        ret[j] =
            (float)(run->entropy_weight * p * (log_p + entropy) - advantage * (hit - p));
    }
}

/* The token of one row, its probability, and what scoring wants. */
static void choose(const struct controller_run *run, size_t t, size_t r)
{
    const struct controller *c = run->c;
    const struct controller_step *s = controller_at(c, t, r);
    const struct controller_kind *k = &c->kind[s->decision.kind];
    struct controller_row *row = &c->rows[r];
    const float *z = c->tape.logits + r * c->tape.wide;
    const float *e = c->tape.weights + r * c->tape.wide;
    size_t choices = (size_t)s->decision.choices;
    float sum = e[0];
    for (size_t j = 1; j < choices; j++)
        sum += e[j];
    size_t token =
        row->given ? row->given->tokens[s->position] : draw(&row->rng, e, choices, sum);
    row->prefix->tokens[row->prefix->count++] = (uint16_t)token;
    row->next_source = (int)(k->first_row + token);
    double log_sum = log((double)sum), entropy = log_sum;
    row->log_probability += (double)z[token] - log_sum;
    if (!run->score)
        return;
    for (size_t j = 0; j < choices; j++)
        entropy -= (double)e[j] / (double)sum * (double)z[j];
    row->entropy += entropy;
    if (run->gradient)
        choice_gradient(run, z, e, choices, token, row->advantage, log_sum, entropy,
                        controller_dlogits(c, t, r));
}

static bool same_head(const struct controller_step *a, const struct controller_step *b)
{
    return b->active && a->decision.type == b->decision.type &&
           a->decision.kind == b->decision.kind;
}

static void decide(struct controller_run *run, size_t t)
{
    const struct controller *c = run->c;
    for (size_t r = 0, n; r < run->rows; r += n) {
        const struct controller_step *s = controller_at(c, t, r);
        n = 1;
        if (!s->active)
            continue;
        if (s->decision.type == DECISION_ANCHOR) {
            controller_anchor_decide(run, t, r);
            continue;
        }
        while (r + n < run->rows && same_head(s, controller_at(c, t, r + n)))
            n++;
        softmax_rows(run, t, r, n);
        for (size_t i = 0; i < n; i++)
            choose(run, t, r + i);
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
        fill_gates(run, t);
        advance(run, t);
        decide(run, t);
    }
    *ret_steps = t;
    return 0;
}
