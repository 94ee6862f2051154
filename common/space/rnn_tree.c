/* SPDX-License-Identifier: Apache-2.0 */
/* The tree as a network: its JSON both ways, its equations, how it is shown. Node i is
 * written a_i, with the memory joined in a_i'; what a reader of node i reads is `name`.
 */
#include "common/space/rnn_tree.h"

#include <stdio.h>

int rnn_tree_matrices(const struct rnn_tree *tree)
{
    return 2 * tree->base;
}

static json_t *node_to_json(const struct rnn_tree_node *node)
{
    return json_pack("{s:s, s:s}", "combination", rnn_combination_name(node->combination),
                     "activation", rnn_activation_name(node->activation));
}

bool rnn_tree_to_json(const struct rnn_tree *tree, json_t *object)
{
    json_t *nodes = json_array();
    bool ok = nodes != NULL;
    for (int i = 0; ok && i < rnn_tree_node_count(tree); i++)
        ok = json_array_append_new(nodes, node_to_json(&tree->nodes[i])) == 0;
    if (!ok) {
        json_decref(nodes);
        return false;
    }
    return json_object_set_new(object, "nodes", nodes) == 0 &&
           json_object_set_new(object, "inject", node_to_json(&tree->inject)) == 0 &&
           json_object_set_new(object, "memory", json_integer(tree->memory)) == 0 &&
           json_object_set_new(object, "injected", json_integer(tree->injected)) == 0;
}

static int read_node(const json_t *object, const char *where, struct rnn_tree_node *ret,
                     struct error *err)
{
    if (!json_is_object(object))
        return error_set(err, ERROR_INPUT, "%s is not an object", where);
    int status =
        rnn_read_combination(object, "combination", where, &ret->combination, err);
    return status
               ? status
               : rnn_read_activation(object, "activation", where, &ret->activation, err);
}

static int read_nodes(const json_t *nodes, struct rnn_tree *ret, struct error *err)
{
    size_t count = json_array_size(nodes);
    if (!json_is_array(nodes))
        return error_set(err, ERROR_INPUT, "architecture: there is no list 'nodes'");
    if (count < 3 || count > RNN_TREE_MAX_NODES || count % 2 == 0)
        return error_set(err, ERROR_INPUT,
                         "architecture: 'nodes' has %zu entries, allowed are odd numbers "
                         "from 3 to %d",
                         count, RNN_TREE_MAX_NODES);
    ret->base = (int)(count + 1) / 2;
    for (size_t i = 0; i < count; i++) {
        char where[40];
        snprintf(where, sizeof where, "architecture: node %zu", i);
        int status = read_node(json_array_get(nodes, i), where, &ret->nodes[i], err);
        if (status)
            return status;
    }
    return 0;
}

int rnn_tree_from_json(const json_t *architecture, struct rnn_tree *ret,
                       struct error *err)
{
    const char *where = "architecture";
    struct rnn_tree tree = {0};
    int status = read_nodes(json_object_get(architecture, "nodes"), &tree, err);
    int last = rnn_tree_node_count(&tree) - 1;
    if (!status)
        status = read_node(json_object_get(architecture, "inject"),
                           "architecture: 'inject'", &tree.inject, err);
    if (!status)
        status =
            rnn_read_number(architecture, "memory", where, 0, last, &tree.memory, err);
    if (!status)
        status = rnn_read_number(architecture, "injected", where, 0, last, &tree.injected,
                                 err);
    if (!status)
        *ret = tree;
    return status;
}

/* What others read of a node: "a3", "a3'". */
struct name {
    char text[16];
};

static struct name name(const struct rnn_tree *tree, int node)
{
    struct name n;
    snprintf(n.text, sizeof n.text, "a%d%s", node, node == tree->injected ? "'" : "");
    return n;
}

