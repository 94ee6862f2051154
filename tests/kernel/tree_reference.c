/* SPDX-License-Identifier: Apache-2.0 */
/* The equations of recurrent_tree.h by recursion from the root, for one column and one
 * unit of it after the other: what is read of a node is computed by whoever reads it. */
#include "tree_reference.h"

#include <math.h>
#include <string.h>

#include "recurrent_reference.h"

enum { MAX_LEAVES = RECURRENT_TREE_MAX_LEAVES };

/* What goes along from step to step. */
struct walk {
    const struct recurrent_tree_cell *cell;
    double c[REFERENCE_BATCH][REFERENCE_HIDDEN];
    double *cut; /* of memories */
    int row;     /* the next one: step * batch + column */
};

/* One unit of a column at one step. */
struct unit {
    const struct recurrent_tree_cell *cell;
    double x[MAX_LEAVES], h[MAX_LEAVES]; /* what goes into the leaves */
    double c;
};

static double combined(const struct recurrent_tree_node *node, double a, double b)
{
    return node->combination == RECURRENT_MULTIPLY ? a * b : a + b;
}

static double read_of(const struct unit *u, int i);

static double before_activation(const struct unit *u, int i)
{
    int left = 2 * (i - u->cell->leaves);
    if (i < u->cell->leaves)
        return combined(&u->cell->nodes[i], u->x[i], u->h[i]);
    return combined(&u->cell->nodes[i], read_of(u, left), read_of(u, left + 1));
}

static double read_of(const struct unit *u, int i)
{
    const struct recurrent_tree_node *inject = &u->cell->inject;
    double a = reference_activate(before_activation(u, i), u->cell->nodes[i].activation);
    if (i != u->cell->injected)
        return a;
    return reference_activate(combined(inject, a, u->c), inject->activation);
}

/* What goes into unit k of a leaf: a row of numbers times one column of W. */
static double into(const struct reference *f, const double *row, const double *w,
                   const float *mask, int leaf, int k)
{
    size_t n = (size_t)f->o->hidden, width = n * (size_t)f->o->tree->leaves;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = i * width + (size_t)leaf * n + (size_t)k;
        sum += row[i] * w[at] * (mask ? (double)mask[at] : 1);
    }
    return sum;
}

static void column(const struct reference *f, struct walk *k, int b, const double *x,
                   const double *h, double *out)
{
    const struct recurrent *r = f->r;
    const float *mask = r->dropout && r->dropout->weight > 0 ? r->matrix[0].mask : NULL;
    for (int i = 0; i < f->o->hidden; i++) {
        struct unit u = {.cell = k->cell, .c = k->c[b][i]};
        for (int leaf = 0; leaf < k->cell->leaves; leaf++) {
            u.x[leaf] = into(f, x, f->parameters + recurrent_input(r), NULL, leaf, i);
            u.h[leaf] =
                into(f, h, f->parameters + recurrent_edge(r, -1, 0), mask, leaf, i);
        }
        out[i] = read_of(&u, 2 * k->cell->leaves - 2);
        k->c[b][i] = before_activation(&u, k->cell->memory);
    }
}

static void cut(const struct reference *f, double *c, double *factor)
{
    double square = 0, limit = f->o->state_clip;
    for (int i = 0; i < f->o->hidden; i++)
        square += c[i] * c[i];
    if (f->write)
        *factor = limit > 0 && sqrt(square) > limit ? limit / sqrt(square) : 1;
    for (int i = 0; i < f->o->hidden; i++)
        c[i] *= *factor;
}

static void step(const struct reference *f, const void *context,
                 double x[][REFERENCE_HIDDEN], double h[][REFERENCE_HIDDEN],
                 double out[][REFERENCE_HIDDEN])
{
    struct walk *k = *(struct walk *const *)context;
    for (int b = 0; b < f->w->batch; b++) {
        column(f, k, b, x[b], h[b], out[b]);
        cut(f, k->c[b], &k->cut[k->row++]);
    }
    if (f->o->norm)
        reference_normalise(f->w->batch, f->o->hidden, out);
}

double tree_reference_loss(const struct recurrent *r, const struct recurrent_options *o,
                           const double *parameters, const struct recurrent_window *w,
                           const float *state, double *cut_factors, bool write,
                           double *ret_state)
{
    static struct walk walk;
    struct walk *const context = &walk;
    const struct reference f = {r, o, parameters, w, state, cut_factors, write};
    size_t n = (size_t)o->hidden, batch = (size_t)w->batch;
    walk.cell = o->tree;
    walk.cut = cut_factors + (size_t)w->steps * batch;
    walk.row = 0;
    for (size_t i = 0; i < batch * n; i++)
        walk.c[i / n][i % n] = (double)state[batch * n + i];
    double loss = reference_walk(&f, step, &context, ret_state);
    for (size_t b = 0; b < batch && ret_state; b++)
        memcpy(ret_state + (batch + b) * n, walk.c[b], n * sizeof *ret_state);
    return loss;
}
