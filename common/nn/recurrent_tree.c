/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a tree. What goes into all leaves by x is there for all steps
 * (recurrent_run.c); by h it is one product a step. Everything else is elementwise. Every
 * value has exactly one reader, so a gradient is written once and never summed; that of a
 * leaf's two parts takes their place, which is where the products on the way back find
 * it. c goes from step to step beside h: on the way back its gradient has two places, one
 * for what this step got and one for what it leaves. */
#include "common/nn/recurrent_tree.h"

#include <string.h>

#include "common/nn/recurrent_private.h"

static int check_node(const struct recurrent_tree_node *node, const char *name,
                      int number, struct error *err)
{
    if (node->combination >= RECURRENT_COMBINATIONS)
        return error_set(err, ERROR_INPUT, "tree: %s %d has unknown combination %d", name,
                         number, node->combination);
    if (node->activation >= RECURRENT_ACTIVATIONS)
        return error_set(err, ERROR_INPUT, "tree: %s %d has unknown activation %d", name,
                         number, node->activation);
    return 0;
}

int recurrent_tree_check(const struct recurrent_tree_cell *cell, struct error *err)
{
    if (cell->leaves < 2 || cell->leaves > RECURRENT_TREE_MAX_LEAVES)
        return error_set(err, ERROR_INPUT, "tree: %d leaves, allowed are 2 to %d",
                         cell->leaves, RECURRENT_TREE_MAX_LEAVES);
    int nodes = recurrent_tree_nodes(cell), status = 0;
    if (cell->memory < 0 || cell->memory >= nodes)
        return error_set(err, ERROR_INPUT, "tree: memory is node %d of %d", cell->memory,
                         nodes);
    if (cell->injected < 0 || cell->injected >= nodes)
        return error_set(err, ERROR_INPUT, "tree: injected is node %d of %d",
                         cell->injected, nodes);
    for (int i = 0; i < nodes && status == 0; i++)
        status = check_node(&cell->nodes[i], "node", i, err);
    return status ? status
                  : check_node(&cell->inject, "injection at node", cell->injected, err);
}

/* The number of what is read of a node: with c joined it comes after all nodes. */
static int read_of(const struct recurrent_tree *tree, int i)
{
    return i == tree->cell.injected ? recurrent_tree_nodes(&tree->cell) : i;
}

static float *value(const struct recurrent_strip *p, int number)
{
    const struct recurrent *r = p->r;
    size_t rows = (size_t)r->options.steps * (size_t)r->options.batch;
    return r->tree.value + ((size_t)number * rows + p->at) * r->hidden;
}

static float *gradient(const struct recurrent_strip *p, int number)
{
    const struct recurrent *r = p->r;
    size_t rows = (size_t)r->options.batch;
    return r->tree.gradient + ((size_t)number * rows + p->from) * r->hidden;
}

/* c that enters step t; the gradient of c that enters it, t <= steps. */
static float *memory(const struct recurrent_strip *p, int t)
{
    const struct recurrent *r = p->r;
    return r->tree.c + ((size_t)t * (size_t)p->w->batch + p->from) * r->hidden;
}

static float *memory_gradient(const struct recurrent_strip *p, int t)
{
    const struct recurrent *r = p->r;
    size_t rows = (size_t)(t % 2) * (size_t)r->options.batch;
    return r->tree.dc + (rows + p->from) * r->hidden;
}

/* The two values that node i combines: of a leaf parts of wide products. */
struct sides {
    float *left, *right, *dleft, *dright;
    size_t row;
};

static struct sides sides_of(const struct recurrent_strip *p, int i)
{
    const struct recurrent *r = p->r;
    const struct recurrent_tree *tree = &r->tree;
    if (i < tree->cell.leaves) {
        size_t at = p->at * r->width + (size_t)i * r->hidden;
        float *x = r->inputs + at, *h = r->a[0] + at;
        return (struct sides){x, h, x, h, r->width};
    }
    int left = recurrent_tree_left(&tree->cell, i);
    int l = read_of(tree, left), m = read_of(tree, left + 1);
    return (struct sides){value(p, l), value(p, m), gradient(p, l), gradient(p, m),
                          r->hidden};
}

static struct sides sides_of_injection(const struct recurrent_strip *p)
{
    int i = p->r->tree.cell.injected;
    return (struct sides){value(p, i), memory(p, p->t), gradient(p, i),
                          memory_gradient(p, p->t), p->r->hidden};
}

static void combine(const struct recurrent_strip *p,
                    const struct recurrent_tree_node *node, const struct sides *s,
                    float *result, float *before)
{
    const struct recurrent *r = p->r;
    r->kernels->combine(&(struct recurrent_combine){
        .rows = p->columns,
        .hidden = r->hidden,
        .combination = (enum recurrent_combination)node->combination,
        .activation = (enum recurrent_activation)node->activation,
        .left = s->left,
        .right = s->right,
        .row = s->row,
        .value = result,
        .before = before});
}

