/* SPDX-License-Identifier: Apache-2.0 */
/* Batch norm with a fused ReLU (Ioffe & Szegedy 2015, algorithm 1 and its gradient).
 *
 *   y = scale * (x - mean) * inv + shift = a * x + b,     inv = 1 / sqrt(var + eps)
 *   dx = a * (g - mean(g) - xhat * mean(g * xhat)) = p * g + q * x + r,  g = dy where y >
 * 0
 *
 * Per channel only a, b, mean, p, q, r are needed; y and dx are made from them where they
 * are read, and the ReLU's mask is computed again. Sums are taken group by group, in
 * double per thread; those of x about the thread's first pixel, so that a large mean
 * costs no digits, and combined as Chan, Golub and LeVeque (1979) do. */
#include "common/nn/graph_private.h"

#include <math.h>
#include <string.h>

enum { A, B, MEAN, INV, Q, R, COEFFICIENTS };
static const double epsilon = 1e-5, momentum = 0.1;

void nn_norm_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver)
{
    size_t c = (size_t)node->shape.c, threads = (size_t)g->options.threads;
    node->norms = nn_carve(carver, COEFFICIENTS * c);
    node->shifts = nn_carve(carver, threads * c);
    node->sums = nn_carve_double(carver, threads * 2 * c);
}

static float *coefficients(const struct nn_node *node, int which)
{
    return node->norms + (size_t)which * node->shape.c;
}

const float *nn_norm_scale(const struct nn_node *node)
{
    return coefficients(node, A);
}

const float *nn_norm_shift(const struct nn_node *node)
{
    return coefficients(node, B);
}

static double *sums_of(const struct nn_node *node, int part)
{
    return node->sums + (size_t)part * 2 * node->shape.c;
}

static struct nn_norm norm_of(const struct nn_node *node)
{
    return (struct nn_norm){.c = node->shape.c,
                            .relu = node->relu,
                            .a = coefficients(node, A),
                            .b = coefficients(node, B),
                            .mean = coefficients(node, MEAN),
                            .p = coefficients(node, A),
                            .q = coefficients(node, Q),
                            .r = coefficients(node, R)};
}

/* Pixels of n images. */
static size_t pixels_of(const struct nn_node *node, int n)
{
    return (size_t)n * node->shape.h * node->shape.w;
}

void nn_norm_clear(struct nn_graph *g, struct nn_node *node)
{
    size_t count = (size_t)g->options.threads * 2 * node->shape.c;
    memset(node->sums, 0, count * sizeof *node->sums);
}

void nn_norm_gather(struct nn_graph *g, struct nn_node *node, struct nn_span span,
                    const float *x)
{
    size_t c = (size_t)node->shape.c;
    double *sums = sums_of(node, span.part);
    float *shift = node->shifts + (size_t)span.part * c;
    if (span.first == span.part_from)
        memcpy(shift, x, c * sizeof *shift);
    g->kernels->norm_sums(pixels_of(node, span.count), node->shape.c, x, shift, sums,
                          sums + c);
}

void nn_norm_apply(const struct nn_graph *g, const struct nn_node *node, int n,
                   const float *x, float *y)
{
    struct nn_norm norm = norm_of(node);
    g->kernels->norm_forward(&norm, pixels_of(node, n), x, y);
}

void nn_norm_gather_backward(struct nn_graph *g, struct nn_node *node,
                             struct nn_span span, const float *x, const float *dy)
{
    struct nn_norm norm = norm_of(node);
    double *sums = sums_of(node, span.part);
    g->kernels->norm_backward_sums(&norm, pixels_of(node, span.count), x, dy, sums,
                                   sums + node->shape.c);
}

void nn_norm_apply_backward(const struct nn_graph *g, const struct nn_node *node, int n,
                            const float *x, const float *dy, bool add, float *dx)
{
    struct nn_norm norm = norm_of(node);
    g->kernels->norm_backward(&norm, pixels_of(node, n), x, dy, add, dx);
}

/* y = a * x + b from the mean and 1 / deviation that lie there. */
static void set_line(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    const float *scale = g->parameters + p[0].offset,
                *shift = g->parameters + p[1].offset;
    float *a = coefficients(node, A), *b = coefficients(node, B);
    const float *mean = coefficients(node, MEAN), *inv = coefficients(node, INV);
    for (int j = 0; j < node->shape.c; j++) {
        a[j] = scale[j] * inv[j];
        b[j] = shift[j] - a[j] * mean[j];
    }
}

