/* SPDX-License-Identifier: Apache-2.0 */
/* Every fast kernel against the plain one on random odd shapes, and the order of the
 * choice. Buffers have exactly the promised size, so a sanitizer sees an access
 * beyond, and what must be overwritten holds NaN. */
#include "common/nn/kernels.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"

#ifdef NN_HAVE_X86
extern const struct nn_kernels nn_kernels_wide;
#endif

static struct rng rng;

/* The next random stream; its seed goes to the output. */
static void seed_rng(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    rng_init(&rng, seed, RNG_TEST, 0);
}

static int draw(int from, int to)
{
    return from + (int)rng_below(&rng, (uint32_t)(to - from + 1));
}

static float *random_floats(size_t count)
{
    float *x = malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

static float *filled(size_t count, float value)
{
    float *x = malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = value;
    return x;
}

static float *copy_of(const float *x, size_t count)
{
    return memcpy(malloc(count * sizeof *x), x, count * sizeof *x);
}

/* Both sum the same terms in another order: rounding grows with their number. Only a
 * failure is told to check, which writes to a file each time. */
static void check_equal(const char *what, const float *got, const float *want,
                        size_t count, double tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * (1 + fabs((double)want[i]))))
            ck_abort_msg("%s: element %zu is %g, plain has %g", what, i, (double)got[i],
                         (double)want[i]);
}

/* Cases of each kernel; multiply-adds of one convolution, since the reference is slow. */
enum { CASES = 300, MOST_WORK = 1000000 };

static int draw_channels(void)
{
    return draw(0, 2) ? draw(1, 48) : draw(1, 130);
}

static int draw_side(void)
{
    return draw(0, 5) ? draw(1, 9) : draw(0, 5) ? draw(10, 30) : draw(31, 300);
}

/* A convolution and a number of images. */
static struct nn_conv random_conv(int *ret_n)
{
    for (;;) {
        struct nn_conv s = nn_conv_make(draw_side(), draw_side(), draw_channels(),
                                        draw(1, 11), draw(1, 11), draw_channels(),
                                        draw(0, 2) ? draw(1, 2) : draw(3, 13));
        int n = draw(1, 5);
        double work = (double)n * s.oh * s.ow * s.kh * s.kw * s.c * s.k;
        if (work <= MOST_WORK && (double)n * s.h * s.w * s.c <= MOST_WORK / 10) {
            *ret_n = n;
            return s;
        }
    }
}

struct conv_case {
    struct nn_conv s;
    int n;
    size_t in, out, weights;       /* floats */
    float *x, *dy, *weight, *bias; /* bias may be NULL */
    bool relu;
    char name[160];
};

static void conv_case_init(struct conv_case *t, const char *kernels)
{
    int n;
    const struct nn_conv s = random_conv(&n);
    *t = (struct conv_case){.s = s, .n = n};
    t->in = (size_t)t->n * s.h * s.w * s.c;
    t->out = (size_t)t->n * s.oh * s.ow * s.k;
    t->weights = (size_t)s.kh * s.kw * s.c * s.k;
    t->x = random_floats(t->in);
    t->dy = random_floats(t->out);
    t->weight = random_floats(t->weights);
    t->bias = draw(0, 1) ? random_floats((size_t)s.k) : NULL;
    t->relu = draw(0, 1);
    snprintf(t->name, sizeof t->name,
             "%s: %d images %d x %d x %d, filter %d x %d x %d, "
             "stride %d%s%s",
             kernels, t->n, s.h, s.w, s.c, s.kh, s.kw, s.k, s.stride,
             t->bias ? ", bias" : "", t->relu ? ", ReLU" : "");
}

static void conv_case_fini(struct conv_case *t)
{
    free(t->x);
    free(t->dy);
    free(t->weight);
    free(t->bias);
}

