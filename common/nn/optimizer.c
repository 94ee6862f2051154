/* SPDX-License-Identifier: Apache-2.0 */
/* SGD with momentum and Adam as PyTorch computes them, one pass over flat vectors. The
 * loops hold only additions, products, a division and a square root, each rounded on its
 * own (the project forbids contraction), so every vector width gives the same bits. Loops
 * over whole vectors are compiled for wider vectors too and chosen when the program is
 * loaded. Bias corrections are computed in double, as PyTorch does. */
#include "common/nn/optimizer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

int optimizer_init(struct optimizer *o, size_t count, bool adam, struct error *err)
{
    struct optimizer fresh = {.count = count};
    size_t room = count ? count : 1;
    bool possible = count <= PTRDIFF_MAX / sizeof *fresh.m;
    fresh.m = possible ? calloc(room, sizeof *fresh.m) : NULL;
    fresh.v = adam && possible ? calloc(room, sizeof *fresh.v) : NULL;
    if (!fresh.m || (adam && !fresh.v)) {
        optimizer_fini(&fresh);
        return error_set(err, ERROR_SYSTEM, "optimizer: no memory for %zu parameters",
                         count);
    }
    *o = fresh;
    return 0;
}

void optimizer_fini(struct optimizer *o)
{
    if (!o)
        return;
    free(o->m);
    free(o->v);
    *o = (struct optimizer){0};
}

WIDE static void sgd_loop(const struct optimizer_sgd *s, size_t n, float *restrict p,
                          float *restrict m, const float *restrict gradient)
{
    float lr = s->lr, momentum = s->momentum, decay = s->weight_decay;
    float direct = s->nesterov ? 1.0f : 0.0f, through = s->nesterov ? momentum : 1.0f;
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] + decay * p[i];
        m[i] = momentum * m[i] + g;
        p[i] -= lr * (direct * g + through * m[i]);
    }
}

void optimizer_sgd_range(struct optimizer *o, const struct optimizer_sgd *s,
                         size_t offset, size_t n, float *parameters,
                         const float *gradients)
{
    assert(offset <= o->count && n <= o->count - offset);
    sgd_loop(s, n, parameters + offset, o->m + offset, gradients + offset);
}

struct adam_step {
    float size, root, epsilon, beta1, beta2, decay;
};

WIDE static void adam_loop(const struct adam_step *s, size_t n, float *restrict p,
                           float *restrict m, float *restrict v,
                           const float *restrict gradient)
{
    float size = s->size, root = s->root, epsilon = s->epsilon, decay = s->decay;
    float keep1 = s->beta1, keep2 = s->beta2, new1 = 1 - keep1, new2 = 1 - keep2;
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] + decay * p[i];
        m[i] = keep1 * m[i] + new1 * g;
        v[i] = keep2 * v[i] + new2 * g * g;
        p[i] -= size * (m[i] / (sqrtf(v[i]) / root + epsilon));
    }
}

void optimizer_adam_step(struct optimizer *o, const struct optimizer_adam *a,
                         float *parameters, const float *gradients)
{
    assert(o->v);
    double step = (double)++o->step;
    struct adam_step s = {
        .size = (float)(a->lr / (1 - pow(a->beta1, step))),
        .root = (float)sqrt(1 - pow(a->beta2, step)),
        .epsilon = a->epsilon,
        .beta1 = a->beta1,
        .beta2 = a->beta2,
        .decay = a->weight_decay,
    };
    adam_loop(&s, o->count, parameters, o->m, o->v, gradients);
}

/* Sixteen partial sums, so that the loop may use vectors; their order is fixed. */
WIDE static double square_sum(const float *v, size_t count)
{
    double lanes[16] = {0}, sum = 0;
    size_t whole = count / 16 * 16;
    for (size_t i = 0; i < whole; i += 16)
        for (size_t j = 0; j < 16; j++)
            lanes[j] += (double)v[i + j] * (double)v[i + j];
    for (size_t j = 0; j < 16; j++)
        sum += lanes[j];
    for (size_t i = whole; i < count; i++)
        sum += (double)v[i] * (double)v[i];
    return sum;
}

double optimizer_clip(float *gradients, size_t count, double limit)
{
    double norm = sqrt(square_sum(gradients, count));
    if (norm > limit) {
        float scale = (float)(limit / norm);
        for (size_t i = 0; i < count; i++)
            gradients[i] *= scale;
    }
    return norm;
}