void nn_norm_running(struct nn_graph *g, struct nn_node *node)
{
    size_t c = (size_t)node->shape.c;
    const float *running = g->statistics + node->statistic;
    float *inv = coefficients(node, INV);
    memcpy(coefficients(node, MEAN), running, c * sizeof *running);
    for (size_t j = 0; j < c; j++)
        inv[j] = (float)(1 / sqrt(running[c + j] + epsilon));
    set_line(g, node);
}

/* Mean and sum of squares about it of one channel, over all parts. */
static void combine(const struct nn_graph *g, const struct nn_node *node, size_t j,
                    double *ret_mean, double *ret_squares)
{
    size_t from, to, c = (size_t)node->shape.c;
    double count = 0, mean = 0, squares = 0;
    for (int part = 0; part < g->options.threads; part++) {
        nn_split((size_t)g->n, g->options.threads, part, &from, &to);
        double n = (double)pixels_of(node, (int)(to - from));
        if (from == to)
            continue;
        const double *sums = sums_of(node, part);
        double offset = sums[j] / n, delta;
        delta = node->shifts[(size_t)part * c + j] + offset - mean;
        mean += delta * n / (count + n);
        squares +=
            sums[c + j] - sums[j] * offset + delta * delta * count * n / (count + n);
        count += n;
    }
    *ret_mean = mean;
    *ret_squares = squares < 0 ? 0 : squares;
}

static void update_running(float *running, double value)
{
    *running = (float)((1 - momentum) * *running + momentum * value);
}

static void batch_moments(struct nn_graph *g, struct nn_node *node)
{
    size_t c = (size_t)node->shape.c;
    float *mean = coefficients(node, MEAN), *inv = coefficients(node, INV);
    float *running = g->statistics + node->statistic;
    double n = (double)pixels_of(node, g->n);
    for (size_t j = 0; j < c; j++) {
        double average, squares;
        combine(g, node, j, &average, &squares);
        mean[j] = (float)average;
        inv[j] = (float)(1 / sqrt(squares / n + epsilon));
        update_running(&running[j], average);
        update_running(&running[c + j], squares / (n > 1 ? n - 1 : n));
    }
}

void nn_norm_begin(struct nn_graph *g, struct nn_node *node)
{
    if (!g->training && !node->fused)
        nn_norm_running(g, node);
}

/* Not called for a fused norm: its sums come from its convolution. */
void nn_norm_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    if (g->training)
        nn_norm_gather(g, node, span, nn_fetch(g, node->inputs[0], &span));
}

void nn_norm_end(struct nn_graph *g, struct nn_node *node)
{
    batch_moments(g, node);
    set_line(g, node);
}

/* Threads' sums into the first thread's, in order. */
static void add_sums(const struct nn_graph *g, const struct nn_node *node)
{
    size_t count = 2 * (size_t)node->shape.c;
    for (int part = 1; part < g->options.threads; part++)
        for (size_t i = 0; i < count; i++)
            node->sums[i] += node->sums[(size_t)part * count + i];
}

/* Gradients of scale and shift, and the coefficients of dx. */
void nn_norm_begin_backward(struct nn_graph *g, struct nn_node *node)
{
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    const float *a = coefficients(node, A), *mean = coefficients(node, MEAN);
    float *q = coefficients(node, Q), *r = coefficients(node, R);
    double n = (double)pixels_of(node, g->n);
    add_sums(g, node);
    for (int j = 0; j < node->shape.c; j++) {
        double sum_g = node->sums[j], sum_gx = node->sums[node->shape.c + j];
        double inv = coefficients(node, INV)[j];
        g->gradients[p[0].offset + (size_t)j] = (float)(sum_gx * inv);
        g->gradients[p[1].offset + (size_t)j] = (float)sum_g;
        double slope = -a[j] * inv * inv * sum_gx / n;
        q[j] = (float)slope;
        r[j] = (float)(-a[j] * sum_g / n - slope * mean[j]);
    }
}

/* Nor this: its convolution makes the gradient itself (nn_take). */
void nn_norm_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    bool add;
    float *dx = nn_place(g, node->inputs[0], &span, &add);
    if (!dx)
        return;
    struct nn_span rest = span;
    const float *x = nn_fetch(g, node->inputs[0], &rest);
    nn_norm_apply_backward(g, node, span.count, x, nn_at(node, node->grad, span.first),
                           add, dx);
    nn_give(g, node->inputs[0], span, dx);
}
