/* SPDX-License-Identifier: Apache-2.0 */
/* Children are built as the space describes them, and a step of descent is what its
 * definition says, parameter by parameter. That the numbers of whole trainings are right
 * is shown by the witness test against PyTorch. */
#include "worker/child_conv.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "worker/descent.h"

static struct conv_chain chain_of(const char *layers)
{
    struct conv_chain chain;
    struct error err = {0};
    json_t *json = json_loads(layers, 0, NULL);
    ck_assert_ptr_nonnull(json);
    int status = conv_chain_from_json(json, &chain, &err);
    ck_assert_msg(status == 0, "%s", err.text);
    json_decref(json);
    return chain;
}

#define LAYER(h, w, k, s, in)                                           \
    "{\"filter_height\":" #h ",\"filter_width\":" #w ",\"filters\":" #k \
    ",\"stride\":" #s ",\"inputs\":" in "}"

static const char *const shapes[] = {
    "{\"layers\":[" LAYER(3, 3, 4, 1, "[-1]") "]}",
    "{\"layers\":[" LAYER(2, 4, 3, 2, "[-1]") "," LAYER(5, 1, 6, 3, "[0]") "]}",
    /* skips over a stride, padding, a layer that reads image and layer, two outputs */
    "{\"layers\":[" LAYER(3, 3, 4, 1, "[-1]") "," LAYER(3, 2, 5, 2, "[0]") "," LAYER(
        1, 1, 3, 1, "[-1,0,1]") "," LAYER(7, 7, 2, 3, "[1]") "]}",
    /* larger than the image, and far apart */
    "{\"layers\":[" LAYER(15, 9, 2, 16, "[-1]") "," LAYER(3, 3, 2, 1, "[-1]") "]}",
};

static const struct nn_shape image = {9, 7, 2};
enum { CLASSES = 5, BATCH = 6, IMAGE = 9 * 7 * 2 };

static struct nn_graph *graph_of(const char *layers)
{
    struct conv_chain chain = chain_of(layers);
    struct nn_graph_options options = {.max_batch = BATCH, .threads = 1};
    struct nn_graph *g = NULL;
    struct error err = {0};
    int status = child_conv_new(&chain, image, CLASSES, &options, &g, &err);
    ck_assert_msg(status == 0, "%s", err.text);
    return g;
}

START_TEST(memory_limit_is_an_error)
{
    struct conv_chain chain = chain_of(shapes[0]);
    struct nn_graph_options options = {
        .max_batch = BATCH, .threads = 1, .memory_limit = 1024};
    struct nn_graph *g = NULL;
    struct error err = {0};
    ck_assert_int_eq(child_conv_new(&chain, image, CLASSES, &options, &g, &err),
                     ERROR_INPUT);
    ck_assert_ptr_null(g);
    ck_assert_int_gt((int)strlen(err.text), 0);
}
END_TEST

START_TEST(unknown_kernels_are_an_error)
{
    struct conv_chain chain = chain_of(shapes[0]);
    struct nn_graph_options options = {
        .max_batch = BATCH, .threads = 1, .kernels = "abacus"};
    struct nn_graph *g = NULL;
    ck_assert_int_eq(child_conv_new(&chain, image, CLASSES, &options, &g, NULL),
                     ERROR_INPUT);
    ck_assert_ptr_null(g);
}
END_TEST

START_TEST(size_is_what_the_space_says)
{
    struct conv_chain chain = chain_of(shapes[_i]);
    struct nn_graph *g = graph_of(shapes[_i]);
    double params, flops;
    conv_chain_cost(&chain, image.h, image.w, image.c, CLASSES, &params, &flops);
    ck_assert_double_eq((double)nn_graph_parameter_count(g), params);
    ck_assert_double_eq(nn_graph_flops(g), flops);
    nn_graph_free(g);
}
END_TEST

struct batch {
    float images[BATCH * IMAGE + 16];
    uint8_t labels[BATCH];
};

static void fill(struct batch *b, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0);
    memset(b, 0, sizeof *b);
    for (int i = 0; i < BATCH; i++)
        b->labels[i] = (uint8_t)rng_below(&rng, CLASSES);
    for (int i = 0; i < BATCH * IMAGE; i++)
        b->images[i] = rng_float(&rng) - 0.5f;
}

static struct config_builtin_trainer sgd(void)
{
    struct config_builtin_trainer s = {.epochs = 1, .batch = BATCH};
    s.optimizer.name = OPTIMIZER_SGD;
    s.optimizer.lr = 0.05;
    s.optimizer.momentum = 0.9;
    s.optimizer.nesterov = true;
    s.optimizer.weight_decay = 0.25;
    return s;
}

