/* SPDX-License-Identifier: Apache-2.0 */
/* A canonical form of a tree: the same bytes for the same network and for no other, as
 * rnn_tree.h says what that is.
 *
 * Every operation (a node's own, the injection) is written as what it does, the forms of
 * its terms in sorted order, and an end mark; that is the usual canonical form of a
 * rooted tree whose children have no order (Aho, Hopcroft & Ullman, 1974, example 3.2).
 * Terms are gathered through operations that melt. A leaf's term is a mark for "W x and
 * W' h": its two halves never part, so their own order does not matter. */
#include "common/space/rnn_tree.h"

#include <stdlib.h>
#include <string.h>

/* END closes an operation; operations are 1 to 16, so no form begins another. */
enum { END = 0, PAIR = 0x40, MEMORY = 0x41, MOST_TERMS = RNN_TREE_MAX_BASE + 1 };
/* Values beside those of the nodes (0, 1, ...). */
enum { VALUE_PAIR = -1, VALUE_MEMORY = -2, VALUE_INJECTION = -3 };

struct form {
    uint8_t size;
    uint8_t bytes[RNN_TREE_CANONICAL_SIZE];
};

struct terms {
    int count;
    struct form list[MOST_TERMS];
};

static void write_operation(const struct rnn_tree *tree, int value, struct form *ret);

static const struct rnn_tree_node *operation(const struct rnn_tree *tree, int value)
{
    return value == VALUE_INJECTION ? &tree->inject : &tree->nodes[value];
}

/* Does the value vanish in a reader that combines its terms so? */
static bool melts(const struct rnn_tree *tree, int value, int combination)
{
    if (value == VALUE_PAIR || value == VALUE_MEMORY || value == tree->memory)
        return false;
    const struct rnn_tree_node *o = operation(tree, value);
    return o->activation == RNN_IDENTITY && o->combination == combination;
}

/* What others read of a node. */
static int read_value(const struct rnn_tree *tree, int node)
{
    return node == tree->injected ? VALUE_INJECTION : node;
}

/* The values that an operation combines; returns their number. */
static int operands(const struct rnn_tree *tree, int value, int ret[2])
{
    if (value == VALUE_INJECTION) {
        ret[0] = tree->injected;
        ret[1] = VALUE_MEMORY;
        return 2;
    }
    if (value < tree->base) {
        ret[0] = VALUE_PAIR;
        return 1;
    }
    ret[0] = read_value(tree, rnn_tree_left(tree, value));
    ret[1] = read_value(tree, rnn_tree_left(tree, value) + 1);
    return 2;
}

static void gather(const struct rnn_tree *tree, int value, int combination,
                   struct terms *terms)
{
    int values[2];
    int count = operands(tree, value, values);
    for (int i = 0; i < count; i++) {
        struct form *f = &terms->list[terms->count];
        if (melts(tree, values[i], combination)) {
            gather(tree, values[i], combination, terms);
            continue;
        }
        terms->count++;
        if (values[i] == VALUE_PAIR || values[i] == VALUE_MEMORY)
            *f = (struct form){1, {values[i] == VALUE_PAIR ? PAIR : MEMORY}};
        else
            write_operation(tree, values[i], f);
    }
}

static int compare_forms(const void *a, const void *b)
{
    const struct form *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->size < y->size ? x->size : y->size);
    return order ? order : x->size - y->size;
}

static void write_operation(const struct rnn_tree *tree, int value, struct form *ret)
{
    const struct rnn_tree_node *o = operation(tree, value);
    int label = 1 + o->combination + 2 * o->activation + 8 * (value == tree->memory);
    struct terms terms;
    terms.count = 0;
    gather(tree, value, o->combination, &terms);
    qsort(terms.list, (size_t)terms.count, sizeof *terms.list, compare_forms);
    ret->size = 0;
    ret->bytes[ret->size++] = (uint8_t)label;
    for (int i = 0; i < terms.count; i++) {
        memcpy(ret->bytes + ret->size, terms.list[i].bytes, terms.list[i].size);
        ret->size = (uint8_t)(ret->size + terms.list[i].size);
    }
    ret->bytes[ret->size++] = END;
}

void rnn_tree_canonical(const struct rnn_tree *tree, struct bytes *out)
{
    struct form root;
    write_operation(tree, read_value(tree, rnn_tree_node_count(tree) - 1), &root);
    bytes_put(out, "rnn-tree", sizeof "rnn-tree");
    bytes_put(out, root.bytes, root.size);
}
