/* SPDX-License-Identifier: Apache-2.0 */
#include "common/nn/lstm.h"
#include "common/rng.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void fill(struct rng *rng, float *p, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++)
        p[i] = limit * (2 * rng_float(rng) - 1);
}

START_TEST(alloc_refuses_what_cannot_be)
{
    struct error err = {0};
    struct lstm l;
    size_t offset = 0;
    ck_assert_ptr_null(lstm_alloc(SIZE_MAX / 4));
    ck_assert_int_eq(lstm_init(&l, 1, (size_t)1 << 40, NULL, &offset, &err), ERROR_INPUT);
    ck_assert_int_eq(lstm_init(&l, 0, 4, NULL, &offset, &err), ERROR_INPUT);
    ck_assert_int_eq(lstm_init(&l, 4, 0, NULL, &offset, &err), ERROR_INPUT);
    ck_assert_uint_eq(offset, 0);
    ck_assert_ptr_nonnull(strstr(err.text, "LSTM"));
}
END_TEST

/* Maximal error of the vector functions in units of the last place of the result. */
static double worst_ulp(void (*vector)(float *, size_t), double (*exact)(double),
                        float low, float high)
{
    enum { N = 4096 };
    float *x = lstm_alloc(N), *y = lstm_alloc(N);
    double worst = 0;
    for (size_t i = 0; i < N; i++)
        y[i] = x[i] = low + (high - low) * (float)i / (N - 1);
    vector(y, N);
    for (size_t i = 0; i < N; i++) {
        double want = exact((double)x[i]);
        float near = fabsf((float)want);
        double ulp = (double)(nextafterf(near, INFINITY) - near);
        worst = fmax(worst, fabs((double)y[i] - want) / ulp);
    }
    free(x);
    free(y);
    return worst;
}

START_TEST(functions_are_accurate)
{
    const struct lstm_kernels *const *k = lstm_kernels_all();
    for (; *k; k++) {
        if (!(*k)->runs_here())
            continue;
        ck_assert_double_lt(worst_ulp((*k)->exp, exp, -86, 86), 2.0);
        ck_assert_double_lt(worst_ulp((*k)->exp, exp, -0.5f, 0.5f), 2.0);
        ck_assert_double_lt(worst_ulp((*k)->tanh, tanh, -30, 30), 4.0);
        ck_assert_double_lt(worst_ulp((*k)->tanh, tanh, -1e-3f, 1e-3f), 4.0);
    }
}
END_TEST

START_TEST(functions_saturate)
{
    float *x = lstm_alloc(16);
    const struct lstm_kernels *k = lstm_kernels_best();
    x[0] = 1e30f;
    x[1] = -1e30f;
    k->exp(x, 2);
    ck_assert(isfinite(x[0]) && x[0] > 1e38f && x[1] >= 0 && x[1] < 1e-37f);
    x[0] = 1e30f;
    x[1] = -1e30f;
    k->tanh(x, 2);
    ck_assert_float_eq(x[0], 1);
    ck_assert_float_eq(x[1], -1);
    free(x);
}
END_TEST

/* Every table gives the bits of the plain one, on random odd shapes. */
START_TEST(products_are_the_same_bits)
{
    struct rng rng;
    rng_init(&rng, 11, RNG_TEST, 0);
    for (int round = 0; round < 60; round++) {
        size_t m = 1 + rng_below(&rng, 37), n = 1 + rng_below(&rng, 150);
        size_t k = rng_below(&rng, 80), stride = lstm_pad(n);
        bool flip = round % 2;
        float *a = lstm_alloc(m * k), *b = lstm_alloc(k * stride);
        float *c = lstm_alloc(m * stride), *want = lstm_alloc(m * stride);
        fill(&rng, a, m * k, 1);
        fill(&rng, b, k * stride, 1);
        fill(&rng, c, m * stride, 1);
        memcpy(want, c, m * stride * sizeof *c);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++)
                for (size_t q = 0; q < k; q++)
                    want[i * stride + j] = fmaf(flip ? a[q * m + i] : a[i * k + q],
                                                b[q * stride + j], want[i * stride + j]);
        for (const struct lstm_kernels *const *t = lstm_kernels_all(); *t; t++) {
            float *got = lstm_alloc(m * stride);
            struct lstm_product p = {.m = m,
                                     .n = n,
                                     .k = k,
                                     .a = a,
                                     .a_row = flip ? 1 : k,
                                     .a_column = flip ? m : 1,
                                     .b = b,
                                     .b_row = stride,
                                     .c = got,
                                     .c_row = stride};
            memcpy(got, c, m * stride * sizeof *c);
            if ((*t)->runs_here())
                (*t)->product(&p);
            else
                memcpy(got, want, m * stride * sizeof *c);
            for (size_t i = 0; i < m; i++)
                ck_assert_mem_eq(got + i * stride, want + i * stride, n * sizeof *got);
            free(got);
        }
        free(a);
        free(b);
        free(c);
        free(want);
    }
}
END_TEST

