/* SPDX-License-Identifier: Apache-2.0 */
/* The cell as a network: its leaves, its canonical form, its JSON, how it is shown.
 *
 * The canonical form is that of a rooted tree (Aho, Hopcroft & Ullman, 1974,
 * example 3.2): a node's string is its activation, the strings of its readers in sorted
 * order, and an end mark. Equal strings mean isomorphic trees and the other way round. */
#include "common/space/rnn_dag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rnn_dag_find_leaves(struct rnn_dag *dag)
{
    uint64_t read = 0;
    for (int j = 1; j < dag->node_count; j++)
        read |= UINT64_C(1) << dag->nodes[j].previous;
    dag->leaf_count = 0;
    for (int j = 0; j < dag->node_count; j++)
        if (!(read >> j & 1))
            dag->leaves[dag->leaf_count++] = j;
}

int rnn_dag_matrices(const struct rnn_dag *dag)
{
    return 4 + 2 * (dag->node_count - 1);
}

/* String of a node and all that hangs from it. */
struct form {
    uint8_t size;
    uint8_t bytes[2 * RNN_DAG_MAX_NODES];
};

static int compare_forms(const void *a, const void *b)
{
    const struct form *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    return order ? order : x->size - y->size;
}

/* The form of node j from those of its readers, which all come behind it. */
static void write_form(const struct rnn_dag *dag, int j, struct form *forms)
{
    struct form readers[RNN_DAG_MAX_NODES];
    size_t count = 0;
    for (int k = j + 1; k < dag->node_count; k++)
        if (dag->nodes[k].previous == j)
            readers[count++] = forms[k];
    qsort(readers, count, sizeof *readers, compare_forms);
    struct form *f = &forms[j];
    f->size = 0;
    f->bytes[f->size++] = (uint8_t)(1 + dag->nodes[j].activation);
    for (size_t i = 0; i < count; i++) {
        memcpy(f->bytes + f->size, readers[i].bytes, readers[i].size);
        f->size = (uint8_t)(f->size + readers[i].size);
    }
    f->bytes[f->size++] = 0;
}

void rnn_dag_canonical(const struct rnn_dag *dag, struct bytes *out)
{
    struct form forms[RNN_DAG_MAX_NODES];
    for (int j = dag->node_count - 1; j >= 0; j--)
        write_form(dag, j, forms);
    bytes_put(out, "rnn-dag", sizeof "rnn-dag");
    bytes_put(out, forms[0].bytes, forms[0].size);
}

json_t *rnn_dag_to_json(const struct rnn_dag *dag)
{
    json_t *nodes = json_array();
    for (int j = 0; nodes && j < dag->node_count; j++) {
        const struct rnn_dag_node *node = &dag->nodes[j];
        json_t *object =
            json_pack("{s:s, s:i}", "activation", rnn_activation_name(node->activation),
                      "previous", node->previous);
        if (json_array_append_new(nodes, object) < 0) {
            json_decref(nodes);
            return NULL;
        }
    }
    return nodes;
}

static int read_node(const json_t *object, int j, struct rnn_dag_node *ret,
                     struct error *err)
{
    char where[40];
    snprintf(where, sizeof where, "architecture: node %d", j);
    if (!json_is_object(object))
        return error_set(err, ERROR_INPUT, "%s is not an object", where);
    int status = rnn_read_activation(object, "activation", where, &ret->activation, err);
    int least = j == 0 ? RNN_DAG_INPUT : 0, most = j - 1;
    return status ? status
                  : rnn_read_number(object, "previous", where, least, most,
                                    &ret->previous, err);
}

int rnn_dag_from_json(const json_t *architecture, struct rnn_dag *ret, struct error *err)
{
    const json_t *nodes = json_object_get(architecture, "nodes");
    struct rnn_dag dag = {0};
    size_t count = json_array_size(nodes);
    if (!json_is_array(nodes))
        return error_set(err, ERROR_INPUT, "architecture: there is no list 'nodes'");
    if (count < 1 || count > RNN_DAG_MAX_NODES)
        return error_set(err, ERROR_INPUT,
                         "architecture: 'nodes' has %zu entries, allowed are 1 to %d",
                         count, RNN_DAG_MAX_NODES);
    for (; (size_t)dag.node_count < count; dag.node_count++) {
        int j = dag.node_count;
        int status = read_node(json_array_get(nodes, (size_t)j), j, &dag.nodes[j], err);
        if (status)
            return status;
    }
    rnn_dag_find_leaves(&dag);
    *ret = dag;
    return 0;
}

void rnn_dag_draw(const struct rnn_dag *dag, struct diagram *d)
{
    int nodes[RNN_DAG_MAX_NODES];
    int x = diagram_add_node(d, "x", "x", true);
    int h = diagram_add_node(d, "h", "last h", true);
    for (int j = 0; j < dag->node_count; j++) {
        char name[32], label[64];
        snprintf(name, sizeof name, "node%d", j);
        snprintf(label, sizeof label, "%d: %s", j,
                 rnn_activation_name(dag->nodes[j].activation));
        nodes[j] = diagram_add_node(d, name, label, false);
        if (j > 0)
            diagram_add_edge(d, nodes[dag->nodes[j].previous], nodes[j]);
    }
    diagram_add_edge(d, x, nodes[0]);
    diagram_add_edge(d, h, nodes[0]);
    int mean = diagram_add_node(d, "mean", "mean: next h", true);
    for (int i = 0; i < dag->leaf_count; i++)
        diagram_add_edge(d, nodes[dag->leaves[i]], mean);
}

void rnn_dag_equations(const struct rnn_dag *dag, struct text *out)
{
    const char *f = rnn_activation_name(dag->nodes[0].activation);
    text_append(out,
                "c0 = sigmoid(Wxc x + Whc h)\n"
                "h0 = c0 * %s(Wxh x + Whh h) + (1 - c0) * h\n",
                f);
    for (int j = 1; j < dag->node_count; j++) {
        int i = dag->nodes[j].previous;
        f = rnn_activation_name(dag->nodes[j].activation);
        text_append(out,
                    "c%d = sigmoid(Wc%d,%d h%d)\n"
                    "h%d = c%d * %s(Wh%d,%d h%d) + (1 - c%d) * h%d\n",
                    j, i, j, i, j, j, f, i, j, i, j, i);
    }
    text_append(out, "next h = (");
    for (int i = 0; i < dag->leaf_count; i++)
        text_append(out, "%sh%d", i ? " + " : "", dag->leaves[i]);
    text_append(out, ") / %d\n", dag->leaf_count);
}

void rnn_dag_describe(const struct rnn_dag *dag, struct text *out)
{
    text_append(out, "%s", rnn_activation_name(dag->nodes[0].activation));
    for (int j = 1; j < dag->node_count; j++)
        text_append(out, " %d:%s", dag->nodes[j].previous,
                    rnn_activation_name(dag->nodes[j].activation));
}
