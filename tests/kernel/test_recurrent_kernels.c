/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of recurrent models, every table that runs here, against their
 * definitions in double precision on random odd shapes. Buffers have exactly the promised
 * size, so that a sanitizer sees an access beyond, and what must be overwritten holds
 * NaN. Where the same sums are promised to have the same bits, bits are compared. */
#include "kernel_rig.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPES = 60 };

/* C (m, n) of A (m, k) and B (k, n) with rows longer than they need be, and all that is
 * made of them. */
struct rig {
    const struct recurrent_kernels *f;
    size_t m, n, k, a_row, b_row, c_row;
    bool add;
    float *a, *a_turned, *b, *b_turned, *packed, *packed_turned, *before, *c;
};

static float *turned(const float *x, size_t rows, size_t row, size_t columns)
{
    float *y = malloc(rows * columns * sizeof *y);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            y[j * rows + i] = x[i * row + j];
    return y;
}

static void rig_init(struct rig *g, const struct recurrent_kernels *f, size_t m, size_t n,
                     size_t k)
{
    *g = (struct rig){.f = f, .m = m, .n = n, .k = k, .add = draw(0, 1)};
    g->a_row = k + draw(0, 3);
    g->b_row = n + draw(0, 3);
    g->c_row = n + draw(0, 3);
    g->a = random_floats(floats(m, g->a_row, k));
    g->b = random_floats(floats(k, g->b_row, n));
    g->a_turned = turned(g->a, m, g->a_row, k);
    g->b_turned = turned(g->b, k, g->b_row, n);
    g->packed = result(recurrent_packed(f, k, n), false);
    g->packed_turned = result(recurrent_packed(f, k, n), false);
    f->pack(k, n, g->b, g->b_row, g->packed);
    f->pack_transposed(k, n, g->b_turned, k, g->packed_turned);
    g->before = result(floats(m, g->c_row, n), g->add);
    g->c = copy_of(g->before, floats(m, g->c_row, n));
}

static void rig_fini(struct rig *g)
{
    float *const owned[] = {g->a,      g->a_turned,      g->b,      g->b_turned,
                            g->packed, g->packed_turned, g->before, g->c};
    free_all(owned, sizeof owned / sizeof *owned);
}

/* Rows [from, to). */
static void multiply_rows(const struct rig *g, size_t from, size_t to, float *c)
{
    struct recurrent_product p = {.m = to - from,
                                  .n = g->n,
                                  .k = g->k,
                                  .a = g->a + from * g->a_row,
                                  .a_row = g->a_row,
                                  .packed = g->packed,
                                  .c = c + from * g->c_row,
                                  .c_row = g->c_row,
                                  .add = g->add};
    g->f->product(&p);
}

/* Columns [from, to) of C, by A's transposed. */
static void multiply_columns(const struct rig *g, size_t from, size_t to, float *c)
{
    struct recurrent_transposed p = {.m = g->m,
                                     .n = to - from,
                                     .k = g->k,
                                     .a = g->a_turned,
                                     .b = g->b + from,
                                     .a_row = g->m,
                                     .b_row = g->b_row,
                                     .c = c + from,
                                     .c_row = g->c_row,
                                     .add = g->add};
    g->f->product_transposed(&p);
}

static void check_product(const struct rig *g)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = g->add ? (double)g->before[i * g->c_row + j] : 0, size = 0;
            for (size_t l = 0; l < g->k; l++) {
                double term = (double)g->a[i * g->a_row + l] * g->b[l * g->b_row + j];
                sum += term;
                size += fabs(term);
            }
            assert_near(g->c[i * g->c_row + j], sum, size);
        }
    for (size_t i = 0; i + 1 < g->m; i++) /* what is between rows stays */
        for (size_t j = g->n; j < g->c_row; j++)
            assert_same(g->c + i * g->c_row + j, g->before + i * g->c_row + j, 1);
}

static void check_shape(const struct recurrent_kernels *f, size_t m, size_t n, size_t k)
{
    struct rig g;
    rig_init(&g, f, m, n, k);
    size_t count = floats(m, g.c_row, n), row = draw(0, m), column = draw(0, n);
    float *c = copy_of(g.before, count);
    assert_same(g.packed, g.packed_turned, recurrent_packed(f, k, n));
    multiply_rows(&g, 0, m, g.c);
    check_product(&g);
    multiply_rows(&g, 0, row, c);
    multiply_rows(&g, row, m, c);
    assert_same(c, g.c, count);
    memcpy(c, g.before, count * sizeof *c);
    multiply_columns(&g, 0, column, c);
    multiply_columns(&g, column, n, c);
    assert_same(c, g.c, count);
    free(c);
    rig_fini(&g);
}

