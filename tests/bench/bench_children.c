/* SPDX-License-Identifier: Apache-2.0 */
/* Training steps of three children: images a second with one and two threads, of two
 * trials side by side, the share of what a core can do, and the ratio to the best of
 * several settings of PyTorch. Everything is measured in the same run, in rounds that
 * visit all cases in turn, and medians are told: a busy machine hurts all alike. Settings
 * of PyTorch that are far behind in the first round are left out of the others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_child.h"
#include "bench_command.h"
#include "bench_peak.h"
#include "common/nn/kernels.h"

static const char usage[] =
    "usage: bench_children PYTHON PYTORCH_SCRIPT [ROUNDS | quick]\n"
    "       bench_children --rate CHILD KERNELS THREADS SECONDS\n"
    "\n"
    "  ROUNDS  1 to 15, default 3 (some four minutes on an idle machine)\n"
    "  quick   the small child, one round\n"
    "  --rate  one measurement: images a second\n";

enum { ROUNDS_MAX = 15, CHILDREN = 3, THREADS = 2, KERNELS_MAX = 8, SETTINGS = 5 };
static const double seconds = 0.6; /* of each measurement */
/* Settings of PyTorch (see the script). The first is what most people run; the others
 * have malloc keep freed memory, without which PyTorch spends its time on page faults. */
static const char *const settings[SETTINGS] = {"nchw-eager", "nchw-eager", "nhwc-eager",
                                               "nchw-traced", "nhwc-traced"};
static const double still_in_race = 0.85; /* of the fastest in the first round */
static const double goals[CHILDREN][THREADS] = {{1.5, 1.8}, {1.55, 1.75}, {1.2, 1.2}};
static const double pair_goal = 1.9;

struct series {
    double values[ROUNDS_MAX];
    int count;
};

/* All that is measured of a child; [THREADS]: with one thread, with two. */
struct results {
    const struct child *child;
    struct series own[THREADS], pair, kernels[KERNELS_MAX];
    struct series peer[THREADS][SETTINGS];
};

