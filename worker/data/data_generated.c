/* SPDX-License-Identifier: Apache-2.0 */
/* Images for machines without any data: a striped patch somewhere in a noisy image. The
 * class is the direction of the stripes and, beyond eight classes, their width. Place,
 * phase, contrast and colour are random, so that no single pixel tells the class: a
 * linear classifier stays near chance, a small convolutional network learns it.
 *
 * Only additions, multiplications and floor are used between the random numbers and the
 * bytes, no library sine: the images are the same on every machine. */
#include "worker/data/data_format.h"

#include <math.h>

#include "common/rng.h"

enum { DIRECTIONS = 8, TEST_SHARE = 6 };

static int check_range(const char *key, int v, int min, int max, struct error *err)
{
    if (v >= min && v <= max)
        return 0;
    return error_set(err, ERROR_INPUT, "task.data.%s is %d, allowed are %d to %d", key, v,
                     min, max);
}

static int generated_inspect(const struct config *config, struct data_source *ret,
                             struct error *err)
{
    const struct config_data *d = &config->task.data;
    int status = check_range("classes", d->classes, 2, DATA_MAX_CLASSES, err);
    if (!status)
        status = check_range("images", d->images, 2, DATA_MAX_IMAGES, err);
    if (!status)
        status = data_check_shape("generated", d->height, d->width, d->channels, err);
    ret->classes = d->classes;
    ret->height = d->height;
    ret->width = d->width;
    ret->channels = d->channels;
    ret->images[SET_TRAIN] = d->images;
    ret->images[SET_TEST] = d->images / TEST_SHARE;
    return status;
}

/* A wave of period 1 and height 1, two parabolas. */
static float wave(float turns)
{
    float t = turns - floorf(turns);
    float u = t < 0.5f ? t : t - 0.5f;
    float v = 16 * u * (0.5f - u);
    return t < 0.5f ? v : -v;
}

struct patch {
    float x, y, radius;     /* pixels */
    float along_x, along_y; /* turns a pixel */
    float phase, contrast;
    float tint[DATA_MAX_CHANNELS];
};

static float between(struct rng *rng, float low, float high)
{
    return low + (high - low) * rng_float(rng);
}

static void draw_patch(const struct data_source *s, int label, struct rng *rng,
                       struct patch *ret)
{
    int directions = s->classes < DIRECTIONS ? s->classes : DIRECTIONS;
    int widths = (s->classes + directions - 1) / directions;
    float side = (float)(s->height < s->width ? s->height : s->width);
    float jitter = between(rng, -0.2f, 0.2f);
    float half = ((float)(label % directions) + jitter) / (float)directions / 2;
    float step = widths > 1 ? (float)(label / directions) / (float)(widths - 1) : 0.5f;
    float rate = (0.12f + 0.2f * step) * between(rng, 0.95f, 1.05f);
    ret->along_x = rate * wave(half + 0.25f);
    ret->along_y = rate * wave(half);
    ret->radius = side * between(rng, 0.25f, 0.4f);
    ret->x = between(rng, 0.3f, 0.7f) * (float)s->width;
    ret->y = between(rng, 0.3f, 0.7f) * (float)s->height;
    ret->phase = rng_float(rng);
    ret->contrast = between(rng, 30, 80);
    for (int k = 0; k < s->channels; k++)
        ret->tint[k] = between(rng, 0.5f, 1);
}

/* Roughly normal, standard deviation 1: the sum of four bytes. */
static float noise(struct rng *rng)
{
    uint32_t v = rng_u32(rng);
    int sum =
        (int)(v & 255) + (int)(v >> 8 & 255) + (int)(v >> 16 & 255) + (int)(v >> 24);
    return (float)(sum - 510) * (1 / 147.8f);
}

static uint8_t to_byte(float v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f);
}

static void draw_image(const struct data_source *s, int label, struct rng *rng,
                       uint8_t *image)
{
    struct patch p;
    draw_patch(s, label, rng, &p);
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            float dx = (float)x - p.x, dy = (float)y - p.y;
            float out = (dx * dx + dy * dy) / (p.radius * p.radius);
            float inside = out < 1 ? 1 - out * out : 0;
            float stripes = wave(p.along_x * dx + p.along_y * dy + p.phase);
            for (int k = 0; k < s->channels; k++)
                *image++ = to_byte(127 + p.contrast * p.tint[k] * inside * stripes +
                                   24 * noise(rng));
        }
}

static int generated_load(const struct config *config, const struct data_source *s,
                          enum data_set set, uint8_t *images, uint8_t *labels,
                          struct error *err)
{
    uint64_t first = set == SET_TRAIN ? 0 : DATA_MAX_IMAGES;
    for (int i = 0; i < s->images[set]; i++) {
        struct rng rng;
        rng_init(&rng, config->seed, RNG_DATA_GENERATE, first + (uint64_t)i);
        labels[i] = (uint8_t)(i % s->classes);
        draw_image(s, labels[i], &rng, images + (size_t)i * data_values(s));
    }
    return 0;
}

const struct data_format data_generated = {
    .name = "generated",
    .inspect = generated_inspect,
    .load = generated_load,
};
