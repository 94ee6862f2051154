/* SPDX-License-Identifier: Apache-2.0 */
/* The real Fashion-MNIST of Debian's dataset-fashion-mnist, where it is installed. */
#include "data_files.h"
#include "unit.h"

#include <time.h>

static const char path[] = "/usr/share/datasets/fashion-mnist";
static struct temp_folder temp;
static struct config config;

static void setup(void)
{
    data_files_config(&config, DATA_IDX, "");
    ck_assert_int_eq(data_detect(path, &config, NULL), 0);
    config.task.train = 54000;
    config.task.validation = 6000;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

START_TEST(fashion_mnist_is_read)
{
    struct dataset *d = NULL;
    struct error err = {0};
    int counts[10] = {0};
    double begin = seconds();
    config.task.data.whiten = WHITEN_CHANNEL;
    ck_assert_msg(data_open(&config, temp.path, &d, &err) == 0, "%s", err.text);
    double prepared = seconds();
    data_close(d);
    ck_assert_int_eq(data_open(&config, temp.path, &d, &err), 0);
    printf("prepared in %.3f s, opened again in %.4f s\n", prepared - begin,
           seconds() - prepared);
    const struct data_facts *f = data_facts(d);
    ck_assert_int_eq(f->classes, 10);
    ck_assert_int_eq(f->height, 28);
    ck_assert_int_eq(f->width, 28);
    ck_assert_int_eq(f->channels, 1);
    ck_assert_int_eq(f->train_images, 60000);
    ck_assert_int_eq(f->test_images, 10000);
    for (int i = 0; i < 54000; i++)
        counts[data_labels(d, DATA_TRAIN)[i]]++;
    for (int i = 0; i < 6000; i++)
        counts[data_labels(d, DATA_VALIDATION)[i]]++;
    for (int k = 0; k < 10; k++)
        ck_assert_int_eq(counts[k], 6000);
    ck_assert_int_eq(data_labels(d, DATA_TEST)[0], 9); /* an ankle boot */
    data_close(d);
}
END_TEST

START_TEST(batches_are_fast)
{
    static float images[128 * 784];
    uint8_t labels[128];
    uint32_t indices[128];
    struct dataset *d = NULL;
    struct rng rng;
    double rates[2];
    ck_assert_int_eq(data_open(&config, temp.path, &d, NULL), 0);
    rng_init(&rng, 1, RNG_TEST, 0);
    for (int augmented = 0; augmented < 2; augmented++) {
        struct data_augment augment = {.pad = 2, .flip = 1};
        double begin = seconds();
        for (int b = 0; b < 400; b++) {
            for (int i = 0; i < 128; i++)
                indices[i] = rng_below(&rng, 54000);
            data_batch(d, DATA_TRAIN, indices, 128, augmented ? &augment : NULL, &rng,
                       images, labels);
        }
        rates[augmented] = 400 * 128 / (seconds() - begin);
    }
    printf("images a second: %.0f plain, %.0f augmented\n", rates[0], rates[1]);
    data_close(d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {fashion_mnist_is_read, batches_are_fast, NULL};
    if (access(path, R_OK)) {
        printf("skipped: no Fashion-MNIST in %s\n", path);
        return 77;
    }
    return temp_folder_main("data_fashion", tests, &temp, setup);
}