struct bench {
    const char *program, *python, *script;
    bool has_peer;
    int rounds, child_count;
    struct series fma, sgemm;
    struct results results[CHILDREN];
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

static void add_up(void *sum, const char *name, double value)
{
    *(double *)sum += value;
}

/* Images a second of `copies` trials at the same time, together. */
static double own_rate(const struct bench *b, const struct child *child,
                       const char *kernels, int threads, int copies)
{
    char command[COMMAND_SIZE];
    double rate = 0;
    snprintf(command, sizeof command, "'%s' --rate %s %s %d %g", b->program, child->name,
             kernels, threads, seconds);
    if (!command_run(command, copies, add_up, &rate))
        fail("a measurement failed");
    return rate;
}

struct peer_lines {
    struct series *series; /* the settings asked for, in the order of their lines */
    int next, which[SETTINGS];
};

static void take_peer(void *context, const char *name, double value)
{
    struct peer_lines *lines = context;
    series_add(&lines->series[lines->which[lines->next++]], value);
}

static void peer_command(const struct bench *b, const struct child *child, int threads,
                         bool tuned, char *ret, size_t size)
{
    snprintf(ret, size, "%sOMP_NUM_THREADS=%d OPENBLAS_NUM_THREADS=%d '%s' '%s' %s %d %g",
             tuned
                 ? "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483647 "
                   "MALLOC_TOP_PAD_=67108864 "
                 : "",
             threads, threads, b->python, b->script, child->name, threads, seconds);
}

static bool in_race(const struct series *series, int setting)
{
    double best = 0;
    for (int i = 1; i < SETTINGS; i++)
        best = series[i].count ? fmax(best, series[i].values[0]) : best;
    return !series[setting].count || series[setting].values[0] > still_in_race * best;
}

static void peer_round(const struct bench *b, const struct child *child, int threads,
                       struct series *series)
{
    for (int tuned = 0; tuned < 2; tuned++) {
        struct peer_lines lines = {.series = series};
        char command[COMMAND_SIZE];
        int count = 0;
        peer_command(b, child, threads, tuned, command, sizeof command);
        for (int i = tuned; i < (tuned ? SETTINGS : 1); i++)
            if (!tuned || in_race(series, i)) {
                strcat(strcat(command, " "), settings[i]);
                lines.which[count++] = i;
            }
        if (!command_run(command, 1, take_peer, &lines) || lines.next != count)
            fail("PyTorch failed");
    }
}

static void child_round(const struct bench *b, struct results *r)
{
    const struct nn_kernels *fastest = NULL;
    if (nn_kernels_find(NULL, &fastest, NULL))
        fail("no kernels run here");
    for (int i = 0; i < THREADS; i++) {
        series_add(&r->own[i], own_rate(b, r->child, fastest->name, i + 1, 1));
        if (b->has_peer)
            peer_round(b, r->child, i + 1, r->peer[i]);
    }
    series_add(&r->pair, own_rate(b, r->child, fastest->name, 1, 2));
    for (int i = 0; nn_kernels_all[i] && i < KERNELS_MAX; i++)
        if (nn_kernels_all[i] != fastest && nn_kernels_all[i] != &nn_kernels_plain &&
            nn_kernels_all[i]->runs_here())
            series_add(&r->kernels[i],
                       own_rate(b, r->child, nn_kernels_all[i]->name, 1, 1));
}

static void measure(struct bench *b)
{
    for (int round = 0; round < b->rounds; round++) {
        series_add(&b->fma, peak_fma());
        series_add(&b->sgemm, peak_sgemm());
        for (int i = 0; i < b->child_count; i++)
            child_round(b, &b->results[i]);
    }
}

/* Showing */

static void show_processor(void)
{
    char line[256], *name = NULL;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && !name && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0 && (name = strchr(line, ':')))
            name[strcspn(name, "\n")] = '\0';
    if (f)
        fclose(f);
    printf("%s, %ld cores", name ? name + 2 : "unknown processor",
           sysconf(_SC_NPROCESSORS_ONLN));
}

static void show_head(const struct bench *b)
{
    const struct nn_kernels *fastest = NULL;
    nn_kernels_find(NULL, &fastest, NULL);
    show_processor();
    printf("; kernels %s\n", fastest->name);
    printf("Training steps, batch %d of %d x %d x 1; medians of %d round%s of %g s\n",
           CHILD_BATCH, CHILD_SIDE, CHILD_SIDE, b->rounds, b->rounds == 1 ? "" : "s",
           seconds);
    printf("One core: sgemm (OpenBLAS, 1024 x 1024) %.1f GFLOP/s, fused multiply-adds "
           "%.1f GFLOP/s\n",
           series_median(&b->sgemm), series_median(&b->fma));
    printf("GFLOP/s are those of convolutions and linear layers over the time of the "
           "whole step;\nproducts with padding are not counted.\n");
    if (!b->has_peer)
        printf("PyTorch for %s is missing: figures without their peer.\n", b->python);
}

static double best_peer(const struct results *r, int threads)
{
    double best = 0;
    for (int i = 0; i < SETTINGS; i++)
        best = fmax(best, series_median(&r->peer[threads][i]));
    return best;
}

static void show_goal(double ratio, double goal)
{
    printf("  %6.2f   %4.2f %s", ratio, goal, ratio >= goal ? "yes" : "no ");
}

