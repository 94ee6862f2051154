/* SPDX-License-Identifier: Apache-2.0 */
#include "data_files.h"
#include "unit.h"

#include <math.h>

static struct temp_folder temp;
static char cache[700];
static struct config config;

enum { SIDE = 20 };

static void setup(void)
{
    char name[32];
    snprintf(name, sizeof name, "cache%d", (int)getpid());
    snprintf(cache, sizeof cache, "%s", data_files_folder(&temp, name));
    data_files_config(&config, DATA_GENERATED, "");
    config.task.data.classes = 4;
    config.task.data.height = config.task.data.width = SIDE;
    config.task.data.channels = 1;
    config.task.data.images = 3000;
}

START_TEST(bad_values_are_named)
{
    config.task.data.classes = 1;
    data_files_refused(&config, cache, "task.data.classes is 1", "2 to 256");
    config.task.data.classes = 257;
    data_files_refused(&config, cache, "task.data.classes is 257", "2 to 256");
    config.task.data.classes = 4;
    config.task.data.images = 1;
    data_files_refused(&config, cache, "task.data.images is 1", "allowed are");
    config.task.data.images = 100;
    config.task.data.height = 0;
    data_files_refused(&config, cache, "0 x 20 x 1", "allowed are");
    config.task.data.height = 20;
    config.task.data.channels = 17;
    data_files_refused(&config, cache, "20 x 20 x 17", "allowed are");
}
END_TEST

static struct dataset *open_data(void)
{
    struct dataset *d = NULL;
    ck_assert_int_eq(data_open(&config, cache, &d, NULL), 0);
    return d;
}

START_TEST(images_depend_on_the_seed_alone)
{
    float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];
    uint8_t label;
    uint32_t index = 17;
    char other[1024];
    struct dataset *d = open_data();
    ck_assert_int_eq(data_facts(d)->classes, 4);
    ck_assert_int_eq(data_facts(d)->train_images, 3000);
    ck_assert_int_eq(data_facts(d)->test_images, 500);
    data_batch(d, DATA_TEST, &index, 1, NULL, NULL, a, &label);
    data_close(d);
    snprintf(other, sizeof other, "%.700s/again", cache);
    ck_assert_int_eq(data_open(&config, other, &d, NULL), 0);
    data_batch(d, DATA_TEST, &index, 1, NULL, NULL, b, &label);
    data_close(d);
    config.seed++;
    d = open_data();
    data_batch(d, DATA_TEST, &index, 1, NULL, NULL, c, &label);
    data_close(d);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_mem_ne(a, c, sizeof a);
}
END_TEST

/* Energy along a class's stripes against that across: the squared difference of a pixel
 * from the one two further in each of four directions, least along the stripes. */
static int guess_by_direction(const float *image)
{
    static const int step[4][2] = {{2, 0}, {2, -2}, {0, 2}, {2, 2}};
    float most = -1, energy[4] = {0};
    int best = 0;
    for (int k = 0; k < 4; k++) {
        for (int y = 4; y < SIDE - 4; y++)
            for (int x = 4; x < SIDE - 4; x++) {
                float v = 0, w = 0;
                for (int i = -1; i <= 1; i++) { /* a little smoothing against the noise */
                    v += image[(y + i) * SIDE + x];
                    w += image[(y + i + step[k][0]) * SIDE + x + step[k][1]];
                }
                energy[k] += (v - w) * (v - w);
            }
        if (energy[k] > most) {
            most = energy[k];
            best = k;
        }
    }
    return best;
}

/* Means of classes: what a classifier without any notion of stripes can learn. */
static double accuracy_of_means(const struct dataset *d)
{
    static float means[4][SIDE * SIDE];
    float image[SIDE * SIDE];
    uint8_t label;
    int right = 0, n = data_count(d, DATA_TRAIN), tests = data_count(d, DATA_TEST);
    memset(means, 0, sizeof means);
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        data_batch(d, DATA_TRAIN, &i, 1, NULL, NULL, image, &label);
        for (int v = 0; v < SIDE * SIDE; v++)
            means[label][v] += image[v] * 4 / (float)n;
    }
    for (uint32_t i = 0; i < (uint32_t)tests; i++) {
        float distance[4] = {0};
        int best = 0;
        data_batch(d, DATA_TEST, &i, 1, NULL, NULL, image, &label);
        for (int k = 0; k < 4; k++) {
            for (int v = 0; v < SIDE * SIDE; v++)
                distance[k] += (image[v] - means[k][v]) * (image[v] - means[k][v]);
            if (distance[k] < distance[best])
                best = k;
        }
        right += best == label;
    }
    return (double)right / tests;
}

START_TEST(classes_show_in_directions_but_not_in_pixels)
{
    struct dataset *d = open_data();
    int table[4][4] = {{0}}, right = 0, tests = data_count(d, DATA_TEST);
    for (uint32_t i = 0; i < (uint32_t)tests; i++) {
        float image[SIDE * SIDE];
        uint8_t label;
        data_batch(d, DATA_TEST, &i, 1, NULL, NULL, image, &label);
        table[label][guess_by_direction(image)]++;
    }
    for (int label = 0; label < 4; label++) {
        int most = 0;
        for (int k = 0; k < 4; k++)
            most = table[label][k] > most ? table[label][k] : most;
        right += most;
    }
    double pixels = accuracy_of_means(d);
    printf("by direction %.3f, by pixels %.3f\n", (double)right / tests, pixels);
    ck_assert_double_gt((double)right / tests, 0.5);
    ck_assert_double_lt(pixels, 0.4);
    data_close(d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bad_values_are_named, images_depend_on_the_seed_alone,
                                  classes_show_in_directions_but_not_in_pixels, NULL};
    return temp_folder_main("data_generated", tests, &temp, setup);
}
