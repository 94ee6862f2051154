/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent language models: tokens a second of training steps and of scoring cells with
 * shared weights, with one thread and two, beside the bare matrix products over OpenBLAS
 * and beside PyTorch under several settings. Everything is measured in the same run, in
 * rounds that visit all cases in turn, each in a process of its own, and medians are
 * told: a busy machine hurts all alike. Settings of PyTorch that are far behind in the
 * first round are left out of the others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_child.h"
#include "bench_command.h"
#include "bench_language.h"
#include "bench_peak.h"
#include "common/nn/recurrent_kernels.h"

static const char usage[] =
    "usage: bench_recurrent PYTHON PYTORCH_SCRIPT [ROUNDS | quick | own]\n"
    "       bench_recurrent --rate WHAT HIDDEN THREADS SECONDS\n"
    "\n"
    "  ROUNDS  1 to 15, default 3 (some ten minutes on an idle machine)\n"
    "  quick   200 hidden units, one round\n"
    "  own     three rounds without PyTorch\n"
    "  --rate  one measurement, in tokens a second; WHAT: train, score, train-products,\n"
    "          score-products, train-tree (a tree with as many matrices)\n";

enum { ROUNDS_MAX = 15, SIZES = 2, THREADS = 2, SETTINGS = 5 };
static const double seconds = 2; /* of each measurement */
static const int sizes[SIZES] = {200, 1000};
static const double goals[SIZES][THREADS] = {{1.4, 1.7}, {1.15, 1.3}};
static const double train_goal = 0.95, score_goal = 1 / 1.1; /* of the products' speed */
static const double still_in_race = 0.85; /* of the fastest in the first round */

/* Own measurements, as --rate calls them; the rounds take the first RATES. */
enum {
    TRAIN,
    SCORE,
    TRAIN_PRODUCTS,
    SCORE_PRODUCTS,
    RATES,
    TRAIN_TREE = RATES,
    ALL_RATES
};
static const struct {
    const char *name;
    double (*measure)(int hidden, int threads, double seconds);
} rates[ALL_RATES] = {[TRAIN] = {"train", language_train},
                      [SCORE] = {"score", language_score},
                      [TRAIN_PRODUCTS] = {"train-products", language_train_products},
                      [SCORE_PRODUCTS] = {"score-products", language_score_products},
                      [TRAIN_TREE] = {"train-tree", language_train_tree}};

/* PyTorch's own threads and those of its BLAS where all may use `threads`. The first is
 * what most people run; the others have malloc keep freed memory, without which PyTorch
 * spends its time on page faults. */
static const struct setting {
    const char *name;
    int torch, blas, threads;
    bool tuned;
} settings[SETTINGS] = {{"untuned", 1, 1, 1, false},
                        {"tuned", 1, 1, 1, true},
                        {"untuned 2+2", 2, 2, 2, false},
                        {"tuned 2+1", 2, 1, 2, true},
                        {"tuned 1+2", 1, 2, 2, true}};

struct series {
    double values[ROUNDS_MAX];
    int count;
};

struct results {
    struct series own[THREADS][RATES], peer[SETTINGS];
};

struct bench {
    const char *program, *python, *script;
    bool has_peer;
    int rounds, size_count;
    struct series fma, sgemm;
    struct results results[SIZES];
};

static void series_add(struct series *s, double value)
{
    s->values[s->count++] = value;
}

static double series_median(const struct series *s)
{
    struct series sorted = *s;
    return bench_median(sorted.values, sorted.count);
}

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Measuring */

static void take_rate(void *series, const char *name, double value)
{
    if (strcmp(name, "rate") == 0)
        series_add(series, value);
}

static void own_rate(const struct bench *b, int what, int hidden, int threads,
                     struct series *series)
{
    char command[COMMAND_SIZE];
    snprintf(command, sizeof command, "OPENBLAS_NUM_THREADS=%d '%s' --rate %s %d %d %g",
             threads, b->program, rates[what].name, hidden, threads, seconds);
    if (!command_run(command, 1, take_rate, series))
        fail("a measurement failed");
}

static void peer_rate(const struct bench *b, const struct setting *s, int hidden,
                      struct series *series)
{
    char command[COMMAND_SIZE];
    snprintf(command, sizeof command,
             "%sOMP_NUM_THREADS=%d OPENBLAS_NUM_THREADS=%d '%s' '%s' %d %d %g",
             s->tuned
                 ? "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483647 "
                   "MALLOC_TOP_PAD_=67108864 "
                 : "",
             s->torch, s->blas, b->python, b->script, hidden, s->torch, seconds);
    if (!command_run(command, 1, take_rate, series))
        fail("PyTorch failed");
}

static double best_peer(const struct results *r, int threads)
{
    double best = 0;
    for (int i = 0; i < SETTINGS; i++)
        if (settings[i].threads == threads)
            best = fmax(best, series_median(&r->peer[i]));
    return best;
}

static bool in_race(const struct results *r, int setting)
{
    const struct series *s = &r->peer[setting];
    return !s->count ||
           s->values[0] > still_in_race * best_peer(r, settings[setting].threads);
}

static void measure_size(const struct bench *b, int hidden, struct results *r)
{
    for (int t = 0; t < THREADS; t++)
        for (int what = 0; what < RATES; what++)
            own_rate(b, what, hidden, t + 1, &r->own[t][what]);
    for (int i = 0; b->has_peer && i < SETTINGS; i++)
        if (in_race(r, i))
            peer_rate(b, &settings[i], hidden, &r->peer[i]);
}

