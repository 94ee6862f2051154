/* SPDX-License-Identifier: Apache-2.0 */
#include "data_files.h"
#include "unit.h"

enum { PLANE = 1024, VALUES = 3 * PLANE, PER_FILE = 4 };

static struct temp_folder temp;
static char folder[700], cache[700];
static struct config config;

static void setup(void)
{
    char name[32];
    snprintf(name, sizeof name, "case%d", (int)getpid());
    snprintf(folder, sizeof folder, "%s", data_files_folder(&temp, name));
    snprintf(name, sizeof name, "cache%d", (int)getpid());
    snprintf(cache, sizeof cache, "%s", data_files_folder(&temp, name));
    data_files_config(&config, DATA_CIFAR10, folder);
}

/* Image n: plane k of value 10 k + n but for its first pixel, 200 + n. */
static void write_batch(const char *name, int label_bytes, int first,
                        const uint8_t *labels)
{
    uint8_t data[PER_FILE * (VALUES + 2)], *at = data;
    for (int i = 0; i < PER_FILE; i++) {
        for (int b = 1; b < label_bytes; b++)
            *at++ = 19; /* coarse label */
        *at++ = labels[i];
        for (int v = 0; v < VALUES; v++)
            *at++ = (uint8_t)(v % PLANE ? 10 * (v / PLANE) + first + i : 200 + first + i);
    }
    data_files_write(folder, name, data, (size_t)(at - data));
}

static void write_ten(void)
{
    static const uint8_t labels[PER_FILE] = {0, 9, 4, 1};
    for (int f = 0; f < 5; f++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", f + 1);
        write_batch(name, 1, f * PER_FILE, labels);
    }
    write_batch("test_batch.bin", 1, 30, labels);
}

START_TEST(damage_is_named)
{
    static const uint8_t wrong[PER_FILE] = {0, 9, 10, 1};
    data_files_refused(&config, cache, "cannot open", "data_batch_1.bin");
    write_ten();
    data_files_truncate(folder, "data_batch_3.bin", 1);
    data_files_refused(&config, cache, "data_batch_3.bin' holds 12291 bytes",
                       "multiple of 3073");
    data_files_write(folder, "data_batch_3.bin", "", 0);
    data_files_refused(&config, cache, "data_batch_3.bin' holds 0 bytes", "3073");
    write_ten();
    write_batch("data_batch_4.bin", 1, 0, wrong);
    data_files_refused(&config, cache, "data_batch_4.bin': the label of image 2 is 10",
                       "allowed are 0 to 9");
    write_ten();
    write_batch("test_batch.bin", 1, 0, wrong);
    data_files_refused(&config, cache, "test_batch.bin': the label of image 2 is 10", "");
}
END_TEST

START_TEST(cifar10_planes_become_pixels)
{
    struct dataset *d = NULL;
    struct config found = config;
    static float images[PER_FILE][VALUES];
    uint8_t labels[PER_FILE];
    write_ten();
    ck_assert_int_eq(data_detect(folder, &found, NULL), 0);
    ck_assert_int_eq(found.task.data.format, DATA_CIFAR10);
    ck_assert_int_eq(data_open(&config, cache, &d, NULL), 0);
    ck_assert_int_eq(data_facts(d)->classes, 10);
    ck_assert_int_eq(data_facts(d)->train_images, 20);
    ck_assert_int_eq(data_count(d, DATA_TEST), PER_FILE);
    data_batch(d, DATA_TEST, (const uint32_t[]){0, 1, 2, 3}, 4, NULL, NULL, images[0],
               labels);
    ck_assert_int_eq(labels[1], 9);
    ck_assert_int_eq(labels[3], 1);
    for (int i = 0; i < PER_FILE; i++)
        for (int k = 0; k < 3; k++) {
            ck_assert_float_eq_tol(images[i][k] * 255, 230 + i, 1e-3);
            ck_assert_float_eq_tol(images[i][3 * 77 + k] * 255, 10 * k + 30 + i, 1e-3);
        }
    data_close(d);
}
END_TEST

START_TEST(cifar100_takes_the_fine_label)
{
    static const uint8_t labels[PER_FILE] = {0, 99, 4, 1}, wrong[PER_FILE] = {0, 100};
    struct dataset *d = NULL;
    struct config found = config;
    config.task.data.format = DATA_CIFAR100;
    config.task.train = 3;
    config.task.validation = 1;
    write_batch("train.bin", 2, 0, labels);
    write_batch("test.bin", 2, 0, wrong);
    data_files_refused(&config, cache, "test.bin': the label of image 1 is 100",
                       "0 to 99");
    write_batch("test.bin", 2, 0, labels);
    ck_assert_int_eq(data_detect(folder, &found, NULL), 0);
    ck_assert_int_eq(found.task.data.format, DATA_CIFAR100);
    ck_assert_int_eq(data_open(&config, cache, &d, NULL), 0);
    ck_assert_int_eq(data_facts(d)->classes, 100);
    ck_assert_int_eq(data_labels(d, DATA_TEST)[1], 99);
    data_close(d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {damage_is_named, cifar10_planes_become_pixels,
                                  cifar100_takes_the_fine_label, NULL};
    return temp_folder_main("data_cifar", tests, &temp, setup);
}