/* Several A's at once give what each gives alone. */
static void check_several(const struct recurrent_kernels *f, size_t m, size_t n, size_t k)
{
    struct rig g;
    size_t more = draw(1, 4), count, a_next, c_next;
    rig_init(&g, f, m, n, k);
    a_next = floats(m, g.a_row, k) + draw(0, 9);
    c_next = floats(m, g.c_row, n) + draw(0, 9);
    count = more * c_next + floats(m, g.c_row, n);
    float *a = random_floats(more * a_next + floats(m, g.a_row, k));
    float *c = random_floats(count), *alone = copy_of(c, count);
    struct recurrent_product p = {m, n,       k,     a,    g.a_row, g.packed,
                                  c, g.c_row, g.add, more, a_next,  c_next};
    f->product(&p);
    p.more = 0;
    for (size_t i = 0; i <= more; i++) {
        p.a = a + i * a_next;
        p.c = alone + i * c_next;
        f->product(&p);
    }
    assert_same(c, alone, count);
    free(a);
    free(c);
    free(alone);
    rig_fini(&g);
}

static void check_products(const struct recurrent_kernels *f)
{
    for (int i = 0; i < SHAPES; i++)
        check_shape(f, draw(1, 40), draw(1, 80), draw(1, 60));
    for (int i = 0; i < 6; i++) { /* several blocks of rows, of k; many panels */
        check_shape(f, draw(180, 420), draw(1, 40), draw(1, 20));
        check_shape(f, draw(1, 20), draw(1, 40), draw(240, 1000));
        check_shape(f, draw(1, 10), draw(200, 600), draw(1, 20));
    }
    for (int i = 0; i < SHAPES / 2; i++)
        check_several(f, draw(0, 1) ? draw(1, 4) : draw(1, 40), draw(1, 80),
                      draw(1, 600));
}

static void check_highway(const struct recurrent_kernels *f, int activation)
{
    size_t rows = draw(1, 5), n = draw(1, 70), count = rows * n;
    float *a = random_floats(2 * count), *p = random_floats(count);
    float *dh = random_floats(count), *dp = random_floats(count),
          *h = result(count, false);
    float *before = copy_of(a, 2 * count), *dp_before = copy_of(dp, count);
    f->highway(&(struct recurrent_highway){rows, n, activation, a, p, h});
    float *after = copy_of(a, 2 * count);
    f->highway_back(&(struct recurrent_highway_back){rows, n, activation, a, p, dh, dp});
    for (size_t i = 0; i < count; i++) {
        size_t gate = i / n * 2 * n + i % n, value = gate + n;
        double g = activate(before[gate], RECURRENT_SIGMOID);
        double u = activate(before[value], activation), d = dh[i];
        assert_near(after[gate], g, 0);
        assert_near(after[value], u, fabs(u));
        assert_near(h[i], p[i] + g * (u - p[i]), 3);
        assert_near(dp[i], dp_before[i] + d * (1 - g), 3);
        assert_near(a[gate], d * (u - p[i]) * g * (1 - g), 10);
        assert_near(a[value], d * g * slope(before[value], activation), 3);
    }
    float *const owned[] = {a, p, dh, dp, h, before, dp_before, after};
    free_all(owned, sizeof owned / sizeof *owned);
}

/* The shares' sum is not 1: that of no operation is not among them. */
static void draw_shares(float *share)
{
    for (int f = 0; f < RECURRENT_ACTIVATIONS; f++)
        share[f] = rng_float(rig_rng()) / 4;
}

struct mix {
    size_t rows, hidden, count, sums_row;
    float share[RECURRENT_ACTIVATIONS];
    bool add;
    float *a, *p, *h, *dh, *dp; /* a: as it was */
    double *sums;
};

static void check_mixture(const struct mix *m, const float *before, const float *g)
{
    for (size_t i = 0; i < m->count; i++) {
        size_t gate = i / m->hidden * 2 * m->hidden + i % m->hidden;
        double sum = m->add ? (double)before[i] : 0, p = (double)m->p[i];
        double open = activate((double)m->a[gate], RECURRENT_SIGMOID);
        for (int f = 0; f < RECURRENT_ACTIVATIONS; f++)
            sum += (double)m->share[f] *
                   (p + open * (activate((double)m->a[gate + m->hidden], f) - p));
        assert_near((double)m->h[i], sum, 5);
        assert_near((double)g[gate], open, 0);
        assert_same(g + gate + m->hidden, m->a + gate + m->hidden, 1);
    }
}

static void check_mixture_back(const struct mix *m, const float *before, const float *da,
                               double *sums)
{
    for (size_t i = 0; i < m->count; i++) {
        size_t gate = i / m->hidden * 2 * m->hidden + i % m->hidden;
        double v = (double)m->a[gate + m->hidden], p = (double)m->p[i], all = 0;
        double open = activate((double)m->a[gate], RECURRENT_SIGMOID);
        double d = (double)m->dh[i], mixed = 0, rise = 0;
        for (int f = 0; f < RECURRENT_ACTIVATIONS; f++) {
            all += (double)m->share[f];
            mixed += (double)m->share[f] * (activate(v, f) - p);
            rise += (double)m->share[f] * slope(v, f);
            sums[i / m->hidden * m->sums_row + (size_t)f] +=
                d * (p + open * (activate(v, f) - p));
        }
        assert_near((double)m->dp[i], (double)before[i] + d * all * (1 - open), 3);
        assert_near((double)da[gate], d * mixed * open * (1 - open), 10);
        assert_near((double)da[gate + m->hidden], d * open * rise, 3);
    }
    for (size_t i = 0; i < m->rows * m->sums_row; i++)
        assert_near(m->sums[i], sums[i], (double)m->hidden * 3);
}

