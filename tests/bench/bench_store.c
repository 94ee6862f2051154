/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of many trials (24 tokens, one epoch each): milliseconds until it is
 * durable and those of the CPU among them, bytes of the file, milliseconds to read it
 * back and its digest alone, and milliseconds that the master waits when a child process
 * writes it. The median of five, into a folder that is made and removed again.
 *
 *   bench_store [TRIALS [FOLDER]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rng.h"
#include "master/snapshot_child.h"

enum { REPEATS = 5, TOKENS = 24 };

static void fail(const char *text)
{
    fprintf(stderr, "bench_store: %s\n", text);
    exit(1);
}

static void add_trial(struct ledger *l, struct rng *rng, uint64_t id)
{
    struct architecture a = {.depth = 6, .count = TOKENS};
    struct trial t = {.id = id,
                      .state = TRIAL_DONE,
                      .attempts = 1,
                      .worker = (int32_t)(id % 100),
                      .seed = rng_u64(rng),
                      .same_as = -1,
                      .hash = {rng_u64(rng), rng_u64(rng)},
                      .log_probability = -rng_double(rng) * 30,
                      .val_accuracy = rng_double(rng),
                      .reward = rng_double(rng),
                      .seconds = 60 * rng_double(rng),
                      .params = (double)rng_below(rng, 1000000),
                      .flops = (double)rng_below(rng, 1000000) * 100,
                      .kernels = "avx2",
                      .proposed_at = 1.7e9 + (double)id,
                      .finished_at = 1.7e9 + (double)id + 60 * rng_double(rng),
                      .epoch_count = 1};
    for (int i = 0; i < TOKENS; i++)
        a.tokens[i] = (uint16_t)rng_below(rng, 4);
    t.architecture = architecture_pack(&a);
    t.epochs = calloc(1, sizeof *t.epochs);
    if (t.epochs)
        *t.epochs = (struct trial_epoch){.val_accuracy = rng_float(rng),
                                         .train_loss = rng_float(rng)};
    if (!t.architecture || !t.epochs || ledger_add(l, &t, NULL) != 0)
        fail("no memory for trials");
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values)
{
    qsort(values, REPEATS, sizeof *values, ascending);
    return values[REPEATS / 2];
}

static double read_back(const char *dir, uint64_t trials)
{
    struct snapshot s;
    struct error err;
    double start = clock_now(&clock_system);
    if (store_read(dir, &s, NULL, &err) != 0)
        fail(err.text);
    if (ledger_count(s.ledger) != trials)
        fail("trials are missing");
    double seconds = clock_now(&clock_system) - start;
    snapshot_fini(&s);
    return seconds;
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double write_one(const char *dir, const struct snapshot *s, double *ret_cpu)
{
    struct error err;
    double start = clock_now(&clock_system), cpu = cpu_now();
    if (store_write(dir, s, &err) != 0)
        fail(err.text);
    *ret_cpu = cpu_now() - cpu;
    return clock_now(&clock_system) - start;
}

static double read_digest(const char *dir)
{
    struct snapshot s;
    struct error err;
    double start = clock_now(&clock_system);
    if (store_read_digest(dir, &s, &err) != 0)
        fail(err.text);
    double seconds = clock_now(&clock_system) - start;
    snapshot_fini(&s);
    return seconds;
}

static double begin_one(const char *dir, const struct snapshot *s)
{
    struct snapshot_child child = {0};
    struct error err;
    double start = clock_now(&clock_system);
    if (snapshot_child_start(&child, dir, s, -1, &err) != 0)
        fail(err.text);
    double seconds = clock_now(&clock_system) - start;
    if (snapshot_child_poll(&child, true, &err) != 0)
        fail(err.text);
    return seconds;
}

static void remove_folder(const char *dir)
{
    static const char *const names[] = {"snapshot.h5", "snapshot.prev.h5",
                                        "snapshot.digest"};
    char path[600];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

int main(int argc, char **argv)
{
    uint64_t trials = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    char dir[512];
    struct snapshot s = {.told = trials};
    struct rng rng;
    struct stat st;
    double writes[REPEATS], cpu[REPEATS], reads[REPEATS], digests[REPEATS],
        begins[REPEATS];
    snprintf(dir, sizeof dir, "%.480s/bench_store_XXXXXX", argc > 2 ? argv[2] : "/tmp");
    rng_init(&rng, 1, RNG_TEST, 0);
    config_defaults(&s.config);
    state_init(&s.state);
    if (!mkdtemp(dir) || ledger_new(&s.ledger, NULL) != 0)
        fail("cannot begin");
    for (uint64_t id = 0; id < trials; id++)
        add_trial(s.ledger, &rng, id);
    for (int i = 0; i < REPEATS; i++) {
        writes[i] = write_one(dir, &s, &cpu[i]);
        reads[i] = read_back(dir, trials);
        digests[i] = read_digest(dir);
        begins[i] = begin_one(dir, &s);
    }
    char path[600];
    snprintf(path, sizeof path, "%s/snapshot.h5", dir);
    long long bytes = stat(path, &st) == 0 ? (long long)st.st_size : -1;
    printf(
        "snapshot of %llu trials: written in %.0f ms (%.0f ms of CPU), %lld bytes, read "
        "in %.0f ms, its digest in %.0f ms; begun in %.1f ms\n",
        (unsigned long long)trials, 1e3 * median(writes), 1e3 * median(cpu), bytes,
        1e3 * median(reads), 1e3 * median(digests), 1e3 * median(begins));
    remove_folder(dir);
    snapshot_fini(&s);
    return 0;
}
