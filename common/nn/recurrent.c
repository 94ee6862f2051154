/* SPDX-License-Identifier: Apache-2.0 */
/* Making a model: where parameters stand in the flat vector, and one block of memory for
 * all buffers of the largest window. The work is done in recurrent_pack.c (weights),
 * recurrent_run.c (the recurrence and its way back), recurrent_cell.c (the nodes of a
 * cell) and recurrent_decode.c (the output). */
#include "common/nn/recurrent_private.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 16 /* floats of a cache line */, MAX_STEPS = 4096, MAX_BATCH = 65536 };
enum { MAX_HIDDEN = 16384, MAX_VOCABULARY = 1 << 24, MAX_THREADS = 1024 };

int recurrent_cell_check(const struct recurrent_cell *cell, int nodes, struct error *err)
{
    if (cell->nodes < 1 || cell->nodes > nodes)
        return error_set(err, ERROR_INPUT, "cell: %d nodes, allowed are 1 to %d",
                         cell->nodes, nodes);
    for (int j = 0; j < cell->nodes; j++) {
        if (cell->activation[j] >= RECURRENT_ACTIVATIONS)
            return error_set(err, ERROR_INPUT, "cell: node %d has unknown activation %d", j,
                             cell->activation[j]);
        if (j > 0 && cell->previous[j] >= j)
            return error_set(err, ERROR_INPUT,
                             "cell: node %d follows node %d, which is no earlier one", j,
                             cell->previous[j]);
    }
    return 0;
}

struct bound {
    const char *name;
    int value, most;
};

static int check(const struct recurrent_options *o, struct error *err)
{
    const struct bound bounds[] = {
        {"vocabulary", o->vocabulary, MAX_VOCABULARY},
        {"hidden", o->hidden, MAX_HIDDEN},
        {"steps", o->steps, MAX_STEPS},
        {"batch", o->batch, MAX_BATCH},
        {"nodes", o->tree ? 1 : o->nodes, RECURRENT_MAX_NODES},
        {"threads", o->threads, MAX_THREADS},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].value < 1 || bounds[i].value > bounds[i].most)
            return error_set(err, ERROR_INPUT,
                             "recurrent model: %s is %d, allowed are 1 to %d",
                             bounds[i].name, bounds[i].value, bounds[i].most);
    if (o->tree)
        return recurrent_tree_check(o->tree, err);
    return o->only ? recurrent_cell_check(o->only, o->nodes, err) : 0;
}

/* Number of an edge in a pool: 0 is that of the state. */
static size_t edge_number(int i, int j)
{
    return i < 0 ? 0 : 1 + (size_t)j * (size_t)(j - 1) / 2 + (size_t)i;
}

static size_t edges(const struct recurrent_options *o)
{
    return o->only ? (size_t)o->only->nodes : 1 + edge_number(o->nodes - 2, o->nodes - 1);
}

/* Floats of a W. */
static size_t matrix_floats(const struct recurrent *r)
{
    return r->hidden * r->width;
}

size_t recurrent_input(const struct recurrent *r)
{
    return (size_t)r->options.vocabulary * r->hidden;
}

size_t recurrent_edge(const struct recurrent *r, int i, int j)
{
    size_t first = recurrent_input(r) + matrix_floats(r);
    size_t number = edge_number(i, j);
    if (r->options.only && i >= 0) {
        if (j >= r->own.nodes || r->own.previous[j] != i)
            return SIZE_MAX;
        number = (size_t)j;
    }
    return first + number * matrix_floats(r);
}

size_t recurrent_count(const struct recurrent *r)
{
    return r->count;
}