/* A result of each pass; `base` is what gradients are added to, NAN: written. */
static void run_conv(const struct nn_kernels *k, const struct conv_case *t,
                     const float *base, bool add, float *ret[3])
{
    float *packed = malloc(k->conv_pack_count(&t->s) * sizeof *packed);
    struct nn_ahead some = {
        .ranges = {{(char *)base, (char *)(base + t->in)},
                   {(char *)base, (char *)base},
                   {(char *)t->weight, (char *)(t->weight + t->weights) - 3}},
        .count = 3};
    struct nn_ahead *ahead = add ? &some : NULL;
    ret[0] = filled(t->out, NAN);
    ret[1] = add ? copy_of(base, t->in) : filled(t->in, NAN);
    ret[2] = copy_of(t->weight, t->weights);
    k->conv_pack(&t->s, t->weight, packed);
    k->conv_forward(&t->s, t->n, t->x, packed, t->bias, t->relu, ret[0], ahead);
    k->conv_backward_data(&t->s, t->n, t->dy, packed, add, ret[1], ahead);
    k->conv_backward_weight(&t->s, t->n, t->x, t->dy, ret[2], ahead);
    free(packed);
}

static void check_conv(const struct nn_kernels *k)
{
    struct conv_case t;
    float *want[3], *got[3];
    conv_case_init(&t, k->name);
    bool add = draw(0, 1);
    float *base = random_floats(t.in);
    run_conv(&nn_kernels_plain, &t, base, add, want);
    run_conv(k, &t, base, add, got);
    /* Sums of up to thousands of products of size 1. */
    check_equal(t.name, got[0], want[0], t.out, 2e-4);
    check_equal(t.name, got[1], want[1], t.in, 2e-4);
    check_equal(t.name, got[2], want[2], t.weights, 5e-4);
    for (int i = 0; i < 3; i++) {
        free(want[i]);
        free(got[i]);
    }
    free(base);
    conv_case_fini(&t);
}

struct norm_case {
    struct nn_norm s;
    size_t pixels, count;
    float *x, *dy, *coefficients;
    char name[80];
};

static void norm_case_init(struct norm_case *t, const char *kernels)
{
    int c = draw(0, 3) ? draw(1, 70) : draw(100, 600);
    *t = (struct norm_case){.pixels = (size_t)draw(1, 150)};
    t->count = t->pixels * (size_t)c;
    t->x = random_floats(t->count);
    t->dy = random_floats(t->count);
    t->coefficients = random_floats(6 * (size_t)c);
    const float *at = t->coefficients;
    t->s = (struct nn_norm){.c = c,
                            .relu = draw(0, 1),
                            .a = at,
                            .b = at + c,
                            .mean = at + 2 * c,
                            .p = at + 3 * c,
                            .q = at + 4 * c,
                            .r = at + 5 * c};
    snprintf(t->name, sizeof t->name, "%s: norm of %zu x %d%s", kernels, t->pixels, c,
             t->s.relu ? " with ReLU" : "");
}

static void check_sums(const char *what, const double *got, const double *want, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= 1e-4 * (1 + fabs(want[i])),
                      "%s: sum %d is %g, plain has %g", what, i, got[i], want[i]);
}

static void run_norm(const struct nn_kernels *k, const struct norm_case *t, bool add,
                     float *ret[2], double *sums)
{
    int c = t->s.c;
    for (int i = 0; i < 4 * c; i++)
        sums[i] = i; /* added to */
    k->norm_sums(t->pixels, c, t->x, t->coefficients, sums, sums + c);
    ret[0] = filled(t->count, NAN);
    k->norm_forward(&t->s, t->pixels, t->x, ret[0]);
    k->norm_backward_sums(&t->s, t->pixels, t->x, t->dy, sums + 2 * c, sums + 3 * c);
    ret[1] = copy_of(t->dy, t->count); /* in place unless added */
    k->norm_backward(&t->s, t->pixels, t->x, add ? t->dy : ret[1], add, ret[1]);
}

