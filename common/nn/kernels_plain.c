/* SPDX-License-Identifier: Apache-2.0 */
/* The reference kernels: the definitions written down as loops, in portable C.
 *
 * Every other implementation is tested against these, and vector code leaves to them what
 * is too odd or too small for vectors. The order of the loops lets a compiler vectorise
 * the innermost one (over output or input channels); nothing else is done for speed, and
 * nothing here is specific to a processor. */
#include "common/nn/kernels.h"

#include <string.h>

static bool runs_here(void)
{
    return true;
}

static size_t conv_pack_count(const struct nn_conv *s)
{
    return (size_t)s->kh * s->kw * s->c * s->k;
}

static void conv_pack(const struct nn_conv *s, const float *weight, float *packed)
{
    memcpy(packed, weight, conv_pack_count(s) * sizeof *packed);
}

/* One filter tap that reaches input pixel x from output pixel y. */
struct tap {
    size_t x, y, w; /* offsets of the pixel's first channel, of the tap's (C, K) matrix */
};

/* What to do at each tap of each output pixel inside the input. */
typedef void (*tap_visitor)(const struct nn_conv *s, struct tap at,
                            const float *const in[2], float *out);

static void visit_row(const struct nn_conv *s, struct tap row, int ky, int oy,
                      tap_visitor visit, const float *const in[2], float *out)
{
    int iy = oy * s->stride + ky - s->top;
    for (int kx = 0; kx < s->kw; kx++) {
        int from, to;
        nn_conv_tap_range(s->w, s->ow, s->stride, s->left, kx, &from, &to);
        for (int ox = from; ox < to; ox++) {
            int ix = ox * s->stride + kx - s->left;
            struct tap at = {row.x + ((size_t)iy * s->w + ix) * s->c,
                             row.y + ((size_t)oy * s->ow + ox) * s->k,
                             ((size_t)ky * s->kw + kx) * s->c * s->k};
            visit(s, at, in, out);
        }
    }
}

static void visit_taps(const struct nn_conv *s, int n, tap_visitor visit,
                       const float *const in[2], float *out)
{
    for (int i = 0; i < n; i++) {
        struct tap image = {(size_t)i * s->h * s->w * s->c,
                            (size_t)i * s->oh * s->ow * s->k, 0};
        for (int ky = 0; ky < s->kh; ky++) {
            int from, to;
            nn_conv_tap_range(s->h, s->oh, s->stride, s->top, ky, &from, &to);
            for (int oy = from; oy < to; oy++)
                visit_row(s, image, ky, oy, visit, in, out);
        }
    }
}

static void tap_forward(const struct nn_conv *s, struct tap at, const float *const in[2],
                        float *out)
{
    const float *restrict x = in[0] + at.x, *restrict w = in[1] + at.w;
    float *restrict y = out + at.y;
    for (int c = 0; c < s->c; c++)
        for (int k = 0; k < s->k; k++)
            y[k] += x[c] * w[(size_t)c * s->k + k];
}

static void conv_forward(const struct nn_conv *s, int n, const float *x,
                         const float *packed, const float *bias, bool relu, float *y,
                         struct nn_ahead *ahead)
{
    const float *const in[2] = {x, packed};
    size_t count = (size_t)n * s->oh * s->ow * s->k;
    for (size_t i = 0; i < count; i++)
        y[i] = bias ? bias[i % (size_t)s->k] : 0;
    visit_taps(s, n, tap_forward, in, y);
    for (size_t i = 0; i < count && relu; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

static void tap_backward_data(const struct nn_conv *s, struct tap at,
                              const float *const in[2], float *out)
{
    const float *restrict dy = in[0] + at.y, *restrict w = in[1] + at.w;
    float *restrict dx = out + at.x;
    for (int c = 0; c < s->c; c++) {
        float sum = 0;
        for (int k = 0; k < s->k; k++)
            sum += dy[k] * w[(size_t)c * s->k + k];
        dx[c] += sum;
    }
}

static void conv_backward_data(const struct nn_conv *s, int n, const float *dy,
                               const float *packed, bool add, float *dx,
                               struct nn_ahead *ahead)
{
    const float *const in[2] = {dy, packed};
    if (!add)
        memset(dx, 0, (size_t)n * s->h * s->w * s->c * sizeof *dx);
    visit_taps(s, n, tap_backward_data, in, dx);
}

static void tap_backward_weight(const struct nn_conv *s, struct tap at,
                                const float *const in[2], float *out)
{
    const float *restrict x = in[0] + at.x, *restrict dy = in[1] + at.y;
    float *restrict dw = out + at.w;
    for (int c = 0; c < s->c; c++)
        for (int k = 0; k < s->k; k++)
            dw[(size_t)c * s->k + k] += x[c] * dy[k];
}

static void conv_backward_weight(const struct nn_conv *s, int n, const float *x,
                                 const float *dy, float *dw, struct nn_ahead *ahead)
{
    const float *const in[2] = {x, dy};
    visit_taps(s, n, tap_backward_weight, in, dw);
}

static void norm_sums(size_t pixels, int c, const float *x, const float *shift,
                      double *sums, double *squares)
{
    for (size_t i = 0; i < pixels; i++, x += c)
        for (int j = 0; j < c; j++) {
            double d = x[j] - shift[j];
            sums[j] += d;
            squares[j] += d * d;
        }
}

static void norm_forward(const struct nn_norm *s, size_t pixels, const float *x, float *y)
{
    for (size_t i = 0; i < pixels; i++, x += s->c, y += s->c)
        for (int j = 0; j < s->c; j++) {
            float v = s->a[j] * x[j] + s->b[j];
            y[j] = s->relu && v < 0 ? 0 : v; /* a NaN stays one */
        }
}

/* dy where the ReLU let y through. */
static float masked(const struct nn_norm *s, int j, float x, float dy)
{
    return s->relu && !(s->a[j] * x + s->b[j] > 0) ? 0 : dy;
}

static void norm_backward_sums(const struct nn_norm *s, size_t pixels, const float *x,
                               const float *dy, double *sum_g, double *sum_gx)
{
    for (size_t i = 0; i < pixels; i++, x += s->c, dy += s->c)
        for (int j = 0; j < s->c; j++) {
            double g = masked(s, j, x[j], dy[j]);
            sum_g[j] += g;
            sum_gx[j] += g * (x[j] - s->mean[j]);
        }
}

static void norm_backward(const struct nn_norm *s, size_t pixels, const float *x,
                          const float *dy, bool add, float *dx)
{
    for (size_t i = 0; i < pixels; i++, x += s->c, dy += s->c, dx += s->c)
        for (int j = 0; j < s->c; j++) {
            float v = s->p[j] * masked(s, j, x[j], dy[j]) + s->q[j] * x[j] + s->r[j];
            dx[j] = add ? dx[j] + v : v;
        }
}

const struct nn_kernels nn_kernels_plain = {
    .name = "plain",
    .runs_here = runs_here,
    .conv_pack_count = conv_pack_count,
    .conv_pack = conv_pack,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weight = conv_backward_weight,
    .norm_sums = norm_sums,
    .norm_forward = norm_forward,
    .norm_backward_sums = norm_backward_sums,
    .norm_backward = norm_backward,
};
