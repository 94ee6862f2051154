/* SPDX-License-Identifier: Apache-2.0 */
/* Mean softmax cross-entropy: probabilities, loss and hit of every image in one pass; the
 * probabilities are kept for the gradient, (p - onehot) / n. The images' losses are added
 * in their order, whoever computed them. A loss that is not a number is passed on, not
 * hidden: it tells that training diverged. */
#include "common/nn/graph_private.h"

#include <assert.h>
#include <math.h>

/* -log p[label], exact for small probabilities as well: log(sum(exp(x - top))) + top -
 * x[label]. */
static double softmax(const float *x, int c, int label, float *p, uint8_t *ret_hit)
{
    int best = 0;
    double sum = 0;
    for (int k = 1; k < c; k++)
        best = x[k] > x[best] ? k : best;
    for (int k = 0; k < c; k++) {
        double e = exp((double)x[k] - x[best]);
        p[k] = (float)e;
        sum += e;
    }
    float scale = (float)(1 / sum);
    for (int k = 0; k < c; k++)
        p[k] *= scale;
    double loss = log(sum) + x[best] - x[label];
    *ret_hit = best == label && !isnan(loss);
    return loss;
}

void nn_loss_forward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    size_t c = (size_t)node->shape.c;
    float *p = nn_at(node, node->out, span.at);
    const float *x = nn_fetch(g, node->inputs[0], &span);
    for (int i = span.first; i < span.first + span.count; i++, x += c, p += c) {
        assert(g->labels[i] < c);
        g->losses[i] = softmax(x, (int)c, g->labels[i], p, &g->hits[i]);
    }
}

void nn_loss_backward(struct nn_graph *g, struct nn_node *node, struct nn_span span)
{
    bool add = false;
    size_t c = (size_t)node->shape.c;
    float scale = 1 / (float)g->n;
    const float *p = nn_at(node, node->out, span.at);
    float *dx = nn_place(g, node->inputs[0], &span, &add);
    if (!dx)
        return;
    for (int i = 0; i < span.count; i++)
        for (size_t k = 0; k < c; k++) {
            size_t at = (size_t)i * c + k;
            float v = scale * (p[at] - (k == g->labels[span.first + i] ? 1.0f : 0.0f));
            dx[at] = add ? dx[at] + v : v;
        }
    nn_give(g, node->inputs[0], span, dx);
}