/* A stack with random parameters, driven by random first-layer gates for a few steps. */
enum { LAYERS = 2, ROWS = 5, STEPS = 4 };
struct rig {
    struct lstm l;
    size_t count, state, gates, acts;
    float *parameters, *inputs; /* inputs: (STEPS, ROWS, columns) */
    float *h, *c, *act, *dgates, *dh, *dc, *work;
    float *weights; /* of the loss: (LAYERS, ROWS, width) */
};

static void rig_init(struct rig *g, size_t units, const struct lstm_kernels *kernels)
{
    struct rng rng;
    size_t offset = 0;
    memset(g, 0, sizeof *g);
    ck_assert_int_eq(lstm_init(&g->l, LAYERS, units, kernels, &offset, NULL), 0);
    g->count = offset;
    g->state = (STEPS + 1) * ROWS * g->l.width;
    g->gates = STEPS * ROWS * g->l.columns;
    g->acts = STEPS * ROWS * LSTM_ACTS * g->l.width;
    g->parameters = lstm_alloc(g->count);
    g->inputs = lstm_alloc(g->gates);
    g->h = lstm_alloc(LAYERS * g->state);
    g->c = lstm_alloc(LAYERS * g->state);
    g->act = lstm_alloc(LAYERS * g->acts);
    g->dgates = lstm_alloc(LAYERS * g->gates);
    g->dh = lstm_alloc(LAYERS * ROWS * g->l.width);
    g->dc = lstm_alloc(LAYERS * ROWS * g->l.width);
    g->work = lstm_alloc(ROWS * g->l.columns);
    g->weights = lstm_alloc(ROWS * g->l.width);
    rng_init(&rng, 5, RNG_TEST, units);
    fill(&rng, g->parameters, g->count, 0.5f);
    fill(&rng, g->inputs, g->gates, 1);
    for (size_t r = 0; r < ROWS; r++)
        fill(&rng, g->weights + r * g->l.width, units, 1);
    lstm_pack(&g->l, g->parameters);
}

static void rig_fini(struct rig *g)
{
    float *owned[] = {g->parameters, g->inputs, g->h,  g->c,    g->act,
                      g->dgates,     g->dh,     g->dc, g->work, g->weights};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    lstm_fini(&g->l);
}

/* Sum over steps of weights . h of the top layer. */
static double rig_forward(struct rig *g)
{
    size_t slot = ROWS * g->l.width;
    double loss = 0;
    for (size_t t = 0; t < STEPS; t++) {
        struct lstm_step s = {.rows = ROWS,
                              .gates = g->work,
                              .h_prev = g->h + t * slot,
                              .c_prev = g->c + t * slot,
                              .h = g->h + (t + 1) * slot,
                              .c = g->c + (t + 1) * slot,
                              .state_layer = g->state,
                              .acts = g->act + t * ROWS * LSTM_ACTS * g->l.width,
                              .acts_layer = g->acts,
                              .acts_row = LSTM_ACTS * g->l.width};
        memcpy(g->work, g->inputs + t * ROWS * g->l.columns,
               ROWS * g->l.columns * sizeof *g->work);
        for (size_t i = 0; i < ROWS * g->l.columns; i++)
            g->work[i] += g->l.layer[0].bias_row[i % g->l.columns];
        lstm_forward(&g->l, &s);
        const float *top = s.h + (LAYERS - 1) * g->state;
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < g->l.units; i++)
                loss += (double)g->weights[r * g->l.width + i] *
                        (double)top[r * g->l.width + i];
    }
    return loss;
}

