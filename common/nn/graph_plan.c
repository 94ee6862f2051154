/* SPDX-License-Identifier: Apache-2.0 */
/* What a graph stores and in what portions it works.
 *
 * Stored are outputs that cost something to make; those of batch norms and concatenations
 * are made again wherever they are read. A convolution that only a batch norm reads is
 * fused with it. Images are handled in groups whose tensors fit the second-level cache:
 * many of a small map, so that the kernels' register blocks fill up, one of a large. */
#include "common/nn/graph_private.h"

enum {
    CACHE_BYTES = 256 << 10, /* of the tensors of one group, unless told otherwise */
    GROUP_MAX = 32,          /* images */
    ROUND = 16               /* floats; nn_scratch rounds up to it */
};

/* Floats of scratch for one image of a node; enough for several images as well. */
static size_t piece(const struct nn_node *node)
{
    return (nn_shape_count(node->shape) + ROUND - 1) / ROUND * ROUND;
}

/* What nn_fetch takes for one image. */
static size_t fetch_need(const struct nn_graph *g, int index)
{
    const struct nn_node *node = &g->nodes[index];
    size_t most = 0;
    if (node->kind != NN_OP_BATCH_NORM && node->kind != NN_OP_CONCAT)
        return 0;
    for (int i = 0; i < node->input_count; i++) {
        size_t need = fetch_need(g, node->inputs[i]);
        most = need > most ? need : most;
    }
    return piece(node) + most;
}

/* What nn_give takes for one image: a batch norm looks at its input again. */
static size_t give_need(const struct nn_graph *g, int index)
{
    const struct nn_node *node = &g->nodes[index];
    size_t most = node->kind == NN_OP_BATCH_NORM ? fetch_need(g, node->inputs[0]) : 0;
    if (node->kind != NN_OP_CONCAT)
        return most;
    for (int i = 0; i < node->input_count; i++) {
        size_t need = give_need(g, node->inputs[i]);
        most = need > most ? need : most;
    }
    return most + piece(node);
}

/* Either pass of one node: its input, its gradient, the gradient of its input. */
static size_t node_need(const struct nn_graph *g, const struct nn_node *node)
{
    size_t need = piece(node);
    for (int i = 0; i < node->input_count; i++)
        need += fetch_need(g, node->inputs[i]) + give_need(g, node->inputs[i]);
    return need;
}

static int group_of(const struct nn_graph *g, size_t floats)
{
    size_t cache = g->options.cache ? g->options.cache : CACHE_BYTES;
    size_t images = cache / (floats * sizeof(float));
    return images < 1 ? 1 : images > GROUP_MAX ? GROUP_MAX : (int)images;
}

/* The tensors of one image that a node touches. */
static size_t touched(const struct nn_graph *g, const struct nn_node *node)
{
    size_t floats = nn_shape_count(node->shape);
    for (int i = 0; i < node->input_count; i++)
        floats += 2 * nn_shape_count(g->nodes[node->inputs[i]].shape);
    return floats;
}

static void plan_groups(struct nn_graph *g)
{
    size_t most_touched = 1, most_need = 1;
    g->scratch_floats = 0;
    for (int i = 0; i < g->node_count; i++) {
        struct nn_node *node = &g->nodes[i];
        size_t floats = touched(g, node), need = node_need(g, node);
        node->group = group_of(g, floats);
        most_touched = floats > most_touched ? floats : most_touched;
        most_need = need > most_need ? need : most_need;
        if (need * (size_t)node->group > g->scratch_floats)
            g->scratch_floats = need * (size_t)node->group;
    }
    g->group = group_of(g, most_touched);
    if (most_need * (size_t)g->group > g->scratch_floats)
        g->scratch_floats = most_need * (size_t)g->group;
}

static void plan_fusion(struct nn_graph *g)
{
    for (int i = 0; i < g->node_count; i++)
        g->nodes[i].norm = -1;
    for (int i = 0; i < g->node_count; i++) {
        int input = g->nodes[i].kind == NN_OP_BATCH_NORM ? g->nodes[i].inputs[0] : -1;
        if (input >= 0 && g->nodes[input].kind == NN_OP_CONV)
            g->nodes[input].norm = i;
    }
    for (int i = 0; i < g->node_count; i++)
        for (int j = 0; j < g->nodes[i].input_count; j++) {
            struct nn_node *input = &g->nodes[g->nodes[i].inputs[j]];
            if (input->norm >= 0 && input->norm != i)
                input->norm = -1;
        }
    for (int i = 0; i < g->node_count; i++)
        if (g->nodes[i].norm >= 0)
            g->nodes[g->nodes[i].norm].fused = true;
}

/* Count `giver` once for every node that its gradient reaches. */
static void plan_givers(struct nn_graph *g, const struct nn_node *giver)
{
    for (int j = 0; j < giver->input_count; j++) {
        struct nn_node *input = &g->nodes[giver->inputs[j]];
        bool again = false;
        for (int k = 0; k < j; k++)
            again = again || giver->inputs[k] == giver->inputs[j];
        input->live = true;
        if (again)
            continue;
        if (input->kind == NN_OP_CONCAT)
            plan_givers(g, input);
        else
            input->givers++;
    }
}

void nn_plan(struct nn_graph *g)
{
    plan_fusion(g);
    g->nodes[g->node_count - 1].live = true;
    for (int i = g->node_count - 1; i >= 0; i--)
        if (g->nodes[i].live && g->nodes[i].kind != NN_OP_CONCAT)
            plan_givers(g, &g->nodes[i]);
    plan_groups(g);
}