static void combine_back(const struct recurrent_strip *p,
                         const struct recurrent_tree_node *node, const struct sides *s,
                         int number, const float *dbefore)
{
    const struct recurrent *r = p->r;
    r->kernels->combine_back(&(struct recurrent_combine_back){
        .rows = p->columns,
        .hidden = r->hidden,
        .combination = (enum recurrent_combination)node->combination,
        .activation = (enum recurrent_activation)node->activation,
        .value = value(p, number),
        .dvalue = gradient(p, number),
        .dbefore = dbefore,
        .left = s->left,
        .right = s->right,
        .row = s->row,
        .dleft = s->dleft,
        .dright = s->dright});
}

/* What goes into the leaves by h; back: the gradient of h. */
static void states(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    r->kernels->product(&(struct recurrent_product){.m = p->columns,
                                                    .n = r->width,
                                                    .k = r->hidden,
                                                    .a = r->s + p->at * r->hidden,
                                                    .a_row = r->hidden,
                                                    .packed = r->matrix[0].forward,
                                                    .c = r->a[0] + p->at * r->width,
                                                    .c_row = r->width});
}

static void states_back(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    r->kernels->product(&(struct recurrent_product){.m = p->columns,
                                                    .n = r->hidden,
                                                    .k = r->width,
                                                    .a = r->a[0] + p->at * r->width,
                                                    .a_row = r->width,
                                                    .packed = r->matrix[0].back,
                                                    .c = r->dstate + p->from * r->hidden,
                                                    .c_row = r->hidden});
}

static void node(const struct recurrent_strip *p, int i)
{
    const struct recurrent_tree *tree = &p->r->tree;
    struct sides s = sides_of(p, i);
    combine(p, &tree->cell.nodes[i], &s, value(p, i),
            i == tree->cell.memory ? memory(p, p->t + 1) : NULL);
    if (i != tree->cell.injected)
        return;
    s = sides_of_injection(p);
    combine(p, &tree->cell.inject, &s, value(p, read_of(tree, i)), NULL);
}

static void node_back(const struct recurrent_strip *p, int i)
{
    const struct recurrent_tree *tree = &p->r->tree;
    struct sides s = sides_of_injection(p);
    if (i == tree->cell.injected)
        combine_back(p, &tree->cell.inject, &s, read_of(tree, i), NULL);
    s = sides_of(p, i);
    combine_back(p, &tree->cell.nodes[i], &s, i,
                 i == tree->cell.memory ? memory_gradient(p, p->t + 1) : NULL);
}

static void columns(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    int nodes = recurrent_tree_nodes(&r->tree.cell);
    float *c = memory(p, p->t + 1), *out = r->out + p->at * r->hidden;
    states(p);
    for (int i = 0; i < nodes; i++)
        node(p, i);
    recurrent_cut(r, p->columns, c, r->tree.cut + p->at, c);
    memcpy(out, value(p, read_of(&r->tree, nodes - 1)),
           p->columns * r->hidden * sizeof *out);
}

static void columns_back(const struct recurrent_strip *p)
{
    const struct recurrent *r = p->r;
    int root = recurrent_tree_nodes(&r->tree.cell) - 1;
    size_t n = r->hidden;
    float *dc = memory_gradient(p, p->t + 1);
    if (p->t + 1 == p->w->steps)
        memset(dc, 0, p->columns * n * sizeof *dc);
    for (size_t i = 0; i < p->columns; i++)
        r->kernels->scale(n, r->tree.cut[p->at + i], dc + i * n, dc + i * n);
    memcpy(gradient(p, read_of(&r->tree, root)), r->dout + p->at * n,
           p->columns * n * sizeof *dc);
    for (int i = root; i >= 0; i--)
        node_back(p, i);
    states_back(p);
}

/* Threads without a column take part in norms. */
static void forward(const struct recurrent_strip *p)
{
    if (p->columns > 0)
        columns(p);
    recurrent_norm_out(p);
}

static void back(const struct recurrent_strip *p)
{
    recurrent_norm_out_back(p);
    if (p->columns > 0)
        columns_back(p);
}

static void enter(const struct recurrent *r, const struct recurrent_window *w)
{
    size_t state = (size_t)w->batch * r->hidden;
    memcpy(r->tree.c, w->state + state, state * sizeof *w->state);
}

static void leave(const struct recurrent *r, const struct recurrent_window *w)
{
    size_t state = (size_t)w->batch * r->hidden;
    memcpy(w->state + state, r->tree.c + (size_t)w->steps * state,
           state * sizeof *w->state);
}

const struct recurrent_nodes recurrent_nodes_tree = {
    .forward = forward, .back = back, .enter = enter, .leave = leave};
