/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over anchors: skip connections (Zoph & Le, section 3.3), or one earlier node
 * (Pham et al., section 2.1):
 *
 *     u_j = tanh(h_j W_previous + h_i W_current)
 *     P(bit j) = sigmoid(u_j v),  P(pointer = j) = softmax_j(u_j v)
 *
 * h_j W_previous is computed once per layer and row, and its gradient summed over all
 * later decisions before it is taken back to h_j. The way back recomputes u. The entropy
 * of a bit has the derivative -s p (1 - p) in s = u v. */
#include "master/controller_private.h"

#include <math.h>
#include <string.h>

static float *anchor_row(const struct controller *c, float *buffer, size_t row,
                         size_t layer)
{
    return buffer + (row * c->tape.anchors + layer) * c->lstm.width;
}

static const float *anchor_h(const struct controller *c, size_t row, size_t layer)
{
    int t = c->tape.anchor_step[row * c->tape.anchors + layer];
    return controller_top(c, (size_t)t, row);
}

/* u of n anchors at step t into tape.mixed. */
static void mix(struct controller *c, size_t t, size_t row, size_t n)
{
    const struct lstm *l = &c->lstm;
    float *u = c->tape.mixed;
    const float *previous = anchor_row(c, c->tape.previous, row, 0);
    memset(u, 0, l->width * sizeof *u);
    lstm_multiply(l, 1, l->units, l->units, controller_top(c, t, row), l->width,
                  c->anchor.w_current, l->width, u, l->width);
    for (size_t j = n; j-- > 0;)
        for (size_t i = 0; i < l->width; i++)
            u[j * l->width + i] = previous[j * l->width + i] + u[i];
    l->kernels->tanh(u, n * l->width);
}

/* h_j W_previous of the first n layers, where it is still missing. */
static void project(struct controller *c, size_t row, size_t n)
{
    const struct lstm *l = &c->lstm;
    for (size_t j = c->tape.anchors_done[row]; j < n; j++) {
        float *q = anchor_row(c, c->tape.previous, row, j);
        memset(q, 0, l->width * sizeof *q);
        lstm_multiply(l, 1, l->units, l->units, anchor_h(c, row, j), l->width,
                      c->anchor.w_previous, l->width, q, l->width);
    }
    if (n > c->tape.anchors_done[row])
        c->tape.anchors_done[row] = n;
}

/* s = u v, sums in the order of the units. */
static float score(const struct controller *c, const float *u)
{
    float sum = 0;
    for (size_t i = 0; i < c->lstm.units; i++)
        sum += u[i] * c->anchor.v[i * LSTM_LANES];
    return sum;
}

/* Is h_j part of the next input? */
static bool is_chosen(const struct controller_step *s, const uint16_t *tokens, size_t j)
{
    return s->decision.type == DECISION_POINTER ? tokens[0] == j : tokens[j];
}

/* What the sum of the chosen h_j is divided by. */
static float divisor(const struct controller_step *s, const uint16_t *tokens)
{
    size_t n = (size_t)s->decision.choices, chosen = 0;
    for (size_t j = 0; s->decision.type == DECISION_ANCHOR && j < n; j++)
        chosen += tokens[j];
    return (float)(1 + chosen);
}

static void next_input(struct controller *c, size_t t, size_t row)
{
    struct controller_tape *tape = &c->tape;
    const struct controller_step *s = controller_at(c, t, row);
    const uint16_t *tokens = c->rows[row].prefix->tokens + s->position;
    size_t width = c->lstm.width;
    float divide = divisor(s, tokens);
    if (t + 1 == tape->steps)
        return;
    float *x = tape->inputs + ((t + 1) * tape->rows + row) * width;
    memset(x, 0, width * sizeof *x);
    for (size_t j = 0; j < (size_t)s->decision.choices; j++) {
        const float *h = anchor_h(c, row, j);
        for (size_t i = 0; is_chosen(s, tokens, j) && i < width; i++)
            x[i] += h[i];
    }
    for (size_t i = 0; i < width; i++)
        x[i] /= divide;
    c->rows[row].next_source = SOURCE_VECTOR;
}

/* log P(bit), entropy and dL/ds of one bit. */
static void count_bit(const struct controller_run *run, struct controller_row *row,
                      double s, double p, bool bit, float *ret_dlogit)
{
    double log_on = -log1p(exp(-s)), log_off = -log1p(exp(s));
    row->log_probability += bit ? log_on : log_off;
    if (!run->score)
        return;
    row->entropy -= p * log_on + (1 - p) * log_off;
    if (run->gradient)
        *ret_dlogit = (float)(run->entropy_weight * s * p * (1 - p) -
                              row->advantage * ((bit ? 1.0 : 0.0) - p));
}