size_t recurrent_state(const struct recurrent *r, int batch)
{
    return (size_t)batch * r->hidden * (r->options.tree ? 2 : 1);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct recurrent_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

int recurrent_touched(const struct recurrent *r, const struct recurrent_cell *cell,
                      struct recurrent_range ret[RECURRENT_MAX_RANGES])
{
    cell = r->options.tree ? &r->own : cell;
    size_t each = matrix_floats(r);
    int count = 0;
    ret[count++] = (struct recurrent_range){0, recurrent_input(r)};
    ret[count++] = (struct recurrent_range){recurrent_input(r), each};
    for (int j = 0; j < cell->nodes; j++)
        ret[count++] = (struct recurrent_range){
            recurrent_edge(r, j == 0 ? -1 : cell->previous[j], j), each};
    qsort(ret, (size_t)count, sizeof *ret, compare_ranges);
    return count;
}

/* One buffer of the plan: where its pointer goes and its floats. */
struct piece {
    float **where;
    size_t count;
};

enum { MAX_PIECES = 24 + 6 * RECURRENT_MAX_NODES };

static size_t embedding_floats(const struct recurrent *r, bool back)
{
    size_t last = (size_t)r->slices - 1;
    size_t words = (size_t)recurrent_slice_words(r, (int)last);
    return back ? recurrent_slice_back(r, (int)last) +
                      recurrent_packed(r->kernels, words, r->hidden)
                : recurrent_slice_forward(r, (int)last) +
                      recurrent_packed(r->kernels, r->hidden, words);
}

size_t recurrent_slice_forward(const struct recurrent *r, int i)
{
    return (size_t)i * recurrent_packed(r->kernels, r->hidden, RECURRENT_SLICE);
}

size_t recurrent_slice_back(const struct recurrent *r, int i)
{
    return (size_t)i * recurrent_packed(r->kernels, RECURRENT_SLICE, r->hidden);
}

static size_t list_matrix(struct recurrent *r, struct recurrent_matrix *m,
                          struct piece *list)
{
    list[0] =
        (struct piece){&m->forward, recurrent_packed(r->kernels, r->hidden, r->width)};
    list[1] = (struct piece){&m->back, recurrent_packed(r->kernels, r->width, r->hidden)};
    list[2] = (struct piece){&m->mask, r->options.drop_weights ? matrix_floats(r) : 0};
    return 3;
}

/* All of a kind in one row, so that they stand equally far apart. */
static size_t list_nodes(struct recurrent *r, struct piece *list)
{
    size_t batch = (size_t)r->options.batch, n = 0;
    size_t rows = (size_t)r->options.steps * batch;
    size_t wide = r->options.tree ? 0 : r->hidden; /* a tree keeps its own values */
    int nodes = r->options.nodes;
    for (int j = 0; j < nodes; j++)
        n += list_matrix(r, &r->matrix[j], list + n);
    for (int j = 0; j < nodes; j++) {
        size_t inputs = r->relaxed && j > 0 ? (size_t)j : 1;
        list[n++] = (struct piece){&r->a[j], inputs * rows * r->width};
    }
    for (int j = 0; j < nodes; j++)
        list[n++] = (struct piece){&r->h[j], rows * wide};
    for (int j = 0; j < nodes; j++)
        list[n++] = (struct piece){&r->dh[j], batch * wide};
    return n;
}

static size_t list_tree(struct recurrent *r, struct piece *list)
{
    struct recurrent_tree *tree = &r->tree;
    size_t steps = (size_t)r->options.steps, batch = (size_t)r->options.batch, n = 0;
    size_t wide = r->hidden, values = 2 * (size_t)tree->cell.leaves;
    if (!r->options.tree)
        return 0;
    list[n++] = (struct piece){&r->inputs, steps * batch * r->width};
    list[n++] = (struct piece){&tree->value, values * steps * batch * wide};
    list[n++] = (struct piece){&tree->gradient, values * batch * wide};
    list[n++] = (struct piece){&tree->c, (steps + 1) * batch * wide};
    list[n++] = (struct piece){&tree->dc, 2 * batch * wide};
    list[n++] = (struct piece){&tree->cut, steps * batch};
    return n;
}

static size_t list_pieces(struct recurrent *r, struct piece list[MAX_PIECES])
{
    size_t steps = (size_t)r->options.steps, batch = (size_t)r->options.batch, n = 0;
    size_t rows = steps * batch, wide = r->hidden;
    size_t normed = r->relaxed ? (size_t)r->options.nodes : 1;
    r->scratch_each = r->options.drop_weights ? matrix_floats(r) + LINE : 0;
    const struct piece fixed[] = {
        {&r->x, rows * wide},
        {&r->dx, rows * wide},
        {&r->s, (rows + batch) * wide},
        {&r->out, rows * wide},
        {&r->dout, rows * wide},
        {&r->cut, rows},
        {&r->normal, r->options.norm && !r->relaxed ? rows * wide : 0},
        {&r->deviation, r->options.norm ? normed * steps * wide : 0},
        {&r->words, (size_t)r->options.vocabulary},
        {&r->mask[MASK_INPUT], batch * wide},
        {&r->mask[MASK_STATE], batch * wide},
        {&r->mask[MASK_OUTPUT], batch * wide},
        {&r->dstate, batch * wide},
        {&r->logits, (size_t)RECURRENT_CHUNK * (size_t)r->options.vocabulary},
        {&r->scratch, (size_t)r->options.threads * r->scratch_each},
        {&r->embedding_forward, embedding_floats(r, false)},
        {&r->embedding_back, embedding_floats(r, true)},
    };
    for (; n < sizeof fixed / sizeof *fixed; n++)
        list[n] = fixed[n];
    n += list_matrix(r, &r->input, list + n);
    n += list_nodes(r, list + n);
    return n + list_tree(r, list + n);
}

/* To all but the nodes, a tree is a cell of one node whose matrices are wider. */
static void begin_tree(struct recurrent *r)
{
    r->tree.cell = *r->options.tree;
    r->own = (struct recurrent_cell){.nodes = 1};
    r->options.tree = &r->tree.cell;
    r->options.only = &r->own;
    r->options.nodes = 1;
    r->width = (size_t)r->tree.cell.leaves * r->hidden;
    r->nodes = &recurrent_nodes_tree;
}

static void begin(struct recurrent *r, const struct recurrent_options *options,
                  const struct relaxed *relaxed)
{
    *r = (struct recurrent){.options = *options, .relaxed = relaxed};
    r->hidden = (size_t)options->hidden;
    r->width = 2 * r->hidden;
    r->nodes = relaxed ? &recurrent_nodes_relaxed : &recurrent_nodes_discrete;
    if (options->tree)
        begin_tree(r);
    else if (options->only) {
        r->own = *options->only;
        r->options.only = &r->own;
    }
    r->slices = (options->vocabulary + RECURRENT_SLICE - 1) / RECURRENT_SLICE;
    r->kernels = recurrent_kernels_find(options->kernels);
    r->count = recurrent_input(r) + matrix_floats(r) * (1 + edges(&r->options));
}

/* Floats of all pieces, each on a cache line of its own; then their places. */
static size_t carve(struct recurrent *r, float *memory)
{
    struct piece list[MAX_PIECES];
    size_t n = list_pieces(r, list), at = 0;
    for (size_t i = 0; i < n; i++) {
        if (memory)
            *list[i].where = memory + at;
        at += (list[i].count + LINE - 1) / LINE * LINE;
    }
    return at;
}

size_t recurrent_size(const struct recurrent_options *options,
                      const struct relaxed *relaxed)
{
    struct recurrent r;
    begin(&r, options, relaxed);
    return carve(&r, NULL) * sizeof(float) + RECURRENT_CHUNK * sizeof(double) + sizeof r;
}

size_t recurrent_bytes(const struct recurrent_options *options)
{
    return recurrent_size(options, NULL);
}

int recurrent_make(const struct recurrent_options *options, const struct relaxed *relaxed,
                   struct recurrent **ret, struct error *err)
{
    int status = check(options, err);
    if (status != 0)
        return status;
    struct recurrent *r = malloc(sizeof *r);
    if (!r)
        return error_set(err, ERROR_SYSTEM, "recurrent model: no memory");
    begin(r, options, relaxed);
    size_t bytes = carve(r, NULL) * sizeof(float);
    r->losses = malloc(RECURRENT_CHUNK * sizeof *r->losses);
    r->memory = aligned_alloc(LINE * sizeof(float), bytes);
    if (!r->losses || !r->memory) {
        recurrent_free(r);
        return error_set(err, ERROR_SYSTEM, "recurrent model: no memory for %zu MiB",
                         bytes >> 20);
    }
    carve(r, r->memory);
    if (!options->tree)
        r->inputs = r->a[0];
    *ret = r;
    return 0;
}

int recurrent_new(const struct recurrent_options *options, struct recurrent **ret,
                  struct error *err)
{
    return recurrent_make(options, NULL, ret, err);
}

void recurrent_free(struct recurrent *r)
{
    if (!r)
        return;
    free(r->losses);
    free(r->memory);
    free(r);
}

static bool leaves_cell(const struct recurrent *r, int j, bool feeds)
{
    switch (r->options.output) {
    case RECURRENT_ALL:
        return true;
    case RECURRENT_ALL_BUT_FIRST:
        return j > 0 || r->cell->nodes == 1;
    default:
        return !feeds;
    }
}

/* The cell at hand, and the nodes that its output is made of. */
static void take_cell(struct recurrent *r, const struct recurrent_cell *cell)
{
    bool feeds[RECURRENT_MAX_NODES] = {false};
    cell = r->options.tree ? &r->own : cell;
    r->cell = cell;
    r->leaves = 0;
    for (int j = 1; j < cell->nodes; j++)
        feeds[cell->previous[j]] = true;
    for (int j = 0; j < cell->nodes; j++)
        if (leaves_cell(r, j, feeds[j]))
            r->leaf[r->leaves++] = j;
}

double recurrent_run(struct recurrent *r, const float *parameters,
                     const struct recurrent_cell *cell, const struct recurrent_window *w,
                     float weight, float *gradient)
{
    double tokens = (double)w->steps * (double)w->batch;
    take_cell(r, cell);
    recurrent_draw(r, w->dropout);
    if (!w->same_weights)
        recurrent_pack(r, parameters, weight > 0);
    recurrent_forward(r, parameters, w);
    double sum = recurrent_decode(r, w, weight / (float)tokens, gradient);
    if (weight > 0)
        recurrent_backward(r, w, gradient);
    return sum / tokens;
}

double recurrent_loss(struct recurrent *r, const float *parameters,
                      const struct recurrent_cell *cell,
                      const struct recurrent_window *window)
{
    return recurrent_run(r, parameters, cell, window, 0, NULL);
}

double recurrent_gradient(struct recurrent *r, const float *parameters,
                          const struct recurrent_cell *cell,
                          const struct recurrent_window *window, float weight,
                          float *gradient)
{
    return recurrent_run(r, parameters, cell, window, weight, gradient);
}