START_TEST(descent_learns_a_batch)
{
    struct nn_graph *g = graph_of(shapes[_i]);
    struct config_builtin_trainer s = sgd();
    struct descent d = {0};
    struct batch b;
    struct nn_result first, last;
    s.optimizer.weight_decay = 0;
    fill(&b, 3);
    nn_graph_init(g, 1);
    ck_assert_int_eq(descent_init(&d, g, &s, NULL), 0);
    descent_step(&d, 0.05, BATCH, b.images, b.labels, &first);
    for (int i = 0; i < 300; i++)
        descent_step(&d, 0.05, BATCH, b.images, b.labels, &last);
    ck_assert_msg(last.loss < 0.5 * first.loss, "loss %g -> %g", first.loss, last.loss);
    descent_fini(&d);
    nn_graph_free(g);
}
END_TEST

/* The first step from moments of zero, by hand, with decay where it belongs. */
START_TEST(decay_spares_scale_shift_and_bias)
{
    struct nn_graph *g = graph_of(shapes[2]);
    size_t count = nn_graph_parameter_count(g);
    struct config_builtin_trainer s = sgd();
    struct descent d = {0};
    struct batch b;
    struct nn_result result;
    const struct nn_parameter *list;
    float *before = malloc(count * sizeof *before);
    int decaying = 0, parameters = nn_graph_parameter_list(g, &list);
    fill(&b, 4);
    nn_graph_init(g, 2);
    memcpy(before, nn_graph_parameters(g), count * sizeof *before);
    ck_assert_int_eq(descent_init(&d, g, &s, NULL), 0);
    descent_step(&d, 0.05, BATCH, b.images, b.labels, &result);
    for (int p = 0; p < parameters; p++) {
        bool weight = strstr(list[p].name, "weight") != NULL;
        ck_assert_int_eq(list[p].decay, weight);
        decaying += weight;
        for (size_t i = list[p].offset; i < list[p].offset + list[p].count; i++) {
            double gradient = nn_graph_gradients(g)[i] + (weight ? 0.25 * before[i] : 0);
            double want = before[i] - 0.05 * (gradient + 0.9 * gradient);
            ck_assert_double_eq_tol(nn_graph_parameters(g)[i], want, 1e-5);
        }
    }
    ck_assert_int_eq(decaying, 5);
    free(before);
    descent_fini(&d);
    nn_graph_free(g);
}
END_TEST

/* Adam's first step has size lr in the direction of the gradient with decay. */
START_TEST(adam_takes_its_first_step)
{
    struct nn_graph *g = graph_of(shapes[0]);
    size_t count = nn_graph_parameter_count(g);
    struct config_builtin_trainer s = sgd();
    struct descent d = {0};
    struct batch b;
    struct nn_result result;
    float *before = malloc(count * sizeof *before);
    s.optimizer.name = OPTIMIZER_ADAM;
    fill(&b, 5);
    nn_graph_init(g, 3);
    memcpy(before, nn_graph_parameters(g), count * sizeof *before);
    ck_assert_int_eq(descent_init(&d, g, &s, NULL), 0);
    descent_step(&d, 0.01, BATCH, b.images, b.labels, &result);
    for (size_t i = 0; i < count; i++) {
        float gradient = nn_graph_gradients(g)[i]; /* decay was added to it */
        if (fabsf(gradient) < 1e-4f)
            continue;
        double want = before[i] - 0.01 * (gradient > 0 ? 1 : -1);
        ck_assert_double_eq_tol(nn_graph_parameters(g)[i], want, 1e-5);
    }
    free(before);
    descent_fini(&d);
    nn_graph_free(g);
}
END_TEST

START_TEST(diverged_step_changes_nothing)
{
    struct nn_graph *g = graph_of(shapes[0]);
    size_t count = nn_graph_parameter_count(g);
    struct config_builtin_trainer s = sgd();
    struct descent d = {0};
    struct batch b;
    struct nn_result result;
    float *before = malloc(count * sizeof *before);
    fill(&b, 6);
    b.images[0] = NAN;
    nn_graph_init(g, 4);
    memcpy(before, nn_graph_parameters(g), count * sizeof *before);
    ck_assert_int_eq(descent_init(&d, g, &s, NULL), 0);
    descent_step(&d, 0.1, BATCH, b.images, b.labels, &result);
    ck_assert(!isfinite(result.loss));
    ck_assert_mem_eq(before, nn_graph_parameters(g), count * sizeof *before);
    free(before);
    descent_fini(&d);
    nn_graph_free(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("child_conv");
    TCase *tc = tcase_create("child_conv");
    int shape_count = sizeof shapes / sizeof *shapes;
    tcase_add_test(tc, memory_limit_is_an_error);
    tcase_add_test(tc, unknown_kernels_are_an_error);
    tcase_add_loop_test(tc, size_is_what_the_space_says, 0, shape_count);
    tcase_add_loop_test(tc, descent_learns_a_batch, 0, shape_count);
    tcase_add_test(tc, decay_spares_scale_shift_and_bias);
    tcase_add_test(tc, adam_takes_its_first_step);
    tcase_add_test(tc, diverged_step_changes_nothing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