static void check_norm(const struct nn_kernels *k)
{
    struct norm_case t;
    float *want[2], *got[2];
    norm_case_init(&t, k->name);
    bool add = draw(0, 1);
    double *sums = malloc(8 * (size_t)t.s.c * sizeof *sums);
    run_norm(&nn_kernels_plain, &t, add, want, sums);
    run_norm(k, &t, add, got, sums + 4 * t.s.c);
    check_sums(t.name, sums + 4 * t.s.c, sums, 4 * t.s.c);
    for (int i = 0; i < 2; i++) {
        check_equal(t.name, got[i], want[i], t.count, 1e-5);
        free(want[i]);
        free(got[i]);
    }
    free(sums);
    free(t.x);
    free(t.dy);
    free(t.coefficients);
}

static void for_fast_kernels(void (*check)(const struct nn_kernels *k), int times)
{
    seed_rng();
    for (int i = 0; nn_kernels_all[i]; i++)
        for (int j = 0; j < times && nn_kernels_all[i]->runs_here(); j++)
            check(nn_kernels_all[i]);
#ifdef NN_HAVE_X86
    for (int j = 0; j < times && nn_kernels_wide.runs_here(); j++)
        check(&nn_kernels_wide);
#endif
}

START_TEST(unknown_names_are_refused)
{
    const struct nn_kernels *k = NULL;
    struct error err;
    ck_assert_int_eq(nn_kernels_find("", &k, &err), ERROR_INPUT);
    ck_assert_int_eq(nn_kernels_find("avx", &k, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "generic"));
    ck_assert_ptr_null(k);
}
END_TEST

START_TEST(the_fastest_that_runs_is_chosen)
{
    const struct nn_kernels *k = NULL;
    int first = 0;
    while (!nn_kernels_all[first]->runs_here())
        first++;
    ck_assert_int_eq(nn_kernels_find(NULL, &k, NULL), 0);
    ck_assert_ptr_eq(k, nn_kernels_all[first]);
    ck_assert_int_eq(nn_kernels_find("plain", &k, NULL), ERROR_INPUT);
    ck_assert_int_eq(nn_kernels_find("generic", &k, NULL), 0);
    ck_assert_ptr_eq(k, &nn_kernels_generic);
    for (int i = 0; nn_kernels_all[i]; i++)
        if (nn_kernels_find(nn_kernels_all[i]->name, &k, NULL) == 0)
            ck_assert_ptr_eq(k, nn_kernels_all[i]);
        else
            ck_assert(!nn_kernels_all[i]->runs_here());
}
END_TEST

START_TEST(padding_is_same)
{
    struct nn_conv s = nn_conv_make(28, 1, 3, 3, 7, 4, 2);
    ck_assert(s.oh == 14 && s.ow == 1 && s.top == 0 && s.left == 3);
    s = nn_conv_make(7, 9, 1, 4, 1, 1, 3);
    ck_assert(s.oh == 3 && s.ow == 3 && s.top == 1 && s.left == 0);
}
END_TEST

START_TEST(tap_ranges_stay_inside)
{
    for (int in = 1; in < 9; in++)
        for (int filter = 1; filter < 9; filter++)
            for (int stride = 1; stride < 5; stride++) {
                struct nn_conv s = nn_conv_make(in, in, 1, filter, filter, 1, stride);
                for (int tap = 0; tap < filter; tap++) {
                    int from, to;
                    nn_conv_tap_range(in, s.oh, stride, s.top, tap, &from, &to);
                    for (int o = 0; o < s.oh; o++) {
                        int i = o * stride + tap - s.top;
                        ck_assert_int_eq(o >= from && o < to, i >= 0 && i < in);
                    }
                }
            }
}
END_TEST

START_TEST(convolutions_equal_plain)
{
    for_fast_kernels(check_conv, CASES);
}
END_TEST

START_TEST(norms_equal_plain)
{
    for_fast_kernels(check_norm, 150);
}
END_TEST

UNIT_MAIN("kernels", unknown_names_are_refused, the_fastest_that_runs_is_chosen,
          padding_is_same, tap_ranges_stay_inside, convolutions_equal_plain,
          norms_equal_plain)
