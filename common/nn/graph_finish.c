/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a graph: one block, planned before it is taken.
 *
 * A plan is walked twice by the same code, once counting and once handing out pointers,
 * so the size that the memory limit is compared with is the size that is allocated.
 * Gradients of activations share buffers: in the backward pass a node's gradient lives
 * from its last consumer to itself, and in a chain two buffers are enough for any depth.
 */
#include "common/nn/graph_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/rng.h"

enum {
    ALIGNMENT = 64,
    MAP_FLOATS = 1 << 30 /* of one image: kernels count in int */
};

static void *carve_bytes(struct nn_carver *carver, size_t bytes)
{
    void *at = carver->base ? carver->base + carver->used : NULL;
    carver->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

float *nn_carve(struct nn_carver *carver, size_t count)
{
    return carve_bytes(carver, count * sizeof(float));
}

double *nn_carve_double(struct nn_carver *carver, size_t count)
{
    return carve_bytes(carver, count * sizeof(double));
}

static size_t node_floats(const struct nn_graph *g, int node)
{
    return (size_t)g->options.max_batch * nn_shape_count(g->nodes[node].shape);
}

/* Buffers that gradients share. */
struct slots {
    size_t *floats; /* size of each slot */
    bool *busy;
    int *of_node; /* slot of each node's gradient, -1: none */
    int count;
};

/* The free slot that fits `floats` best: the smallest that is large enough, else the
 * largest, which then grows, else a new one. */
static int slot_take(struct slots *s, size_t floats)
{
    int best = -1;
    for (int i = 0; i < s->count; i++) {
        if (s->busy[i])
            continue;
        bool fits = s->floats[i] >= floats;
        if (best < 0 || (fits ? s->floats[best] < floats || s->floats[i] < s->floats[best]
                              : s->floats[i] > s->floats[best]))
            best = i;
    }
    if (best < 0)
        best = s->count++;
    if (s->floats[best] < floats)
        s->floats[best] = floats;
    s->busy[best] = true;
    return best;
}

/* A slot for the gradient of a node; a concatenation's goes straight to its inputs. */
static void slot_give(const struct nn_graph *g, struct slots *s, int index)
{
    const struct nn_node *node = &g->nodes[index];
    if (node->kind == NN_OP_CONCAT)
        for (int j = 0; j < node->input_count; j++)
            slot_give(g, s, node->inputs[j]);
    else if (node->trainable && s->of_node[index] < 0)
        s->of_node[index] = slot_take(s, node_floats(g, index));
}

/* A fused norm's gradient is last read by its convolution. */
static void slots_plan(const struct nn_graph *g, struct slots *s)
{
    for (int i = g->node_count - 1; i >= 0; i--) {
        const struct nn_node *node = &g->nodes[i];
        int done = node->norm >= 0 ? node->norm : i;
        if (!node->live)
            continue;
        for (int j = 0; j < node->input_count; j++)
            if (!node->fused)
                slot_give(g, s, node->inputs[j]);
        if (!node->fused && s->of_node[done] >= 0)
            s->busy[s->of_node[done]] = false;
    }
}

static int slots_init(const struct nn_graph *g, struct slots *s)
{
    size_t n = (size_t)g->node_count;
    *s = (struct slots){.floats = calloc(n, sizeof *s->floats),
                        .busy = calloc(n, sizeof *s->busy),
                        .of_node = calloc(n, sizeof *s->of_node)};
    if (!s->floats || !s->busy || !s->of_node)
        return ERROR_SYSTEM;
    for (size_t i = 0; i < n; i++)
        s->of_node[i] = -1;
    slots_plan(g, s);
    return 0;
}

static void slots_fini(struct slots *s)
{
    free(s->floats);
    free(s->busy);
    free(s->of_node);
}

/* Outputs that nn_fetch reads where they lie. */
static bool stored(const struct nn_node *node)
{
    return node->kind != NN_OP_INPUT && node->kind != NN_OP_BATCH_NORM &&
           node->kind != NN_OP_CONCAT;
}

static void carve_node(struct nn_graph *g, int index, struct nn_carver *carver)
{
    struct nn_node *node = &g->nodes[index];
    node->out = stored(node) ? nn_carve(carver, node_floats(g, index)) : NULL;
    if (nn_ops[node->kind].carve)
        nn_ops[node->kind].carve(g, node, carver);
}

static size_t most_folded(const struct nn_graph *g)
{
    size_t most = 0;
    for (int i = 0; i < g->node_count; i++) {
        const struct nn_node *node = &g->nodes[i];
        if (node->norm >= 0 && g->parameter_list[node->first_parameter].count > most)
            most = g->parameter_list[node->first_parameter].count;
    }
    return most;
}

/* Hand out every buffer; in the counting pass all pointers become NULL. Parameters, their
 * gradients and the statistics come first: they are what a caller saves. */
static void carve_all(struct nn_graph *g, const struct slots *s, float **slot_at,
                      struct nn_carver *carver)
{
    size_t batch = (size_t)g->options.max_batch;
    g->parameters = nn_carve(carver, g->parameter_count);
    g->gradients = nn_carve(carver, g->parameter_count);
    g->statistics = nn_carve(carver, g->statistic_count);
    g->folded = nn_carve(carver, most_folded(g));
    g->scratch = nn_carve(carver, (size_t)g->options.threads * g->scratch_floats);
    g->losses = nn_carve_double(carver, batch);
    g->hits = carve_bytes(carver, batch);
    for (int i = 0; i < s->count; i++)
        slot_at[i] = nn_carve(carver, s->floats[i]);
    for (int i = 0; i < g->node_count; i++) {
        carve_node(g, i, carver);
        g->nodes[i].grad = s->of_node[i] >= 0 ? slot_at[s->of_node[i]] : NULL;
    }
}

/* Fresh zeroed pages; large ones when the system has them, which spares TLB misses. */
static int block_map(struct nn_graph *g, size_t size, struct error *err)
{
    void *block =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return error_set(err, ERROR_SYSTEM, "out of memory: a network needs %.1f MiB",
                         (double)size / (1 << 20));
    madvise(block, size, MADV_HUGEPAGE); /* advice only */
    g->block = block;
    g->block_size = size;
    return 0;
}

static int check_finish(const struct nn_graph *g, struct error *err)
{
    if (g->error.status)
        return error_set(err, g->error.status, "%s", g->error.text);
    if (g->finished)
        return error_set(err, ERROR_INPUT, "the network is finished already");
    if (!g->node_count || g->nodes[g->node_count - 1].kind != NN_OP_SOFTMAX_LOSS)
        return error_set(err, ERROR_INPUT, "a network ends with its loss");
    for (int i = 0; i < g->node_count; i++)
        if (nn_shape_count(g->nodes[i].shape) > MAP_FLOATS)
            return error_set(err, ERROR_INPUT,
                             "node %d: a map of %d x %d with %d channels is too large; "
                             "allowed are %d numbers",
                             i, g->nodes[i].shape.h, g->nodes[i].shape.w,
                             g->nodes[i].shape.c, MAP_FLOATS);
    /* Beyond this, sizes of buffers could wrap; no machine has as much. */
    double floats = 0;
    for (int i = 0; i < g->node_count; i++)
        floats += 2.0 * (double)node_floats(g, i);
    floats += (4.0 + g->options.threads) * (double)g->parameter_count;
    if (floats > 1e15)
        return error_set(err, ERROR_INPUT, "a network of %.0f GiB is too large",
                         floats * 4 / (1 << 30));
    return 0;
}

static int finish_block(struct nn_graph *g, const struct slots *s, float **slot_at,
                        struct error *err)
{
    struct nn_carver carver = {NULL, 0};
    carve_all(g, s, slot_at, &carver);
    if (g->options.memory_limit && carver.used > g->options.memory_limit)
        return error_set(err, ERROR_INPUT,
                         "the network needs %.1f MiB at batch %d; allowed are %.1f MiB",
                         (double)carver.used / (1 << 20), g->options.max_batch,
                         (double)g->options.memory_limit / (1 << 20));
    int status = block_map(g, carver.used, err);
    if (status)
        return status;
    carver = (struct nn_carver){g->block, 0};
    carve_all(g, s, slot_at, &carver);
    g->finished = true;
    return 0;
}

int nn_graph_finish(struct nn_graph *g, struct error *err)
{
    struct slots s;
    float **slot_at = NULL;
    int status = check_finish(g, err);
    if (status)
        return status;
    nn_plan(g);
    if (slots_init(g, &s) ||
        !(slot_at = calloc((size_t)g->node_count, sizeof *slot_at))) {
        status = error_set(err, ERROR_SYSTEM, "out of memory planning a network");
        goto out;
    }
    status = finish_block(g, &s, slot_at, err);
    if (!status)
        nn_graph_init(g, 0);
out:
    free(slot_at);
    slots_fini(&s);
    return status;
}

void nn_graph_free(struct nn_graph *g)
{
    if (!g)
        return;
    if (g->block)
        munmap(g->block, g->block_size);
    for (int i = 0; i < g->node_count; i++)
        free(g->nodes[i].inputs);
    for (int i = 0; i < g->parameter_list_count; i++)
        free((char *)g->parameter_list[i].name);
    free(g->nodes);
    free(g->parameter_list);
    free(g);
}
