/* SPDX-License-Identifier: Apache-2.0 */
/* Places for the nodes of a diagram (Sugiyama, Tagawa & Toda, 1981): every node in a row
 * above all that it reads, long edges through points of their own in the rows between,
 * rows ordered so that few edges cross, and then shifted so that edges are straight where
 * they can be. Used by diagram_svg.c alone. */
#ifndef ARCHWAY_COMMON_SPACE_DIAGRAM_LAYOUT_H
#define ARCHWAY_COMMON_SPACE_DIAGRAM_LAYOUT_H

#include "common/space/diagram.h"

/* A node, or a point that a long edge passes. */
struct layout_point {
    int row, order; /* order: within its row, from the left */
    double x;       /* of its middle */
    double width;
};

struct layout {
    struct layout_point *points; /* owned; those of nodes first, by number */
    int point_count, row_count;
    int *first; /* owned; (edges + 1): the points of edge e are first[e] ... first[e+1]-1
                 */
    int *rows, *row_start; /* owned; points row by row in their order; (rows + 1) */
    double width;
};

/* width_of: of node i. False when memory is gone; ret is then empty. */
bool layout_make(const struct diagram *d, double (*width_of)(const struct diagram_node *),
                 struct layout *ret);
void layout_fini(struct layout *l);

#endif
