/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here is fast, shared between steps or batched: every column is followed alone. */
#include "recurrent_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HIDDEN = 64, MAX_WORDS = 4096 };

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

/* a (2H) += p (H) W (H, 2H) */
static void add_product(const double *p, const double *w, int n, double *a)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 2 * n; j++)
            a[j] += p[i] * w[i * 2 * n + j];
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
    for (int j = 0; j < cell->nodes; j++) {
        int i = j == 0 ? -1 : cell->previous[j];
        const double *p = j == 0 ? state : h[i];
        memset(a, 0, sizeof a);
        if (j == 0)
            add_product(x, parameters + recurrent_input(r), n, a);
        add_product(p, parameters + recurrent_edge(r, i, j), n, a);
        mix(a, p, cell->activation[j], n, h[j]);
        if (j > 0)
            feeds[i] = true;
    }
    memset(out, 0, (size_t)n * sizeof *out);
    for (int j = 0; j < cell->nodes; j++)
        if (!feeds[j] || o->mean_of_all) {
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

double reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                      const double *parameters, const struct recurrent_cell *cell,
                      const struct recurrent_window *w, const float *state, double *cut,
                      bool write, double *ret_state)
{
    double total = 0, s[MAX_HIDDEN], out[MAX_HIDDEN];
    int n = o->hidden;
    for (int b = 0; b < w->batch; b++) {
        for (int i = 0; i < n; i++)
            s[i] = (double)state[b * n + i];
        for (int t = 0; t < w->steps; t++) {
            int at = t * w->batch + b;
            double square = 0;
            step(r, o, parameters, cell, parameters + w->inputs[at] * n, s, out);
            total += loss_of(parameters, o->vocabulary, n, out, w->targets[at]);
            for (int i = 0; i < n; i++)
                square += out[i] * out[i];
            bool over = o->state_clip > 0 && sqrt(square) > o->state_clip;
            if (write)
                cut[at] = over ? o->state_clip / sqrt(square) : 1;
            for (int i = 0; i < n; i++)
                s[i] = out[i] * cut[at];
        }
        if (ret_state)
            memcpy(ret_state + b * n, s, (size_t)n * sizeof *s);
    }
    return total / (w->steps * w->batch);
}
