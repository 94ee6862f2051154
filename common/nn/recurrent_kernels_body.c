/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent model's inner loops, compiled once per instruction set: the build defines
 * RECURRENT_KERNELS (the table's name) and the compiler's options choose simd.h's
 * vectors. Products stand in recurrent_kernels_product.h. */
#include "common/nn/recurrent_kernels.h"

#include <math.h>
#include <string.h>

#include "common/nn/recurrent_kernels_product.h"
#include "common/nn/simd.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)

/* The first n floats of a vector, n possibly less than its width. */
VF_INLINE vf load_part(const float *p, size_t n)
{
    float part[VF_WIDTH] = {0};
    if (n >= VF_WIDTH)
        return vf_load(p);
    memcpy(part, p, n * sizeof *p);
    return vf_load(part);
}

VF_INLINE void store_part(float *p, vf v, size_t n)
{
    float part[VF_WIDTH];
    if (n >= VF_WIDTH) {
        vf_store(p, v);
        return;
    }
    vf_store(part, v);
    memcpy(p, part, n * sizeof *p);
}

VF_INLINE vf activate(vf a, enum recurrent_activation f)
{
    switch (f) {
    case RECURRENT_TANH:
        return vf_tanh(a);
    case RECURRENT_RELU:
        return vf_max(a, vf_set(0));
    case RECURRENT_SIGMOID:
        return vf_sigmoid(a);
    default:
        return a;
    }
}

/* f'(a), given u = f(a) alone. */
VF_INLINE vf slope(vf u, enum recurrent_activation f)
{
    const vf one = vf_set(1), huge = vf_set(0x1p126f);
    switch (f) {
    case RECURRENT_TANH:
        return one - u * u;
    case RECURRENT_RELU: /* 1 above 0, even for the smallest normal number */
        return vf_min(u * huge, one);
    case RECURRENT_SIGMOID:
        return u * (one - u);
    default:
        return one;
    }
}

VF_INLINE void highway_with(const struct recurrent_highway *s,
                            enum recurrent_activation f)
{
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        float *a = s->a + r * 2 * n, *h = s->h + r * n;
        const float *p = s->p + r * n;
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            size_t left = n - i;
            vf g = vf_sigmoid(load_part(a + i, left));
            vf u = activate(load_part(a + n + i, left), f), x = load_part(p + i, left);
            store_part(a + i, g, left);
            store_part(a + n + i, u, left);
            store_part(h + i, FUSED(g, u - x, x), left);
        }
    }
}

static void highway(const struct recurrent_highway *s)
{
    switch (s->activation) {
    case RECURRENT_TANH:
        highway_with(s, RECURRENT_TANH);
        break;
    case RECURRENT_RELU:
        highway_with(s, RECURRENT_RELU);
        break;
    case RECURRENT_SIGMOID:
        highway_with(s, RECURRENT_SIGMOID);
        break;
    default:
        highway_with(s, RECURRENT_IDENTITY);
    }
}

VF_INLINE void highway_back_with(const struct recurrent_highway_back *s,
                                 enum recurrent_activation f)
{
    const vf one = vf_set(1);
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        float *a = s->a + r * 2 * n, *dp = s->dp + r * n;
        const float *p = s->p + r * n, *dh = s->dh + r * n;
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            size_t left = n - i;
            vf g = load_part(a + i, left), u = load_part(a + n + i, left);
            vf d = load_part(dh + i, left), x = load_part(p + i, left);
            store_part(dp + i, FUSED(d, one - g, load_part(dp + i, left)), left);
            store_part(a + i, d * (u - x) * (g * (one - g)), left);
            store_part(a + n + i, d * g * slope(u, f), left);
        }
    }
}

static void highway_back(const struct recurrent_highway_back *s)
{
    switch (s->activation) {
    case RECURRENT_TANH:
        highway_back_with(s, RECURRENT_TANH);
        break;
    case RECURRENT_RELU:
        highway_back_with(s, RECURRENT_RELU);
        break;
    case RECURRENT_SIGMOID:
        highway_back_with(s, RECURRENT_SIGMOID);
        break;
    default:
        highway_back_with(s, RECURRENT_IDENTITY);
    }
}

/* The four activations of one vector. */
VF_INLINE void activations(vf v, vf u[RECURRENT_ACTIVATIONS])
{
#pragma GCC unroll 4
    for (int f = 0; f < RECURRENT_ACTIVATIONS; f++)
        u[f] = activate(v, (enum recurrent_activation)f);
}

VF_INLINE float sum_of(const float *share)
{
    float sum = 0;
    for (int f = 0; f < RECURRENT_ACTIVATIONS; f++)
        sum += share[f];
    return sum;
}

VF_INLINE vf mixed(const float *share, const vf *u)
{
    vf sum = vf_set(share[0]) * u[0];
#pragma GCC unroll 4
    for (int f = 1; f < RECURRENT_ACTIVATIONS; f++)
        sum = FUSED(vf_set(share[f]), u[f], sum);
    return sum;
}

