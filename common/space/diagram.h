/* SPDX-License-Identifier: Apache-2.0 */
/* An architecture as boxes and arrows, the form in which spaces hand it to those who
 * draw: as text for Graphviz, or as a picture (SVG) for a page or a paper. Arrows go from
 * what is read to what reads it, and there are no cycles. */
#ifndef ARCHWAY_COMMON_SPACE_DIAGRAM_H
#define ARCHWAY_COMMON_SPACE_DIAGRAM_H

#include <stdbool.h>

#include "common/text.h"

enum { DIAGRAM_NAME = 24, DIAGRAM_LABEL = 64 };

struct diagram_node {
    char name[DIAGRAM_NAME];   /* in text for Graphviz */
    char label[DIAGRAM_LABEL]; /* what people read */
    bool round;                /* an input or a result, not an operation */
};

struct diagram_edge {
    int from, to;              /* nodes */
    char label[DIAGRAM_LABEL]; /* "": none */
    bool dashed;
};

struct diagram {
    const char *title;          /* borrowed; a word */
    struct diagram_node *nodes; /* owned, as the edges */
    struct diagram_edge *edges;
    int node_count, edge_count, node_room, edge_room;
    bool failed; /* memory is gone; what is drawn is then nothing */
};

void diagram_init(struct diagram *d, const char *title);
void diagram_fini(struct diagram *d);
/* Texts are copied, and cut to what fits. The node's number, for edges. */
int diagram_add_node(struct diagram *d, const char *name, const char *label, bool round);
/* Without a memory the number is -1, and edges of it are left out. label: NULL: none. */
void diagram_add_edge(struct diagram *d, int from, int to);
void diagram_add_dashed(struct diagram *d, int from, int to, const char *label);

/* out fails when the diagram has. */
void diagram_to_dot(const struct diagram *d, struct text *out);
/* From the bottom up, as wide as it needs to be; texts stay texts. Colours follow the
 * page's: light or dark. */
void diagram_to_svg(const struct diagram *d, struct text *out);

#endif
