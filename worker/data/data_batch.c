/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: one pass from the mapped file to float32, whitened, cropped and flipped on the
 * way. Scale and shift are kept for a whole row of pixels, so that the inner loop is one
 * multiply-add over a row whatever the number of channels, which compilers vectorise. */
#include "worker/data/data_private.h"

#include <string.h>

/* What happens to one image: a window of the image's own size, moved by (dy, dx). */
struct window {
    int dy, dx; /* pixels by which the image is read further down and right */
    bool flip;
};

/* One draw each, always all three, whatever is switched on. */
static struct window draw_window(const struct data_augment *augment, struct rng *rng)
{
    uint32_t span = 2 * (uint32_t)augment->pad + 1;
    uint32_t y = (uint32_t)((uint64_t)rng_u32(rng) * span >> 32);
    uint32_t x = (uint32_t)((uint64_t)rng_u32(rng) * span >> 32);
    bool flip = rng_u32(rng) >> 31;
    return (struct window){(int)y - augment->pad, (int)x - augment->pad,
                           augment->flip && flip};
}

static void convert_u8(const uint8_t *restrict in, const float *restrict scale,
                       const float *restrict shift, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)in[i] * scale[i] + shift[i];
}

/* Pixels in reverse order. */
static void flip_row(float *row, size_t width, size_t channels)
{
    for (size_t a = 0, b = width - 1; a < b; a++, b--)
        for (size_t k = 0; k < channels; k++) {
            float v = row[a * channels + k];
            row[a * channels + k] = row[b * channels + k];
            row[b * channels + k] = v;
        }
}

/* Values [first, first + n) of a row of the file, as float. */
static void convert(const struct dataset *d, const uint8_t *row, size_t first, size_t n,
                    float *out)
{
    if (d->element == 1)
        convert_u8(row + first, d->row_scale, d->row_shift, n, out);
    else
        memcpy(out, row + first * sizeof *out, n * sizeof *out);
}

static void read_row(const struct dataset *d, const uint8_t *image, int y,
                     const struct window *w, float *out)
{
    size_t channels = (size_t)d->facts.channels, width = (size_t)d->facts.width;
    size_t values = width * channels;
    if (y < 0 || y >= d->facts.height || w->dx >= d->facts.width ||
        w->dx <= -d->facts.width) {
        memset(out, 0, values * sizeof *out);
        return;
    }
    size_t left = w->dx < 0 ? (size_t)-w->dx * channels : 0; /* zeros */
    size_t first = w->dx > 0 ? (size_t)w->dx * channels : 0;
    size_t n = values - left - first;
    memset(out, 0, left * sizeof *out);
    convert(d, image + (size_t)y * values * d->element, first, n, out + left);
    memset(out + left + n, 0, first * sizeof *out);
    if (w->flip)
        flip_row(out, width, channels);
}

void data_batch(const struct dataset *d, enum data_part part, const uint32_t *indices,
                int n, const struct data_augment *augment, struct rng *rng,
                float *ret_images, uint8_t *ret_labels)
{
    size_t values = dataset_values(d);
    size_t row = values / (size_t)d->facts.height;
    const uint8_t *labels = data_labels(d, part);
    for (int i = 0; i < n; i++) {
        const uint8_t *image =
            d->map + d->images[part] + indices[i] * values * d->element;
        struct window w = {0, 0, false};
        if (augment)
            w = draw_window(augment, rng);
        for (int y = 0; y < d->facts.height; y++)
            read_row(d, image, y + w.dy, &w, ret_images + (size_t)y * row);
        ret_images += values;
        ret_labels[i] = labels[indices[i]];
    }
}