VF_INLINE void mixture_with(const struct recurrent_mixture *s, bool add)
{
    size_t n = s->hidden;
    vf all = vf_set(sum_of(s->share)), u[RECURRENT_ACTIVATIONS];
    for (size_t r = 0; r < s->rows; r++) {
        float *a = s->a + r * 2 * n, *h = s->h + r * n;
        const float *p = s->p + r * n;
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            size_t left = n - i;
            vf g = vf_sigmoid(load_part(a + i, left)), x = all * load_part(p + i, left);
            activations(load_part(a + n + i, left), u);
            vf result = FUSED(g, mixed(s->share, u) - x, x);
            store_part(a + i, g, left);
            if (add)
                result = load_part(h + i, left) + result;
            store_part(h + i, result, left);
        }
    }
}

static void mixture(const struct recurrent_mixture *s)
{
    if (s->add)
        mixture_with(s, true);
    else
        mixture_with(s, false);
}

/* What a row adds to the gradients of the shares. */
VF_INLINE void add_sums(const vf *sum, double *to)
{
    for (int f = 0; f < RECURRENT_ACTIVATIONS; f++) {
        float part[VF_WIDTH], total = 0;
        vf_store(part, sum[f]);
        for (int j = 0; j < VF_WIDTH; j++)
            total += part[j];
        to[f] += (double)total;
    }
}

/* One vector of a row: its part of the sums is added. */
VF_INLINE void mix_back(const struct recurrent_mixture_back *s, float *a, const float *p,
                        vf d, float *dp, size_t left, vf sum[RECURRENT_ACTIVATIONS])
{
    const vf one = vf_set(1), all = vf_set(sum_of(s->share));
    size_t n = s->hidden;
    vf g = load_part(a, left), x = load_part(p, left), rise = vf_set(0);
    vf u[RECURRENT_ACTIVATIONS];
    activations(load_part(a + n, left), u);
#pragma GCC unroll 4
    for (int f = 0; f < RECURRENT_ACTIVATIONS; f++) {
        sum[f] = FUSED(d, FUSED(g, u[f] - x, x), sum[f]);
        rise =
            FUSED(vf_set(s->share[f]), slope(u[f], (enum recurrent_activation)f), rise);
    }
    store_part(dp, FUSED(d * all, one - g, load_part(dp, left)), left);
    store_part(a, d * (mixed(s->share, u) - all * x) * (g * (one - g)), left);
    store_part(a + n, d * g * rise, left);
}

static void mixture_back(const struct recurrent_mixture_back *s)
{
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++) {
        float *a = s->a + r * 2 * n, *dp = s->dp + r * n;
        const float *p = s->p + r * n, *dh = s->dh + r * n;
        vf sum[RECURRENT_ACTIVATIONS] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
        for (size_t i = 0; i < n; i += VF_WIDTH)
            mix_back(s, a + i, p + i, load_part(dh + i, n - i), dp + i, n - i, sum);
        if (s->sums)
            add_sums(sum, s->sums + r * s->sums_row);
    }
}

VF_INLINE void combine_with(const struct recurrent_combine *s,
                            enum recurrent_combination c, enum recurrent_activation f)
{
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            vf left = load_part(s->left + r * s->row + i, n - i);
            vf right = load_part(s->right + r * s->row + i, n - i);
            vf p = c == RECURRENT_ADD ? left + right : left * right;
            if (s->before)
                store_part(s->before + r * n + i, p, n - i);
            store_part(s->value + r * n + i, activate(p, f), n - i);
        }
}

VF_INLINE void combine_by(const struct recurrent_combine *s, enum recurrent_combination c)
{
    switch (s->activation) {
    case RECURRENT_TANH:
        combine_with(s, c, RECURRENT_TANH);
        break;
    case RECURRENT_RELU:
        combine_with(s, c, RECURRENT_RELU);
        break;
    case RECURRENT_SIGMOID:
        combine_with(s, c, RECURRENT_SIGMOID);
        break;
    default:
        combine_with(s, c, RECURRENT_IDENTITY);
    }
}

static void combine(const struct recurrent_combine *s)
{
    if (s->combination == RECURRENT_ADD)
        combine_by(s, RECURRENT_ADD);
    else
        combine_by(s, RECURRENT_MULTIPLY);
}

VF_INLINE void combine_back_with(const struct recurrent_combine_back *s,
                                 enum recurrent_combination c,
                                 enum recurrent_activation f)
{
    size_t n = s->hidden;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < n; i += VF_WIDTH) {
            size_t at = r * n + i, wide = r * s->row + i, rest = n - i;
            vf d = load_part(s->dvalue + at, rest) *
                   slope(load_part(s->value + at, rest), f);
            if (s->dbefore)
                d = d + load_part(s->dbefore + at, rest);
            vf dleft = d, dright = d;
            if (c == RECURRENT_MULTIPLY) {
                dleft = d * load_part(s->right + wide, rest);
                dright = d * load_part(s->left + wide, rest);
            }
            store_part(s->dleft + wide, dleft, rest);
            store_part(s->dright + wide, dright, rest);
        }
}

