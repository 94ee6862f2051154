/* SPDX-License-Identifier: Apache-2.0 */
/* A controller in a bag of named arrays: every block of parameters under its own name and
 * shape, so that the file can be read without this program, and Adam's moments likewise.
 * Loading fills new memory first and takes it over when everything was there. */
#include "master/controller_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The three vectors of a controller that are saved block by block. */
static const char *const folders[] = {"controller", "optimizer/m", "optimizer/v"};
enum { FOLDERS = 3 };

static int block_name(const char *prefix, const char *folder, const char *name,
                      char ret[STATE_NAME], struct error *err)
{
    int n = snprintf(ret, STATE_NAME, "%s%s/%s", prefix, folder, name);
    if (n < 0 || n >= STATE_NAME)
        return error_set(err, ERROR_CORRUPT, "the name '%s%s/%s' is too long", prefix,
                         folder, name);
    return 0;
}

static size_t block_count(const struct controller_block *b)
{
    return b->dims[0] * (b->rank == 2 ? b->dims[1] : 1);
}

int controller_save(const struct controller *c, const char *prefix, struct state *state,
                    struct error *err)
{
    const float *const vectors[FOLDERS] = {c->parameters, c->optimizer.m, c->optimizer.v};
    char name[STATE_NAME];
    int status = 0;
    for (int f = 0; f < FOLDERS && status == 0; f++)
        for (size_t i = 0; i < c->block_count && status == 0; i++) {
            const struct controller_block *b = &c->blocks[i];
            status = block_name(prefix, folders[f], b->name, name, err);
            if (status == 0)
                status = state_put(state, name, STATE_F32, b->rank, b->dims,
                                   vectors[f] + b->offset, err);
        }
    if (status == 0)
        status = block_name(prefix, "optimizer", "step", name, err);
    if (status == 0)
        status = state_put_i64(state, name, (int64_t)c->optimizer.step, err);
    if (status == 0)
        status = block_name(prefix, "controller", "version", name, err);
    return status < 0 ? status : state_put_i64(state, name, c->version, err);
}

static int load_vectors(const struct controller *c, const char *prefix,
                        const struct state *state, float *ret, struct error *err)
{
    char name[STATE_NAME];
    for (int f = 0; f < FOLDERS; f++, ret += c->count)
        for (size_t i = 0; i < c->block_count; i++) {
            const struct controller_block *b = &c->blocks[i];
            int status = block_name(prefix, folders[f], b->name, name, err);
            if (status == 0)
                status = state_get(state, name, STATE_F32, block_count(b),
                                   ret + b->offset, err);
            if (status < 0)
                return status;
        }
    for (size_t i = 0; i < FOLDERS * c->count; i++)
        if (!isfinite(ret[i - FOLDERS * c->count]))
            return error_set(err, ERROR_CORRUPT,
                             "saved controller: a parameter or moment is not finite");
    return 0;
}

static int load_counter(const char *prefix, const char *folder, const char *key,
                        const struct state *state, int64_t limit, int64_t *ret,
                        struct error *err)
{
    char name[STATE_NAME];
    int status = block_name(prefix, folder, key, name, err);
    if (status == 0)
        status = state_get_i64(state, name, ret, err);
    if (status == 0 && (*ret < 0 || *ret > limit))
        status = error_set(err, ERROR_CORRUPT, "%s is %lld, allowed are 0 to %lld", name,
                           (long long)*ret, (long long)limit);
    return status;
}

int controller_load(struct controller *c, const char *prefix, const struct state *state,
                    struct error *err)
{
    int64_t step = 0, version = 0;
    size_t size = c->count * sizeof(float);
    float *vectors = calloc(FOLDERS * c->count, sizeof *vectors);
    if (!vectors)
        return error_set(err, ERROR_SYSTEM, "controller: no memory to load");
    int status = load_vectors(c, prefix, state, vectors, err);
    if (status == 0)
        status = load_counter(prefix, "optimizer", "step", state, INT64_MAX, &step, err);
    if (status == 0)
        status = load_counter(prefix, "controller", "version", state, UINT32_MAX,
                              &version, err);
    if (status == 0) {
        memcpy(c->parameters, vectors, size);
        memcpy(c->optimizer.m, vectors + c->count, size);
        memcpy(c->optimizer.v, vectors + 2 * c->count, size);
        c->optimizer.step = (uint64_t)step;
        c->version = (uint32_t)version;
        controller_pack(c);
    }
    free(vectors);
    return status;
}