static void check_mixtures(const struct recurrent_kernels *f)
{
    struct mix m = {.rows = draw(1, 5), .hidden = draw(1, 70), .add = draw(0, 1)};
    m.count = m.rows * m.hidden;
    m.sums_row = RECURRENT_ACTIVATIONS + draw(0, 3);
    m.a = random_floats(2 * m.count);
    m.p = random_floats(m.count);
    m.dh = random_floats(m.count);
    m.dp = random_floats(m.count);
    m.h = result(m.count, m.add);
    m.sums = malloc(m.rows * m.sums_row * sizeof *m.sums);
    double *sums = malloc(m.rows * m.sums_row * sizeof *sums);
    for (size_t i = 0; i < m.rows * m.sums_row; i++)
        m.sums[i] = sums[i] = rng_normal(rig_rng());
    draw_shares(m.share);
    float *h = copy_of(m.h, m.count), *dp = copy_of(m.dp, m.count);
    float *a = copy_of(m.a, 2 * m.count), *again;
    struct recurrent_mixture forward = {m.rows, m.hidden, {0}, a, m.p, m.h, m.add};
    memcpy(forward.share, m.share, sizeof m.share);
    f->mixture(&forward);
    check_mixture(&m, h, a);
    again = copy_of(a, 2 * m.count);
    struct recurrent_mixture_back back = {m.rows, m.hidden, {0},    a,         m.p,
                                          m.dh,   m.dp,     m.sums, m.sums_row};
    memcpy(back.share, m.share, sizeof m.share);
    f->mixture_back(&back);
    check_mixture_back(&m, dp, a, sums);
    back.a = again;
    back.sums = NULL;
    f->mixture_back(&back); /* without sums: the same gradients */
    assert_same(again, a, 2 * m.count);
    float *const owned[] = {m.a, m.p, m.dh, m.dp, m.h, h, dp, a, again};
    free_all(owned, sizeof owned / sizeof *owned);
    free(m.sums);
    free(sums);
}

static void check_cross_entropy(const struct recurrent_kernels *f, float shift)
{
    size_t count = draw(1, 400), target = draw(0, count - 1);
    float *z = random_floats(count), weight = (float)draw(1, 8) / 8;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        z[i] = 5 * z[i] + shift;
    float *logits = copy_of(z, count);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - shift);
    double loss = log(sum) - ((double)logits[target] - shift);
    assert_near(f->cross_entropy(count, z, target, 0), loss, 10);
    memcpy(z, logits, count * sizeof *z);
    assert_near(f->cross_entropy(count, z, target, weight), loss, 10);
    for (size_t i = 0; i < count; i++)
        assert_near(z[i], weight * (exp((double)logits[i] - shift) / sum - (i == target)),
                    1);
    free(z);
    free(logits);
}

static void check_vectors(const struct recurrent_kernels *f)
{
    size_t count = draw(1, 9000);
    float *x = random_floats(count), *y = random_floats(count), s = 0.37f;
    float *sum = copy_of(y, count), *scaled = result(count, false);
    float *product = copy_of(y, count);
    double squares = 0;
    f->add_scaled(count, s, x, sum);
    f->scale(count, s, x, scaled);
    f->multiply(count, x, product);
    for (size_t i = 0; i < count; i++) {
        assert_near(sum[i], (double)y[i] + (double)s * x[i], 5);
        assert_near(scaled[i], (double)s * x[i], 5);
        assert_near(product[i], (double)y[i] * x[i], 10);
        squares += (double)x[i] * x[i];
    }
    assert_near(f->sum_of_squares(count, x), squares, squares);
    free(x);
    free(y);
    free(sum);
    free(scaled);
    free(product);
}

START_TEST(unknown_limits_leave_a_table)
{
    ck_assert_ptr_nonnull(recurrent_kernels_find("no such set"));
    ck_assert(recurrent_kernels_find("no such set")->runs_here());
    ck_assert_ptr_eq(recurrent_kernels_find("generic"), &recurrent_kernels_plain);
}
END_TEST

START_TEST(every_table_follows_the_definitions)
{
    rig_start();
    for (const struct recurrent_kernels *const *f = recurrent_kernels_all(); *f; f++) {
        if (!(*f)->runs_here())
            continue;
        printf("%s\n", (*f)->name);
        check_products(*f);
        for (int i = 0; i < SHAPES; i++) {
            check_highway(*f, i % RECURRENT_ACTIVATIONS);
            check_mixtures(*f);
            check_cross_entropy(*f, i % 2 ? 300.0f : -300.0f);
            check_vectors(*f);
        }
    }
}
END_TEST

UNIT_MAIN("recurrent_kernels", unknown_limits_leave_a_table,
          every_table_follows_the_definitions)