VF_INLINE void combine_back_by(const struct recurrent_combine_back *s,
                               enum recurrent_combination c)
{
    switch (s->activation) {
    case RECURRENT_TANH:
        combine_back_with(s, c, RECURRENT_TANH);
        break;
    case RECURRENT_RELU:
        combine_back_with(s, c, RECURRENT_RELU);
        break;
    case RECURRENT_SIGMOID:
        combine_back_with(s, c, RECURRENT_SIGMOID);
        break;
    default:
        combine_back_with(s, c, RECURRENT_IDENTITY);
    }
}

static void combine_back(const struct recurrent_combine_back *s)
{
    if (s->combination == RECURRENT_ADD)
        combine_back_by(s, RECURRENT_ADD);
    else
        combine_back_by(s, RECURRENT_MULTIPLY);
}

static void add_scaled(size_t count, float s, const float *x, float *y)
{
    for (size_t i = 0; i < count; i += VF_WIDTH) {
        size_t left = count - i;
        store_part(y + i,
                   FUSED(vf_set(s), load_part(x + i, left), load_part(y + i, left)),
                   left);
    }
}

static void scale(size_t count, float s, const float *x, float *y)
{
    for (size_t i = 0; i < count; i += VF_WIDTH)
        store_part(y + i, vf_set(s) * load_part(x + i, count - i), count - i);
}

static void multiply(size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i += VF_WIDTH)
        store_part(y + i, load_part(x + i, count - i) * load_part(y + i, count - i),
                   count - i);
}

/* Sums and maxima are taken in 4 x VF_WIDTH lanes, then over the lanes. */
VF_INLINE float over_lanes(const vf *v, bool maximum)
{
    float part[4 * VF_WIDTH], result;
    for (int j = 0; j < 4; j++)
        vf_store(part + j * VF_WIDTH, v[j]);
    result = part[0];
    for (int j = 1; j < 4 * VF_WIDTH; j++)
        result = !maximum ? result + part[j] : part[j] > result ? part[j] : result;
    return result;
}

static float maximum_of(size_t count, const float *z)
{
    vf top[4];
    size_t i = 0;
    float best = z[0];
    for (int j = 0; j < 4; j++)
        top[j] = vf_set(z[0]);
    for (; i + 4 * VF_WIDTH <= count; i += 4 * VF_WIDTH)
        for (size_t j = 0; j < 4; j++)
            top[j] = vf_max(top[j], vf_load(z + i + j * VF_WIDTH));
    best = over_lanes(top, true);
    for (; i < count; i++)
        best = z[i] > best ? z[i] : best;
    return best;
}

/* z becomes e^(z - top) where it is kept; returns the sum of these. */
VF_INLINE float exponentials(size_t count, float *z, float top, bool keep)
{
    vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)}, shift = vf_set(top);
    size_t i = 0;
    for (; i + 4 * VF_WIDTH <= count; i += 4 * VF_WIDTH)
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            vf e = vf_exp(vf_load(z + i + j * VF_WIDTH) - shift);
            sum[j] = sum[j] + e;
            if (keep)
                vf_store(z + i + j * VF_WIDTH, e);
        }
    float total = over_lanes(sum, false);
    for (; i < count; i += VF_WIDTH) {
        float part[VF_WIDTH];
        size_t left = count - i < VF_WIDTH ? count - i : VF_WIDTH;
        vf_store(part, vf_exp(load_part(z + i, left) - shift));
        for (size_t j = 0; j < left; j++)
            total += part[j];
        if (keep)
            memcpy(z + i, part, left * sizeof *z);
    }
    return total;
}

static double cross_entropy(size_t count, float *z, size_t target, float weight)
{
    float top = maximum_of(count, z), hit = z[target] - top;
    float sum = weight > 0 ? exponentials(count, z, top, true)
                           : exponentials(count, z, top, false);
    if (weight > 0) {
        scale(count, weight / sum, z, z);
        z[target] -= weight;
    }
    return log((double)sum) - (double)hit;
}

static double sum_of_squares(size_t count, const float *x)
{
    double total = 0;
    for (size_t i = 0; i < count;) {
        vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
        size_t end = count - i < 4096 ? count : i + 4096;
        for (; i + 4 * VF_WIDTH <= end; i += 4 * VF_WIDTH)
            for (size_t j = 0; j < 4; j++) {
                vf v = vf_load(x + i + j * VF_WIDTH);
                sum[j] = FUSED(v, v, sum[j]);
            }
        total += (double)over_lanes(sum, false);
        for (; i < end; i++)
            total += (double)x[i] * (double)x[i];
    }
    return total;
}

const struct recurrent_kernels PASTE(recurrent_kernels_, RECURRENT_KERNELS) = {
    .name = TEXT(RECURRENT_KERNELS),
    .runs_here = vf_runs_here,
    .panel = PANEL,
    .pack = pack,
    .pack_transposed = pack_transposed,
    .product = product,
    .product_transposed = product_transposed,
    .highway = highway,
    .highway_back = highway_back,
    .mixture = mixture,
    .mixture_back = mixture_back,
    .combine = combine,
    .combine_back = combine_back,
    .add_scaled = add_scaled,
    .scale = scale,
    .multiply = multiply,
    .cross_entropy = cross_entropy,
    .sum_of_squares = sum_of_squares,
};
