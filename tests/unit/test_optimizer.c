/* SPDX-License-Identifier: Apache-2.0 */
#include "common/nn/optimizer.h"
#include "unit.h"

#include <math.h>
#include <string.h>

/* What torch 1.13 makes of four parameters in four steps; the gradients are those of
 * fill_gradient. Made with torch.optim.SGD and torch.optim.Adam, printed with %.9g. */
enum { COUNT = 4, STEPS = 4 };
static const float start[COUNT] = {1.0f, -2.0f, 0.5f, 3.0f};

static void fill_gradient(int t, float *g)
{
    g[0] = 0.1f * (float)(t + 1);
    g[1] = -0.25f;
    g[2] = t % 2 ? -0.5f : 0.5f;
    g[3] = 1e-3f * (float)t;
}

static void check_sgd(const struct optimizer_sgd *s, const float *golden)
{
    struct optimizer o;
    float p[COUNT], g[COUNT];
    memcpy(p, start, sizeof p);
    ck_assert_int_eq(optimizer_init(&o, COUNT, false, NULL), 0);
    ck_assert_ptr_null(o.v);
    for (int t = 0; t < STEPS; t++) {
        fill_gradient(t, g);
        optimizer_sgd_range(&o, s, 0, COUNT, p, g);
    }
    for (int i = 0; i < COUNT; i++)
        ck_assert_float_eq_tol(p[i], golden[i], 3e-7f);
    optimizer_fini(&o);
}

static void check_adam(const struct optimizer_adam *a, const float *golden)
{
    struct optimizer o;
    float p[COUNT], g[COUNT];
    memcpy(p, start, sizeof p);
    ck_assert_int_eq(optimizer_init(&o, COUNT, true, NULL), 0);
    for (int t = 0; t < STEPS; t++) {
        fill_gradient(t, g);
        optimizer_adam_step(&o, a, p, g);
    }
    ck_assert_uint_eq(o.step, STEPS);
    for (int i = 0; i < COUNT; i++)
        ck_assert_float_eq_tol(p[i], golden[i], 3e-7f);
    optimizer_fini(&o);
}

START_TEST(sgd_matches_torch)
{
    const struct optimizer_sgd nesterov = {0.1f, 0.9f, 1e-2f, true};
    const struct optimizer_sgd heavy = {0.1f, 0.9f, 1e-2f, false}, bare = {.lr = 0.1f};
    check_sgd(&nesterov,
              (float[]){0.721377134f, -1.67303491f, 0.421325177f, 2.96221638f});
    check_sgd(&heavy, (float[]){0.805571079f, -1.75605023f, 0.414343685f, 2.97194409f});
    check_sgd(&bare, (float[]){0.899999976f, -1.9000001f, 0.5f, 2.99940014f});
}
END_TEST

START_TEST(adam_matches_torch)
{
    const struct optimizer_adam usual = {6e-4f, 0.9f, 0.999f, 1e-8f, 0};
    const struct optimizer_adam other = {1e-2f, 0.5f, 0.99f, 1e-6f, 1e-1f};
    check_adam(&usual, (float[]){0.997669816f, -1.99760008f, 0.499261707f, 2.99853349f});
    check_adam(&other, (float[]){0.956983626f, -1.96002996f, 0.48959592f, 2.96000004f});
}
END_TEST

/* A range in the middle is stepped; what lies around it is not. Odd lengths, so that
 * loops over whole vectors have a rest. */
START_TEST(ranges_stand_alone)
{
    enum { N = 37, FIRST = 5, LENGTH = 19 };
    const struct optimizer_sgd s = {0.1f, 0.9f, 0, true};
    struct optimizer o;
    float p[N], g[N];
    ck_assert_int_eq(optimizer_init(&o, N, false, NULL), 0);
    for (int i = 0; i < N; i++) {
        p[i] = 1;
        g[i] = (float)i;
    }
    optimizer_sgd_range(&o, &s, FIRST, LENGTH, p, g);
    for (int i = 0; i < N; i++) {
        bool inside = i >= FIRST && i < FIRST + LENGTH;
        ck_assert_float_eq_tol(p[i], inside ? 1 - 0.1f * 1.9f * (float)i : 1, 1e-6f);
        ck_assert_float_eq(o.m[i], inside ? (float)i : 0);
    }
    optimizer_fini(&o);
}
END_TEST

START_TEST(clip_keeps_the_direction)
{
    float g[35];
    for (int i = 0; i < 35; i++)
        g[i] = i % 2 ? -2 : 2;
    double norm = sqrt(35 * 4.0);
    ck_assert_double_eq_tol(optimizer_clip(g, 35, 100), norm, 1e-9);
    ck_assert_float_eq(g[3], -2); /* below the limit: untouched */
    ck_assert_double_eq_tol(optimizer_clip(g, 35, 1), norm, 1e-9);
    ck_assert_double_eq_tol(optimizer_clip(g, 35, 1e9), 1, 1e-6);
    ck_assert_float_eq(g[0], -g[1]);
    ck_assert_double_eq(optimizer_clip(g, 0, 1), 0);
}
END_TEST

START_TEST(too_much_memory_is_refused)
{
    struct error err = {0};
    struct optimizer o = {0};
    ck_assert_int_eq(optimizer_init(&o, SIZE_MAX / 2, true, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "optimizer"));
    optimizer_fini(&o);
    optimizer_fini(NULL);
}
END_TEST

UNIT_MAIN("optimizer", too_much_memory_is_refused, sgd_matches_torch, adam_matches_torch,
          ranges_stand_alone, clip_keeps_the_direction)
