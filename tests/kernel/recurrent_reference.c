/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here is fast, shared between steps or batched: every column is followed alone. */
#include "recurrent_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 4096 };

double reference_activate(double a, int f)
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

void reference_add_product(const double *p, const double *w, const float *mask, int n,
                           double *a)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 2 * n; j++)
            a[j] += p[i] * w[i * 2 * n + j] * (mask ? (double)mask[i * 2 * n + j] : 1);
}

void reference_mix(const double *a, const double *p, int f, int n, double *h)
{
    for (int i = 0; i < n; i++) {
        double g = 1 / (1 + exp(-a[i]));
        h[i] = p[i] + g * (reference_activate(a[n + i], f) - p[i]);
    }
}

/* One column, one step: out from x and the state. */
static void step(const struct recurrent *r, const struct recurrent_options *o,
                 const double *parameters, const struct recurrent_cell *cell,
                 const double *x, const double *state, double *out)
{
    double h[RECURRENT_MAX_NODES][REFERENCE_HIDDEN], a[2 * REFERENCE_HIDDEN];
    bool feeds[RECURRENT_MAX_NODES] = {false};
    int n = o->hidden, leaves = 0;
    bool dropped = r->dropout && r->dropout->weight > 0;
    for (int j = 0; j < cell->nodes; j++) {
        int i = j == 0 ? -1 : cell->previous[j];
        const float *mask = dropped ? r->matrix[j].mask : NULL;
        const double *p = j == 0 ? state : h[i];
        memset(a, 0, sizeof a);
        if (j == 0)
            reference_add_product(x, parameters + recurrent_input(r), NULL, n, a);
        reference_add_product(p, parameters + recurrent_edge(r, i, j), mask, n, a);
        reference_mix(a, p, cell->activation[j], n, h[j]);
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

void reference_normalise(int batch, int n, double out[][REFERENCE_HIDDEN])
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

/* What one column sees at one step: x, and the state with its mask, in place. */
static void enter(const struct reference *f, int word, int b, double *x, double *state)
{
    const struct recurrent *r = f->r;
    int n = f->o->hidden;
    for (int i = 0; i < n; i++) {
        x[i] = f->parameters[word * n + i] * factor(r, MASK_INPUT, b * n + i) *
               (r->dropout ? (double)r->words[word] : 1);
        state[i] *= factor(r, MASK_STATE, b * n + i);
    }
}

/* Loss of one column, and its next state. */
static double leave(const struct reference *f, int row, const double *out, double *state)
{
    double seen[REFERENCE_HIDDEN], square = 0, *cut = &f->cut[row];
    int n = f->o->hidden, b = row % f->w->batch;
    for (int i = 0; i < n; i++) {
        seen[i] = out[i] * factor(f->r, MASK_OUTPUT, b * n + i);
        square += out[i] * out[i];
    }
    if (f->write)
        *cut = f->o->state_clip > 0 && sqrt(square) > f->o->state_clip
                   ? f->o->state_clip / sqrt(square)
                   : 1;
    for (int i = 0; i < n; i++)
        state[i] = out[i] * *cut;
    return loss_of(f->parameters, f->o->vocabulary, n, seen, f->w->targets[row]);
}

double reference_walk(const struct reference *f, reference_step cell_step,
                      const void *cell, double *ret_state)
{
    static double s[REFERENCE_BATCH][REFERENCE_HIDDEN],
        x[REFERENCE_BATCH][REFERENCE_HIDDEN], out[REFERENCE_BATCH][REFERENCE_HIDDEN];
    double total = 0;
    int n = f->o->hidden, batch = f->w->batch;
    for (int i = 0; i < batch * n; i++)
        s[i / n][i % n] = (double)f->state[i];
    for (int t = 0; t < f->w->steps; t++) {
        for (int b = 0; b < batch; b++)
            enter(f, f->w->inputs[t * batch + b], b, x[b], s[b]);
        cell_step(f, cell, x, s, out);
        for (int b = 0; b < batch; b++)
            total += leave(f, t * batch + b, out[b], s[b]);
    }
    for (int b = 0; b < batch && ret_state; b++)
        memcpy(ret_state + b * n, s[b], (size_t)n * sizeof(double));
    return total / (f->w->steps * batch);
}

static void step_all(const struct reference *f, const void *cell,
                     double x[][REFERENCE_HIDDEN], double s[][REFERENCE_HIDDEN],
                     double out[][REFERENCE_HIDDEN])
{
    for (int b = 0; b < f->w->batch; b++)
        step(f->r, f->o, f->parameters, cell, x[b], s[b], out[b]);
    if (f->o->norm)
        reference_normalise(f->w->batch, f->o->hidden, out);
}

double reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                      const double *parameters, const struct recurrent_cell *cell,
                      const struct recurrent_window *w, const float *state, double *cut,
                      bool write, double *ret_state)
{
    const struct reference f = {r, o, parameters, w, state, cut, write};
    return reference_walk(&f, step_all, cell, ret_state);
}
