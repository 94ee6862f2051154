/* SPDX-License-Identifier: Apache-2.0 */
/* Tables are as wide as the longest architecture, so that a list of short ones costs what
 * its tokens cost, and h5py shows one row an architecture. */
#include "master/search/architecture_list.h"

#include <stdlib.h>
#include <string.h>

int architecture_list_save(const struct architecture *const *list, size_t n,
                           const char *tokens_name, const char *shape_name,
                           struct state *state, struct error *err)
{
    size_t dims[2] = {n, 1};
    for (size_t i = 0; i < n; i++)
        if (list[i]->count > dims[1])
            dims[1] = list[i]->count;
    uint16_t *tokens = calloc(n * dims[1], sizeof *tokens);
    uint16_t *shape = calloc(2 * n, sizeof *shape);
    int status = tokens && shape
                     ? 0
                     : error_set(err, ERROR_SYSTEM, "no memory to save architectures");
    for (size_t i = 0; i < n && status == 0; i++) {
        memcpy(tokens + i * dims[1], list[i]->tokens, list[i]->count * sizeof *tokens);
        shape[2 * i] = list[i]->depth;
        shape[2 * i + 1] = list[i]->count;
    }
    if (status == 0)
        status = state_put(state, tokens_name, STATE_U16, 2, dims, tokens, err);
    dims[1] = 2;
    if (status == 0)
        status = state_put(state, shape_name, STATE_U16, 2, dims, shape, err);
    free(tokens);
    free(shape);
    return status;
}

static int load_one(const uint16_t *tokens, size_t widest, const uint16_t *shape,
                    const struct space *space, struct architecture *ret,
                    struct error *err)
{
    ret->depth = shape[0];
    ret->count = shape[1];
    if (ret->count > widest || ret->count > ARCHITECTURE_MAX_TOKENS)
        return error_set(err, ERROR_CORRUPT, "a saved architecture is out of bounds");
    memcpy(ret->tokens, tokens, ret->count * sizeof *tokens);
    return space_validate(space, ret, NULL) < 0
               ? error_set(err, ERROR_CORRUPT,
                           "a saved architecture does not fit the space")
               : 0;
}

int architecture_list_load(struct architecture *const *ret, size_t n,
                           const char *tokens_name, const char *shape_name,
                           const struct space *space, const struct state *state,
                           struct error *err)
{
    const struct state_array *t = state_find(state, tokens_name);
    if (!t || t->type != STATE_U16 || t->rank != 2 || t->dims[0] != n)
        return error_set(err, ERROR_CORRUPT, "%s is missing or has another shape",
                         tokens_name);
    uint16_t *shape = calloc(2 * n, sizeof *shape);
    int status =
        shape ? 0 : error_set(err, ERROR_SYSTEM, "no memory to load architectures");
    if (status == 0)
        status = state_get(state, shape_name, STATE_U16, 2 * n, shape, err);
    for (size_t i = 0; i < n && status == 0; i++)
        status = load_one((const uint16_t *)t->data + i * t->dims[1], t->dims[1],
                          shape + 2 * i, space, ret[i], err);
    free(shape);
    return status;
}
