/* SPDX-License-Identifier: Apache-2.0 */
/* What a data format implements, and what the data module's own files share. A format
 * finds its files and decodes them to bytes; split, whitening and cache are the same for
 * all. */
#ifndef ARCHWAY_WORKER_DATA_DATA_FORMAT_H
#define ARCHWAY_WORKER_DATA_DATA_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"

enum {
    DATA_MAX_FILES = 6,
    DATA_MAX_CLASSES = 256,
    DATA_MAX_CHANNELS = 16,
    DATA_MAX_SIDE = 4096,      /* pixels */
    DATA_MAX_VALUES = 1 << 20, /* height x width x channels */
    DATA_MAX_IMAGES = 1 << 24, /* of one set */
    DATA_FILE_PATH = CONFIG_PATH + 64
};

enum data_set {
    SET_TRAIN,
    SET_TEST,
    SETS
}; /* as the files have them, before the split */

struct data_file {
    char path[DATA_FILE_PATH];
    int64_t size; /* bytes */
    struct timespec changed;
};

struct data_source {
    int classes, height, width, channels;
    int images[SETS]; /* of SET_TEST: 0 when there are none */
    int file_count;
    struct data_file files[DATA_MAX_FILES];
};

struct data_format {
    const char *name;       /* as in task.data.format */
    const char *looked_for; /* files that data_detect looks for; NULL: not detected */
    bool (*present)(const char *folder);
    /* Fill ret from headers and sizes. */
    int (*inspect)(const struct config *config, struct data_source *ret,
                   struct error *err);
    /* Decode a set: images (images[set], H, W, C), labels checked against classes. */
    int (*load)(const struct config *config, const struct data_source *source,
                enum data_set set, uint8_t *images, uint8_t *labels, struct error *err);
};

extern const struct data_format data_idx, data_cifar10, data_cifar100, data_generated;

/* ERROR_INPUT when a path made of these is too long or the file cannot be looked at. */
int data_file_find(const char *folder, const char *name, struct data_file *ret,
                   struct error *err);
bool data_file_exists(const char *folder, const char *name);
/* ERROR_INPUT naming the file when these dimensions are not allowed. */
int data_check_shape(const char *path, int64_t height, int64_t width, int64_t channels,
                     struct error *err);
static inline size_t data_values(const struct data_source *s)
{
    return (size_t)s->height * (size_t)s->width * (size_t)s->channels;
}

/* A file read from its beginning, through zlib where it is compressed. */
struct data_reader {
    void *gz;
    const struct data_file *file; /* borrowed */
    uint64_t done;                /* bytes read */
};
int data_reader_open(struct data_reader *r, const struct data_file *file,
                     struct error *err);
/* Exactly `size` bytes. ERROR_INPUT: the file ends before, or is damaged. */
int data_reader_read(struct data_reader *r, void *ret, size_t size, struct error *err);
/* ERROR_INPUT unless the file ends here. */
int data_reader_end(struct data_reader *r, struct error *err);
void data_reader_close(struct data_reader *r); /* an unopened, zeroed one is allowed */

/* Numbers of training and validation images out of `available` (data_split.c). */
int data_split_sizes(const struct config_task *task, int available, int *ret_train,
                     int *ret_validation, struct error *err);
/* Which image of the training files is at each place: first the training images, then the
 * validation images. A permutation of {0, ..., available-1}. */
void data_split_order(uint64_t seed, int available, uint32_t *ret);

#endif
