/* SPDX-License-Identifier: Apache-2.0 */
/* Every edge is followed by every operation on its own; nothing is stacked. */
#include "relaxed_reference.h"

#include <math.h>
#include <string.h>

#include "recurrent_reference.h"

enum { MAX_NODES = 16, MAX_ROWS = 4096 };

/* The formula's own words for the operations. */
static double operate(double v, int operation)
{
    switch (operation) {
    case RELAXED_TANH:
        return tanh(v);
    case RELAXED_RELU:
        return fmax(v, 0);
    case RELAXED_SIGMOID:
        return 1 / (1 + exp(-v));
    default:
        return v;
    }
}

static void shares_of(const double *alpha, double *q)
{
    double sum = 0;
    for (int o = 0; o < RELAXED_OPERATIONS; o++)
        sum += exp(alpha[o]);
    for (int o = 0; o < RELAXED_OPERATIONS; o++)
        q[o] = exp(alpha[o]) / sum;
}

/* s_j += the edge's mixture of s_i, one column. */
static void add_edge(const double *alpha, const double *w, int n, const double *from,
                     double *to)
{
    double a[2 * REFERENCE_HIDDEN] = {0}, q[RELAXED_OPERATIONS];
    reference_add_product(from, w, NULL, n, a);
    shares_of(alpha, q);
    for (int k = 0; k < n; k++)
        for (int o = RELAXED_TANH; o < RELAXED_OPERATIONS; o++) {
            double g = 1 / (1 + exp(-a[k]));
            to[k] += q[o] * (from[k] + g * (operate(a[n + k], o) - from[k]));
        }
}

/* s_0 of one column. */
static void first_node(const struct reference *f, const double *x, const double *state,
                       double *s)
{
    double a[2 * REFERENCE_HIDDEN] = {0};
    int n = f->o->hidden;
    reference_add_product(x, f->parameters + recurrent_input(f->r), NULL, n, a);
    reference_add_product(state, f->parameters + recurrent_edge(f->r, -1, 0), NULL, n, a);
    reference_mix(a, state, RECURRENT_TANH, n, s);
}

static void step(const struct reference *f, const void *cell,
                 double x[][REFERENCE_HIDDEN], double state[][REFERENCE_HIDDEN],
                 double out[][REFERENCE_HIDDEN])
{
    static double s[MAX_NODES][REFERENCE_BATCH][REFERENCE_HIDDEN];
    const double *alpha = cell;
    int n = f->o->hidden, last = f->o->nodes - 1;
    memset(s, 0, sizeof s);
    memset(out, 0, (size_t)f->w->batch * sizeof *out);
    for (int j = 0; j <= last; j++) {
        const double *w = j > 0 ? f->parameters + recurrent_edge(f->r, j - 1, j) : NULL;
        for (int b = 0; b < f->w->batch; b++) {
            if (j == 0)
                first_node(f, x[b], state[b], s[0][b]);
            for (int i = 0; i < j; i++)
                add_edge(alpha + relaxed_edge(i, j) * RELAXED_OPERATIONS, w, n, s[i][b],
                         s[j][b]);
        }
        if (f->o->norm)
            reference_normalise(f->w->batch, n, s[j]);
        for (int b = 0; b < f->w->batch && j > 0; b++)
            for (int k = 0; k < n; k++)
                out[b][k] += s[j][b][k] / last;
    }
}

double relaxed_reference_loss(const struct relaxed *r, const double *parameters,
                              const double *alpha, const struct recurrent_window *w,
                              const float *state, double *ret_state)
{
    static double cut[MAX_ROWS];
    const struct reference f = {.r = r->core,
                                .o = &r->core->options,
                                .parameters = parameters,
                                .w = w,
                                .state = state,
                                .cut = cut,
                                .write = true};
    return reference_walk(&f, step, alpha, ret_state);
}
