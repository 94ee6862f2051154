/* SPDX-License-Identifier: Apache-2.0 */
/* What a space implements: one const table per space, listed in space.c. A space's own
 * struct begins with `struct space`. Functions have the meaning of their namesakes in
 * space.h; validate and sample are made from `next` in space.c, once for all spaces. */
#ifndef ARCHWAY_COMMON_SPACE_SPACE_OPS_H
#define ARCHWAY_COMMON_SPACE_SPACE_OPS_H

#include "common/space/space.h"

struct space_ops {
    const char *name; /* as in config->space.name and in the JSON */
    int (*new)(const struct config *config, struct space **ret, struct error *err);
    void (*free)(struct space *space); /* never NULL */

    int kinds;
    const char *const *kind_names; /* kinds entries */
    int (*kind_choices)(const struct space *space, int kind);
    bool (*has_anchors)(const struct space *space);
    int (*max_depth)(const struct space *space); /* no deeper architecture is valid */
    int (*depth)(const struct space *space, uint64_t id);
    int (*max_tokens)(const struct space *space, int depth);
    bool (*next)(const struct space *space, const struct architecture *a,
                 struct decision *ret);

    /* These take valid architectures only. */
    struct architecture_hash (*hash)(const struct space *space,
                                     const struct architecture *a);
    double (*log10_size)(const struct space *space, int depth);
    struct space_cost (*cost)(const struct space *space, const struct architecture *a,
                              int height, int width, int channels, int classes);
    /* Add the space's own keys to the object that space.c began. False: no memory. */
    bool (*to_json)(const struct space *space, const struct architecture *a,
                    json_t *object);
    char *(*to_dot)(const struct space *space, const struct architecture *a);
    void (*describe)(const struct space *space, const struct architecture *a, char *text,
                     unsigned size);
};

struct space {
    const struct space_ops *ops;
};

extern const struct space_ops conv_chain_space_ops; /* conv_chain_space.c */

#endif
