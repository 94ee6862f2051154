/* SPDX-License-Identifier: Apache-2.0 */
/* Diagrams of architectures are small; where edges would pass more than MOST_POINTS
 * points, all go straight. */
#include "common/space/diagram_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_POINTS = 6000, SWEEPS = 12 };
static const double gap = 24, point_width = 10; /* between neighbours; of a point */

/* Two ends of each stretch of an edge: points in neighbouring rows. */
struct stretch {
    int low, high;
};

struct work {
    const struct diagram *d;
    struct layout *l;
    struct stretch *stretches;
    int stretch_count;
    double *key; /* of every point, for sorting */
};

/* --- rows --------------------------------------------------------------------------- */

/* The longest way from an input. Nodes are few, so edges are gone through until nothing
 * changes. */
static void find_rows(const struct diagram *d, struct layout_point *points)
{
    bool changed = true;
    for (int round = 0; changed && round <= d->node_count; round++) {
        changed = false;
        for (int i = 0; i < d->edge_count; i++) {
            const struct diagram_edge *e = &d->edges[i];
            if (points[e->to].row > points[e->from].row)
                continue;
            points[e->to].row = points[e->from].row + 1;
            changed = true;
        }
    }
}

/* What reads nothing goes right below the first that reads it, and all results stand in
 * the row above everything. */
static void move_ends(const struct diagram *d, struct layout_point *points, int rows)
{
    for (int i = 0; i < d->node_count; i++) {
        int above = rows, read = 0, reads = 0;
        for (int k = 0; k < d->edge_count; k++) {
            reads += d->edges[k].to == i;
            if (d->edges[k].from != i)
                continue;
            read++;
            above =
                points[d->edges[k].to].row < above ? points[d->edges[k].to].row : above;
        }
        if (reads == 0 && read > 0)
            points[i].row = above - 1;
        else if (read == 0 && d->nodes[i].round)
            points[i].row = rows - 1;
    }
}

static int count_rows(const struct diagram *d, const struct layout_point *points)
{
    int rows = 0;
    for (int i = 0; i < d->node_count; i++)
        rows = points[i].row + 1 > rows ? points[i].row + 1 : rows;
    return rows;
}

/* --- points of edges ---------------------------------------------------------------- */

static int span(const struct work *w, int edge)
{
    const struct diagram_edge *e = &w->d->edges[edge];
    return w->l->points[e->to].row - w->l->points[e->from].row;
}

static bool add_points(struct work *w)
{
    struct layout *l = w->l;
    int count = 0, nodes = w->d->node_count, edges = w->d->edge_count;
    for (int e = 0; e < edges; e++)
        count += span(w, e) - 1;
    bool bends = count <= MOST_POINTS;
    count = nodes + (bends ? count : 0);
    struct layout_point *points =
        realloc(l->points, (size_t)(count + 1) * sizeof *points);
    if (!points)
        return false;
    l->points = points;
    l->point_count = nodes;
    for (int e = 0; e < edges; e++) {
        l->first[e] = l->point_count;
        for (int k = 1; bends && k < span(w, e); k++)
            points[l->point_count++] = (struct layout_point){
                .row = points[w->d->edges[e].from].row + k, .width = point_width};
    }
    l->first[edges] = l->point_count;
    return true;
}

static void add_stretches(struct work *w)
{
    const struct layout *l = w->l;
    for (int e = 0; e < w->d->edge_count; e++) {
        int at = w->d->edges[e].from;
        for (int p = l->first[e]; p <= l->first[e + 1]; p++) {
            int next = p < l->first[e + 1] ? p : w->d->edges[e].to;
            w->stretches[w->stretch_count++] = (struct stretch){at, next};
            at = next;
        }
    }
}

static void fill_rows(struct layout *l)
{
    int at = 0;
    for (int row = 0; row < l->row_count; row++) {
        l->row_start[row] = at;
        for (int p = 0; p < l->point_count; p++)
            if (l->points[p].row == row) {
                l->points[p].order = at - l->row_start[row];
                l->rows[at++] = p;
            }
    }
    l->row_start[l->row_count] = at;
}

/* --- order -------------------------------------------------------------------------- */

/* The mean order of what stands below (or above) each point; its own where there is
 * nothing. */
static void find_means(const struct work *w, bool below, double *sum, int *count)
{
    const struct layout *l = w->l;
    memset(sum, 0, (size_t)l->point_count * sizeof *sum);
    memset(count, 0, (size_t)l->point_count * sizeof *count);
    for (int i = 0; i < w->stretch_count; i++) {
        struct stretch s = w->stretches[i];
        int to = below ? s.high : s.low, from = below ? s.low : s.high;
        sum[to] += l->points[from].x;
        count[to]++;
    }
    for (int p = 0; p < l->point_count; p++)
        sum[p] = count[p] > 0 ? sum[p] / count[p] : l->points[p].x;
}

