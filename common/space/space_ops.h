/* SPDX-License-Identifier: Apache-2.0 */
/* What a space implements: one const table per space, listed in space.c. A space's own
 * struct begins with `struct space`. Functions have the meaning of their namesakes in
 * space.h; validate and sample are made from `next` in space.c, once for all spaces. */
#ifndef ARCHWAY_COMMON_SPACE_SPACE_OPS_H
#define ARCHWAY_COMMON_SPACE_SPACE_OPS_H

#include "common/space/diagram.h"
#include "common/space/space.h"
#include "common/text.h"

struct space_ops {
    const char *name; /* as in config->space.name and in the JSON */
    const char *unit; /* what decisions belong to: "layer" */
    const char *units; /* what the depth counts: "layers" */
    enum space_input input;
    int (*new)(const struct config *config, struct space **ret, struct error *err);
    void (*free)(struct space *space); /* never NULL */

    int (*kinds)(const struct space *space);
    const char *(*kind_name)(const struct space *space, int kind);
    int (*kind_choices)(const struct space *space, int kind);
    bool (*has_anchors)(const struct space *space);
    int (*min_depth)(const struct space *space); /* no other architecture is valid */
    int (*max_depth)(const struct space *space);
    int (*depth)(const struct space *space, uint64_t id);
    int (*max_tokens)(const struct space *space, int depth);
    bool (*next)(const struct space *space, const struct architecture *a,
                 struct decision *ret);

    /* These take valid architectures only. */
    /* Append the bytes that are hashed, SPACE_CANONICAL_SIZE at most; they begin with the
     * space's name. */
    void (*canonical)(const struct space *space, const struct architecture *a,
                      struct bytes *out);
    double (*log10_size)(const struct space *space, int depth);
    struct space_cost (*cost)(const struct space *space, const struct architecture *a,
                              const struct space_task *task);
    /* Add the space's own keys to the object that space.c began. False: no memory. */
    bool (*to_json)(const struct space *space, const struct architecture *a,
                    json_t *object);
    /* NULL: not read back. What it fills in is validated by space.c. */
    int (*from_json)(const struct space *space, const json_t *json,
                     struct architecture *ret, struct error *err);
    void (*draw)(const struct space *space, const struct architecture *a,
                 struct diagram *d);
    char *(*to_equations)(const struct space *space, const struct architecture *a);
    void (*describe)(const struct space *space, const struct architecture *a, char *text,
                     unsigned size);
};

struct space {
    const struct space_ops *ops;
};

enum { SPACE_CANONICAL_SIZE = 2048 };

extern const struct space_ops conv_chain_space_ops; /* conv_chain_space.c */
extern const struct space_ops rnn_dag_space_ops;    /* rnn_dag_space.c */
extern const struct space_ops rnn_tree_space_ops;   /* rnn_tree_space.c */

/* For spaces whose texts are made in a struct text: into text, cut off with "..." where
 * it is too small; frees what `from` holds. */
void space_cut_text(struct text *from, char *text, unsigned size);
/* Cost of a cell with so many matrices of hidden x hidden, between an embedding and a
 * softmax that share one matrix of vocabulary x hidden; no bias anywhere, as in
 * common/nn/recurrent.h. */
struct space_cost space_cost_of_cell(int matrices, const struct space_task *task);

#endif
