/* SPDX-License-Identifier: Apache-2.0 */
/* Architectures sampled a second, in batches of 1,000 and one at a time, and REINFORCE
 * updates of 8 a second: this controller and, where the system's Python has torch, the
 * same policy in PyTorch on one thread in the same run (controller_peer.py beside this
 * source, whose path is the only argument). Median of repeated calls, both in CPU time,
 * so that a busy machine does not decide who wins. Batches include what the controller
 * gains by running rows with the same tokens so far once (master/controller_share.c). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/controller.h"
#include "tests/search/space_rig.h"

enum { BATCH = 1000, UPDATE = 8, REPEATS = 2000 };
static const double seconds_each = 1.5;

struct bench {
    struct controller *c;
    int depth;
    uint64_t next;
    struct architecture *a;
    const struct architecture *given[UPDATE];
    double advantages[UPDATE];
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Median seconds of one call; NAN when one fails. */
static double median(int (*call)(struct bench *b), struct bench *b)
{
    static double t[REPEATS];
    int n = 0;
    double start = cpu_now(), last = start;
    while (n < REPEATS && (n < 7 || last - start < seconds_each)) {
        if (call(b) < 0)
            return NAN;
        double now = cpu_now();
        t[n++] = now - last;
        last = now;
    }
    qsort(t, (size_t)n, sizeof *t, by_value);
    return t[n / 2];
}

static int sample_batch(struct bench *b)
{
    uint64_t ids[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        ids[i] = b->next++;
    return controller_sample(b->c, b->depth, ids, BATCH, b->a, NULL, NULL);
}

static int sample_ones(struct bench *b)
{
    int status = 0;
    for (int i = 0; i < 10 && status == 0; i++, b->next++)
        status = controller_sample(b->c, b->depth, &b->next, 1, b->a, NULL, NULL);
    return status;
}

static int update(struct bench *b)
{
    return controller_update(b->c, b->given, b->advantages, UPDATE, NULL);
}

/* The peer's three figures; false when there is none. */
static bool run_peer(const char *script, double ret[3])
{
    char command[4096];
    if (strchr(script, '\'') || snprintf(command, sizeof command, "/usr/bin/python3 '%s'",
                                         script) >= (int)sizeof command)
        return false;
    FILE *f = popen(command, "r");
    if (!f)
        return false;
    int n = fscanf(f, "%lf %lf %lf", &ret[0], &ret[1], &ret[2]);
    return pclose(f) == 0 && n == 3;
}

static void print(const char *what, double own, bool has_peer, double peer)
{
    printf("%-28s %10.0f /s", what, own);
    if (has_peer)
        printf("   PyTorch %8.0f /s   ratio %6.1f", peer, own / peer);
    printf("\n");
}

static int setup(struct bench *b, struct config *config, struct space **ret_space)
{
    struct error err = {0};
    *config = rig_config(6, false);
    config->search.controller.clip = 5;
    b->depth = 6;
    b->a = calloc(BATCH, sizeof *b->a);
    if (!b->a || space_new(config, ret_space, &err) < 0 ||
        controller_new(&config->search.controller, *ret_space, 1, &b->c, &err) < 0 ||
        sample_batch(b) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    for (int i = 0; i < UPDATE; i++) {
        b->given[i] = &b->a[i];
        b->advantages[i] = 0.2 * i / (UPDATE - 1) - 0.1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct config config;
    struct bench b = {0};
    struct space *space = NULL;
    double peer[3] = {NAN, NAN, NAN};
    if (setup(&b, &config, &space) < 0)
        return EXIT_FAILURE;
    bool has_peer = argc > 1 && run_peer(argv[1], peer);
    if (!has_peer)
        printf("no PyTorch at /usr/bin/python3: own figures only\n");
    printf("controller of 2 x 35, 24 tokens, one thread\n");
    print("sampled in batches of 1000", BATCH / median(sample_batch, &b), has_peer,
          peer[0]);
    print("sampled one at a time", 10 / median(sample_ones, &b), has_peer, peer[1]);
    print("updates of 8", 1 / median(update, &b), has_peer, peer[2]);
    controller_free(b.c);
    space_free(space);
    free(b.a);
    return EXIT_SUCCESS;
}
