/* SPDX-License-Identifier: Apache-2.0 */
/* What can be searched. A space turns a sequence of decisions into a child network; one
 * file per space stands behind this interface, chosen by config->space.name.
 *
 * Decisions are asked for one at a time, given the tokens so far, so that later decisions
 * may depend on earlier ones. Every decision has a `kind`: a controller keeps one softmax
 * head and one token embedding per kind. An ANCHOR decision is a set of binary tokens
 * ("is layer j an input of this layer?"), a POINTER decision one token ("which earlier
 * node is this node's input?"); both are made by attention over the anchors of earlier
 * layers or nodes, and every one of those has an anchor, made at its last decision. Layer
 * 0, which has no earlier anchor to choose from, takes no such token, and no decision is
 * asked for. */
#ifndef ARCHWAY_COMMON_SPACE_SPACE_H
#define ARCHWAY_COMMON_SPACE_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "common/architecture.h"
#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"
#include "common/rng.h"

enum decision_type {
    DECISION_CHOICE, /* one token in {0, ..., choices-1} */
    DECISION_ANCHOR, /* `choices` binary tokens, token j: is anchor j an input? */
    DECISION_POINTER /* one token in {0, ..., choices-1}: that earlier anchor */
};

struct decision {
    enum decision_type type;
    int kind;    /* CHOICE: head, {0, ..., space_kinds-1}; unused for the others */
    int choices; /* CHOICE: values; else how many earlier anchors there are, > 0 */
    int layer;   /* layer (or node) that it belongs to, from 0 */
};

struct space; /* opaque; immutable after creation */

/* Copies what it needs of config. Caller frees with space_free. */
int space_new(const struct config *config, struct space **ret, struct error *err);
void space_free(struct space *space);

const char *space_name(const struct space *space);
const char *space_units(const struct space *space); /* the depth counts: "layers" */
/* What the children of the space read. */
enum space_input { SPACE_INPUT_IMAGES, SPACE_INPUT_TEXT };
enum space_input space_reads(const struct space *space);
/* The same of a space that is not made yet: one of enum config_space. */
enum space_input space_reads_of(int name);
int space_kinds(const struct space *space); /* number of CHOICE kinds */
int space_kind_choices(const struct space *space, int kind);
const char *space_kind_name(const struct space *space, int kind); /* "filter height" */
bool space_has_anchors(const struct space *space); /* ANCHOR or POINTER decisions */
/* No deeper and no flatter architecture is valid. */
int space_min_depth(const struct space *space);
int space_max_depth(const struct space *space);
/* Depth of the architectures proposed at trial `id` (growing schedule); stays at
 * space_max_depth once it is reached. */
int space_depth(const struct space *space, uint64_t id);
int space_max_tokens(const struct space *space, int depth);

/* The decision that follows the tokens of `a` (a->depth set, a->count tokens so far:
 * those of whole decisions). Looks at no more than it needs: cheap enough for every step.
 * Returns true and fills ret, or false when the architecture is complete. */
bool space_next(const struct space *space, const struct architecture *a,
                struct decision *ret);
/* Complete and every token in range? ERROR_INPUT naming the token otherwise. */
int space_validate(const struct space *space, const struct architecture *a,
                   struct error *err);
/* Uniform over the tokens (anchor bits: probability 1/2 each). */
void space_sample(const struct space *space, int depth, struct rng *rng,
                  struct architecture *ret);
/* Same child network up to isomorphism <=> same hash. Here and below `a` must be valid.
 */
struct architecture_hash space_hash(const struct space *space,
                                    const struct architecture *a);
/* log10 of the number of token sequences at a depth. */
double space_log10_size(const struct space *space, int depth);

/* What a child is made for: images of height x width x channels in `classes` classes, or
 * tokens of a vocabulary, with so many units in embedding and hidden state (those
 * of the built-in trainer; a program of one's own may take others). */
struct space_task {
    int height, width, channels, classes;
    int vocabulary, hidden;
};
struct space_task space_task_of(const struct config *config,
                                const struct data_facts *facts);
/* The same with data of a usual size where nothing is known of it: costs then only tell
 * which children take more than others. */
struct space_task space_task_to_compare(const struct space *space,
                                        const struct config *config,
                                        const struct data_facts *facts);
/* Is enough known of the data to say what a child costs? */
bool space_knows_cost(const struct space *space, const struct space_task *task);
/* Parameters of the child and its forward FLOPs (2 x multiply-adds) per image or token.
 */
struct space_cost {
    double params, flops;
};
struct space_cost space_cost(const struct space *space, const struct architecture *a,
                             const struct space_task *task);

/* The architecture as JSON, readable without the configuration. Recurrent cells: the keys
 * of rnn_dag.h and rnn_tree.h. A chain:
 * {"space": "conv-chain", "tokens": [...], "depth": 6, "layers": [{"filter_height": 3,
 *  "filter_width": 1, "filters": 36, "stride": 1, "inputs": [0, 2]}, ...]}.
 * inputs: -1 is the image, j is layer j. New reference; NULL when memory is gone. */
json_t *space_to_json(const struct space *space, const struct architecture *a);
/* The architecture that such a text describes, by its layers or nodes: the tokens in it
 * are not looked at. ERROR_INPUT naming what is wrong with it, or the space when its
 * texts are not read back (rnn-dag's are). */
int space_from_json(const struct space *space, const json_t *json,
                    struct architecture *ret, struct error *err);
/* The child network as text for Graphviz, or as a picture in SVG. Caller frees; NULL when
 * memory is gone. */
char *space_to_dot(const struct space *space, const struct architecture *a);
char *space_to_svg(const struct space *space, const struct architecture *a);
/* What the cell computes, one equation a line. Caller frees; NULL when memory is gone or
 * the space has no such text (space_has_equations). */
char *space_to_equations(const struct space *space, const struct architecture *a);
bool space_has_equations(const struct space *space);
/* One short line for tables, filter height x width x filters / stride a layer, then in
 * brackets the inputs where they are not just the layer before: "3x1x36/1 5x5x48/2
 * 3x3x24/1[0,1]". Ends in "..." when text is too small. */
void space_describe(const struct space *space, const struct architecture *a, char *text,
                    unsigned size);

#endif
