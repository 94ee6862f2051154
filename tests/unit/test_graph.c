/* SPDX-License-Identifier: Apache-2.0 */
#include "common/nn/graph.h"
#include "unit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/rng.h"

static const struct nn_graph_options defaults = {.max_batch = 4, .threads = 1};

static struct nn_graph *graph_new(void)
{
    struct nn_graph *g = NULL;
    ck_assert_int_eq(nn_graph_new(&defaults, &g, NULL), 0);
    return g;
}

/* input -> conv -> norm -> pool -> linear -> loss, finished. */
static struct nn_graph *small_graph(const struct nn_graph_options *options)
{
    struct nn_graph *g = NULL;
    struct error err;
    ck_assert_int_eq(nn_graph_new(options, &g, NULL), 0);
    ck_assert_int_eq(nn_graph_input(g, (struct nn_shape){6, 5, 2}), 0);
    ck_assert_int_eq(nn_graph_conv(g, 0, 3, 2, 7, 2), 1);
    ck_assert_int_eq(nn_graph_batch_norm(g, 1, true), 2);
    ck_assert_int_eq(nn_graph_global_pool(g, 2), 3);
    ck_assert_int_eq(nn_graph_linear(g, 3, 3), 4);
    ck_assert_int_eq(nn_graph_softmax_loss(g, 4), 5);
    ck_assert_int_eq(nn_graph_finish(g, &err), 0);
    return g;
}

enum { IMAGE = 6 * 5 * 2 };

static void make_batch(float images[4 * IMAGE], uint8_t labels[4], uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0);
    for (int i = 0; i < 4 * IMAGE; i++)
        images[i] = (float)rng_normal(&rng);
    for (int i = 0; i < 4; i++)
        labels[i] = (uint8_t)(i % 3);
}

START_TEST(bad_options_are_refused)
{
    struct nn_graph *g = (struct nn_graph *)&defaults;
    struct error err;
    struct nn_graph_options o = {.max_batch = 0, .threads = 1};
    ck_assert_int_eq(nn_graph_new(&o, &g, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "batch 0"));
    o = (struct nn_graph_options){.max_batch = 1, .threads = 0};
    ck_assert_int_eq(nn_graph_new(&o, &g, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "0 threads"));
    o = (struct nn_graph_options){.max_batch = 1, .threads = 1, .kernels = "fastest"};
    ck_assert_int_eq(nn_graph_new(&o, &g, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "'fastest'"));
    ck_assert_ptr_nonnull(strstr(err.text, "generic"));
    ck_assert_ptr_eq(g, &defaults); /* untouched */
    nn_graph_free(NULL);
}
END_TEST

/* A call that must fail as the second node of a graph with a (6, 5, 2) input. */
#define CHECK_REFUSED(word, call)                                                   \
    do {                                                                            \
        struct error err = {0};                                                     \
        struct nn_graph *g = graph_new();                                           \
        ck_assert_int_eq(nn_graph_input(g, (struct nn_shape){6, 5, 2}), 0);         \
        ck_assert_int_eq(call, ERROR_INPUT);                                        \
        ck_assert_int_eq(nn_graph_linear(g, 0, 2), ERROR_INPUT); /* stays failed */ \
        ck_assert_int_eq(nn_graph_finish(g, &err), ERROR_INPUT);                    \
        ck_assert_msg(strstr(err.text, word), "'%s' lacks '%s'", err.text, word);   \
        nn_graph_free(g);                                                           \
    } while (0)

START_TEST(bad_nodes_are_refused)
{
    CHECK_REFUSED("0 filters", nn_graph_conv(g, 0, 3, 3, 0, 1));
    CHECK_REFUSED("0 x 3", nn_graph_conv(g, 0, 0, 3, 4, 1));
    CHECK_REFUSED("3 x -1", nn_graph_conv(g, 0, 3, -1, 4, 1));
    CHECK_REFUSED("stride 0", nn_graph_conv(g, 0, 3, 3, 4, 0));
    CHECK_REFUSED("256 x 1", nn_graph_conv(g, 0, 256, 1, 4, 1));
    CHECK_REFUSED("input 1", nn_graph_conv(g, 1, 3, 3, 4, 1));
    CHECK_REFUSED("input -1", nn_graph_batch_norm(g, -1, true));
    CHECK_REFUSED("input 7", nn_graph_global_pool(g, 7));
    CHECK_REFUSED("0 outputs", nn_graph_linear(g, 0, 0));
    CHECK_REFUSED("one input", nn_graph_input(g, (struct nn_shape){1, 1, 1}));
    CHECK_REFUSED("0 inputs", nn_graph_concat(g, (int[]){0}, 0));
    CHECK_REFUSED("input 3", nn_graph_concat(g, (int[]){0, 3}, 2));
    CHECK_REFUSED("1 x 1 map", nn_graph_softmax_loss(g, 0));
}
END_TEST

