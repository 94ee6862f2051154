/* SPDX-License-Identifier: Apache-2.0 */
/* Whitening. Every statistic comes from the training images alone. none: bytes become
 * [0, 1]. channel: mean 0 and deviation 1 by channel, summed in integers, so that it is
 * the same on every machine. zca: see common/nn/zca.h; it is worked out in blocks of
 * images so that the float copy never holds more than one block. */
#include "worker/data/data_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/nn/zca.h"

enum { ZCA_BLOCK = 512 /* images */ };
/* As a share of the mean eigenvalue: keeps the noise of the last directions down. */
static const double zca_epsilon = 0.01;

struct data_zca {
    struct blas blas;
    size_t values;
    float *mean;  /* (values), of bytes / 255 */
    float *w;     /* (values, values) */
    float *block; /* (ZCA_BLOCK, values) */
};

void data_whiten_none(struct dataset *d)
{
    for (int k = 0; k < DATA_MAX_CHANNELS; k++) {
        d->scale[k] = 1 / 255.0f;
        d->shift[k] = 0;
    }
}

void data_whiten_channels(struct dataset *d, const uint8_t *images, size_t count)
{
    size_t channels = (size_t)d->facts.channels, n = count * dataset_values(d) / channels;
    uint64_t sum[DATA_MAX_CHANNELS] = {0}, square[DATA_MAX_CHANNELS] = {0};
    for (size_t i = 0; i < n; i++, images += channels)
        for (size_t k = 0; k < channels; k++) {
            sum[k] += images[k];
            square[k] += (uint64_t)images[k] * images[k];
        }
    data_whiten_none(d);
    for (size_t k = 0; k < channels; k++) {
        double mean = (double)sum[k] / (double)n;
        double variance = (double)square[k] / (double)n - mean * mean;
        double scale =
            variance > 1e-9 ? 1 / sqrt(variance) : 1; /* a channel that is flat */
        d->scale[k] = (float)scale;
        d->shift[k] = (float)(-mean * scale);
    }
}

void data_zca_free(struct data_zca *z)
{
    if (!z)
        return;
    free(z->mean);
    free(z->w);
    free(z->block);
    free(z);
}

static const uint8_t *image_at(const struct data_zca *z, const uint8_t *images,
                               const uint32_t *order, size_t i)
{
    return images + (order ? order[i] : i) * z->values;
}

static void find_mean(struct data_zca *z, const uint8_t *images, const uint32_t *order,
                      size_t count)
{
    uint64_t *sums = (uint64_t *)z->block; /* ZCA_BLOCK >= 2 rows: room enough */
    memset(sums, 0, z->values * sizeof *sums);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *image = image_at(z, images, order, i);
        for (size_t j = 0; j < z->values; j++)
            sums[j] += image[j];
    }
    for (size_t j = 0; j < z->values; j++)
        z->mean[j] = (float)((double)sums[j] / (double)count / 255);
}

static void centre(const struct data_zca *z, const uint8_t *images, const uint32_t *order,
                   size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *image = image_at(z, images, order, first + i);
        float *row = z->block + i * z->values;
        for (size_t j = 0; j < z->values; j++)
            row[j] = (float)image[j] * (1 / 255.0f) - z->mean[j];
    }
}

static size_t block_size(size_t count, size_t first)
{
    return count - first < ZCA_BLOCK ? count - first : ZCA_BLOCK;
}

int data_zca_new(const uint8_t *images, const uint32_t *order, size_t count,
                 size_t values, struct data_zca **ret, struct error *err)
{
    if (values > ZCA_MAX_SIZE)
        return error_set(
            err, ERROR_INPUT,
            "task.data.whiten: zca is for images of at most %d values, these "
            "have %zu (height x width x channels)",
            ZCA_MAX_SIZE, values);
    struct data_zca *z = calloc(1, sizeof *z);
    int status = 0;
    if (z) {
        z->values = values;
        z->mean = malloc(values * sizeof *z->mean);
        z->w = calloc(values * values, sizeof *z->w);
        z->block = aligned_alloc(64, ZCA_BLOCK * values * sizeof *z->block);
    }
    if (!z || !z->mean || !z->w || !z->block) {
        status = error_set(err, ERROR_SYSTEM, "whitening: out of memory");
        goto out;
    }
    status = blas_load(&z->blas, err);
    if (status) {
        error_prefix(err, "task.data.whiten: zca");
        goto out;
    }
    find_mean(z, images, order, count);
    for (size_t i = 0; i < count; i += ZCA_BLOCK) {
        size_t n = block_size(count, i);
        centre(z, images, order, i, n);
        zca_add(&z->blas, z->w, (int)values, z->block, (int)n);
    }
    status = zca_finish(&z->blas, z->w, (int)values, (double)count, zca_epsilon, err);
out:
    if (status)
        data_zca_free(z);
    else
        *ret = z;
    return status;
}

void data_zca_apply(const struct data_zca *z, const uint8_t *images,
                    const uint32_t *order, size_t count, float *ret)
{
    for (size_t i = 0; i < count; i += ZCA_BLOCK) {
        size_t n = block_size(count, i);
        centre(z, images, order, i, n);
        zca_apply(&z->blas, z->w, (int)z->values, z->block, (int)n, ret + i * z->values);
    }
}
