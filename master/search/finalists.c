/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array: there are few of them, and most offers fail at the last place. */
#include "master/search/finalists.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/search/architecture_list.h"

int finalists_init(struct finalists *f, size_t most, struct error *err)
{
    *f = (struct finalists){.most = most};
    f->entries = calloc(most ? most : 1, sizeof *f->entries);
    return f->entries ? 0
                      : error_set(err, ERROR_SYSTEM, "no memory for %zu finalists", most);
}

void finalists_clear(struct finalists *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->entries[i].architecture);
    f->count = 0;
}

void finalists_fini(struct finalists *f)
{
    if (f->entries)
        finalists_clear(f);
    free(f->entries);
    *f = (struct finalists){0};
}

static bool is_better(const struct finalist *a, const struct finalist *b)
{
    return a->reward > b->reward || (a->reward == b->reward && a->id < b->id);
}

static void drop(struct finalists *f, size_t at)
{
    free(f->entries[at].architecture);
    f->count--;
    memmove(f->entries + at, f->entries + at + 1, (f->count - at) * sizeof *f->entries);
}

/* Where the same architecture stands; count: nowhere. */
static size_t find(const struct finalists *f, struct architecture_hash hash)
{
    size_t i = 0;
    while (i < f->count && !architecture_hash_equal(f->entries[i].hash, hash))
        i++;
    return i;
}

int finalists_add(struct finalists *f, const struct trial *t, struct error *err)
{
    struct finalist entry = {.hash = t->hash, .reward = t->reward, .id = t->id};
    size_t same = find(f, t->hash);
    if (!isfinite(t->reward) || f->most == 0)
        return 0;
    if (same < f->count && !is_better(&entry, &f->entries[same]))
        return 0;
    if (same == f->count && f->count == f->most &&
        !is_better(&entry, &f->entries[f->count - 1]))
        return 0;
    entry.architecture = architecture_pack(t->architecture);
    if (!entry.architecture)
        return error_set(err, ERROR_SYSTEM, "no memory for a finalist");
    if (same < f->count)
        drop(f, same);
    else if (f->count == f->most)
        drop(f, f->count - 1);
    size_t at = f->count;
    while (at > 0 && is_better(&entry, &f->entries[at - 1]))
        at--;
    memmove(f->entries + at + 1, f->entries + at, (f->count - at) * sizeof *f->entries);
    f->entries[at] = entry;
    f->count++;
    return 0;
}

/* Names of the tables. */
struct names {
    char tokens[STATE_NAME], shape[STATE_NAME], rewards[STATE_NAME], ids[STATE_NAME];
};

static struct names names_of(const char *prefix)
{
    struct names n;
    snprintf(n.tokens, sizeof n.tokens, "%s_tokens", prefix);
    snprintf(n.shape, sizeof n.shape, "%s_depth_count", prefix);
    snprintf(n.rewards, sizeof n.rewards, "%s_rewards", prefix);
    snprintf(n.ids, sizeof n.ids, "%s_ids", prefix);
    return n;
}

/* One array each of what the entries hold; owned. */
struct columns {
    struct architecture **list;
    double *rewards;
    int64_t *ids;
};

static int columns_init(struct columns *c, size_t n, struct error *err)
{
    c->list = calloc(n, sizeof *c->list);
    c->rewards = calloc(n, sizeof *c->rewards);
    c->ids = calloc(n, sizeof *c->ids);
    return c->list && c->rewards && c->ids
               ? 0
               : error_set(err, ERROR_SYSTEM, "no memory for %zu finalists", n);
}

static void columns_fini(struct columns *c)
{
    free(c->list);
    free(c->rewards);
    free(c->ids);
}

int finalists_save(const struct finalists *f, const char *prefix, struct state *state,
                   struct error *err)
{
    struct names names = names_of(prefix);
    struct columns c = {0};
    if (f->count == 0)
        return 0;
    int status = columns_init(&c, f->count, err);
    for (size_t i = 0; i < f->count && status == 0; i++) {
        c.list[i] = f->entries[i].architecture;
        c.rewards[i] = f->entries[i].reward;
        c.ids[i] = (int64_t)f->entries[i].id;
    }
    if (status == 0)
        status = architecture_list_save((const struct architecture *const *)c.list,
                                        f->count, names.tokens, names.shape, state, err);
    if (status == 0)
        status = state_put(state, names.rewards, STATE_F64, 1, &f->count, c.rewards, err);
    if (status == 0)
        status = state_put(state, names.ids, STATE_I64, 1, &f->count, c.ids, err);
    columns_fini(&c);
    return status;
}

static int read_columns(struct columns *c, size_t n, const char *prefix,
                        const struct space *space, const struct state *state,
                        struct architecture *room, struct error *err)
{
    struct names names = names_of(prefix);
    for (size_t i = 0; i < n; i++)
        c->list[i] = &room[i];
    int status =
        architecture_list_load(c->list, n, names.tokens, names.shape, space, state, err);
    if (status == 0)
        status = state_get(state, names.rewards, STATE_F64, n, c->rewards, err);
    if (status == 0)
        status = state_get(state, names.ids, STATE_I64, n, c->ids, err);
    return status;
}

static int refill(struct finalists *f, const struct columns *c, size_t n,
                  const struct space *space, struct error *err)
{
    int status = 0;
    for (size_t i = 0; i < n && status == 0; i++) {
        struct trial t = {.id = (uint64_t)c->ids[i],
                          .reward = c->rewards[i],
                          .architecture = c->list[i],
                          .hash = space_hash(space, c->list[i])};
        status = finalists_add(f, &t, err);
    }
    if (status == 0 && f->count != n)
        status =
            error_set(err, ERROR_CORRUPT, "saved finalists repeat or have no reward");
    return status;
}

int finalists_load(struct finalists *f, const char *prefix, const struct space *space,
                   const struct state *state, struct error *err)
{
    const struct state_array *a = state_find(state, names_of(prefix).rewards);
    size_t n = a ? state_array_count(a) : 0;
    struct architecture *room = calloc(n ? n : 1, sizeof *room);
    struct finalists loaded = {0};
    struct columns c = {0};
    int status =
        n > f->most
            ? error_set(err, ERROR_CORRUPT,
                        "%zu finalists are saved, at most %zu are wanted", n, f->most)
        : room ? finalists_init(&loaded, f->most, err)
               : error_set(err, ERROR_SYSTEM, "no memory for finalists");
    if (status == 0 && n > 0)
        status = columns_init(&c, n, err);
    if (status == 0 && n > 0)
        status = read_columns(&c, n, prefix, space, state, room, err);
    if (status == 0)
        status = refill(&loaded, &c, n, space, err);
    columns_fini(&c);
    free(room);
    if (status != 0) {
        finalists_fini(&loaded);
        return status;
    }
    finalists_fini(f);
    *f = loaded;
    return 0;
}
