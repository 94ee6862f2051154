/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of architectures: what is in them, and that nothing lies on anything else. */
#include "common/space/diagram_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "unit.h"

static double width_of(const struct diagram_node *node)
{
    return 20 + 5 * (double)strlen(node->label);
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        count++;
    return count;
}

/* Boxes over what they read, neighbours apart, long edges with a point in every row
 * between, no picture wider than it says. */
static void is_well_laid(const struct diagram *d)
{
    struct layout l;
    ck_assert(layout_make(d, width_of, &l));
    for (int e = 0; e < d->edge_count; e++) {
        int from = l.points[d->edges[e].from].row, to = l.points[d->edges[e].to].row;
        ck_assert_int_gt(to, from);
        ck_assert_int_eq(l.first[e + 1] - l.first[e], to - from - 1);
        for (int k = 0; k < to - from - 1; k++)
            ck_assert_int_eq(l.points[l.first[e] + k].row, from + 1 + k);
    }
    for (int row = 0; row < l.row_count; row++)
        for (int i = l.row_start[row]; i < l.row_start[row + 1]; i++) {
            const struct layout_point *p = &l.points[l.rows[i]];
            ck_assert_int_eq(p->row, row);
            ck_assert_double_ge(p->x - p->width / 2, -1e-6);
            ck_assert_double_le(p->x + p->width / 2, l.width + 1e-6);
            if (i == l.row_start[row])
                continue;
            const struct layout_point *left = &l.points[l.rows[i - 1]];
            ck_assert_double_ge(p->x - p->width / 2 - (left->x + left->width / 2), 23.99);
        }
    layout_fini(&l);
}

START_TEST(random_diagrams_are_well_laid)
{
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, 0);
    for (int round = 0; round < 200; round++) {
        struct diagram d;
        char name[16];
        uint32_t nodes = 1 + rng_below(&rng, 30);
        diagram_init(&d, "cell");
        for (uint32_t i = 0; i < nodes; i++) {
            snprintf(name, sizeof name, "n%u", i);
            ck_assert_int_eq(diagram_add_node(&d, name,
                                              rng_below(&rng, 2) ? "a" : "longer",
                                              rng_below(&rng, 5) == 0),
                             (int)i);
            for (uint32_t k = rng_below(&rng, 4); k > 0 && i > 0; k--)
                diagram_add_edge(&d, (int)rng_below(&rng, i), (int)i);
        }
        is_well_laid(&d);
        diagram_fini(&d);
    }
}
END_TEST

START_TEST(a_picture_has_every_box_and_arrow)
{
    struct diagram d;
    struct text out;
    diagram_init(&d, "a <cell>");
    int x = diagram_add_node(&d, "x", "x & \"y\"", true);
    int f = diagram_add_node(&d, "f", "0: tanh", false);
    int g = diagram_add_node(&d, "g", "1: relu", false);
    diagram_add_edge(&d, x, f);
    diagram_add_edge(&d, f, g);
    diagram_add_dashed(&d, x, g, "early");
    diagram_add_edge(&d, -1, g); /* of a node that memory had no room for */
    text_init(&out);
    diagram_to_svg(&d, &out);
    ck_assert(!out.failed);
    ck_assert_int_eq(count_of(out.data, "<rect"), 3);
    ck_assert_int_eq(count_of(out.data, "marker-end"), 3);
    ck_assert_int_eq(count_of(out.data, "stroke-dasharray"), 1);
    ck_assert_ptr_nonnull(strstr(out.data, "<title>a &lt;cell></title>"));
    ck_assert_ptr_nonnull(strstr(out.data, ">x &amp; &quot;y&quot;</text>"));
    ck_assert_ptr_nonnull(strstr(out.data, ">early</text>"));
    ck_assert_ptr_nonnull(strstr(out.data, "</svg>\n"));
    text_fini(&out);
    text_init(&out);
    diagram_to_dot(&d, &out);
    ck_assert_ptr_nonnull(strstr(out.data,
                                 "    x -> f;\n    f -> g;\n"
                                 "    x -> g [style=dashed, label=\"early\"];"));
    text_fini(&out);
    diagram_fini(&d);
}
END_TEST

/* Every layer reads all before it: too many points, so edges go straight. */
START_TEST(a_crowd_of_edges_is_drawn_all_the_same)
{
    struct diagram d;
    struct text out;
    diagram_init(&d, "child");
    for (int i = 0; i < 60; i++) {
        diagram_add_node(&d, "layer", "3 x 3", false);
        for (int k = 0; k < i; k++)
            diagram_add_edge(&d, k, i);
    }
    text_init(&out);
    diagram_to_svg(&d, &out);
    ck_assert(!out.failed);
    ck_assert_int_eq(count_of(out.data, "marker-end"), 60 * 59 / 2);
    text_fini(&out);
    diagram_fini(&d);
    diagram_init(&d, "nothing");
    text_init(&out);
    diagram_to_svg(&d, &out);
    ck_assert(!out.failed);
    text_fini(&out);
    diagram_fini(&d);
}
END_TEST

UNIT_MAIN("diagram", random_diagrams_are_well_laid, a_picture_has_every_box_and_arrow,
          a_crowd_of_edges_is_drawn_all_the_same)
