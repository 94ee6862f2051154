/* SPDX-License-Identifier: Apache-2.0 */
/* See reference.h. Loops are written over outputs with the bounds tested at every tap,
 * the opposite of how the kernels do it. */
#include "reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_node(struct nn_graph *g, const struct net_node *node)
{
    switch (node->kind) {
    case NET_INPUT:
        return nn_graph_input(g, node->shape);
    case NET_CONV:
        return nn_graph_conv(g, node->in[0], node->kh, node->kw, node->k, node->stride);
    case NET_NORM:
        return nn_graph_batch_norm(g, node->in[0], node->relu);
    case NET_CONCAT:
        return nn_graph_concat(g, node->in, node->in_count);
    case NET_POOL:
        return nn_graph_global_pool(g, node->in[0]);
    case NET_LINEAR:
        return nn_graph_linear(g, node->in[0], node->k);
    case NET_LOSS:
        return nn_graph_softmax_loss(g, node->in[0]);
    }
    return -1;
}

struct nn_graph *net_build(const struct net *net, const struct nn_graph_options *options)
{
    struct nn_graph *g = NULL;
    struct error err = {0};
    int status = nn_graph_new(options, &g, &err), last = 0;
    for (int i = 0; !status && i <= last; i++) {
        add_node(g, &net->nodes[i]);
        last = net->nodes[i].kind == NET_LOSS ? i : i + 1;
    }
    if (!status)
        status = nn_graph_finish(g, &err);
    if (status) {
        fprintf(stderr, "%s: %s\n", net->name, err.text);
        exit(1);
    }
    return g;
}

/* One node being evaluated. */
struct eval {
    const struct net_node *node;
    int n;
    const struct nn_shape *shapes;
    double *const *outs;
    const double *parameters; /* of this node */
    struct nn_shape shape;    /* result */
    double *out;              /* result */
    size_t used;              /* parameters consumed */
};

static double *image_of(const struct eval *e, int input, int image)
{
    struct nn_shape s = e->shapes[e->node->in[input]];
    return e->outs[e->node->in[input]] + (size_t)image * s.h * s.w * s.c;
}

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static int pad_before(int in, int k, int stride)
{
    int total = (ceil_div(in, stride) - 1) * stride + k - in;
    return total > 0 ? total / 2 : 0;
}

static double conv_at(const struct eval *e, int image, int oy, int ox, int k)
{
    const struct net_node *o = e->node;
    struct nn_shape in = e->shapes[o->in[0]];
    const double *x = image_of(e, 0, image);
    double sum = 0;
    for (int ky = 0; ky < o->kh; ky++)
        for (int kx = 0; kx < o->kw; kx++) {
            int y = oy * o->stride + ky - pad_before(in.h, o->kh, o->stride);
            int xx = ox * o->stride + kx - pad_before(in.w, o->kw, o->stride);
            if (y < 0 || y >= in.h || xx < 0 || xx >= in.w)
                continue;
            for (int c = 0; c < in.c; c++)
                sum += x[((size_t)y * in.w + xx) * in.c + c] *
                       e->parameters[((size_t)(ky * o->kw + kx) * in.c + c) * o->k + k];
        }
    return sum;
}

static double concat_at(const struct eval *e, int image, int y, int x, int k)
{
    for (int i = 0; i < e->node->in_count; i++) {
        struct nn_shape in = e->shapes[e->node->in[i]];
        if (k < in.c)
            return y < in.h && x < in.w
                       ? image_of(e, i, image)[((size_t)y * in.w + x) * in.c + k]
                       : 0;
        k -= in.c;
    }
    return NAN;
}

static double pool_at(const struct eval *e, int image, int k)
{
    struct nn_shape in = e->shapes[e->node->in[0]];
    double sum = 0;
    for (int i = 0; i < in.h * in.w; i++)
        sum += image_of(e, 0, image)[(size_t)i * in.c + k];
    return sum / (in.h * in.w);
}

static double linear_at(const struct eval *e, int image, int k)
{
    struct nn_shape in = e->shapes[e->node->in[0]];
    size_t inputs = (size_t)in.h * in.w * in.c;
    double sum = e->parameters[inputs * e->node->k + k];
    for (size_t i = 0; i < inputs; i++)
        sum += image_of(e, 0, image)[i] * e->parameters[i * e->node->k + k];
    return sum;
}