START_TEST(bad_input_shapes_are_refused)
{
    const struct nn_shape bad[] = {
        {0, 1, 1}, {1, -1, 1}, {1, 1, 0}, {5000, 1, 1}, {1, 1, 70000}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct nn_graph *g = graph_new();
        ck_assert_int_eq(nn_graph_input(g, bad[i]), ERROR_INPUT);
        nn_graph_free(g);
    }
}
END_TEST

START_TEST(finish_needs_a_loss_and_happens_once)
{
    struct error err;
    struct nn_graph *g = graph_new();
    ck_assert_int_eq(nn_graph_finish(g, &err), ERROR_INPUT);
    ck_assert_int_eq(nn_graph_input(g, (struct nn_shape){1, 1, 2}), 0);
    ck_assert_int_eq(nn_graph_finish(g, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "loss"));
    ck_assert_int_eq(nn_graph_softmax_loss(g, 0), 1);
    ck_assert_int_eq(nn_graph_finish(g, &err), 0);
    ck_assert_int_eq(nn_graph_finish(g, &err), ERROR_INPUT);
    ck_assert_int_lt(nn_graph_linear(g, 0, 2), 0);
    nn_graph_free(g);
    g = graph_new();
    nn_graph_input(g, (struct nn_shape){1, 1, 2});
    nn_graph_softmax_loss(g, 0);
    ck_assert_int_eq(nn_graph_softmax_loss(g, 0), ERROR_INPUT);
    nn_graph_free(g);
}
END_TEST

START_TEST(huge_networks_are_refused_by_size)
{
    struct error err;
    struct nn_graph *g = NULL;
    struct nn_graph_options o = {.max_batch = 1 << 20, .threads = 1};
    ck_assert_int_eq(nn_graph_new(&o, &g, NULL), 0);
    int node = nn_graph_input(g, (struct nn_shape){4096, 4096, 1});
    node = nn_graph_conv(g, node, 1, 1, 65536, 1);
    node = nn_graph_global_pool(g, node);
    nn_graph_softmax_loss(g, nn_graph_linear(g, node, 10));
    ck_assert_int_eq(nn_graph_finish(g, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "too large"));
    nn_graph_free(g);
}
END_TEST

START_TEST(memory_limit_holds)
{
    struct error err;
    struct nn_graph_options o = defaults;
    struct nn_graph *g = small_graph(&o), *h = NULL;
    size_t need = nn_graph_memory(g);
    ck_assert_uint_gt(need, 4 * 6 * 5 * 2 * sizeof(float));
    o.memory_limit = need;
    h = small_graph(&o); /* just enough */
    ck_assert_uint_eq(nn_graph_memory(h), need);
    nn_graph_free(h);
    o.memory_limit = need - 1;
    ck_assert_int_eq(nn_graph_new(&o, &h, NULL), 0);
    nn_graph_input(h, (struct nn_shape){6, 5, 2});
    nn_graph_conv(h, 0, 3, 2, 7, 2);
    nn_graph_batch_norm(h, 1, true);
    nn_graph_global_pool(h, 2);
    nn_graph_linear(h, 3, 3);
    nn_graph_softmax_loss(h, 4);
    ck_assert_int_eq(nn_graph_finish(h, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "MiB"));
    ck_assert_uint_eq(nn_graph_memory(h), 0);
    nn_graph_free(h);
    nn_graph_free(g);
}
END_TEST

