/* SPDX-License-Identifier: Apache-2.0 */
/* Open cases are few: a failed attempt is soon tried again. So plain arrays are searched,
 * and of very many open cases the oldest are dropped. */
#include "master/blame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN_CASES = 1024 };

struct node {
    char host[BLAME_HOST];
    int against; /* trials in a row */
};

struct open_case {
    uint64_t trial;
    int node;
};

struct blame {
    int limit;
    struct node *nodes; /* owned */
    int node_count;
    struct open_case cases[OPEN_CASES];
    int case_count;
};

struct blame *blame_new(int limit)
{
    struct blame *b = calloc(1, sizeof *b);
    if (b)
        b->limit = limit;
    return b;
}

void blame_free(struct blame *b)
{
    if (b)
        free(b->nodes);
    free(b);
}

static int find_node(const struct blame *b, const char *host)
{
    for (int i = 0; i < b->node_count; i++)
        if (strncmp(b->nodes[i].host, host, BLAME_HOST - 1) == 0)
            return i;
    return -1;
}

static int add_node(struct blame *b, const char *host)
{
    struct node *nodes = realloc(b->nodes, (size_t)(b->node_count + 1) * sizeof *nodes);
    if (!nodes)
        return -1;
    b->nodes = nodes;
    nodes[b->node_count].against = 0;
    snprintf(nodes[b->node_count].host, BLAME_HOST, "%s", host);
    return b->node_count++;
}

static void close_case(struct blame *b, int index)
{
    b->case_count--;
    memmove(&b->cases[index], &b->cases[index + 1],
            (size_t)(b->case_count - index) * sizeof *b->cases);
}

void blame_failed(struct blame *b, uint64_t trial, const char *host)
{
    int node = find_node(b, host);
    if (node < 0)
        node = add_node(b, host);
    if (node < 0 || b->limit == 0)
        return;
    if (b->case_count == OPEN_CASES)
        close_case(b, 0);
    b->cases[b->case_count++] = (struct open_case){trial, node};
}

void blame_forget(struct blame *b, uint64_t trial)
{
    for (int i = b->case_count; i-- > 0;)
        if (b->cases[i].trial == trial)
            close_case(b, i);
}

const char *blame_done(struct blame *b, uint64_t trial, const char *host)
{
    int here = find_node(b, host);
    const char *guilty = NULL;
    if (here >= 0)
        b->nodes[here].against = 0;
    for (int i = b->case_count; i-- > 0;) {
        struct node *node = &b->nodes[b->cases[i].node];
        if (b->cases[i].trial != trial)
            continue;
        if (b->cases[i].node != here && ++node->against == b->limit)
            guilty = node->host;
        close_case(b, i);
    }
    return guilty;
}