/* One channel at a time: moments first, then every pixel. */
static void norm_channel(const struct eval *e, int k)
{
    struct nn_shape s = e->shape;
    const double *in = image_of(e, 0, 0);
    double mean = 0, var = 0;
    size_t pixels = (size_t)e->n * s.h * s.w;
    for (size_t i = 0; i < pixels; i++)
        mean += in[i * s.c + k] / (double)pixels;
    for (size_t i = 0; i < pixels; i++)
        var += (in[i * s.c + k] - mean) * (in[i * s.c + k] - mean) / (double)pixels;
    for (size_t i = 0; i < pixels; i++) {
        double v = (in[i * s.c + k] - mean) / sqrt(var + 1e-5);
        v = e->parameters[k] * v + e->parameters[s.c + k];
        e->out[i * s.c + k] = e->node->relu && v < 0 ? 0 : v;
    }
}

static void shape_of(struct eval *e)
{
    const struct net_node *o = e->node;
    struct nn_shape in = o->kind == NET_INPUT ? o->shape : e->shapes[o->in[0]];
    e->shape = in;
    if (o->kind == NET_CONV) {
        e->shape =
            (struct nn_shape){ceil_div(in.h, o->stride), ceil_div(in.w, o->stride), o->k};
        e->used = (size_t)o->kh * o->kw * in.c * o->k;
    } else if (o->kind == NET_NORM) {
        e->used = 2 * (size_t)in.c;
    } else if (o->kind == NET_POOL) {
        e->shape = (struct nn_shape){1, 1, in.c};
    } else if (o->kind == NET_LINEAR) {
        e->shape = (struct nn_shape){1, 1, o->k};
        e->used = ((size_t)in.h * in.w * in.c + 1) * o->k;
    }
    for (int i = 1; i < o->in_count; i++) {
        struct nn_shape s = e->shapes[o->in[i]];
        e->shape.h = s.h > e->shape.h ? s.h : e->shape.h;
        e->shape.w = s.w > e->shape.w ? s.w : e->shape.w;
        e->shape.c += s.c;
    }
}

static double value_at(const struct eval *e, int image, int y, int x, int k)
{
    switch (e->node->kind) {
    case NET_CONV:
        return conv_at(e, image, y, x, k);
    case NET_CONCAT:
        return concat_at(e, image, y, x, k);
    case NET_POOL:
        return pool_at(e, image, k);
    case NET_LINEAR:
        return linear_at(e, image, k);
    default:
        return image_of(e, 0, image)[k]; /* the loss passes logits on */
    }
}

static void evaluate(struct eval *e, const double *images)
{
    shape_of(e);
    size_t per_image = (size_t)e->shape.h * e->shape.w * e->shape.c, at = 0;
    e->out = calloc((size_t)e->n * per_image, sizeof *e->out);
    if (e->node->kind == NET_INPUT) {
        memcpy(e->out, images, (size_t)e->n * per_image * sizeof *e->out);
        return;
    }
    for (int k = 0; e->node->kind == NET_NORM && k < e->shape.c; k++)
        norm_channel(e, k);
    for (int i = 0; e->node->kind != NET_NORM && i < e->n; i++)
        for (int y = 0; y < e->shape.h; y++)
            for (int x = 0; x < e->shape.w; x++)
                for (int k = 0; k < e->shape.c; k++)
                    e->out[at++] = value_at(e, i, y, x, k);
}

static double mean_loss(int n, int c, const double *x, const uint8_t *labels)
{
    double loss = 0;
    for (int i = 0; i < n; i++, x += c) {
        double sum = 0;
        for (int k = 0; k < c; k++)
            sum += exp(x[k] - x[labels[i]]);
        loss += log(sum);
    }
    return loss / n;
}

double reference_loss(const struct net *net, int n, const double *images,
                      const uint8_t *labels, const double *parameters,
                      double *ret_out[NET_MAX_NODES])
{
    struct nn_shape shapes[NET_MAX_NODES];
    double *outs[NET_MAX_NODES] = {NULL}, loss = NAN;
    for (int i = 0; i < NET_MAX_NODES && isnan(loss); i++) {
        struct eval e = {.node = &net->nodes[i],
                         .n = n,
                         .shapes = shapes,
                         .outs = outs,
                         .parameters = parameters};
        evaluate(&e, images);
        parameters += e.used;
        shapes[i] = e.shape;
        outs[i] = e.out;
        if (net->nodes[i].kind == NET_LOSS)
            loss = mean_loss(n, e.shape.c, e.out, labels);
    }
    if (ret_out)
        memcpy(ret_out, outs, sizeof outs);
    else
        reference_free(outs);
    return loss;
}

void reference_free(double *out[NET_MAX_NODES])
{
    for (int i = 0; i < NET_MAX_NODES; i++)
        free(out[i]);
}
