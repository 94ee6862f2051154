/* SPDX-License-Identifier: Apache-2.0 */
/* A canonical form of a chain: the same bytes for isomorphic networks and for no others.
 *
 * A plain chain is its own canonical form. With anchors the layers may be numbered in
 * several ways (two layers that read only the image may change places), so the layers are
 * coloured by what they are and refined by the colours of what they read and who reads
 * them, until nothing changes. Where equal colours remain, each layer of the first such
 * group is tried as the one that comes first, and the smallest byte string wins
 * (individualisation and refinement; McKay & Piperno, "Practical graph isomorphism, II",
 * section 2). Automorphisms met on the way prune the search: without that, k equal
 * branches would take k! steps. After SEARCH_LIMIT numberings the search stops with the
 * best so far. Two equal networks might then differ, never the reverse; no chain of the
 * tests comes near. */
#include "common/space/conv_chain.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX = CONV_CHAIN_MAX_LAYERS, RECORD = 14, SEARCH_LIMIT = 4096 };

/* Mixes well enough for colours; a collision only makes the refinement coarser. */
static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

struct node {
    uint64_t label;   /* what the layer is, and above it how far it is from the image */
    uint64_t in, out; /* bit j: reads layer j, is read by layer j */
    bool reads_image;
};

/* Colours are 0 to n-1: how many layers come before those of this colour. */
struct colouring {
    uint8_t of[MAX];
};

struct search {
    int n;
    struct node nodes[MAX];
    uint8_t path[MAX];          /* layers made first so far, by level */
    int leaves;                 /* numberings seen */
    uint8_t best[MAX * RECORD]; /* smallest form so far */
    uint8_t best_at[MAX];       /* layer at each position of it */
    uint8_t best_path[MAX];
    int generators;              /* automorphisms met; the latest MAX are kept */
    uint8_t generator[MAX][MAX]; /* layer -> layer */
};

struct keyed {
    uint64_t major, minor;
    int node;
};

static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    if (x->major != y->major)
        return x->major < y->major ? -1 : 1;
    return x->minor < y->minor ? -1 : x->minor > y->minor;
}

/* Colours from keys; returns how many there are. */
static int rank_keys(struct keyed *keys, int n, struct colouring *ret)
{
    int colours = 0, colour = 0;
    qsort(keys, (size_t)n, sizeof *keys, compare_keyed);
    for (int i = 0; i < n; i++) {
        if (i == 0 || compare_keyed(&keys[i - 1], &keys[i]) != 0) {
            colour = i;
            colours++;
        }
        ret->of[keys[i].node] = (uint8_t)colour;
    }
    return colours;
}

static uint64_t sum_colours(uint64_t set, const struct colouring *c, uint64_t salt)
{
    uint64_t sum = 0;
    for (; set; set &= set - 1)
        sum += mix(salt + c->of[__builtin_ctzll(set)]);
    return sum;
}

/* Split colours by the colours of neighbours until stable; returns how many there are. */
static int refine(const struct search *s, struct colouring *c)
{
    struct keyed keys[MAX];
    for (int colours = 0;;) {
        for (int v = 0; v < s->n; v++) {
            uint64_t minor = sum_colours(s->nodes[v].in, c, 0x100) +
                             sum_colours(s->nodes[v].out, c, 0x10000);
            keys[v] = (struct keyed){c->of[v], minor, v};
        }
        int now = rank_keys(keys, s->n, c);
        if (now == colours || now == s->n)
            return now;
        colours = now;
    }
}

/* The network with its layers in the order of their (all different) colours. */
static void write_form(const struct search *s, const struct colouring *c, uint8_t *form)
{
    for (int v = 0; v < s->n; v++) {
        uint8_t *at = form + c->of[v] * RECORD;
        uint64_t in = 0;
        for (uint64_t set = s->nodes[v].in; set; set &= set - 1)
            in |= UINT64_C(1) << c->of[__builtin_ctzll(set)];
        for (int i = 0; i < 5; i++)
            at[i] = (uint8_t)(s->nodes[v].label >> 8 * i);
        at[5] = s->nodes[v].reads_image;
        for (int i = 0; i < 8; i++)
            at[6 + i] = (uint8_t)(in >> 8 * i);
    }
}

/* Remember the automorphism that takes the best numbering to this one. */
static void add_generator(struct search *s, const uint8_t *at)
{
    uint8_t *generator = s->generator[s->generators++ % MAX];
    for (int i = 0; i < s->n; i++)
        generator[s->best_at[i]] = at[i];
}

/* A complete numbering. Returns the level to go on from: where an automorphism leads from
 * the best numbering to this one, the two paths part at that level, and the branch that
 * was taken there is the image of one that is done. */
