/* SPDX-License-Identifier: Apache-2.0 */
/* One token out of several: the softmax of a CHOICE's head and of a POINTER's scores, the
 * draw, and the gradient. Rows that ask for the same kind of choice side by side share
 * one product.
 *
 * A softmax is evaluated as exp(z - max) / sum, the sum in the order of the choices. With
 * L as in controller.h: dL/dz_j = -A (1[j = token] - p_j) + w p_j (log p_j + H), A and w
 * already divided by the size of the batch; where z = k tanh(y / T), dz/dy = (k / T)
 * (1 - tanh^2) follows. */
#include "master/controller_private.h"

#include <math.h>
#include <string.h>

bool controller_may_squash(const struct controller *c)
{
    return c->config.temperature != 1 || c->config.tanh_constant > 0;
}

bool controller_squashes(const struct controller *c)
{
    return !c->plain && controller_may_squash(c);
}

void controller_squash(const struct controller *c, float *z, float *slope, size_t n)
{
    float scale = 1 / (float)c->config.temperature, k = (float)c->config.tanh_constant;
    for (size_t j = 0; j < n; j++)
        z[j] *= scale;
    if (k > 0)
        c->lstm.kernels->tanh(z, n);
    for (size_t j = 0; j < n; j++) {
        slope[j] = k > 0 ? scale * k * (1 - z[j] * z[j]) : scale;
        z[j] = k > 0 ? k * z[j] : z[j];
    }
}

void controller_softmax(const struct controller *c, size_t state, size_t choices,
                        size_t padded)
{
    const struct controller_tape *tape = &c->tape;
    float *z = tape->logits + state * tape->wide, *e = tape->weights + state * tape->wide;
    if (controller_squashes(c))
        controller_squash(c, z, tape->slopes + state * tape->wide, choices);
    float top = z[0];
    for (size_t j = 1; j < choices; j++)
        top = z[j] > top ? z[j] : top;
    for (size_t j = 0; j < padded; j++)
        e[j] = z[j] = z[j] - top;
    c->lstm.kernels->exp(e, choices);
}

/* The step of a state's rows: they ask for the same decision. */
static const struct controller_step *state_step(const struct controller *c, size_t t,
                                                size_t state)
{
    return controller_at(c, t, c->states.first[state]);
}

/* The heads of states [first, first + n). */
static void softmax_some(const struct controller *c, size_t t, size_t first, size_t n)
{
    const struct controller_tape *tape = &c->tape;
    const struct controller_kind *k = &c->kind[state_step(c, t, first)->decision.kind];
    float *z = tape->logits + first * tape->wide;
    for (size_t r = 0; r < n; r++)
        memcpy(z + r * tape->wide, k->bias_row, k->padded * sizeof *z);
    lstm_multiply(&c->lstm, n, k->choices, c->lstm.units, controller_top(c, t, first),
                  c->lstm.width, k->w, k->padded, z, tape->wide);
    for (size_t r = first; r < first + n; r++)
        controller_softmax(c, r, (size_t)state_step(c, t, r)->decision.choices,
                           k->padded);
}

static bool is_choice(const struct controller_step *s)
{
    return s->active && s->decision.type == DECISION_CHOICE;
}

void controller_softmax_all(const struct controller *c, size_t t)
{
    for (size_t k = 0, n; k < c->states.count; k += n) {
        const struct controller_step *s = state_step(c, t, k), *next;
        n = 1;
        if (!is_choice(s))
            continue;
        for (; k + n < c->states.count; n++) {
            next = state_step(c, t, k + n);
            if (!is_choice(next) || next->decision.kind != s->decision.kind)
                break;
        }
        softmax_some(c, t, k, n);
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

/* What the gradient of one softmax is made of. */
struct softmax {
    const float *z, *e; /* (choices): logits less their maximum, their exponentials */
    size_t choices, token;
    double log_sum, entropy;
};

static void softmax_gradient(const struct controller_run *run, const struct softmax *s,
                             double advantage, float *ret)
{
    double scale = exp(-s->log_sum);
    for (size_t j = 0; j < s->choices; j++) {
        double p = (double)s->e[j] * scale, log_p = (double)s->z[j] - s->log_sum;
        double hit = j == s->token ? 1.0 : 0.0;
        ret[j] = (float)(run->entropy_weight * p * (log_p + s->entropy) -
                         advantage * (hit - p));
    }
}

/* Probability, entropy and gradient of the token that was taken. */
static void count(const struct controller_run *run, size_t t, size_t r, struct softmax *s,
                  float sum)
{
    const struct controller *c = run->c;
    struct controller_row *row = &c->rows[r];
    s->log_sum = s->entropy = log((double)sum);
    row->log_probability += (double)s->z[s->token] - s->log_sum;
    if (!run->score)
        return;
    for (size_t j = 0; j < s->choices; j++)
        s->entropy -= (double)s->e[j] / (double)sum * (double)s->z[j];
    row->entropy += s->entropy;
    if (!run->gradient)
        return;
    float *dlogits = controller_dlogits(c, t, r);
    const float *slope = c->tape.slopes + c->states.of[r] * c->tape.wide;
    softmax_gradient(run, s, row->advantage, dlogits);
    for (size_t j = 0; controller_squashes(c) && j < s->choices; j++)
        dlogits[j] *= slope[j];
}

size_t controller_take(const struct controller_run *run, size_t t, size_t r)
{
    const struct controller *c = run->c;
    const struct controller_step *step = controller_at(c, t, r);
    struct controller_row *row = &c->rows[r];
    size_t at = c->states.of[r] * c->tape.wide;
    struct softmax s = {.z = c->tape.logits + at,
                        .e = c->tape.weights + at,
                        .choices = (size_t)step->decision.choices};
    float sum = s.e[0];
    for (size_t j = 1; j < s.choices; j++)
        sum += s.e[j];
    s.token = row->given ? row->given->tokens[step->position]
                         : draw(&row->rng, s.e, s.choices, sum);
    row->prefix->tokens[row->prefix->count++] = (uint16_t)s.token;
    count(run, t, r, &s, sum);
    return s.token;
}
