/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here is fast, shared between steps or batched: every column is followed alone. */
#include "recurrent_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HIDDEN = 64, MAX_WORDS = 4096, MAX_BATCH = 64 };

static double activate(double a, int f)
{
    switch (f) {
    case RECURRENT_TANH:
        return tanh(a);
    case RECURRENT_RELU:
        return a > 0 ? a : 0;
    case RECURRENT_SIGMOID:
        return 1 / (1 + exp(-a));
    default:
        return a;
    }
}

/* a (2H) += p (H) W (H, 2H), W times its mask if there is one. */
static void add_product(const double *p, const double *w, const float *mask, int n,
                        double *a)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 2 * n; j++)
            a[j] += p[i] * w[i * 2 * n + j] * (mask ? (double)mask[i * 2 * n + j] : 1);
}

static void mix(const double *a, const double *p, int f, int n, double *h)
{
    for (int i = 0; i < n; i++) {
        double g = 1 / (1 + exp(-a[i]));
        h[i] = p[i] + g * (activate(a[n + i], f) - p[i]);
    }
}

/* One column, one step: out from x and the state. */
static void step(const struct recurrent *r, const struct recurrent_options *o,
                 const double *parameters, const struct recurrent_cell *cell,
                 const double *x, const double *state, double *out)
{
    double h[RECURRENT_MAX_NODES][MAX_HIDDEN], a[2 * MAX_HIDDEN];
    bool feeds[RECURRENT_MAX_NODES] = {false};
    int n = o->hidden, leaves = 0;
    bool dropped = r->dropout && r->dropout->weight > 0;
    for (int j = 0; j < cell->nodes; j++) {
        int i = j == 0 ? -1 : cell->previous[j];
        const float *mask = dropped ? r->matrix[j].mask : NULL;
        const double *p = j == 0 ? state : h[i];
        memset(a, 0, sizeof a);
        if (j == 0)
            add_product(x, parameters + recurrent_input(r), NULL, n, a);
        add_product(p, parameters + recurrent_edge(r, i, j), mask, n, a);
        mix(a, p, cell->activation[j], n, h[j]);
        if (j > 0)
            feeds[i] = true;
    }
    memset(out, 0, (size_t)n * sizeof *out);
    for (int j = 0; j < cell->nodes; j++)
        if (o->output == RECURRENT_LEAVES
                ? !feeds[j]
                : o->output == RECURRENT_ALL || j > 0 || cell->nodes == 1) {
            leaves++;
            for (int i = 0; i < n; i++)
                out[i] += h[j][i];
        }
    for (int i = 0; i < n; i++)
        out[i] /= leaves;
}

static double loss_of(const double *parameters, int words, int n, const double *out,
                      int target)
{
    double z[MAX_WORDS], sum = 0, top = -INFINITY;
    for (int v = 0; v < words; v++) {
        z[v] = 0;
        for (int i = 0; i < n; i++)
            z[v] += out[i] * parameters[v * n + i];
        top = fmax(top, z[v]);
    }
    for (int v = 0; v < words; v++)
        sum += exp(z[v] - top);
    return log(sum) + top - z[target];
}

static double factor(const struct recurrent *r, int kind, int at)
{
    return recurrent_drops(r, kind) ? (double)r->mask[kind][at] : 1;
}

/* All columns of out at one step: mean 0, variance 1. */
static void normalise(int batch, int n, double out[][MAX_HIDDEN])
{
    for (int i = 0; i < n; i++) {
        double sum = 0, squares = 0;
        for (int b = 0; b < batch; b++)
            sum += out[b][i];
        for (int b = 0; b < batch; b++)
            squares += pow(out[b][i] - sum / batch, 2);
        for (int b = 0; b < batch; b++)
            out[b][i] = (out[b][i] - sum / batch) / sqrt(squares / batch + 1e-5);
    }
}

/* What one column sees at one step. */
static void column(const struct recurrent *r, const struct recurrent_options *o,
                   const double *parameters, const struct recurrent_cell *cell, int word,
                   int b, const double *state, double *out)
{
    double x[MAX_HIDDEN], p[MAX_HIDDEN];
    int n = o->hidden;
    for (int i = 0; i < n; i++) {
        x[i] = parameters[word * n + i] * factor(r, MASK_INPUT, b * n + i) *
               (r->dropout ? (double)r->words[word] : 1);
        p[i] = state[i] * factor(r, MASK_STATE, b * n + i);
    }
    step(r, o, parameters, cell, x, p, out);
}

/* Loss of one column, and its next state. */
static double leave(const struct recurrent *r, const struct recurrent_options *o,
                    const double *parameters, int target, int b, const double *out,
                    double *cut, bool write, double *state)
{
    double seen[MAX_HIDDEN], square = 0;
    int n = o->hidden;
    for (int i = 0; i < n; i++) {
        seen[i] = out[i] * factor(r, MASK_OUTPUT, b * n + i);
        square += out[i] * out[i];
    }
    if (write)
        *cut = o->state_clip > 0 && sqrt(square) > o->state_clip
                   ? o->state_clip / sqrt(square)
                   : 1;
    for (int i = 0; i < n; i++)
        state[i] = out[i] * *cut;
    return loss_of(parameters, o->vocabulary, n, seen, target);
}

double reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                      const double *parameters, const struct recurrent_cell *cell,
                      const struct recurrent_window *w, const float *state, double *cut,
                      bool write, double *ret_state)
{
    static double s[MAX_BATCH][MAX_HIDDEN], out[MAX_BATCH][MAX_HIDDEN];
    double total = 0;
    int n = o->hidden;
    for (int b = 0; b < w->batch; b++)
        for (int i = 0; i < n; i++)
            s[b][i] = (double)state[b * n + i];
    for (int t = 0; t < w->steps; t++) {
        for (int b = 0; b < w->batch; b++)
            column(r, o, parameters, cell, w->inputs[t * w->batch + b], b, s[b], out[b]);
        if (o->norm)
            normalise(w->batch, n, out);
        for (int b = 0; b < w->batch; b++)
            total += leave(r, o, parameters, w->targets[t * w->batch + b], b, out[b],
                           &cut[t * w->batch + b], write, s[b]);
    }
    for (int b = 0; b < w->batch && ret_state; b++)
        memcpy(ret_state + b * n, s[b], (size_t)n * sizeof(double));
    return total / (w->steps * w->batch);
}
