/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements over one model and over the bare products of the same shapes. */
#include "bench_language.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_child.h"
#include "common/nn/recurrent_tree.h"
#include "common/rng.h"

enum { NODES = 12, STEPS = 35, COLUMNS = 64, ROWS = STEPS * COLUMNS, WORDS = 10000 };
enum { WINDOWS = 20, TIMES_MAX = 4096, TIMES_MIN = 3, WARM_UP = 1 };
static const double clip = 0.25, learning_rate = 1;

static const struct recurrent_cell published = {
    .nodes = NODES,
    .activation = {RECURRENT_TANH, RECURRENT_TANH, RECURRENT_RELU, RECURRENT_RELU,
                   RECURRENT_TANH, RECURRENT_TANH, RECURRENT_RELU, RECURRENT_TANH,
                   RECURRENT_RELU, RECURRENT_RELU, RECURRENT_RELU, RECURRENT_RELU},
    .previous = {0, 0, 1, 2, 2, 0, 5, 1, 0, 6, 8, 8}};

struct language {
    struct recurrent *model;
    const struct recurrent_kernels *kernels;
    struct recurrent_range ranges[RECURRENT_MAX_RANGES];
    int range_count;
    float *weights, *gradient, *state;
    int32_t *text; /* (WINDOWS * STEPS + 1, COLUMNS) */
    int window;
    struct rng rng;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *take(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p)
        fail("no memory");
    return p;
}

/* Words as frequent as in a text: the n-th in proportion to 1 / n, nearly. */
static void fill(struct language *l, size_t count)
{
    rng_init(&l->rng, 1, RNG_TEST, 0);
    for (size_t i = 0; i < count; i++)
        l->weights[i] = (rng_float(&l->rng) - 0.5f) * 0.05f;
    for (size_t i = 0; i < (size_t)(WINDOWS * STEPS + 1) * COLUMNS; i++)
        l->text[i] = (int32_t)(exp(rng_double(&l->rng) * log(WORDS)) - 1);
}

/* tree: NULL for a pool of all edges. */
static void language_init(struct language *l, const struct recurrent_tree_cell *tree,
                          int hidden, int threads)
{
    struct recurrent_options options = {.vocabulary = WORDS,
                                        .hidden = hidden,
                                        .steps = STEPS,
                                        .batch = COLUMNS,
                                        .nodes = NODES,
                                        .tree = tree,
                                        .threads = threads};
    struct error err;
    *l = (struct language){.kernels = recurrent_kernels_find(NULL)};
    if (recurrent_new(&options, &l->model, &err))
        fail(err.text);
    size_t count = recurrent_count(l->model);
    l->range_count = recurrent_touched(l->model, &published, l->ranges);
    l->weights = take(count, sizeof *l->weights);
    l->gradient = take(count, sizeof *l->gradient);
    l->state = take(recurrent_state(l->model, COLUMNS), sizeof *l->state);
    l->text = take((size_t)(WINDOWS * STEPS + 1) * COLUMNS, sizeof *l->text);
    fill(l, count);
}

static void language_fini(struct language *l)
{
    recurrent_free(l->model);
    free(l->weights);
    free(l->gradient);
    free(l->state);
    free(l->text);
}

static struct recurrent_window next_window(struct language *l)
{
    const int32_t *at = l->text + (l->window++ % WINDOWS) * STEPS * COLUMNS;
    return (struct recurrent_window){.steps = STEPS,
                                     .batch = COLUMNS,
                                     .inputs = at,
                                     .targets = at + COLUMNS,
                                     .state = l->state};
}

static void descend(struct language *l)
{
    double squares = 0;
    for (int i = 0; i < l->range_count; i++)
        squares += l->kernels->sum_of_squares(l->ranges[i].count,
                                              l->gradient + l->ranges[i].first);
    double norm = sqrt(squares),
           rate = norm > clip ? learning_rate * clip / norm : learning_rate;
    for (int i = 0; i < l->range_count; i++)
        l->kernels->add_scaled(l->ranges[i].count, (float)-rate,
                               l->gradient + l->ranges[i].first,
                               l->weights + l->ranges[i].first);
}

static void train_step(void *context)
{
    struct language *l = context;
    struct recurrent_window w = next_window(l);
    for (int i = 0; i < l->range_count; i++)
        memset(l->gradient + l->ranges[i].first, 0, l->ranges[i].count * sizeof(float));
    double loss =
        recurrent_gradient(l->model, l->weights, &published, &w, 1, l->gradient);
    if (!isfinite(loss))
        fail("the training diverged");
    descend(l);
}

static void score_step(void *context)
{
    struct language *l = context;
    struct recurrent_cell cell = {.nodes = NODES};
    for (int j = 0; j < NODES; j++) {
        cell.previous[j] = (uint8_t)(j ? rng_below(&l->rng, (uint32_t)j) : 0);
        cell.activation[j] = (uint8_t)rng_below(&l->rng, RECURRENT_ACTIVATIONS);
    }
    struct recurrent_window w = next_window(l);
    recurrent_loss(l->model, l->weights, &cell, &w);
}

/* Tokens a second at the median time of a window. */
static double measure(void (*step)(void *context), void *context, double seconds)
{
    double times[TIMES_MAX], start;
    int count = 0;
    for (int i = 0; i < WARM_UP; i++)
        step(context);
    start = bench_now();
    while (count < TIMES_MIN || (count < TIMES_MAX && bench_now() - start < seconds)) {
        double before = bench_now();
        step(context);
        times[count++] = bench_now() - before;
    }
    return ROWS / bench_median(times, count);
}

