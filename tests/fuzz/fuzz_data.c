/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a data set. The first byte chooses: IDX, IDX compressed, CIFAR-10, CIFAR-100;
 * the next two are the size of the first IDX file, the rest are the files. CIFAR records
 * are long, so they are made by repeating the rest. */
#include "fuzz.h"

#include <string.h>

#include "worker/data/data_format.h"

enum { SET_BYTES_MAX = 64 << 20 };

static void load_set(const struct data_format *format, const struct config *config,
                     const struct data_source *s, enum data_set set)
{
    size_t count = (size_t)s->images[set];
    struct error err;
    FUZZ_CHECK(count <= DATA_MAX_IMAGES && data_values(s) <= DATA_MAX_VALUES);
    if (count == 0 || count * data_values(s) > SET_BYTES_MAX)
        return;
    uint8_t *images = malloc(count * data_values(s)), *labels = malloc(count);
    FUZZ_CHECK(images && labels);
    if (format->load(config, s, set, images, labels, &err) == 0)
        for (size_t i = 0; i < count; i++)
            FUZZ_CHECK(labels[i] < s->classes);
    free(images);
    free(labels);
}

static void look(const struct data_format *format)
{
    static struct config config;
    static struct data_source source;
    struct error err;
    config_defaults(&config);
    snprintf(config.task.data.path, sizeof config.task.data.path, "%s", fuzz_folder());
    memset(&source, 0, sizeof source);
    if (format->inspect(&config, &source, &err) != 0)
        return;
    /* No more memory is asked for than files of this size can hold. */
    int64_t bytes = 0;
    for (int i = 0; i < source.file_count; i++)
        bytes += source.files[i].size;
    FUZZ_CHECK((int64_t)source.images[SET_TRAIN] * (int64_t)data_values(&source) <=
               1100 * bytes);
    load_set(format, &config, &source, SET_TRAIN);
    load_set(format, &config, &source, SET_TEST);
}

static void look_idx(const char *images, const char *labels, const uint8_t *data,
                     size_t first, size_t size)
{
    fuzz_file_put(images, data, first);
    fuzz_file_put(labels, data + first, size - first);
    look(&data_idx);
    fuzz_file_remove(images);
    fuzz_file_remove(labels);
}

/* Two records of `record` bytes in each of `count` files, and `extra` bytes more in the
 * first. */
static void look_cifar(const struct data_format *format, const char *const *names,
                       size_t record, const uint8_t *data, size_t size)
{
    static uint8_t records[2 * 3074 + 16];
    size_t extra = data[0] % 3 ? 0 : data[0] % 16, total = 2 * record + extra;
    for (size_t i = 0; i < total; i++)
        records[i] = data[i % size];
    for (int i = 0; names[i]; i++)
        fuzz_file_put(names[i], records, i ? 2 * record : total);
    look(format);
    for (int i = 0; names[i]; i++)
        fuzz_file_remove(names[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ten[] = {"data_batch_1.bin", "data_batch_2.bin",
                                      "data_batch_3.bin", "data_batch_4.bin",
                                      "data_batch_5.bin", NULL};
    static const char *const hundred[] = {"train.bin", "test.bin", NULL};
    if (size < 4 || size > FUZZ_INPUT_MAX)
        return 0;
    size_t first = data[1] | (size_t)data[2] << 8, rest = size - 3;
    first = first < rest ? first : rest;
    switch (data[0] % 4) {
    case 0:
        look_idx("train-images-idx3-ubyte", "train-labels-idx1-ubyte", data + 3, first,
                 rest);
        break;
    case 1:
        look_idx("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", data + 3,
                 first, rest);
        break;
    case 2:
        look_cifar(&data_cifar10, ten, 3073, data + 3, rest);
        break;
    default:
        look_cifar(&data_cifar100, hundred, 3074, data + 3, rest);
    }
    return 0;
}
