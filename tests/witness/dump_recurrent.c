/* SPDX-License-Identifier: Apache-2.0 */
/* Lets an outside witness see a recurrent model from inside, of a cell of nodes or of a
 * tree; see dump.h. The specification has a `cell`: [[previous, activation], ...], or a
 * `tree`: {nodes: [[combination, activation], ...], inject: [combination, activation],
 * memory, injected}. Prints where the input's and all other matrices stand. */
#include <string.h>

#include "common/nn/recurrent_tree.h"
#include "dump.h"

static const char *const activation_names[RECURRENT_ACTIVATIONS] = {
    [RECURRENT_TANH] = "tanh",
    [RECURRENT_RELU] = "relu",
    [RECURRENT_IDENTITY] = "identity",
    [RECURRENT_SIGMOID] = "sigmoid"};

static const char *const combination_names[RECURRENT_COMBINATIONS] = {
    [RECURRENT_ADD] = "add", [RECURRENT_MULTIPLY] = "elem_mult"};

static const char *const output_names[] = {[RECURRENT_LEAVES] = "leaves",
                                           [RECURRENT_ALL] = "all",
                                           [RECURRENT_ALL_BUT_FIRST] = "all but first"};
enum { OUTPUTS = sizeof output_names / sizeof *output_names };

static struct recurrent_cell cell;
static struct recurrent_tree_cell tree;

/* -1: none of them. */
static int find_name(const json_t *name, const char *const *names, int count)
{
    for (int i = 0; json_is_string(name) && i < count; i++)
        if (strcmp(json_string_value(name), names[i]) == 0)
            return i;
    return -1;
}

static int find_activation(const json_t *pair)
{
    return find_name(json_array_get(pair, 1), activation_names, RECURRENT_ACTIVATIONS);
}

static int read_cell(const json_t *list, struct recurrent_cell *c, struct error *err)
{
    c->nodes = (int)json_array_size(list);
    if (c->nodes < 1 || c->nodes > RECURRENT_MAX_NODES)
        return error_set(err, ERROR_INPUT, "the cell has %d nodes", c->nodes);
    for (int j = 0; j < c->nodes; j++) {
        json_t *node = json_array_get(list, (size_t)j);
        int previous = (int)json_integer_value(json_array_get(node, 0));
        int activation = find_activation(node);
        if (activation < 0 || previous < 0)
            return error_set(err, ERROR_INPUT, "node %d is none", j);
        c->previous[j] = (uint8_t)previous;
        c->activation[j] = (uint8_t)activation;
    }
    return recurrent_cell_check(c, c->nodes, err);
}

static int read_node(const json_t *pair, struct recurrent_tree_node *node,
                     struct error *err)
{
    int activation = find_activation(pair);
    int combination =
        find_name(json_array_get(pair, 0), combination_names, RECURRENT_COMBINATIONS);
    if (activation < 0 || combination < 0)
        return error_set(err, ERROR_INPUT, "a node of the tree is none");
    node->combination = (uint8_t)combination;
    node->activation = (uint8_t)activation;
    return 0;
}

static int read_tree(json_t *json, struct recurrent_tree_cell *t, struct error *err)
{
    json_t *nodes, *inject;
    if (json_unpack(json, "{s:o, s:o, s:i, s:i}", "nodes", &nodes, "inject", &inject,
                    "memory", &t->memory, "injected", &t->injected))
        return error_set(err, ERROR_INPUT, "the tree lacks a field");
    size_t count = json_array_size(nodes);
    if (count % 2 == 0 || count > RECURRENT_TREE_MAX_NODES)
        return error_set(err, ERROR_INPUT, "the tree has %zu nodes", count);
    t->leaves = (int)(count + 1) / 2;
    int status = read_node(inject, &t->inject, err);
    for (size_t i = 0; !status && i < count; i++)
        status = read_node(json_array_get(nodes, i), &t->nodes[i], err);
    return status ? status : recurrent_tree_check(t, err);
}

static int read_own(const json_t *json, struct recurrent_options *o, struct error *err)
{
    json_t *of_tree = json_object_get(json, "tree");
    int output = find_name(json_object_get(json, "output"), output_names, OUTPUTS);
    if (output < 0)
        return error_set(err, ERROR_INPUT, "output: unknown");
    o->output = (enum recurrent_output)output;
    o->state_clip = json_number_value(json_object_get(json, "state_clip"));
    if (of_tree) {
        o->tree = &tree;
        return read_tree(of_tree, &tree, err);
    }
    o->nodes = (int)json_integer_value(json_object_get(json, "nodes"));
    o->only = json_is_true(json_object_get(json, "pool")) ? NULL : &cell;
    return read_cell(json_object_get(json, "cell"), &cell, err);
}

static int open_model(const json_t *json, struct dump *d, struct error *err)
{
    const struct dump_spec *s = &d->spec;
    struct recurrent_options o = {.vocabulary = s->vocabulary,
                                  .hidden = s->hidden,
                                  .steps = s->steps,
                                  .batch = s->batch,
                                  .norm = s->norm,
                                  .threads = s->threads,
                                  .kernels = s->kernels};
    struct recurrent *model = NULL;
    int status = read_own(json, &o, err);
    if (!status)
        status = recurrent_new(&o, &model, err);
    if (status)
        return status;
    d->model = model;
    d->weight_count = recurrent_count(model);
    d->state_count = (size_t)s->batch * (size_t)s->hidden * (o.tree ? 2 : 1);
    return 0;
}

static void close_model(struct dump *d)
{
    recurrent_free(d->model);
}

static double loss(struct dump *d, const struct recurrent_window *w)
{
    return recurrent_loss(d->model, d->weights, &cell, w);
}

static double gradient(struct dump *d, const struct recurrent_window *w, float *ret,
                       float *alpha)
{
    (void)alpha;
    return recurrent_gradient(d->model, d->weights, &cell, w, 1, ret);
}

static int describe(struct dump *d, const char *folder, json_t *out, struct error *err)
{
    json_t *edges = json_array();
    int matrices = tree.leaves > 0 ? 1 : cell.nodes;
    (void)folder;
    (void)err;
    for (int j = 0; j < matrices; j++) {
        size_t at = recurrent_edge(d->model, j ? cell.previous[j] : -1, j);
        json_array_append_new(edges, json_integer((json_int_t)at));
    }
    json_object_set_new(out, "input",
                        json_integer((json_int_t)recurrent_input(d->model)));
    json_object_set_new(out, "edges", edges);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct dump_model model = {.name = "dump-recurrent",
                                            .open = open_model,
                                            .close = close_model,
                                            .loss = loss,
                                            .gradient = gradient,
                                            .describe = describe};
    return dump_main(argc, argv, &model);
}
