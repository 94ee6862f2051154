/* SPDX-License-Identifier: Apache-2.0 */
/* CIFAR-10 and CIFAR-100, binary version: records of one label (CIFAR-100: coarse, then
 * fine; the fine one counts) and 3072 bytes, red plane, green plane, blue plane. The
 * planes become pixels here, because everything after works on (N, H, W, C). */
#include "worker/data/data_format.h"

#include <stdlib.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, VALUES = 3 * PLANE, BLOCK = 100 /* records */ };

struct cifar {
    int classes, label_bytes, train_files;
    const char *train[5], *test;
};

static const struct cifar ten = {10,
                                 1,
                                 5,
                                 {"data_batch_1.bin", "data_batch_2.bin",
                                  "data_batch_3.bin", "data_batch_4.bin",
                                  "data_batch_5.bin"},
                                 "test_batch.bin"};
static const struct cifar hundred = {100, 2, 1, {"train.bin"}, "test.bin"};

static size_t record_size(const struct cifar *c)
{
    return (size_t)c->label_bytes + VALUES;
}

static int inspect_file(const struct cifar *c, const char *folder, const char *name,
                        enum data_set set, struct data_source *s, struct error *err)
{
    struct data_file *file = &s->files[s->file_count];
    int status = data_file_find(folder, name, file, err);
    if (status)
        return status;
    int64_t record = (int64_t)record_size(c), images = file->size / record;
    if (images < 1 || file->size % record)
        return error_set(
            err, ERROR_INPUT,
            "'%s' holds %lld bytes, expected a multiple of %lld (a label and "
            "a 32 x 32 x 3 image)",
            file->path, (long long)file->size, (long long)record);
    if (images + s->images[set] > DATA_MAX_IMAGES)
        return error_set(err, ERROR_INPUT, "'%s' holds %lld images, allowed are %d",
                         file->path, (long long)images, DATA_MAX_IMAGES);
    s->images[set] += (int)images;
    s->file_count++;
    return 0;
}

static int inspect(const struct cifar *c, const struct config *config,
                   struct data_source *ret, struct error *err)
{
    const char *folder = config->task.data.path;
    int status = 0;
    ret->classes = c->classes;
    ret->height = ret->width = SIDE;
    ret->channels = 3;
    for (int i = 0; !status && i < c->train_files; i++)
        status = inspect_file(c, folder, c->train[i], SET_TRAIN, ret, err);
    if (!status && data_file_exists(folder, c->test))
        status = inspect_file(c, folder, c->test, SET_TEST, ret, err);
    return status;
}

static void planes_to_pixels(const uint8_t *planes, uint8_t *pixels)
{
    for (int i = 0; i < PLANE; i++)
        for (int k = 0; k < 3; k++)
            pixels[3 * i + k] = planes[k * PLANE + i];
}

static int load_block(const struct cifar *c, const struct data_file *file,
                      const uint8_t *records, size_t first, size_t n, uint8_t *images,
                      uint8_t *labels, struct error *err)
{
    for (size_t i = 0; i < n; i++, images += VALUES, labels++) {
        const uint8_t *record = records + i * record_size(c);
        *labels = record[c->label_bytes - 1];
        if (*labels >= c->classes)
            return error_set(err, ERROR_INPUT,
                             "'%s': the label of image %zu is %d, allowed are 0 to %d",
                             file->path, first + i, *labels, c->classes - 1);
        planes_to_pixels(record + c->label_bytes, images);
    }
    return 0;
}

static int load_file(const struct cifar *c, const struct data_file *file, uint8_t *images,
                     uint8_t *labels, struct error *err)
{
    size_t record = record_size(c), count = (size_t)file->size / record;
    struct data_reader r = {0};
    uint8_t *block = malloc(BLOCK * record);
    int status = block ? data_reader_open(&r, file, err)
                       : error_set(err, ERROR_SYSTEM, "'%s': out of memory", file->path);
    for (size_t i = 0; !status && i < count; i += BLOCK) {
        size_t n = count - i < BLOCK ? count - i : BLOCK;
        status = data_reader_read(&r, block, n * record, err);
        if (!status)
            status =
                load_block(c, file, block, i, n, images + i * VALUES, labels + i, err);
    }
    if (!status)
        status = data_reader_end(&r, err);
    data_reader_close(&r);
    free(block);
    return status;
}

static int load(const struct cifar *c, const struct data_source *s, enum data_set set,
                uint8_t *images, uint8_t *labels, struct error *err)
{
    int first = set == SET_TRAIN ? 0 : c->train_files;
    int end = set == SET_TRAIN ? c->train_files : s->file_count, status = 0;
    for (int i = first; !status && i < end; i++) {
        size_t count = (size_t)s->files[i].size / record_size(c);
        status = load_file(c, &s->files[i], images, labels, err);
        images += count * VALUES;
        labels += count;
    }
    return status;
}

static bool cifar10_present(const char *folder)
{
    return data_file_exists(folder, ten.train[0]);
}

static int cifar10_inspect(const struct config *config, struct data_source *ret,
                           struct error *err)
{
    return inspect(&ten, config, ret, err);
}

static int cifar10_load(const struct config *config, const struct data_source *s,
                        enum data_set set, uint8_t *images, uint8_t *labels,
                        struct error *err)
{
    return load(&ten, s, set, images, labels, err);
}

static bool cifar100_present(const char *folder)
{
    return data_file_exists(folder, hundred.train[0]);
}

static int cifar100_inspect(const struct config *config, struct data_source *ret,
                            struct error *err)
{
    return inspect(&hundred, config, ret, err);
}

static int cifar100_load(const struct config *config, const struct data_source *s,
                         enum data_set set, uint8_t *images, uint8_t *labels,
                         struct error *err)
{
    return load(&hundred, s, set, images, labels, err);
}

const struct data_format data_cifar10 = {
    .name = "cifar10",
    .looked_for = "data_batch_1.bin",
    .present = cifar10_present,
    .inspect = cifar10_inspect,
    .load = cifar10_load,
};

const struct data_format data_cifar100 = {
    .name = "cifar100",
    .looked_for = "train.bin",
    .present = cifar100_present,
    .inspect = cifar100_inspect,
    .load = cifar100_load,
};
