/* SPDX-License-Identifier: Apache-2.0 */
/* A growing list of named arrays with linear search: a strategy saves some twenty arrays,
 * so an index would only add code. What comes out is checked against what the reader
 * expects, because the bag may have been filled from a file. */
#include "common/state.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"f32", "f64", "i64", "u16", "u8"};

static bool type_valid(enum state_type type)
{
    return (unsigned)type <= STATE_U8;
}

static const char *type_name(enum state_type type)
{
    return type_valid(type) ? type_names[type] : "unknown type";
}

void state_init(struct state *s)
{
    *s = (struct state){0};
}

void state_fini(struct state *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->arrays[i].data);
    free(s->arrays);
    state_init(s);
}

size_t state_type_size(enum state_type type)
{
    static const unsigned char sizes[] = {4, 8, 8, 2, 1};
    return type_valid(type) ? sizes[type] : 0;
}

size_t state_array_count(const struct state_array *a)
{
    size_t count = 1;
    for (int i = 0; i < a->rank; i++)
        count *= a->dims[i];
    return count;
}

/* Fill the description; false when a bound is broken or the size in bytes overflows. */
static bool describe(struct state_array *a, const char *name, enum state_type type,
                     int rank, const size_t *dims)
{
    size_t count = 1, length = strlen(name);
    if (!type_valid(type) || rank < 0 || rank > STATE_MAX_RANK || length == 0 ||
        length >= STATE_NAME)
        return false;
    *a = (struct state_array){.type = type, .rank = rank};
    memcpy(a->name, name, length + 1);
    for (int i = 0; i < rank; i++) {
        if (__builtin_mul_overflow(count, dims[i], &count))
            return false;
        a->dims[i] = dims[i];
    }
    return count <= SIZE_MAX / 2 / state_type_size(type);
}

static int make_room(struct state *s)
{
    if (s->count < s->capacity)
        return 0;
    size_t capacity = s->capacity ? 2 * s->capacity : 16;
    struct state_array *arrays = realloc(s->arrays, capacity * sizeof *arrays);
    if (!arrays)
        return -1;
    s->arrays = arrays;
    s->capacity = capacity;
    return 0;
}

int state_put(struct state *s, const char *name, enum state_type type, int rank,
              const size_t *dims, const void *data, struct error *err)
{
    struct state_array a;
    if (!describe(&a, name, type, rank, dims))
        return error_set(err, ERROR_CORRUPT,
                         "state array '%.200s' has a name, type or shape out of bounds",
                         name);
    if (state_find(s, name))
        return error_set(err, ERROR_CORRUPT, "state array '%s' is there twice", name);
    size_t size = state_array_count(&a) * state_type_size(type);
    a.data = malloc(size ? size : 1);
    if (!a.data || make_room(s) < 0) {
        free(a.data);
        return error_set(err, ERROR_SYSTEM, "state array '%s': no memory for %zu bytes",
                         name, size);
    }
    if (size)
        memcpy(a.data, data, size);
    s->arrays[s->count++] = a;
    return 0;
}

int state_put_f64(struct state *s, const char *name, double v, struct error *err)
{
    return state_put(s, name, STATE_F64, 0, NULL, &v, err);
}

int state_put_i64(struct state *s, const char *name, int64_t v, struct error *err)
{
    return state_put(s, name, STATE_I64, 0, NULL, &v, err);
}

const struct state_array *state_find(const struct state *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->arrays[i].name, name) == 0)
            return &s->arrays[i];
    }
    return NULL;
}

int state_get(const struct state *s, const char *name, enum state_type type, size_t count,
              void *ret, struct error *err)
{
    const struct state_array *a = state_find(s, name);
    if (!a)
        return error_set(err, ERROR_CORRUPT, "state array '%s' is missing", name);
    if (a->type != type || state_array_count(a) != count)
        return error_set(
            err, ERROR_CORRUPT, "state array '%s' holds %zu x %s, expected %zu x %s",
            name, state_array_count(a), type_name(a->type), count, type_name(type));
    if (count)
        memcpy(ret, a->data, count * state_type_size(type));
    return 0;
}

int state_get_f64(const struct state *s, const char *name, double *ret, struct error *err)
{
    return state_get(s, name, STATE_F64, 1, ret, err);
}

int state_get_i64(const struct state *s, const char *name, int64_t *ret,
                  struct error *err)
{
    return state_get(s, name, STATE_I64, 1, ret, err);
}
