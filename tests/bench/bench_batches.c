/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a training step goes into preparing its batch: crop, flip and whitening of
 * 128 images in random order, against a step of the small child on 28 x 28 x 1 images,
 * one thread. Larger images are compared with the same step, which is then too short a
 * measure: their own step takes longer. */
#include <stdio.h>
#include <stdlib.h>

#include "bench_child.h"
#include "common/config.h"
#include "worker/data/data.h"

enum { ROUNDS = 7, BATCHES = 200, IMAGES = 12000 };
static const double step_seconds = 0.3, goal = 3; /* percent */

static const struct images {
    const char *name;
    int height, width, channels, whiten;
} kinds[] = {
    {"28 x 28 x 1, channel", 28, 28, 1, WHITEN_CHANNEL},
    {"32 x 32 x 3, channel", 32, 32, 3, WHITEN_CHANNEL},
    {"28 x 28 x 1, zca", 28, 28, 1, WHITEN_ZCA},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct dataset *open_images(const struct images *kind, const char *folder)
{
    struct config config;
    struct dataset *d = NULL;
    struct error err;
    config_defaults(&config);
    config.task.data.format = DATA_GENERATED;
    config.task.data.height = kind->height;
    config.task.data.width = kind->width;
    config.task.data.channels = kind->channels;
    config.task.data.whiten = kind->whiten;
    config.task.data.classes = 10;
    config.task.data.images = IMAGES;
    if (data_open(&config, folder, &d, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return d;
}

/* Milliseconds of the median batch. */
static double time_batches(const struct dataset *d, float *images)
{
    double times[BATCHES];
    uint32_t indices[CHILD_BATCH];
    uint8_t labels[CHILD_BATCH];
    struct data_augment augment = {.pad = 4, .flip = 1};
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 0);
    for (int i = 0; i < BATCHES; i++) {
        for (int j = 0; j < CHILD_BATCH; j++)
            indices[j] = rng_below(&rng, (uint32_t)data_count(d, DATA_TRAIN));
        double from = bench_now();
        data_batch(d, DATA_TRAIN, indices, CHILD_BATCH, &augment, &rng, images, labels);
        times[i] = 1000 * (bench_now() - from);
    }
    return bench_median(times, BATCHES);
}

static void measure(struct dataset *const *data, double times[KINDS][ROUNDS],
                    double *steps)
{
    static float images[CHILD_BATCH * 32 * 32 * 3];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < KINDS; i++)
            times[i][round] = time_batches(data[i], images);
        steps[round] =
            1000 * CHILD_BATCH / child_rate(&children[0], NULL, 1, step_seconds);
    }
}

int main(void)
{
    struct dataset *data[KINDS];
    double times[KINDS][ROUNDS], steps[ROUNDS];
    char folder[] = "/tmp/archway-bench-XXXXXX", command[64];
    if (!mkdtemp(folder))
        return 1;
    for (int i = 0; i < KINDS; i++)
        data[i] = open_images(&kinds[i], folder);
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (system(command))
        return 1;
    measure(data, times, steps);
    double step = bench_median(steps, ROUNDS);
    printf("A step of the small child, batch %d: %.2f ms; medians of %d rounds\n",
           CHILD_BATCH, step, ROUNDS);
    printf("%-22s %9s %10s   %s\n", "crop, flip, whiten", "ms", "of a step", "goal");
    for (int i = 0; i < KINDS; i++) {
        double ms = bench_median(times[i], ROUNDS), share = 100 * ms / step;
        printf("%-22s %9.3f %8.2f %%   below %.0f %% %s\n", kinds[i].name, ms, share,
               goal, share < goal ? "yes" : "no");
        data_close(data[i]);
    }
    return 0;
}
