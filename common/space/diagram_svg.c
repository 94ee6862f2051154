/* SPDX-License-Identifier: Apache-2.0 */
/* The picture: no fonts are measured, so a letter of the common sans-serif ones counts as
 * LETTER wide. */
#include "common/space/diagram.h"

#include <math.h>
#include <string.h>

#include "common/space/diagram_layout.h"

static const double letter = 7.4, padding = 12, margin = 16;
static const double height = 30, rise = 64; /* of a node; from row to row */

static double width_of(const struct diagram_node *node)
{
    return fmax(44, letter * (double)strlen(node->label) + 2 * padding);
}

struct picture {
    const struct diagram *d;
    const struct layout *l;
    struct text *out;
};

static double x_of(const struct picture *p, int point)
{
    return margin + p->l->points[point].x;
}

static double y_of(const struct picture *p, int point)
{
    return margin + height / 2 + rise * (p->l->row_count - 1 - p->l->points[point].row);
}

static void put_escaped(struct text *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            text_append(out, "&amp;");
            break;
        case '<':
            text_append(out, "&lt;");
            break;
        case '"':
            text_append(out, "&quot;");
            break;
        default:
            text_append(out, "%c", *text);
        }
}

static void put_head(const struct picture *p)
{
    double w = p->l->width + 2 * margin;
    double h = rise * (p->l->row_count - 1) + height + 2 * margin;
    text_append(p->out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
                "width=\"%.0f\" height=\"%.0f\" class=\"diagram\" role=\"img\">\n<title>",
                w, h, w, h);
    put_escaped(p->out, p->d->title);
    text_append(
        p->out,
        "</title>\n<style>\n"
        ".diagram path { fill: none; stroke: #444; stroke-width: 1.3 }\n"
        ".diagram .tip { fill: #444; stroke: none }\n"
        ".diagram rect { fill: #e8effa; stroke: #444 }\n"
        ".diagram .end { fill: #fff }\n"
        ".diagram text { fill: #111; font: 13px sans-serif; text-anchor: middle }\n"
        ".diagram .edge { font-size: 11px }\n"
        "@media (prefers-color-scheme: dark) {\n"
        "  .diagram path, .diagram rect { stroke: #a8b0c0 }\n"
        "  .diagram .tip { fill: #a8b0c0 }\n"
        "  .diagram rect { fill: #26324a }\n"
        "  .diagram .end { fill: #181c24 }\n"
        "  .diagram text { fill: #eee } }\n"
        "</style>\n"
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
        "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">"
        "<path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n");
}

/* From row to row, upright at both ends. */
static void put_stretch(const struct picture *p, double x, double y, double to_x,
                        double to_y)
{
    double middle = (y + to_y) / 2;
    text_append(p->out, "C%.1f %.1f %.1f %.1f %.1f %.1f", x, middle, to_x, middle, to_x,
                to_y);
}

static void put_edge(const struct picture *p, int e)
{
    const struct diagram_edge *edge = &p->d->edges[e];
    double x = x_of(p, edge->from), y = y_of(p, edge->from) - height / 2;
    text_append(p->out, "<path marker-end=\"url(#tip)\"%s d=\"M%.1f %.1f",
                edge->dashed ? " stroke-dasharray=\"5 4\"" : "", x, y);
    for (int i = p->l->first[e]; i < p->l->first[e + 1]; i++) {
        put_stretch(p, x, y, x_of(p, i), y_of(p, i));
        x = x_of(p, i);
        y = y_of(p, i);
    }
    double to_x = x_of(p, edge->to), to_y = y_of(p, edge->to) + height / 2 + 1;
    put_stretch(p, x, y, to_x, to_y);
    text_append(p->out, "\"/>\n");
    if (!*edge->label)
        return;
    text_append(p->out, "<text class=\"edge\" x=\"%.1f\" y=\"%.1f\">", (x + to_x) / 2,
                (y + to_y) / 2 + 4);
    put_escaped(p->out, edge->label);
    text_append(p->out, "</text>\n");
}

static void put_node(const struct picture *p, int i)
{
    const struct diagram_node *node = &p->d->nodes[i];
    double w = p->l->points[i].width;
    text_append(p->out,
                "<rect%s x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" "
                "rx=\"%.0f\"/>\n<text x=\"%.1f\" y=\"%.1f\">",
                node->round ? " class=\"end\"" : "", x_of(p, i) - w / 2,
                y_of(p, i) - height / 2, w, height, node->round ? height / 2 : 4,
                x_of(p, i), y_of(p, i) + 4.5);
    put_escaped(p->out, node->label);
    text_append(p->out, "</text>\n");
}

void diagram_to_svg(const struct diagram *d, struct text *out)
{
    struct layout layout;
    if (d->failed || !layout_make(d, width_of, &layout)) {
        out->failed = true;
        return;
    }
    const struct picture p = {d, &layout, out};
    put_head(&p);
    for (int e = 0; e < d->edge_count; e++)
        put_edge(&p, e);
    for (int i = 0; i < d->node_count; i++)
        put_node(&p, i);
    text_append(out, "</svg>\n");
    layout_fini(&layout);
}
