/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets as the trainer sees them: format, split, whitening and cache put together.
 * The uid is part of the key, so that users of one /tmp do not get in each other's way,
 * and so is the version of what is written here: raise CONTENT_VERSION when the same
 * configuration shall give other content. */
#include "worker/data/data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/kernel_names.h"
#include "common/nn/blas.h"
#include "worker/data/data_private.h"

enum { CONTENT_VERSION = 1 };

/* Everything that the prepared file depends on. ZCA is the one thing in it that is summed
 * in an order of the processor's. */
static void write_key(const struct config *config, const struct data_source *s,
                      const struct data_facts *f, struct bytes *key)
{
    const int numbers[] = {CONTENT_VERSION,
                           config->task.data.format,
                           config->task.data.whiten,
                           s->classes,
                           s->height,
                           s->width,
                           s->channels,
                           s->images[SET_TRAIN],
                           s->images[SET_TEST],
                           f->train,
                           f->validation,
                           s->file_count,
                           (int)geteuid()};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        bytes_put_u32(key, (uint32_t)numbers[i]);
    if (config->task.data.whiten == WHITEN_ZCA)
        bytes_put_u32(key, (uint32_t)config->trainer.builtin.kernels);
    bytes_put_u64(key, config->seed);
    for (int i = 0; i < s->file_count; i++) {
        char *real = realpath(s->files[i].path, NULL);
        bytes_put_string(key, real ? real : s->files[i].path);
        bytes_put_u64(key, (uint64_t)s->files[i].size);
        bytes_put_u64(key, (uint64_t)s->files[i].changed.tv_sec);
        bytes_put_u64(key, (uint64_t)s->files[i].changed.tv_nsec);
        free(real);
    }
}

struct filling {
    const struct config *config;
    const struct data_source *source;
    uint8_t *images[SETS], *labels[SETS]; /* as the files have them */
    uint32_t *order;                      /* of the training files' images */
};

static int load(struct filling *f, enum data_set set, struct error *err)
{
    const struct data_source *s = f->source;
    size_t count = (size_t)s->images[set];
    if (count == 0)
        return 0;
    f->images[set] = malloc(count * data_values(s));
    f->labels[set] = malloc(count);
    if (!f->images[set] || !f->labels[set])
        return error_set(err, ERROR_SYSTEM, "task.data: out of memory for %zu images",
                         count);
    return data_format_of(f->config)->load(f->config, s, set, f->images[set],
                                           f->labels[set], err);
}

/* Which of the files' sets a part is from, and where each of its images is there. */
static enum data_set part_set(enum data_part part)
{
    return part == DATA_TEST ? SET_TEST : SET_TRAIN;
}

static const uint32_t *part_order(const struct filling *f, const struct dataset *d,
                                  enum data_part part)
{
    if (part == DATA_TEST)
        return NULL;
    return part == DATA_TRAIN ? f->order : f->order + d->counts[DATA_TRAIN];
}

static void fill_part(const struct filling *f, struct dataset *d, enum data_part part,
                      const struct data_zca *zca)
{
    size_t values = dataset_values(d), count = (size_t)d->counts[part];
    enum data_set set = part_set(part);
    const uint32_t *order = part_order(f, d, part);
    uint8_t *labels = d->map + d->labels[part], *images = d->map + d->images[part];
    for (size_t i = 0; i < count; i++) {
        size_t from = order ? order[i] : i;
        labels[i] = f->labels[set][from];
        if (!zca)
            memcpy(images + i * values, f->images[set] + from * values, values);
    }
    if (zca)
        data_zca_apply(zca, f->images[set], order, count, (float *)(void *)images);
}

static int fill(struct dataset *d, void *context, struct error *err)
{
    struct filling *f = context;
    struct data_zca *zca = NULL;
    int status = load(f, SET_TRAIN, err);
    if (!status)
        status = load(f, SET_TEST, err);
    f->order = malloc((size_t)d->facts.train_images * sizeof *f->order);
    if (!status && !f->order)
        status = error_set(err, ERROR_SYSTEM, "task.data: out of memory");
    if (status)
        return status;
    data_split_order(f->config->seed, d->facts.train_images, f->order);
    if (d->whiten == WHITEN_ZCA) {
        blas_choose(kernel_names_wanted(f->config));
        status =
            data_zca_new(f->images[SET_TRAIN], f->order, (size_t)d->counts[DATA_TRAIN],
                         dataset_values(d), &zca, err);
    }
    if (status)
        return status;
    for (int p = 0; p < DATA_PARTS; p++)
        fill_part(f, d, (enum data_part)p, zca);
    data_zca_free(zca);
    data_whiten_none(d);
    if (d->whiten == WHITEN_CHANNEL)
        data_whiten_channels(d, d->map + d->images[DATA_TRAIN],
                             (size_t)d->counts[DATA_TRAIN]);
    return 0;
}

static void free_filling(struct filling *f)
{
    for (int set = 0; set < SETS; set++) {
        free(f->images[set]);
        free(f->labels[set]);
    }
    free(f->order);
}

static int set_rows(struct dataset *d, struct error *err)
{
    size_t channels = (size_t)d->facts.channels, n = (size_t)d->facts.width * channels;
    d->row_scale = malloc(n * sizeof *d->row_scale);
    d->row_shift = malloc(n * sizeof *d->row_shift);
    if (!d->row_scale || !d->row_shift)
        return error_set(err, ERROR_SYSTEM, "task.data: out of memory");
    for (size_t i = 0; i < n; i++) {
        d->row_scale[i] = d->scale[i % channels];
        d->row_shift[i] = d->shift[i % channels];
    }
    return 0;
}

static int open_source(const struct config *config, const char *cache,
                       struct data_source *source, struct dataset *d, struct error *err)
{
    struct filling filling = {.config = config, .source = source};
    struct bytes key;
    int status = data_inspect_source(config, source, &d->facts, err);
    if (status)
        return status;
    d->whiten = config->task.data.whiten;
    d->element = d->whiten == WHITEN_ZCA ? sizeof(float) : 1;
    d->counts[DATA_TRAIN] = d->facts.train;
    d->counts[DATA_VALIDATION] = d->facts.validation;
    d->counts[DATA_TEST] = d->facts.test_images;
    data_cache_layout(d);
    bytes_init(&key);
    write_key(config, source, &d->facts, &key);
    if (key.failed)
        status = error_set(err, ERROR_SYSTEM, "task.data: out of memory");
    else
        status = data_cache_get(cache, &key, d, fill, &filling, err);
    bytes_fini(&key);
    free_filling(&filling);
    return status ? status : set_rows(d, err);
}

int data_open(const struct config *config, const char *cache, struct dataset **ret,
              struct error *err)
{
    struct dataset *d = calloc(1, sizeof *d);
    struct data_source *source = malloc(sizeof *source);
    int status = d && source ? open_source(config, cache, source, d, err)
                             : error_set(err, ERROR_SYSTEM, "task.data: out of memory");
    free(source);
    if (status)
        data_close(d);
    else
        *ret = d;
    return status;
}

void data_close(struct dataset *d)
{
    if (!d)
        return;
    if (d->map)
        munmap(d->map, d->size);
    free(d->row_scale);
    free(d->row_shift);
    free(d);
}

const struct data_facts *data_facts(const struct dataset *d)
{
    return &d->facts;
}

int data_count(const struct dataset *d, enum data_part part)
{
    return d->counts[part];
}

const uint8_t *data_labels(const struct dataset *d, enum data_part part)
{
    return d->map + d->labels[part];
}
