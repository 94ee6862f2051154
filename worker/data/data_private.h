/* SPDX-License-Identifier: Apache-2.0 */
/* The prepared file and how it is made: shared by data.c, data_batch.c, data_whiten.c and
 * data_cache.c only.
 *
 * Prepared file, little-endian: header (DATA_HEADER bytes, see data_cache.c), then for
 * each part the labels (one byte each), then for each part the images (N, H, W, C), uint8
 * or float32, each section beginning on a page. */
#ifndef ARCHWAY_WORKER_DATA_DATA_PRIVATE_H
#define ARCHWAY_WORKER_DATA_DATA_PRIVATE_H

#include "common/bytes.h"
#include "worker/data/data.h"
#include "worker/data/data_format.h"

enum { DATA_HEADER = 4096, DATA_CACHE_PATH = CONFIG_PATH + 64 };

struct dataset {
    struct data_facts facts;
    int whiten; /* enum config_whiten */
    int counts[DATA_PARTS];
    size_t labels[DATA_PARTS]; /* offsets in the file */
    size_t images[DATA_PARTS];
    size_t size;    /* of the file */
    size_t element; /* bytes of a value: 1, or 4 with ZCA */
    /* what a byte becomes: scale * byte + shift, by channel; not used with ZCA */
    float scale[DATA_MAX_CHANNELS], shift[DATA_MAX_CHANNELS];
    float *row_scale, *row_shift; /* owned; the same for a row of pixels, (W, C) */
    uint8_t *map;                 /* the file */
};

static inline size_t dataset_values(const struct dataset *d)
{
    return (size_t)d->facts.height * (size_t)d->facts.width * (size_t)d->facts.channels;
}

/* The format of a configuration that data_inspect_source found no fault with. */
const struct data_format *data_format_of(const struct config *config);
/* As data_inspect; also which files there are. */
int data_inspect_source(const struct config *config, struct data_source *source,
                        struct data_facts *facts, struct error *err);

/* Where things are, from facts, counts and element. */
void data_cache_layout(struct dataset *d);

/* Write labels and images of every part to d->map, set scale and shift. */
typedef int (*data_fill)(struct dataset *d, void *context, struct error *err);

/* Map the prepared file of this key (what the content depends on) from `folder`, making
 * it with `fill` where it is missing, stale or damaged. Blocks while another process
 * makes it. ERROR_SYSTEM naming the file or folder. */
int data_cache_get(const char *folder, const struct bytes *key, struct dataset *d,
                   data_fill fill, void *context, struct error *err);

/* Channel means and deviations of `count` images, as scale and shift. */
void data_whiten_channels(struct dataset *d, const uint8_t *images, size_t count);
void data_whiten_none(struct dataset *d);
/* A matrix learned from `count` images; to be freed with data_whiten_free. */
struct data_zca;
int data_zca_new(const uint8_t *images, const uint32_t *order, size_t count,
                 size_t values, struct data_zca **ret, struct error *err);
/* Whiten images order[0..count) (order NULL: 0..count) to ret (count, values). */
void data_zca_apply(const struct data_zca *z, const uint8_t *images,
                    const uint32_t *order, size_t count, float *ret);
void data_zca_free(struct data_zca *z);

#endif
