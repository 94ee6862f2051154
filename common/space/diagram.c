/* SPDX-License-Identifier: Apache-2.0 */
/* Building a diagram, and the text of it for Graphviz. */
#include "common/space/diagram.h"

#include <stdio.h>
#include <stdlib.h>

void diagram_init(struct diagram *d, const char *title)
{
    *d = (struct diagram){.title = title};
}

void diagram_fini(struct diagram *d)
{
    free(d->nodes);
    free(d->edges);
    *d = (struct diagram){0};
}

/* Room for one more; false: memory is gone. */
static bool grow(struct diagram *d, void **array, int count, int *room, size_t size)
{
    if (count < *room)
        return true;
    int more = *room ? 2 * *room : 16;
    void *grown = realloc(*array, (size_t)more * size);
    d->failed |= !grown;
    if (!grown)
        return false;
    *array = grown;
    *room = more;
    return true;
}

int diagram_add_node(struct diagram *d, const char *name, const char *label, bool round)
{
    void *nodes = d->nodes;
    bool room = grow(d, &nodes, d->node_count, &d->node_room, sizeof *d->nodes);
    d->nodes = nodes;
    if (!room)
        return -1;
    struct diagram_node *node = &d->nodes[d->node_count];
    *node = (struct diagram_node){.round = round};
    snprintf(node->name, sizeof node->name, "%s", name);
    snprintf(node->label, sizeof node->label, "%s", label);
    return d->node_count++;
}

static void add_edge(struct diagram *d, int from, int to, bool dashed, const char *label)
{
    void *edges = d->edges;
    if (from < 0 || to < 0)
        return;
    bool room = grow(d, &edges, d->edge_count, &d->edge_room, sizeof *d->edges);
    d->edges = edges;
    if (!room)
        return;
    struct diagram_edge *edge = &d->edges[d->edge_count++];
    *edge = (struct diagram_edge){.from = from, .to = to, .dashed = dashed};
    snprintf(edge->label, sizeof edge->label, "%s", label ? label : "");
}

void diagram_add_edge(struct diagram *d, int from, int to)
{
    add_edge(d, from, to, false, NULL);
}

void diagram_add_dashed(struct diagram *d, int from, int to, const char *label)
{
    add_edge(d, from, to, true, label);
}

static void put_edge(const struct diagram *d, const struct diagram_edge *e,
                     struct text *out)
{
    text_append(out, "    %s -> %s", d->nodes[e->from].name, d->nodes[e->to].name);
    if (e->dashed)
        text_append(out, " [style=dashed, label=\"%s\"]", e->label);
    text_append(out, ";\n");
}

void diagram_to_dot(const struct diagram *d, struct text *out)
{
    out->failed |= d->failed;
    text_append(out, "digraph %s {\n    rankdir=BT;\n    node [shape=box];\n", d->title);
    for (int i = 0; i < d->node_count; i++)
        text_append(out, "    %s [label=\"%s\"%s];\n", d->nodes[i].name,
                    d->nodes[i].label, d->nodes[i].round ? ", shape=ellipse" : "");
    for (int i = 0; i < d->edge_count; i++)
        put_edge(d, &d->edges[i], out);
    text_append(out, "}\n");
}