static void rig_backward(struct rig *g, float *gradient)
{
    size_t slot = ROWS * g->l.width;
    memset(g->dh, 0, LAYERS * slot * sizeof *g->dh);
    memset(g->dc, 0, LAYERS * slot * sizeof *g->dc);
    lstm_gradient_clear(&g->l);
    for (size_t t = STEPS; t-- > 0;) {
        for (size_t i = 0; i < slot; i++)
            g->dh[(LAYERS - 1) * slot + i] += g->weights[i];
        struct lstm_step_back s = {.rows = ROWS,
                                   .c_prev = g->c + t * slot,
                                   .acts = g->act + t * ROWS * LSTM_ACTS * g->l.width,
                                   .state_layer = g->state,
                                   .acts_layer = g->acts,
                                   .dh = g->dh,
                                   .dc = g->dc,
                                   .d_layer = slot,
                                   .dgates = g->dgates + t * ROWS * g->l.columns,
                                   .dgates_layer = g->gates};
        lstm_backward(&g->l, &s);
    }
    for (size_t i = 0; i < LAYERS; i++)
        lstm_gradient(&g->l, i, STEPS * ROWS, g->h + i * g->state,
                      i ? g->h + (i - 1) * g->state + slot : NULL,
                      g->dgates + i * g->gates);
    memset(gradient, 0, g->count * sizeof *gradient);
    lstm_gradient_unpack(&g->l, gradient);
}

/* Move one block along its own gradient: the loss must change by eps |g|^2. */
static void check_block(struct rig *g, const float *gradient, size_t offset, size_t count)
{
    double square = 0, eps;
    float *saved = lstm_alloc(g->count);
    for (size_t i = offset; i < offset + count; i++)
        square += (double)gradient[i] * (double)gradient[i];
    ck_assert_double_gt(square, 0);
    eps = 0.02 / sqrt(square);
    memcpy(saved, g->parameters, g->count * sizeof *saved);
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (size_t i = offset; i < offset + count; i++)
            g->parameters[i] =
                saved[i] + (float)((side ? eps : -eps) * (double)gradient[i]);
        lstm_pack(&g->l, g->parameters);
        loss[side] = rig_forward(g);
    }
    memcpy(g->parameters, saved, g->count * sizeof *saved);
    ck_assert_double_eq_tol((loss[1] - loss[0]) / (2 * eps * square), 1, 2e-3);
    free(saved);
}

START_TEST(gradient_matches_finite_differences)
{
    static const size_t units[] = {1, 3, 16, 35};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct rig g;
        rig_init(&g, units[u], NULL);
        float *gradient = lstm_alloc(g.count);
        rig_forward(&g);
        rig_backward(&g, gradient);
        for (size_t i = 0; i < LAYERS; i++) {
            const struct lstm_layer *y = &g.l.layer[i];
            size_t square = 4 * units[u] * units[u];
            if (i > 0)
                check_block(&g, gradient, y->input, square);
            check_block(&g, gradient, y->hidden, square);
            check_block(&g, gradient, y->bias, 4 * units[u]);
        }
        free(gradient);
        rig_fini(&g);
    }
}
END_TEST

/* Forward states and gradients of every table are those of the plain one, bit for bit. */
START_TEST(tables_are_the_same_bits)
{
    struct rig plain;
    rig_init(&plain, 35, &lstm_kernels_plain);
    float *want = lstm_alloc(plain.count);
    double loss = rig_forward(&plain);
    rig_backward(&plain, want);
    for (const struct lstm_kernels *const *t = lstm_kernels_all(); *t; t++) {
        if (!(*t)->runs_here())
            continue;
        struct rig g;
        rig_init(&g, 35, *t);
        float *got = lstm_alloc(g.count);
        ck_assert_double_eq(rig_forward(&g), loss);
        rig_backward(&g, got);
        ck_assert_mem_eq(got, want, g.count * sizeof *got);
        free(got);
        rig_fini(&g);
    }
    free(want);
    rig_fini(&plain);
}
END_TEST

UNIT_MAIN("lstm", alloc_refuses_what_cannot_be, functions_are_accurate,
          functions_saturate, products_are_the_same_bits,
          gradient_matches_finite_differences, tables_are_the_same_bits)
