/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of trees, of every table that runs here, against their definitions: wide
 * rows, gradients in place of values, and the value before the activation. */
#include "kernel_rig.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum { SHAPES = 64 };

/* A node of a tree: everything that goes in and, as it was, what is replaced. */
struct node {
    size_t rows, hidden, row, count, wide;
    int combination, activation;
    float *left, *right, *value, *before, *dvalue, *dbefore, *dleft, *dright;
};

static void node_init(struct node *m, int combination, int activation)
{
    *m = (struct node){.rows = draw(1, 5),
                       .hidden = draw(1, 70),
                       .combination = combination,
                       .activation = activation};
    m->row = m->hidden + draw(0, 9);
    m->count = m->rows * m->hidden;
    m->wide = floats(m->rows, m->row, m->hidden);
    m->left = random_floats(m->wide);
    m->right = random_floats(m->wide);
    m->value = result(m->count, false);
    m->before = result(m->count, false);
    m->dvalue = random_floats(m->count);
    m->dbefore = random_floats(m->count);
    m->dleft = random_floats(m->wide);
    m->dright = random_floats(m->wide);
}

static void node_fini(struct node *m)
{
    float *const owned[] = {m->left,   m->right,   m->value, m->before,
                            m->dvalue, m->dbefore, m->dleft, m->dright};
    free_all(owned, sizeof owned / sizeof *owned);
}

static void check_node(const struct node *m, bool joined)
{
    for (size_t i = 0; i < m->count; i++) {
        size_t at = i / m->hidden * m->row + i % m->hidden;
        double left = (double)m->left[at], right = (double)m->right[at];
        bool adds = m->combination == RECURRENT_ADD;
        double p = adds ? left + right : left * right;
        double d = (double)m->dvalue[i] * slope((double)m->before[i], m->activation) +
                   (joined ? (double)m->dbefore[i] : 0);
        assert_near(m->before[i], p, 10);
        assert_near(m->value[i], activate((double)m->before[i], m->activation), 10);
        assert_near(m->dleft[at], adds ? d : d * right, 30);
        assert_near(m->dright[at], adds ? d : d * left, 30);
    }
}

/* The same value where nobody wants what comes before the activation. */
static void check_forward(const struct recurrent_kernels *f, const struct node *m)
{
    float *value = result(m->count, false);
    struct recurrent_combine p = {m->rows,       m->hidden, m->combination,
                                  m->activation, m->left,   m->right,
                                  m->row,        m->value,  m->before};
    f->combine(&p);
    p.value = value;
    p.before = NULL;
    f->combine(&p);
    assert_same(value, m->value, m->count);
    free_all(&value, 1);
}

/* The same gradients in the place of the values. */
static void check_in_place(const struct recurrent_kernels *f, const struct node *m,
                           struct recurrent_combine_back p)
{
    float *left = copy_of(m->left, m->wide), *right = copy_of(m->right, m->wide);
    p.left = p.dleft = left;
    p.right = p.dright = right;
    f->combine_back(&p);
    for (size_t i = 0; i < m->rows; i++) {
        assert_same(left + i * m->row, m->dleft + i * m->row, m->hidden);
        assert_same(right + i * m->row, m->dright + i * m->row, m->hidden);
    }
    free_all((float *const[]){left, right}, 2);
}

static void check_combination(const struct recurrent_kernels *f, int combination,
                              int activation)
{
    struct node m;
    node_init(&m, combination, activation);
    float *dleft = copy_of(m.dleft, m.wide);
    check_forward(f, &m);
    struct recurrent_combine_back back = {m.rows,  m.hidden, combination, activation,
                                          m.value, m.dvalue, m.dbefore,   m.left,
                                          m.right, m.row,    m.dleft,     m.dright};
    f->combine_back(&back);
    check_node(&m, true);
    for (size_t i = 0; i + 1 < m.rows; i++) /* what is between rows stays */
        assert_same(m.dleft + i * m.row + m.hidden, dleft + i * m.row + m.hidden,
                    m.row - m.hidden);
    back.dbefore = NULL;
    f->combine_back(&back);
    check_node(&m, false);
    check_in_place(f, &m, back);
    free_all(&dleft, 1);
    node_fini(&m);
}

START_TEST(every_table_follows_the_definition)
{
    rig_start();
    for (const struct recurrent_kernels *const *f = recurrent_kernels_all(); *f; f++) {
        if (!(*f)->runs_here())
            continue;
        printf("%s\n", (*f)->name);
        for (int i = 0; i < SHAPES; i++)
            check_combination(*f, i % RECURRENT_COMBINATIONS,
                              i / RECURRENT_COMBINATIONS % RECURRENT_ACTIVATIONS);
    }
}
END_TEST

UNIT_MAIN("recurrent_combine", every_table_follows_the_definition)