START_TEST(shapes_follow_same_padding)
{
    struct nn_graph *g = graph_new();
    nn_graph_input(g, (struct nn_shape){28, 7, 3});
    int a = nn_graph_conv(g, 0, 5, 1, 8, 3), b = nn_graph_conv(g, 0, 2, 7, 4, 1);
    int c = nn_graph_concat(g, (int[]){a, b}, 2);
    struct nn_shape s = nn_graph_shape(g, a);
    ck_assert(s.h == 10 && s.w == 3 && s.c == 8);
    s = nn_graph_shape(g, b);
    ck_assert(s.h == 28 && s.w == 7 && s.c == 4);
    s = nn_graph_shape(g, c);
    ck_assert(s.h == 28 && s.w == 7 && s.c == 12);
    nn_graph_free(g);
}
END_TEST

START_TEST(parameters_are_listed_in_order)
{
    static const char *const names[] = {"conv0.weight", "bn0.scale", "bn0.shift",
                                        "linear0.weight", "linear0.bias"};
    const struct nn_parameter *p;
    struct nn_graph *g = small_graph(&defaults);
    size_t offset = 0, statistics;
    ck_assert_int_eq(nn_graph_parameter_list(g, &p), 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_str_eq(p[i].name, names[i]);
        ck_assert_uint_eq(p[i].offset, offset);
        ck_assert_int_eq(p[i].decay, i == 0 || i == 3);
        offset += p[i].count;
    }
    ck_assert_uint_eq(nn_graph_parameter_count(g), offset);
    ck_assert_int_eq(p[0].rank, 4);
    ck_assert(p[0].dims[0] == 3 && p[0].dims[1] == 2 && p[0].dims[2] == 2 &&
              p[0].dims[3] == 7);
    ck_assert_int_eq(p[3].rank, 2);
    ck_assert(p[3].dims[0] == 7 && p[3].dims[1] == 3);
    nn_graph_statistics(g, &statistics);
    ck_assert_uint_eq(statistics, 14);
    ck_assert_double_eq_tol(nn_graph_flops(g), 2.0 * (3 * 3 * 3 * 2 * 2 * 7 + 7 * 3),
                            0.1);
    nn_graph_free(g);
}
END_TEST

START_TEST(init_is_bounded_and_repeatable)
{
    const struct nn_parameter *p;
    struct nn_graph *g = small_graph(&defaults), *h = small_graph(&defaults);
    size_t bytes = nn_graph_parameter_count(g) * sizeof(float);
    nn_graph_parameter_list(g, &p);
    nn_graph_init(g, 3);
    nn_graph_init(h, 4);
    ck_assert(memcmp(nn_graph_parameters(g), nn_graph_parameters(h), bytes) != 0);
    nn_graph_init(h, 3);
    ck_assert(memcmp(nn_graph_parameters(g), nn_graph_parameters(h), bytes) == 0);
    float largest = 0;
    for (size_t i = 0; i < p[0].count; i++)
        largest = fmaxf(largest, fabsf(nn_graph_parameters(g)[i]));
    ck_assert_float_le(largest, sqrtf(6.0f / 12));
    ck_assert_float_ge(largest, 0.8f * sqrtf(6.0f / 12)); /* 84 numbers */
    ck_assert_float_eq(nn_graph_parameters(g)[p[1].offset], 1);
    ck_assert_float_eq(nn_graph_parameters(g)[p[2].offset], 0);
    nn_graph_free(g);
    nn_graph_free(h);
}
END_TEST

START_TEST(running_statistics_follow_the_batch)
{
    float images[4 * IMAGE];
    uint8_t labels[4];
    struct nn_result result;
    size_t count;
    struct nn_graph *g = small_graph(&defaults);
    float *running = nn_graph_statistics(g, &count);
    make_batch(images, labels, 1);
    nn_graph_init(g, 1);
    ck_assert_float_eq(running[0], 0);
    ck_assert_float_eq(running[7], 1);
    nn_graph_forward(g, 4, images, labels, false, &result);
    ck_assert_float_eq(running[0], 0); /* evaluation does not touch them */
    nn_graph_forward(g, 4, images, labels, true, &result);
    float x[36 * 7];
    nn_graph_output(g, 1, x);
    double mean = 0, var = 0;
    for (int i = 0; i < 36; i++)
        mean += x[i * 7 + 2] / 36.0;
    for (int i = 0; i < 36; i++)
        var += (x[i * 7 + 2] - mean) * (x[i * 7 + 2] - mean) / 35.0;
    ck_assert_double_eq_tol(running[2], 0.1 * mean, 1e-6);
    ck_assert_double_eq_tol(running[7 + 2], 0.9 + 0.1 * var, 1e-5);
    /* And evaluation uses them: after many equal batches it agrees with training. */
    for (int i = 0; i < 200; i++)
        nn_graph_forward(g, 4, images, labels, true, &result);
    double training = result.loss;
    nn_graph_forward(g, 4, images, labels, false, &result);
    ck_assert_double_eq_tol(result.loss, training, 0.02);
    nn_graph_free(g);
}
END_TEST

