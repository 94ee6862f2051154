/* SPDX-License-Identifier: Apache-2.0 */
/* Batch norm with a fused ReLU (Ioffe & Szegedy 2015, algorithm 1 and its gradient).
 *
 *   y = scale * (x - mean) * inv + shift = a * x + b,     inv = 1 / sqrt(var + eps)
 *   dx = a * (g - mean(g) - xhat * mean(g * xhat)) = p * g + q * x + r,  g = dy where y >
 * 0
 *
 * Per channel only a, b, mean, p, q, r are needed, so both passes read x twice and
 * nothing else is stored; the ReLU's mask is recomputed. Sums are taken in double per
 * thread and added in the order of the threads. */
#include "common/nn/graph_private.h"

#include <math.h>
#include <string.h>

enum { A, B, MEAN, INV, Q, R, COEFFICIENTS };
static const double epsilon = 1e-5, momentum = 0.1;

void nn_norm_carve(struct nn_graph *g, struct nn_node *node, struct nn_carver *carver)
{
    size_t c = (size_t)node->shape.c;
    node->norm = nn_carve(carver, COEFFICIENTS * c);
    node->sums = nn_carve_double(carver, (size_t)g->options.threads * 2 * c);
}

struct norm_task {
    struct nn_graph *g;
    struct nn_node *node;
    struct nn_norm norm;
    const float *x;
    size_t pixels;
    float *dx;
    bool add;
};

static struct norm_task task_make(struct nn_graph *g, struct nn_node *node)
{
    const float *at = node->norm;
    size_t c = (size_t)node->shape.c;
    return (struct norm_task){
        .g = g,
        .node = node,
        .norm = {.c = node->shape.c,
                 .relu = node->relu,
                 .a = at + A * c,
                 .b = at + B * c,
                 .mean = at + MEAN * c,
                 .p = at + A * c,
                 .q = at + Q * c,
                 .r = at + R * c},
        .x = nn_out(g, node->inputs[0]),
        .pixels = (size_t)g->n * node->shape.h * node->shape.w,
    };
}

static void sums_part(void *context, int part)
{
    struct norm_task *t = context;
    size_t from, to, c = (size_t)t->norm.c;
    double *sums = t->node->sums + (size_t)part * 2 * c;
    nn_split(t->pixels, t->g->options.threads, part, &from, &to);
    memset(sums, 0, 2 * c * sizeof *sums);
    t->g->kernels->norm_sums(to - from, t->norm.c, t->x + from * c, t->x, sums, sums + c);
}

/* Threads' sums into the first thread's, in order. */
static void add_sums(const struct norm_task *t)
{
    size_t count = 2 * (size_t)t->norm.c;
    for (int part = 1; part < t->g->options.threads; part++)
        for (size_t i = 0; i < count; i++)
            t->node->sums[i] += t->node->sums[(size_t)part * count + i];
}

static void update_running(float *running, double value)
{
    *running = (float)((1 - momentum) * *running + momentum * value);
}

/* Mean and variance of the batch, from sums about the first pixel. */
static void batch_moments(const struct norm_task *t)
{
    size_t c = (size_t)t->norm.c;
    float *mean = t->node->norm + MEAN * c, *inv = t->node->norm + INV * c;
    float *running = t->g->statistics + t->node->statistic;
    double n = (double)t->pixels;
    for (size_t j = 0; j < c; j++) {
        double d = t->node->sums[j] / n;
        double var = t->node->sums[c + j] / n - d * d;
        var = var < 0 ? 0 : var;
        mean[j] = (float)(t->x[j] + d);
        inv[j] = (float)(1 / sqrt(var + epsilon));
        update_running(&running[j], t->x[j] + d);
        update_running(&running[c + j], n > 1 ? var * n / (n - 1) : var);
    }
}

static void running_moments(const struct norm_task *t)
{
    size_t c = (size_t)t->norm.c;
    const float *running = t->g->statistics + t->node->statistic;
    for (size_t j = 0; j < c; j++) {
        t->node->norm[MEAN * c + j] = running[j];
        t->node->norm[INV * c + j] = (float)(1 / sqrt(running[c + j] + epsilon));
    }
}

static void forward_part(void *context, int part)
{
    struct norm_task *t = context;
    size_t from, to, c = (size_t)t->norm.c;
    nn_split(t->pixels, t->g->options.threads, part, &from, &to);
    t->g->kernels->norm_forward(&t->norm, to - from, t->x + from * c,
                                t->node->out + from * c);
}

void nn_norm_forward(struct nn_graph *g, struct nn_node *node)
{
    struct norm_task t = task_make(g, node);
    const struct nn_parameter *p = &g->parameter_list[node->first_parameter];
    const float *scale = g->parameters + p[0].offset,
                *shift = g->parameters + p[1].offset;
    size_t c = (size_t)node->shape.c;
    float *at = node->norm;
    if (g->training) {
        nn_parallel(g, sums_part, &t);
        add_sums(&t);
        batch_moments(&t);
    } else {
        running_moments(&t);
    }
    for (size_t j = 0; j < c; j++) {
        at[A * c + j] = scale[j] * at[INV * c + j];
        at[B * c + j] = shift[j] - at[A * c + j] * at[MEAN * c + j];
    }
    nn_parallel(g, forward_part, &t);
}

static void backward_sums_part(void *context, int part)
{
    struct norm_task *t = context;
    size_t from, to, c = (size_t)t->norm.c;
    double *sums = t->node->sums + (size_t)part * 2 * c;
    nn_split(t->pixels, t->g->options.threads, part, &from, &to);
    memset(sums, 0, 2 * c * sizeof *sums);
    t->g->kernels->norm_backward_sums(&t->norm, to - from, t->x + from * c,
                                      t->node->grad + from * c, sums, sums + c);
}

static void backward_part(void *context, int part)
{
    struct norm_task *t = context;
    size_t from, to, c = (size_t)t->norm.c;
    nn_split(t->pixels, t->g->options.threads, part, &from, &to);
    t->g->kernels->norm_backward(&t->norm, to - from, t->x + from * c,
                                 t->node->grad + from * c, t->add, t->dx + from * c);
}

/* Gradients of scale and shift, and the coefficients of dx. */
static void backward_coefficients(const struct norm_task *t)
{
    const struct nn_parameter *p = &t->g->parameter_list[t->node->first_parameter];
    size_t c = (size_t)t->norm.c;
    float *at = t->node->norm;
    double n = (double)t->pixels;
    for (size_t j = 0; j < c; j++) {
        double sum_g = t->node->sums[j], sum_gx = t->node->sums[c + j];
        double a = at[A * c + j], inv = at[INV * c + j];
        t->g->gradients[p[0].offset + j] = (float)(sum_gx * inv);
        t->g->gradients[p[1].offset + j] = (float)sum_g;
        double q = -a * inv * inv * sum_gx / n;
        at[Q * c + j] = (float)q;
        at[R * c + j] = (float)(-a * sum_g / n - q * at[MEAN * c + j]);
    }
}

void nn_norm_backward(struct nn_graph *g, struct nn_node *node)
{
    struct norm_task t = task_make(g, node);
    nn_parallel(g, backward_sums_part, &t);
    add_sums(&t);
    backward_coefficients(&t);
    t.dx = nn_grad_of(g, node->inputs[0], &t.add);
    if (t.dx)
        nn_parallel(g, backward_part, &t);
}
