/* SPDX-License-Identifier: Apache-2.0 */
/* Mean softmax cross-entropy: probabilities are kept for the gradient, (p - onehot) / n.
 * A batch's logits are a few kilobytes, so one thread does it, in the order of images. A
 * loss that is not a number is passed on, not hidden: it tells that training diverged. */
#include "common/nn/graph_private.h"

#include <assert.h>
#include <math.h>

static void softmax(const float *x, int c, float *p)
{
    float top = x[0];
    double sum = 0;
    for (int k = 1; k < c; k++)
        top = x[k] > top ? x[k] : top;
    for (int k = 0; k < c; k++) {
        p[k] = expf(x[k] - top);
        sum += p[k];
    }
    for (int k = 0; k < c; k++)
        p[k] = (float)(p[k] / sum);
}

void nn_loss_forward(struct nn_graph *g, struct nn_node *node)
{
    const float *x = nn_out(g, node->inputs[0]);
    size_t c = (size_t)node->shape.c;
    for (int i = 0; i < g->n; i++)
        softmax(x + (size_t)i * c, (int)c, node->out + (size_t)i * c);
}

/* log(sum(exp(x))) - x[label], exact for small probabilities as well. */
static double cross_entropy(const float *x, int c, int label, bool *ret_correct)
{
    int best = 0;
    double sum = 0;
    for (int k = 1; k < c; k++)
        best = x[k] > x[best] ? k : best;
    for (int k = 0; k < c; k++)
        sum += exp((double)x[k] - x[best]);
    double loss = log(sum) + x[best] - x[label];
    *ret_correct = best == label && !isnan(loss);
    return loss;
}

void nn_loss_result(const struct nn_graph *g, struct nn_result *ret)
{
    const struct nn_node *node = &g->nodes[g->node_count - 1];
    const float *x = nn_out(g, node->inputs[0]);
    int c = node->shape.c, correct = 0;
    double loss = 0;
    for (int i = 0; i < g->n; i++) {
        bool hit;
        assert(g->labels[i] < c);
        loss += cross_entropy(x + (size_t)i * c, c, g->labels[i], &hit);
        correct += hit;
    }
    ret->loss = loss / g->n;
    ret->correct = correct;
}

void nn_loss_backward(struct nn_graph *g, struct nn_node *node)
{
    bool add;
    size_t c = (size_t)node->shape.c;
    float scale = 1 / (float)g->n;
    float *dx = nn_grad_of(g, node->inputs[0], &add);
    if (!dx)
        return;
    for (int i = 0; i < g->n; i++)
        for (size_t k = 0; k < c; k++) {
            size_t at = (size_t)i * c + k;
            float v = scale * (node->out[at] - (k == g->labels[i] ? 1.0f : 0.0f));
            dx[at] = add ? dx[at] + v : v;
        }
}