/* p_i, the value before the activation. A product in an activation keeps its brackets. */
static void append_combined(const struct rnn_tree *tree, int i, struct text *out)
{
    const char *sign = tree->nodes[i].combination == RNN_ADD ? "+" : "*";
    bool product = tree->nodes[i].combination == RNN_ELEM_MULT;
    int left = rnn_tree_left(tree, i);
    if (i < tree->base && product)
        text_append(out, "(W%d x) * (W%d h)", 2 * i + 1, 2 * i + 2);
    else if (i < tree->base)
        text_append(out, "W%d x + W%d h", 2 * i + 1, 2 * i + 2);
    else
        text_append(out, "%s %s %s", name(tree, left).text, sign,
                    name(tree, left + 1).text);
}

static void append_injection(const struct rnn_tree *tree, struct text *out)
{
    text_append(out, "a%d' = %s(a%d %s c)\n", tree->injected,
                rnn_activation_name(tree->inject.activation), tree->injected,
                tree->inject.combination == RNN_ADD ? "+" : "*");
}

void rnn_tree_equations(const struct rnn_tree *tree, struct text *out)
{
    int count = rnn_tree_node_count(tree);
    for (int i = 0; i < count; i++) {
        text_append(out, "a%d = %s(", i, rnn_activation_name(tree->nodes[i].activation));
        append_combined(tree, i, out);
        text_append(out, ")\n");
        if (i == tree->injected)
            append_injection(tree, out);
    }
    text_append(out, "next h = %s\nnext c = ", name(tree, count - 1).text);
    append_combined(tree, tree->memory, out);
    text_append(out, "\n");
}

static int draw_node(const struct rnn_tree_node *node, const char *before,
                     const char *name, struct diagram *d)
{
    char label[64];
    snprintf(label, sizeof label, "%s%s, %s", before,
             rnn_combination_name(node->combination),
             rnn_activation_name(node->activation));
    return diagram_add_node(d, name, label, false);
}

/* Nodes, and of each what others read of it: its value, or what comes of the injection.
 */
static void draw_nodes(const struct rnn_tree *tree, int c, int *nodes, int *read,
                       struct diagram *d)
{
    for (int i = 0; i < rnn_tree_node_count(tree); i++) {
        char name[32], before[32];
        snprintf(name, sizeof name, "a%d", i);
        snprintf(before, sizeof before, "%d: ", i);
        nodes[i] = read[i] = draw_node(&tree->nodes[i], before, name, d);
        if (i != tree->injected)
            continue;
        read[i] = draw_node(&tree->inject, "", "inject", d);
        diagram_add_edge(d, nodes[i], read[i]);
        diagram_add_edge(d, c, read[i]);
    }
}

void rnn_tree_draw(const struct rnn_tree *tree, struct diagram *d)
{
    int nodes[RNN_TREE_MAX_NODES], read[RNN_TREE_MAX_NODES];
    int count = rnn_tree_node_count(tree);
    int x = diagram_add_node(d, "x", "x", true);
    int h = diagram_add_node(d, "h", "last h", true);
    int c = diagram_add_node(d, "c", "last c", true);
    draw_nodes(tree, c, nodes, read, d);
    for (int i = 0; i < tree->base; i++) {
        diagram_add_edge(d, x, nodes[i]);
        diagram_add_edge(d, h, nodes[i]);
    }
    for (int i = tree->base; i < count; i++) {
        diagram_add_edge(d, read[rnn_tree_left(tree, i)], nodes[i]);
        diagram_add_edge(d, read[rnn_tree_left(tree, i) + 1], nodes[i]);
    }
    int next_h = diagram_add_node(d, "next_h", "next h", true);
    int next_c = diagram_add_node(d, "next_c", "next c", true);
    diagram_add_edge(d, read[count - 1], next_h);
    diagram_add_dashed(d, nodes[tree->memory], next_c, "before activation");
}

void rnn_tree_describe(const struct rnn_tree *tree, struct text *out)
{
    static const char signs[] = {[RNN_ADD] = '+', [RNN_ELEM_MULT] = '*'};
    for (int i = 0; i < rnn_tree_node_count(tree); i++)
        text_append(out, "%s%c%s", i ? " " : "", signs[tree->nodes[i].combination],
                    rnn_activation_name(tree->nodes[i].activation));
    text_append(out, " c%c%s@%d c=%d", signs[tree->inject.combination],
                rnn_activation_name(tree->inject.activation), tree->injected,
                tree->memory);
}
