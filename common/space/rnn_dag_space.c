/* SPDX-License-Identifier: Apache-2.0 */
/* rnn-dag as a space. Token 0 is f_0; token 2 j - 1 is the node that node j > 0 reads,
 * token 2 j its activation. The depth is the number of nodes. Kinds of decisions:
 *
 * - per-step, as in ENAS-pytorch: one a token, so that every step has a softmax of its
 *   own; the previous node of node j is a choice of j.
 * - attention, as in enas_lm: one for the activations of all nodes; the previous node is
 *   pointed at. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/space/rnn_dag.h"
#include "common/space/space_ops.h"

struct rnn_dag_space {
    struct space base;
    int nodes;
    bool attention;
    int output; /* enum config_output: what the trainer makes of it */
    struct config_list activations;
    char names[2 * RNN_DAG_MAX_NODES - 1][32]; /* of kinds */
};

static const struct rnn_dag_space *dag_space(const struct space *space)
{
    return (const struct rnn_dag_space *)space;
}

static void name_kinds(struct rnn_dag_space *s)
{
    if (s->attention) {
        snprintf(s->names[0], sizeof s->names[0], "activation");
        return;
    }
    for (int t = 0; t < 2 * s->nodes - 1; t++)
        snprintf(s->names[t], sizeof s->names[t], "%s of node %d",
                 t % 2 ? "previous" : "activation", (t + 1) / 2);
}

static int dag_init(struct rnn_dag_space *s, const struct config_rnn *c,
                    struct error *err)
{
    if (c->nodes < 1 || c->nodes > RNN_DAG_MAX_NODES)
        return error_set(err, ERROR_INPUT, "space.nodes: %d found, allowed are 1 to %d",
                         c->nodes, RNN_DAG_MAX_NODES);
    int status = rnn_check_list(&c->activations, "activations", RNN_ACTIVATIONS, err);
    if (status)
        return status;
    s->nodes = c->nodes;
    s->attention = c->decisions == DECISIONS_ATTENTION;
    s->activations = c->activations;
    name_kinds(s);
    return 0;
}

static int dag_new(const struct config *config, struct space **ret, struct error *err)
{
    struct rnn_dag_space *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "space: out of memory");
    s->base.ops = &rnn_dag_space_ops;
    s->output = config->trainer.builtin.recurrent.output;
    int status = dag_init(s, &config->space.rnn, err);
    if (status)
        free(s);
    else
        *ret = &s->base;
    return status;
}

static void dag_free(struct space *space)
{
    free(space);
}

static int dag_kinds(const struct space *space)
{
    const struct rnn_dag_space *s = dag_space(space);
    return s->attention ? 1 : 2 * s->nodes - 1;
}

static int dag_kind_choices(const struct space *space, int kind)
{
    return kind % 2 ? (kind + 1) / 2 : dag_space(space)->activations.count;
}

static const char *dag_kind_name(const struct space *space, int kind)
{
    return dag_space(space)->names[kind];
}

static bool dag_has_anchors(const struct space *space)
{
    return dag_space(space)->attention;
}

static int dag_min_depth(const struct space *space)
{
    (void)space;
    return 1;
}

static int dag_max_depth(const struct space *space)
{
    return dag_space(space)->nodes;
}

static int dag_depth(const struct space *space, uint64_t id)
{
    (void)id;
    return dag_space(space)->nodes;
}

static int dag_max_tokens(const struct space *space, int depth)
{
    (void)space;
    return 2 * depth - 1;
}

static bool dag_next(const struct space *space, const struct architecture *a,
                     struct decision *ret)
{
    const struct rnn_dag_space *s = dag_space(space);
    int token = a->count, node = (token + 1) / 2;
    if (token >= 2 * a->depth - 1)
        return false;
    if (token % 2 && s->attention)
        *ret = (struct decision){DECISION_POINTER, 0, node, node};
    else
        *ret = (struct decision){DECISION_CHOICE, s->attention ? 0 : token,
                                 dag_kind_choices(space, token), node};
    return true;
}

/* The network that the tokens stand for. */
static void dag_build(const struct space *space, const struct architecture *a,
                      struct rnn_dag *ret)
{
    const struct rnn_dag_space *s = dag_space(space);
    ret->node_count = a->depth;
    for (int j = 0; j < a->depth; j++)
        ret->nodes[j] = (struct rnn_dag_node){
            .activation = s->activations.values[a->tokens[2 * j]],
            .previous = j == 0 ? RNN_DAG_INPUT : a->tokens[2 * j - 1],
        };
    rnn_dag_find_leaves(ret);
}