static void measure(struct bench *b)
{
    for (int round = 0; round < b->rounds; round++) {
        series_add(&b->fma, peak_fma());
        series_add(&b->sgemm, peak_sgemm());
        for (int i = 0; i < b->size_count; i++)
            measure_size(b, sizes[i], &b->results[i]);
    }
}

/* Showing */

static void show_head(const struct bench *b)
{
    printf("kernels %s; 12 nodes, 64 columns of 35 steps, 10,000 words; medians of %d "
           "round%s of %g s\n",
           recurrent_kernels_find(NULL)->name, b->rounds, b->rounds == 1 ? "" : "s",
           seconds);
    printf("One core: sgemm (OpenBLAS, 1024 x 1024) %.1f GFLOP/s, fused multiply-adds "
           "%.1f GFLOP/s\n",
           series_median(&b->sgemm), series_median(&b->fma));
    if (!b->has_peer)
        printf("Without PyTorch: not asked for, or missing for %s.\n", b->python);
}

static void show_goal(double ratio, double goal)
{
    printf("  %5.2f  %4.2f %s", ratio, goal, ratio >= goal ? "yes" : "no ");
}

/* One line: own rate, its GFLOP/s, that of the bare products, their ratio and its goal.
 */
static void show_rate(const struct results *r, int size, int t, int what, int products,
                      double flops, double goal)
{
    double own = series_median(&r->own[t][what]);
    double bare = series_median(&r->own[t][products]);
    printf("%6d %7d %10.0f %8.1f %10.0f", sizes[size], t + 1, own, 1e-9 * own * flops,
           bare);
    show_goal(own / bare, goal);
}

static void show_training(const struct bench *b)
{
    printf("\nTraining steps, tokens/s\n%6s %7s %10s %8s %10s  %-15s %9s  %s\n", "hidden",
           "threads", "own", "GFLOP/s", "products", "ratio  goal", "PyTorch",
           "ratio  goal");
    for (int i = 0; i < b->size_count; i++)
        for (int t = 0; t < THREADS; t++) {
            const struct results *r = &b->results[i];
            double peer = best_peer(r, t + 1);
            show_rate(r, i, t, TRAIN, TRAIN_PRODUCTS, language_train_flops(sizes[i]),
                      train_goal);
            if (peer > 0) {
                printf(" %9.0f", peer);
                show_goal(series_median(&r->own[t][TRAIN]) / peer, goals[i][t]);
            }
            printf("\n");
        }
}

static void show_scoring(const struct bench *b)
{
    printf("\nScoring random cells on a window, tokens/s\n%6s %7s %10s %8s %10s  %s\n",
           "hidden", "threads", "own", "GFLOP/s", "products", "ratio  goal");
    for (int i = 0; i < b->size_count; i++)
        for (int t = 0; t < THREADS; t++) {
            show_rate(&b->results[i], i, t, SCORE, SCORE_PRODUCTS,
                      language_score_flops(sizes[i]), score_goal);
            printf("\n");
        }
}

static void show_peers(const struct bench *b)
{
    printf("\nPyTorch, training tokens/s (own threads + those of its BLAS)\n%6s",
           "hidden");
    for (int s = 0; s < SETTINGS; s++)
        printf(" %12s", settings[s].name);
    for (int i = 0; i < b->size_count; i++) {
        printf("\n%6d", sizes[i]);
        for (int s = 0; s < SETTINGS; s++)
            printf(" %12.0f", series_median(&b->results[i].peer[s]));
    }
    printf("\n");
}

static int rate_command(char **argv)
{
    int hidden = atoi(argv[1]), threads = atoi(argv[2]);
    for (int i = 0; i < ALL_RATES; i++)
        if (strcmp(argv[0], rates[i].name) == 0 && hidden > 0 && threads > 0) {
            printf("rate %.3f\n", rates[i].measure(hidden, threads, atof(argv[3])));
            return 0;
        }
    return fputs(usage, stderr), 2;
}

static bool find_peer(const struct bench *b)
{
    char command[COMMAND_SIZE];
    snprintf(command, sizeof command, "'%s' -c 'import torch' 2>&1", b->python);
    return command_run(command, 1, take_rate, &(struct series){.count = 0});
}

int main(int argc, char **argv)
{
    struct bench b = {.program = argv[0], .rounds = 3, .size_count = SIZES};
    if (argc == 6 && strcmp(argv[1], "--rate") == 0)
        return rate_command(argv + 2);
    bool quick = argc == 4 && strcmp(argv[3], "quick") == 0;
    bool own = argc == 4 && strcmp(argv[3], "own") == 0;
    if (argc == 4 && !own)
        b.rounds = quick ? 1 : atoi(argv[3]);
    if (argc < 3 || argc > 4 || b.rounds < 1 || b.rounds > ROUNDS_MAX)
        return fputs(usage, stderr), 2;
    b.size_count = quick ? 1 : SIZES;
    b.python = argv[1];
    b.script = argv[2];
    b.has_peer = !own && find_peer(&b);
    measure(&b);
    show_head(&b);
    show_training(&b);
    show_scoring(&b);
    if (b.has_peer)
        show_peers(&b);
    return 0;
}