void controller_anchor_decide(struct controller_run *run, size_t t, size_t r)
{
    struct controller *c = run->c;
    const struct controller_step *s = controller_at(c, t, r);
    struct controller_row *row = &c->rows[r];
    size_t n = (size_t)s->decision.choices;
    uint16_t *bits = row->prefix->tokens + s->position;
    float *dlogits = run->gradient ? controller_dlogits(c, t, r) : NULL;
    project(c, r, n);
    mix(c, t, r, n);
    for (size_t j = 0; j < n; j++) {
        float logit[LSTM_LANES] = {score(c, c->tape.mixed + j * c->lstm.width)};
        float slope = 1;
        if (controller_squashes(c))
            controller_squash(c, logit, &slope, 1);
        double z = (double)logit[0], p = 1 / (1 + exp(-z));
        bits[j] = row->given ? row->given->tokens[s->position + j]
                             : (double)rng_float(&row->rng) < p;
        count_bit(run, row, z, p, bits[j], dlogits ? dlogits + j : NULL);
        if (dlogits)
            dlogits[j] *= slope;
    }
    row->prefix->count = (uint16_t)(s->position + n);
    next_input(c, t, r);
}

void controller_pointer_decide(struct controller_run *run, size_t t, size_t r)
{
    struct controller *c = run->c;
    size_t n = (size_t)controller_at(c, t, r)->decision.choices;
    float *z = c->tape.logits + c->states.of[r] * c->tape.wide;
    project(c, r, n);
    mix(c, t, r, n);
    for (size_t j = 0; j < n; j++)
        z[j] = score(c, c->tape.mixed + j * c->lstm.width);
    controller_softmax(c, c->states.of[r], n, n);
    controller_take(run, t, r);
    next_input(c, t, r);
}

void controller_anchor_back(struct controller *c, size_t t, size_t r, float *dh)
{
    const struct lstm *l = &c->lstm;
    struct controller_anchor *a = &c->anchor;
    const float *dlogits = controller_dlogits(c, t, r);
    size_t n = (size_t)controller_at(c, t, r)->decision.choices, width = l->width;
    float *sum = c->tape.d_mixed; /* gradient of h_i W_current, in the first row */
    mix(c, t, r, n);
    memset(sum, 0, width * sizeof *sum);
    for (size_t j = 0; j < n; j++) {
        const float *u = c->tape.mixed + j * width;
        float *d_previous = anchor_row(c, c->tape.d_previous, r, j);
        for (size_t i = 0; i < l->units; i++) {
            float d = dlogits[j] * a->v[i * LSTM_LANES] * (1 - u[i] * u[i]);
            a->d_v[i] += dlogits[j] * u[i];
            d_previous[i] += d;
            sum[i] += d;
        }
    }
    lstm_multiply(l, 1, l->units, l->units, sum, width, a->w_current_back, width, dh,
                  width);
    lstm_multiply_transposed(l, 1, l->units, l->units, controller_top(c, t, r), width,
                             sum, width, a->d_current, width);
}

void controller_anchor_collect(struct controller *c, size_t t, size_t r, float *dh)
{
    const struct lstm *l = &c->lstm;
    size_t layer = (size_t)controller_at(c, t, r)->decision.layer, width = l->width;
    if (layer >= c->tape.anchors ||
        c->tape.anchor_step[r * c->tape.anchors + layer] != (int)t)
        return;
    const float *direct = anchor_row(c, c->tape.d_anchor, r, layer);
    const float *d = anchor_row(c, c->tape.d_previous, r, layer);
    for (size_t i = 0; i < l->units; i++)
        dh[i] += direct[i];
    lstm_multiply(l, 1, l->units, l->units, d, width, c->anchor.w_previous_back, width,
                  dh, width);
    lstm_multiply_transposed(l, 1, l->units, l->units, controller_top(c, t, r), width, d,
                             width, c->anchor.d_previous, width);
}

void controller_anchor_input_back(struct controller *c, size_t t, size_t r,
                                  const float *dgates)
{
    const struct lstm *l = &c->lstm;
    const struct controller_step *s = controller_at(c, t - 1, r);
    const uint16_t *tokens = c->rows[r].prefix->tokens + s->position;
    size_t width = l->width;
    float divide = divisor(s, tokens), *dx = c->tape.d_mixed;
    const float *x = c->tape.inputs + (t * c->tape.rows + r) * width;
    memset(dx, 0, width * sizeof *dx);
    lstm_multiply(l, 1, l->units, 4 * l->units, dgates, l->columns,
                  l->layer[0].w_input_back, width, dx, width);
    lstm_multiply_transposed(l, 1, l->units, 4 * l->units, x, width, dgates, l->columns,
                             l->layer[0].d_input, l->columns);
    for (size_t j = 0; j < (size_t)s->decision.choices; j++) {
        float *d = anchor_row(c, c->tape.d_anchor, r, j);
        for (size_t i = 0; is_chosen(s, tokens, j) && i < l->units; i++)
            d[i] += dx[i] / divide;
    }
}
