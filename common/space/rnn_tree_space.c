/* SPDX-License-Identifier: Apache-2.0 */
/* rnn-tree as a space: combination and activation of every node in order, of the
 * injection, then the cell indices `memory` and `injected`. The depth is the number of
 * leaves, which is fixed. As in the paper one softmax a kind is unrolled over the
 * sequence; the injection decides with the nodes' heads, each index with one of its own.
 */
#include <math.h>
#include <stdlib.h>

#include "common/space/rnn_tree.h"
#include "common/space/space_ops.h"

enum { KIND_COMBINATION, KIND_ACTIVATION, KIND_MEMORY, KIND_INJECTED, KINDS };

static const char *const kind_names[KINDS] = {"combination", "activation", "next c",
                                              "where c joins"};

struct rnn_tree_space {
    struct space base;
    int leaves, nodes;
    struct config_list combinations, activations;
};

static const struct rnn_tree_space *tree_space(const struct space *space)
{
    return (const struct rnn_tree_space *)space;
}

static int tree_init(struct rnn_tree_space *s, const struct config_rnn *c,
                     struct error *err)
{
    if (c->base < 2 || c->base > RNN_TREE_MAX_BASE)
        return error_set(err, ERROR_INPUT, "space.base: %d found, allowed are 2 to %d",
                         c->base, RNN_TREE_MAX_BASE);
    int status = rnn_check_list(&c->combinations, "combinations", RNN_COMBINATIONS, err);
    if (!status)
        status = rnn_check_list(&c->activations, "activations", RNN_ACTIVATIONS, err);
    s->leaves = c->base;
    s->nodes = 2 * c->base - 1;
    s->combinations = c->combinations;
    s->activations = c->activations;
    return status;
}

static int tree_new(const struct config *config, struct space **ret, struct error *err)
{
    struct rnn_tree_space *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "space: out of memory");
    s->base.ops = &rnn_tree_space_ops;
    int status = tree_init(s, &config->space.rnn, err);
    if (status)
        free(s);
    else
        *ret = &s->base;
    return status;
}

static void tree_free(struct space *space)
{
    free(space);
}

static int tree_kinds(const struct space *space)
{
    (void)space;
    return KINDS;
}

static int tree_kind_choices(const struct space *space, int kind)
{
    const struct rnn_tree_space *s = tree_space(space);
    const int choices[KINDS] = {s->combinations.count, s->activations.count, s->nodes,
                                s->nodes};
    return choices[kind];
}

static const char *tree_kind_name(const struct space *space, int kind)
{
    (void)space;
    return kind_names[kind];
}

static bool tree_has_anchors(const struct space *space)
{
    (void)space;
    return false;
}

static int tree_leaves(const struct space *space)
{
    return tree_space(space)->leaves;
}

static int tree_depth(const struct space *space, uint64_t id)
{
    (void)id;
    return tree_space(space)->leaves;
}

static int tree_max_tokens(const struct space *space, int depth)
{
    (void)depth;
    return 2 * (tree_space(space)->nodes + 1) + 2;
}

/* Nodes count as layers; the injection and the indices come behind the last. */
static bool tree_next(const struct space *space, const struct architecture *a,
                      struct decision *ret)
{
    const struct rnn_tree_space *s = tree_space(space);
    int token = a->count, words = 2 * (s->nodes + 1), kind = token % 2;
    if (token >= words + 2)
        return false;
    if (token >= words)
        kind = KIND_MEMORY + (token - words);
    *ret = (struct decision){DECISION_CHOICE, kind, tree_kind_choices(space, kind),
                             token < words ? token / 2 : s->nodes};
    return true;
}

static struct rnn_tree_node node_of(const struct rnn_tree_space *s, const uint16_t *t)
{
    return (struct rnn_tree_node){s->combinations.values[t[0]],
                                  s->activations.values[t[1]]};
}

/* The network that the tokens stand for. */
static void tree_build(const struct space *space, const struct architecture *a,
                       struct rnn_tree *ret)
{
    const struct rnn_tree_space *s = tree_space(space);
    const uint16_t *t = a->tokens;
    ret->base = s->leaves;
    for (int i = 0; i < s->nodes; i++, t += 2)
        ret->nodes[i] = node_of(s, t);
    ret->inject = node_of(s, t);
    ret->memory = t[2];
    ret->injected = t[3];
}

static void tree_canonical(const struct space *space, const struct architecture *a,
                           struct bytes *out)
{
    struct rnn_tree tree;
    tree_build(space, a, &tree);
    rnn_tree_canonical(&tree, out);
}

static double tree_log10_size(const struct space *space, int depth)
{
    const struct rnn_tree_space *s = tree_space(space);
    (void)depth;
    return (s->nodes + 1) * log10(s->combinations.count * s->activations.count) +
           2 * log10(s->nodes);
}

static struct space_cost tree_cost(const struct space *space,
                                   const struct architecture *a,
                                   const struct space_task *task)
{
    struct rnn_tree tree;
    tree_build(space, a, &tree);
    return space_cost_of_cell(rnn_tree_matrices(&tree), task);
}

static bool tree_to_json(const struct space *space, const struct architecture *a,
                         json_t *object)
{
    struct rnn_tree tree;
    tree_build(space, a, &tree);
    return rnn_tree_to_json(&tree, object);
}

static void tree_draw(const struct space *space, const struct architecture *a,
                      struct diagram *d)
{
    struct rnn_tree tree;
    tree_build(space, a, &tree);
    rnn_tree_draw(&tree, d);
}

static char *tree_to_equations(const struct space *space, const struct architecture *a)
{
    struct rnn_tree tree;
    struct text out;
    tree_build(space, a, &tree);
    text_init(&out);
    rnn_tree_equations(&tree, &out);
    return text_take(&out);
}

static void tree_describe(const struct space *space, const struct architecture *a,
                          char *text, unsigned size)
{
    struct rnn_tree tree;
    struct text out;
    tree_build(space, a, &tree);
    text_init(&out);
    rnn_tree_describe(&tree, &out);
    space_cut_text(&out, text, size);
}

const struct space_ops rnn_tree_space_ops = {
    .name = "rnn-tree",
    .unit = "node",
    .units = "leaves",
    .input = SPACE_INPUT_TEXT,
    .new = tree_new,
    .free = tree_free,
    .kinds = tree_kinds,
    .kind_name = tree_kind_name,
    .kind_choices = tree_kind_choices,
    .has_anchors = tree_has_anchors,
    .min_depth = tree_leaves,
    .max_depth = tree_leaves,
    .depth = tree_depth,
    .max_tokens = tree_max_tokens,
    .next = tree_next,
    .canonical = tree_canonical,
    .log10_size = tree_log10_size,
    .cost = tree_cost,
    .to_json = tree_to_json,
    .draw = tree_draw,
    .to_equations = tree_to_equations,
    .describe = tree_describe,
};