static double language_rate(void (*step)(void *context),
                            const struct recurrent_tree_cell *tree, int hidden,
                            int threads, double seconds)
{
    struct language l;
    language_init(&l, tree, hidden, threads);
    double rate = measure(step, &l, seconds);
    language_fini(&l);
    return rate;
}

double language_train(int hidden, int threads, double seconds)
{
    return language_rate(train_step, NULL, hidden, threads, seconds);
}

/* Every combination and every activation, in turn. */
static struct recurrent_tree_cell some_tree(void)
{
    struct recurrent_tree_cell tree = {
        .leaves = NODES + 1, .memory = 1, .inject = {RECURRENT_ADD, RECURRENT_TANH}};
    for (int i = 0; i < recurrent_tree_nodes(&tree); i++)
        tree.nodes[i] =
            (struct recurrent_tree_node){(uint8_t)(i / 3 % RECURRENT_COMBINATIONS),
                                         (uint8_t)(i % RECURRENT_ACTIVATIONS)};
    return tree;
}

double language_train_tree(int hidden, int threads, double seconds)
{
    struct recurrent_tree_cell tree = some_tree();
    return language_rate(train_step, &tree, hidden, threads, seconds);
}

double language_score(int hidden, int threads, double seconds)
{
    return language_rate(score_step, NULL, hidden, threads, seconds);
}

/* Bare products: the buffers that a model would use, so that weights come from where
 * they would. */
struct products {
    int n; /* hidden units */
    bool train;
    float *pair[NODES + 1]; /* (n, 2n): that of the input last */
    float *gradient[NODES + 1];
    float *node[NODES], *gates[NODES]; /* (ROWS, n), (ROWS, 2n) */
    float *embeddings, *d_embeddings;  /* (WORDS, n) */
    float *logits;                     /* (ROWS, WORDS) */
};

static float *take_floats(int rows, int columns)
{
    float *p = take((size_t)rows * (size_t)columns, sizeof *p);
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++)
        p[i] = (float)(i % 37) / 37 - 0.5f;
    return p;
}

static void products_init(struct products *p, int hidden, bool train)
{
    *p = (struct products){.n = hidden, .train = train};
    for (int j = 0; j <= NODES; j++) {
        p->pair[j] = take_floats(hidden, 2 * hidden);
        p->gradient[j] = take_floats(hidden, 2 * hidden);
    }
    for (int j = 0; j < NODES; j++) {
        p->node[j] = take_floats(ROWS, hidden);
        p->gates[j] = take_floats(ROWS, 2 * hidden);
    }
    p->embeddings = take_floats(WORDS, hidden);
    p->d_embeddings = take_floats(WORDS, hidden);
    p->logits = take_floats(ROWS, WORDS);
}

static void products_fini(struct products *p)
{
    for (int j = 0; j <= NODES; j++) {
        free(p->pair[j]);
        free(p->gradient[j]);
    }
    for (int j = 0; j < NODES; j++) {
        free(p->node[j]);
        free(p->gates[j]);
    }
    free(p->embeddings);
    free(p->d_embeddings);
    free(p->logits);
}

/* C (m, n) = A B, of A (m, k) or its transposed, B (k, n) or its transposed. */
static void product(bool turn_a, bool turn_b, int m, int n, int k, const float *a,
                    const float *b, float *c)
{
    cblas_sgemm(CblasRowMajor, turn_a ? CblasTrans : CblasNoTrans,
                turn_b ? CblasTrans : CblasNoTrans, m, n, k, 1, a, turn_a ? m : k, b,
                turn_b ? k : n, 0, c, n);
}

static void products_forward(const struct products *p)
{
    int n = p->n;
    product(false, false, ROWS, 2 * n, n, p->node[0], p->pair[NODES], p->gates[0]);
    for (int t = 0; t < STEPS; t++)
        for (int j = 0; j < NODES; j++)
            product(false, false, COLUMNS, 2 * n, n, p->node[j] + t * COLUMNS * n,
                    p->pair[j], p->gates[j] + 2 * t * COLUMNS * n);
    product(false, true, ROWS, WORDS, n, p->node[0], p->embeddings, p->logits);
}

static void products_back(const struct products *p)
{
    int n = p->n;
    product(false, false, ROWS, n, WORDS, p->logits, p->embeddings, p->node[0]);
    product(true, false, WORDS, n, ROWS, p->logits, p->node[0], p->d_embeddings);
    for (int t = 0; t < STEPS; t++)
        for (int j = 0; j < NODES; j++)
            product(false, true, COLUMNS, n, 2 * n, p->gates[j] + 2 * t * COLUMNS * n,
                    p->pair[j], p->node[j] + t * COLUMNS * n);
    product(false, true, ROWS, n, 2 * n, p->gates[0], p->pair[NODES], p->node[0]);
    for (int j = 0; j <= NODES; j++)
        product(true, false, n, 2 * n, ROWS, p->node[j % NODES], p->gates[j % NODES],
                p->gradient[j]);
}

static void products_step(void *context)
{
    const struct products *p = context;
    products_forward(p);
    if (p->train)
        products_back(p);
}

static double products_rate(int hidden, int threads, double seconds, bool train)
{
    struct products p;
    openblas_set_num_threads(threads);
    products_init(&p, hidden, train);
    double rate = measure(products_step, &p, seconds);
    products_fini(&p);
    return rate;
}

double language_train_products(int hidden, int threads, double seconds)
{
    return products_rate(hidden, threads, seconds, true);
}

double language_score_products(int hidden, int threads, double seconds)
{
    return products_rate(hidden, threads, seconds, false);
}

double language_score_flops(int hidden)
{
    double n = hidden;
    return 2 * (n * 2 * n * (NODES + 1) + n * WORDS);
}

double language_train_flops(int hidden)
{
    return 3 * language_score_flops(hidden);
}