static int visit_leaf(struct search *s, const struct colouring *c, int level)
{
    uint8_t form[MAX * RECORD], at[MAX];
    size_t size = (size_t)s->n * RECORD;
    write_form(s, c, form);
    for (int v = 0; v < s->n; v++)
        at[c->of[v]] = (uint8_t)v;
    int order = s->leaves++ == 0 ? -1 : memcmp(form, s->best, size);
    if (order == 0) {
        int parting = 0;
        add_generator(s, at);
        while (s->path[parting] == s->best_path[parting])
            parting++;
        return parting;
    }
    if (order < 0) {
        memcpy(s->best, form, size);
        memcpy(s->best_at, at, sizeof at);
        memcpy(s->best_path, s->path, sizeof s->path);
    }
    return level;
}

static bool fixes_path(const struct search *s, const uint8_t *generator, int level)
{
    for (int i = 0; i < level; i++)
        if (generator[s->path[i]] != s->path[i])
            return false;
    return true;
}

/* What the known automorphisms that keep the path make of a set of layers. */
static uint64_t orbit(const struct search *s, int level, uint64_t set)
{
    int count = s->generators < MAX ? s->generators : MAX;
    for (uint64_t before = 0; before != set;) {
        before = set;
        for (int g = 0; g < count; g++)
            if (fixes_path(s, s->generator[g], level))
                for (uint64_t rest = set; rest; rest &= rest - 1)
                    set |= UINT64_C(1) << s->generator[g][__builtin_ctzll(rest)];
    }
    return set;
}

/* The layers of the first colour that several have. */
static uint64_t first_cell(const struct search *s, const struct colouring *c,
                           int *ret_colour)
{
    uint64_t cells[MAX] = {0};
    for (int v = 0; v < s->n; v++)
        cells[c->of[v]] |= UINT64_C(1) << v;
    int colour = 0;
    while (!(cells[colour] & (cells[colour] - 1)))
        colour++;
    *ret_colour = colour;
    return cells[colour];
}

/* Try every numbering that agrees with the colours; returns the level to go on from. */
static int explore(struct search *s, struct colouring *c, int level)
{
    int colour;
    if (refine(s, c) == s->n)
        return visit_leaf(s, c, level);
    uint64_t cell = first_cell(s, c, &colour), tried = 0;
    for (uint64_t rest = cell; rest && s->leaves < SEARCH_LIMIT; rest &= rest - 1) {
        int v = __builtin_ctzll(rest);
        if (orbit(s, level, tried) >> v & 1)
            continue;
        struct colouring child = *c;
        for (uint64_t others = cell & ~(UINT64_C(1) << v); others; others &= others - 1)
            child.of[__builtin_ctzll(others)] = (uint8_t)(colour + 1);
        s->path[level] = (uint8_t)v;
        int back = explore(s, &child, level + 1);
        if (back < level)
            return back;
        tried |= UINT64_C(1) << v;
    }
    return level;
}

static void set_nodes(struct search *s, const struct conv_chain *chain)
{
    int distance[MAX];
    s->n = chain->layer_count;
    for (int l = 0; l < s->n; l++) {
        const struct conv_chain_layer *layer = &chain->layers[l];
        struct node *node = &s->nodes[l];
        distance[l] = 0;
        *node = (struct node){0};
        for (int i = 0; i < layer->input_count; i++) {
            int j = layer->inputs[i];
            if (j == CONV_CHAIN_IMAGE) {
                node->reads_image = true;
                continue;
            }
            node->in |= UINT64_C(1) << j;
            s->nodes[j].out |= UINT64_C(1) << l;
            if (distance[j] >= distance[l])
                distance[l] = distance[j] + 1;
        }
        node->label = (uint64_t)layer->filter_height |
                      (uint64_t)layer->filter_width << 8 |
                      (uint64_t)layer->filters << 16 | (uint64_t)layer->stride << 32 |
                      (uint64_t)node->reads_image << 40 | (uint64_t)distance[l] << 48;
    }
}

static bool is_plain(const struct search *s)
{
    for (int l = 1; l < s->n; l++)
        if (s->nodes[l].reads_image || s->nodes[l].in != UINT64_C(1) << (l - 1))
            return false;
    return true;
}

void conv_chain_canonical(const struct conv_chain *chain, struct bytes *out)
{
    struct search s;
    struct keyed keys[MAX];
    struct colouring colours;
    memset(&s, 0, sizeof s);
    set_nodes(&s, chain);
    for (int v = 0; v < s.n; v++) {
        colours.of[v] = (uint8_t)v;
        keys[v] = (struct keyed){s.nodes[v].label, 0, v};
    }
    if (is_plain(&s)) {
        write_form(&s, &colours, s.best);
    } else {
        rank_keys(keys, s.n, &colours);
        explore(&s, &colours, 0);
    }
    bytes_put(out, "conv-chain", sizeof "conv-chain");
    bytes_put_u8(out, (uint8_t)s.n);
    bytes_put(out, s.best, (size_t)s.n * RECORD);
}
