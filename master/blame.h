/* SPDX-License-Identifier: Apache-2.0 */
/* Whose fault is a failure: the trial's or the node's? A trial that fails on one node and
 * then succeeds on another speaks against the first node, a success there for it. A node
 * against which several trials in a row have spoken is guilty. A trial that fails
 * everywhere accuses nobody. */
#ifndef ARCHWAY_MASTER_BLAME_H
#define ARCHWAY_MASTER_BLAME_H

#include <stdbool.h>
#include <stdint.h>

enum { BLAME_HOST = 256 };

struct blame; /* opaque */

/* A node is guilty after `limit` trials; 0: never. NULL when memory is gone. */
struct blame *blame_new(int limit);
void blame_free(struct blame *b); /* NULL is allowed */
/* An attempt failed on a node. Without memory it is forgotten. */
void blame_failed(struct blame *b, uint64_t trial, const char *host);
/* A trial has its result, from this node. Returns the node that has become guilty by it
 * (borrowed until the next call), or NULL. */
const char *blame_done(struct blame *b, uint64_t trial, const char *host);
/* A trial failed for good. */
void blame_forget(struct blame *b, uint64_t trial);

#endif