static void sort_row(const struct work *w, int row)
{
    const struct layout *l = w->l;
    int *points = l->rows + l->row_start[row],
        count = l->row_start[row + 1] - l->row_start[row];
    for (int i = 1; i < count; i++) { /* few, and nearly in order */
        int p = points[i], k = i;
        for (; k > 0 && w->key[points[k - 1]] > w->key[p]; k--)
            points[k] = points[k - 1];
        points[k] = p;
    }
    for (int i = 0; i < count; i++)
        l->points[points[i]].order = i;
}

/* Side by side, in their order, around 0. */
static void spread_row(const struct layout *l, int row)
{
    double width = 0, x = 0;
    for (int i = l->row_start[row]; i < l->row_start[row + 1]; i++)
        width += l->points[l->rows[i]].width + gap;
    x = -width / 2;
    for (int i = l->row_start[row]; i < l->row_start[row + 1]; i++) {
        struct layout_point *p = &l->points[l->rows[i]];
        p->x = x + (p->width + gap) / 2;
        x += p->width + gap;
    }
}

static void order_rows(const struct work *w, int *count)
{
    const struct layout *l = w->l;
    for (int row = 0; row < l->row_count; row++)
        spread_row(l, row);
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int k = 1; k < l->row_count; k++) {
            bool up = sweep % 2 == 0;
            int row = up ? k : l->row_count - 1 - k;
            find_means(w, up, w->key, count);
            sort_row(w, row);
            spread_row(l, row);
        }
}

/* --- places ------------------------------------------------------------------------- */

static double apart(const struct layout_point *a, const struct layout_point *b)
{
    return (a->width + b->width) / 2 + gap;
}

/* As near to the wishes as the neighbours allow: from the left and from the right, and
 * the mean of both, which keeps the distances. */
static void settle_row(const struct work *w, int row, double *left, double *right)
{
    const struct layout *l = w->l;
    int first = l->row_start[row], end = l->row_start[row + 1];
    for (int i = first; i < end; i++) {
        int p = l->rows[i];
        left[i] = w->key[p];
        if (i > first)
            left[i] = fmax(left[i], left[i - 1] +
                                        apart(&l->points[l->rows[i - 1]], &l->points[p]));
    }
    for (int i = end - 1; i >= first; i--) {
        int p = l->rows[i];
        right[i] = w->key[p];
        if (i < end - 1)
            right[i] = fmin(right[i], right[i + 1] - apart(&l->points[p],
                                                           &l->points[l->rows[i + 1]]));
    }
    for (int i = first; i < end; i++)
        l->points[l->rows[i]].x = (left[i] + right[i]) / 2;
}

static void place(const struct work *w, int *count, double *left, double *right)
{
    struct layout *l = w->l;
    double least = INFINITY, most = -INFINITY;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int k = 0; k < l->row_count; k++) {
            bool up = sweep % 2 == 0;
            find_means(w, up, w->key, count);
            settle_row(w, up ? k : l->row_count - 1 - k, left, right);
        }
    for (int p = 0; p < l->point_count; p++) {
        least = fmin(least, l->points[p].x - l->points[p].width / 2);
        most = fmax(most, l->points[p].x + l->points[p].width / 2);
    }
    for (int p = 0; p < l->point_count; p++)
        l->points[p].x -= least;
    l->width = l->point_count > 0 ? most - least : 0;
}

/* --- all of it ---------------------------------------------------------------------- */

static bool arrange(struct work *w)
{
    struct layout *l = w->l;
    size_t points = (size_t)l->point_count + 1;
    int *count = malloc(points * sizeof *count);
    double *sides = malloc(2 * points * sizeof *sides);
    w->key = malloc(points * sizeof *w->key);
    w->stretches = malloc((points + (size_t)w->d->edge_count) * sizeof *w->stretches);
    l->rows = malloc(points * sizeof *l->rows);
    l->row_start = malloc(((size_t)l->row_count + 1) * sizeof *l->row_start);
    bool good = count && sides && w->key && w->stretches && l->rows && l->row_start;
    if (good) {
        add_stretches(w);
        fill_rows(l);
        order_rows(w, count);
        place(w, count, sides, sides + points);
    }
    free(count);
    free(sides);
    free(w->key);
    free(w->stretches);
    return good;
}

bool layout_make(const struct diagram *d, double (*width_of)(const struct diagram_node *),
                 struct layout *ret)
{
    struct work w = {.d = d, .l = ret};
    *ret = (struct layout){0};
    ret->points = calloc((size_t)d->node_count + 1, sizeof *ret->points);
    ret->first = calloc((size_t)d->edge_count + 1, sizeof *ret->first);
    bool good = ret->points && ret->first;
    if (good) {
        for (int i = 0; i < d->node_count; i++)
            ret->points[i].width = width_of(&d->nodes[i]);
        find_rows(d, ret->points);
        move_ends(d, ret->points, count_rows(d, ret->points));
        ret->row_count = count_rows(d, ret->points);
        good = add_points(&w) && arrange(&w);
    }
    if (!good)
        layout_fini(ret);
    return good;
}

void layout_fini(struct layout *l)
{
    free(l->points);
    free(l->first);
    free(l->rows);
    free(l->row_start);
    *l = (struct layout){0};
}
