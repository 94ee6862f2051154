/* SPDX-License-Identifier: Apache-2.0 */
/* From alpha to a discrete cell. Shares, not alpha, are compared: an edge which gives
 * much to none has little left for its other operations. They are compared in double
 * precision and as logarithms, which do not underflow to equals. */
#include "common/nn/relaxed_private.h"

#include <math.h>

/* Among the operations from `first` on. */
static double log_share(const float *alpha, int operation, int first)
{
    double sum = 0, top = (double)alpha[first];
    for (int o = first + 1; o < RELAXED_OPERATIONS; o++)
        top = fmax(top, (double)alpha[o]);
    for (int o = first; o < RELAXED_OPERATIONS; o++)
        sum += exp((double)alpha[o] - top);
    return (double)alpha[operation] - top - log(sum);
}

/* log of the largest share other than none's, and whose it is. */
static double strongest(const float *alpha, enum relaxed_operation *ret)
{
    int best = RELAXED_TANH;
    for (int o = RELAXED_TANH; o < RELAXED_OPERATIONS; o++)
        best = alpha[o] > alpha[best] ? o : best;
    *ret = (enum relaxed_operation)best;
    return log_share(alpha, best, RELAXED_NONE);
}

static void derive_node(const float *alpha, int j, struct recurrent_cell *cell)
{
    double best = -INFINITY;
    for (int i = 0; i < j; i++) {
        enum relaxed_operation o;
        double share = strongest(alpha + relaxed_edge(i, j) * RELAXED_OPERATIONS, &o);
        if (i > 0 && share <= best)
            continue;
        best = share;
        cell->previous[j] = (uint8_t)i;
        cell->activation[j] = (uint8_t)relaxed_activation(o);
    }
}

int relaxed_derive(const float *alpha, int nodes, struct recurrent_cell *ret,
                   struct error *err)
{
    struct recurrent_cell cell = {.nodes = nodes + 1};
    if (nodes < 1 || nodes > RELAXED_MAX_NODES)
        return error_set(err, ERROR_INPUT, "relaxed cell: %d nodes, allowed are 1 to %d",
                         nodes, RELAXED_MAX_NODES);
    for (size_t i = 0; i < relaxed_edges(nodes) * RELAXED_OPERATIONS; i++)
        if (!isfinite(alpha[i]))
            return error_set(err, ERROR_INPUT, "relaxed cell: alpha %zu is no number", i);
    cell.activation[0] = RECURRENT_TANH;
    for (int j = 1; j <= nodes; j++)
        derive_node(alpha, j, &cell);
    *ret = cell;
    return 0;
}

double relaxed_settled(const float *alpha, const struct recurrent_cell *cell)
{
    double sum = 0;
    for (int j = 1; j < cell->nodes; j++) {
        const float *edge =
            alpha + relaxed_edge(cell->previous[j], j) * RELAXED_OPERATIONS;
        for (int o = RELAXED_TANH; o < RELAXED_OPERATIONS; o++)
            if (relaxed_activation((enum relaxed_operation)o) == cell->activation[j])
                sum += log_share(edge, o, RELAXED_TANH);
    }
    return sum;
}