START_TEST(smaller_batches_see_only_their_images)
{
    float images[4 * IMAGE];
    uint8_t labels[4];
    struct nn_result one, all;
    double sum = 0;
    int correct = 0;
    struct nn_graph *g = small_graph(&defaults);
    make_batch(images, labels, 2);
    nn_graph_init(g, 2);
    nn_graph_forward(g, 4, images, labels, false, &all);
    for (int i = 0; i < 4; i++) {
        nn_graph_forward(g, 1, images + i * IMAGE, labels + i, false, &one);
        sum += one.loss / 4;
        correct += one.correct;
    }
    ck_assert_double_eq_tol(sum, all.loss, 1e-6);
    ck_assert_int_eq(correct, all.correct);
    nn_graph_free(g);
}
END_TEST

static void descend(struct nn_graph *g, int steps, struct nn_result *ret)
{
    float images[4 * IMAGE];
    uint8_t labels[4];
    make_batch(images, labels, 3);
    nn_graph_init(g, 5);
    for (int i = 0; i < steps; i++) {
        nn_graph_forward(g, 4, images, labels, true, ret);
        nn_graph_backward(g);
        for (size_t j = 0; j < nn_graph_parameter_count(g); j++)
            nn_graph_parameters(g)[j] -= 0.3f * nn_graph_gradients(g)[j];
    }
}

START_TEST(descent_learns_a_batch)
{
    struct nn_result result;
    struct nn_graph *g = small_graph(&defaults);
    descend(g, 1, &result);
    double first = result.loss;
    descend(g, 300, &result);
    ck_assert_double_lt(result.loss, 0.2 * first);
    ck_assert_int_eq(result.correct, 4);
    nn_graph_free(g);
}
END_TEST

START_TEST(same_threads_same_bits)
{
    for (int threads = 1; threads <= 3; threads++) {
        struct nn_graph_options o = {.max_batch = 4, .threads = threads};
        struct nn_result result;
        struct nn_graph *g = small_graph(&o), *h = small_graph(&o);
        size_t bytes = nn_graph_parameter_count(g) * sizeof(float);
        descend(g, 20, &result);
        descend(h, 20, &result);
        ck_assert(memcmp(nn_graph_parameters(g), nn_graph_parameters(h), bytes) == 0);
        nn_graph_free(g);
        nn_graph_free(h);
    }
}
END_TEST

START_TEST(divergence_is_visible)
{
    float images[4 * IMAGE];
    uint8_t labels[4];
    struct nn_result result;
    struct nn_graph *g = small_graph(&defaults);
    make_batch(images, labels, 1);
    nn_graph_parameters(g)[0] = NAN;
    nn_graph_forward(g, 4, images, labels, true, &result);
    ck_assert(!isfinite(result.loss));
    ck_assert_int_eq(result.correct, 0);
    nn_graph_backward(g); /* must not crash */
    nn_graph_free(g);
}
END_TEST

START_TEST(denormals_can_be_flushed)
{
    volatile float tiny = 1e-38f, half = 0.25f;
    nn_set_flush_denormals(false);
    ck_assert(tiny * half > 0);
    nn_set_flush_denormals(true);
#ifdef __SSE__
    ck_assert(tiny * half == 0);
#endif
    nn_set_flush_denormals(false);
    ck_assert(tiny * half > 0);
}
END_TEST

UNIT_MAIN("graph", bad_options_are_refused, bad_nodes_are_refused,
          bad_input_shapes_are_refused, finish_needs_a_loss_and_happens_once,
          huge_networks_are_refused_by_size, memory_limit_holds,
          shapes_follow_same_padding, parameters_are_listed_in_order,
          init_is_bounded_and_repeatable, running_statistics_follow_the_batch,
          smaller_batches_see_only_their_images, descent_learns_a_batch,
          same_threads_same_bits, divergence_is_visible, denormals_can_be_flushed)