static void dag_canonical(const struct space *space, const struct architecture *a,
                          struct bytes *out)
{
    struct rnn_dag dag;
    dag_build(space, a, &dag);
    rnn_dag_canonical(&dag, out);
}

static double dag_log10_size(const struct space *space, int depth)
{
    double size = depth * log10(dag_space(space)->activations.count);
    for (int j = 1; j < depth; j++)
        size += log10(j);
    return size;
}

static struct space_cost dag_cost(const struct space *space, const struct architecture *a,
                                  const struct space_task *task)
{
    struct rnn_dag dag;
    dag_build(space, a, &dag);
    return space_cost_of_cell(rnn_dag_matrices(&dag), task);
}

static bool dag_to_json(const struct space *space, const struct architecture *a,
                        json_t *object)
{
    struct rnn_dag dag;
    dag_build(space, a, &dag);
    return json_object_set_new(object, "nodes", rnn_dag_to_json(&dag)) == 0;
}

/* The token of an activation; -1: the space has no such choice. */
static int find_activation(const struct rnn_dag_space *s, int activation)
{
    for (int i = 0; i < s->activations.count; i++)
        if (s->activations.values[i] == activation)
            return i;
    return -1;
}

static int dag_from_json(const struct space *space, const json_t *json,
                         struct architecture *ret, struct error *err)
{
    struct rnn_dag dag;
    int status = rnn_dag_from_json(json, &dag, err);
    if (status != 0)
        return status;
    ret->depth = (uint16_t)dag.node_count;
    for (int j = 0; j < dag.node_count; j++) {
        int token = find_activation(dag_space(space), dag.nodes[j].activation);
        if (token < 0)
            return error_set(err, ERROR_INPUT,
                             "architecture: node %d: %s is no choice of this space", j,
                             rnn_activation_name(dag.nodes[j].activation));
        if (j > 0)
            ret->tokens[ret->count++] = (uint16_t)dag.nodes[j].previous;
        ret->tokens[ret->count++] = (uint16_t)token;
    }
    return 0;
}

/* The cell as people are shown it: `leaves` are the nodes whose mean is the output. */
static void build_shown(const struct space *space, const struct architecture *a,
                        struct rnn_dag *ret)
{
    int output = dag_space(space)->output;
    dag_build(space, a, ret);
    if (output == OUTPUT_LEAVES || ret->node_count == 1)
        return;
    ret->leaf_count = 0;
    for (int j = output == OUTPUT_ALL_BUT_FIRST; j < ret->node_count; j++)
        ret->leaves[ret->leaf_count++] = j;
}

static void dag_draw(const struct space *space, const struct architecture *a,
                     struct diagram *d)
{
    struct rnn_dag dag;
    build_shown(space, a, &dag);
    rnn_dag_draw(&dag, d);
}

static char *dag_to_equations(const struct space *space, const struct architecture *a)
{
    struct rnn_dag dag;
    struct text out;
    build_shown(space, a, &dag);
    text_init(&out);
    rnn_dag_equations(&dag, &out);
    return text_take(&out);
}

static void dag_describe(const struct space *space, const struct architecture *a,
                         char *text, unsigned size)
{
    struct rnn_dag dag;
    struct text out;
    dag_build(space, a, &dag);
    text_init(&out);
    rnn_dag_describe(&dag, &out);
    space_cut_text(&out, text, size);
}

const struct space_ops rnn_dag_space_ops = {
    .name = "rnn-dag",
    .unit = "node",
    .units = "nodes",
    .input = SPACE_INPUT_TEXT,
    .new = dag_new,
    .free = dag_free,
    .kinds = dag_kinds,
    .kind_name = dag_kind_name,
    .kind_choices = dag_kind_choices,
    .has_anchors = dag_has_anchors,
    .min_depth = dag_min_depth,
    .max_depth = dag_max_depth,
    .depth = dag_depth,
    .max_tokens = dag_max_tokens,
    .next = dag_next,
    .canonical = dag_canonical,
    .log10_size = dag_log10_size,
    .cost = dag_cost,
    .to_json = dag_to_json,
    .from_json = dag_from_json,
    .draw = dag_draw,
    .to_equations = dag_to_equations,
    .describe = dag_describe,
};