static void show_steps(const struct bench *b)
{
    printf("\n%-7s %7s %10s %8s %6s %6s  %10s  %6s   %s\n", "child", "threads",
           "images/s", "GFLOP/s", "sgemm", "FMA", "PyTorch", "ratio", "goal");
    for (int i = 0; i < b->child_count; i++)
        for (int t = 0; t < THREADS; t++) {
            const struct results *r = &b->results[i];
            double rate = series_median(&r->own[t]), peer = best_peer(r, t);
            double gflops = 1e-9 * rate * child_flops(r->child);
            printf("%-7s %7d %10.0f %8.1f %4.0f %% %4.0f %%", r->child->name, t + 1, rate,
                   gflops, 100 * gflops / ((t + 1) * series_median(&b->sgemm)),
                   100 * gflops / ((t + 1) * series_median(&b->fma)));
            if (peer > 0) {
                printf("  %10.0f", peer);
                show_goal(rate / peer, goals[i][t]);
            }
            printf("\n");
        }
}

static void show_pairs(const struct bench *b)
{
    printf("\nTwo trials of one thread each, at the same time\n");
    printf("%-7s %18s  %6s   %-8s %15s\n", "child", "images/s", "x one", "goal",
           "x one of two");
    for (int i = 0; i < b->child_count; i++) {
        const struct results *r = &b->results[i];
        double rate = series_median(&r->pair);
        printf("%-7s %18.0f", r->child->name, rate);
        show_goal(rate / series_median(&r->own[0]), pair_goal);
        printf("  %15.2f\n", rate / series_median(&r->own[1]));
    }
}

static void show_kernels(const struct bench *b)
{
    for (int k = 0; nn_kernels_all[k] && k < KERNELS_MAX; k++) {
        if (!b->results[0].kernels[k].count)
            continue;
        printf("\nWith the kernels %s, one thread, images/s:", nn_kernels_all[k]->name);
        for (int i = 0; i < b->child_count; i++)
            printf(" %s %.0f", b->results[i].child->name,
                   series_median(&b->results[i].kernels[k]));
        printf("\n");
    }
}

static void show_peers(const struct bench *b)
{
    printf("\nPyTorch, images/s (as most people run it; then with malloc tuned)\n");
    printf("%-7s %7s %12s", "child", "threads", "untuned");
    for (int s = 1; s < SETTINGS; s++)
        printf(" %12s", settings[s]);
    for (int i = 0; i < b->child_count; i++)
        for (int t = 0; t < THREADS; t++) {
            printf("\n%-7s %7d", b->results[i].child->name, t + 1);
            for (int s = 0; s < SETTINGS; s++)
                printf(" %12.0f", series_median(&b->results[i].peer[t][s]));
        }
    printf("\n");
}

static int show_rate(char **argv)
{
    const struct child *child = child_find(argv[0]);
    int threads = atoi(argv[2]);
    if (!child || threads < 1)
        return fputs(usage, stderr), 2;
    printf("rate %.3f\n", child_rate(child, argv[1], threads, atof(argv[3])));
    return 0;
}

static bool find_peer(const struct bench *b)
{
    char command[COMMAND_SIZE];
    snprintf(command, sizeof command, "'%s' -c 'import torch' 2>&1", b->python);
    return command_run(command, 1, add_up, &(double){0});
}

int main(int argc, char **argv)
{
    struct bench b = {.program = argv[0], .rounds = 3, .child_count = CHILDREN};
    if (argc == 6 && strcmp(argv[1], "--rate") == 0)
        return show_rate(argv + 2);
    bool quick = argc == 4 && strcmp(argv[3], "quick") == 0;
    if (argc == 4)
        b.rounds = quick ? 1 : atoi(argv[3]);
    if (argc < 3 || argc > 4 || b.rounds < 1 || b.rounds > ROUNDS_MAX)
        return fputs(usage, stderr), 2;
    b.child_count = quick ? 1 : CHILDREN;
    b.python = argv[1];
    b.script = argv[2];
    b.has_peer = find_peer(&b);
    for (int i = 0; i < b.child_count; i++)
        b.results[i].child = &children[i];
    measure(&b);
    show_head(&b);
    show_steps(&b);
    show_pairs(&b);
    show_kernels(&b);
    if (b.has_peer)
        show_peers(&b);
    return 0;
}
