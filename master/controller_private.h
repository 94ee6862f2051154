/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller's files share. Rows are architectures of one chunk; every buffer is
 * padded as common/nn/lstm.h says. */
#ifndef ARCHWAY_MASTER_CONTROLLER_PRIVATE_H
#define ARCHWAY_MASTER_CONTROLLER_PRIVATE_H

#include <stdbool.h>

#include "common/nn/lstm.h"
#include "common/nn/optimizer.h"
#include "common/rng.h"
#include "master/controller.h"

/* Rows worked on at once: small enough for the caches, and fixed, because the order of
 * the gradient's sums depends on it. */
enum { CONTROLLER_CHUNK = 32 };
/* Rows sampled at once, which share their common prefixes (controller_share.c) where
 * there are few enough tokens; the LSTM still works on CONTROLLER_CHUNK of them at a
 * time. */
enum { CONTROLLER_SAMPLE_CHUNK = 256, CONTROLLER_SHARE_TOKENS = 64 };

/* Which rows share a state of the LSTM. Buffers of h, c and logits are by state; where
 * nothing is shared, state r is row r. */
struct controller_states {
    size_t count;
    size_t *of;      /* (rows): the row's state */
    size_t *first;   /* (count): the state's first row */
    size_t *parent;  /* (count): the state of the step before */
    uint16_t *child; /* (count, tokens + 1): new state + 1; NULL: too many tokens */
};

/* One kind of choice. */
struct controller_kind {
    size_t choices, padded;         /* padded to whole vectors */
    size_t embedding, weight, bias; /* offsets of (choices, H), (H, choices), (choices) */
    size_t first_row;               /* of its tokens in the table */
    float *w, *bias_row, *w_back;   /* (H, padded), (padded), (choices, width) */
    float *d_w, *d_bias;            /* gradients of w and bias_row */
};

struct controller_anchor {
    size_t previous, current, vector;        /* offsets of (H, H), (H, H), (H) */
    float *w_previous, *w_current;           /* (H, width): in, out */
    float *w_previous_back, *w_current_back; /* (H, width): out, in */
    float *v;                                /* (H, 16), first column */
    float *d_previous, *d_current, *d_v;     /* gradients; d_v: (width) */
};

/* Where the input of a step comes from: a row of the table, or one of these. */
enum { SOURCE_ZERO = -1, SOURCE_VECTOR = -2 };

/* One step of one row. */
struct controller_step {
    bool active; /* false: the row is complete, the step computes nothing */
    struct decision decision;
    size_t position; /* first token of the decision */
    int source;      /* of this step's input */
};

/* One architecture of the chunk that is sampled or scored. */
struct controller_row {
    struct architecture *prefix;      /* the tokens so far */
    const struct architecture *given; /* NULL: sample */
    struct rng rng;                   /* sampling only */
    int next_source;                  /* of the next step's input */
    double log_probability, entropy;
    double advantage; /* gradient only, divided by the batch's size */
};

/* Buffers for one chunk. Without history there is one slot for h and c, updated in place;
 * without `keep` nothing is kept for the way back. */
struct controller_tape {
    size_t rows, steps, anchors; /* of this chunk; anchors: layers with an anchor */
    bool history, keep;
    size_t state_layer, acts_layer, gates_layer; /* distances between layers, floats */
    float *h, *c;                                /* (layers)(steps + 1, rows, width) */
    float *acts;    /* (layers)(steps, rows, LSTM_ACTS, width) */
    float *dgates;  /* (layers)(steps, rows, columns) */
    float *gates;   /* (CONTROLLER_CHUNK, columns) */
    float *inputs;  /* (steps, rows, width): inputs that are no token's embedding */
    float *logits;  /* (rows, wide) of one step, less their maximum */
    float *weights; /* (rows, wide): exp(logits) */
    float *slopes;  /* (rows, wide): of logits by what the head gave, where they differ */
    float *dlogits; /* (steps, rows, wide) */
    float *dh, *dc; /* (layers)(rows, width) */
    float *previous,
        *d_previous;        /* (rows, anchors, width): h_j W_prev and its gradient */
    float *d_anchor;        /* (rows, anchors, width): gradient of h_j as an input */
    float *mixed, *d_mixed; /* (anchors, width): tanh(h_j W_prev + h_i W_curr) */
    size_t wide;            /* of logits and anchors' scores, padded */
    struct controller_step *step; /* (steps, rows) */
    int *anchor_step;             /* (rows, anchors): step of h_j */
    size_t *anchors_done;         /* (rows): h_j W_prev computed so far */
    size_t float_capacity, step_capacity, anchor_capacity;
    float *floats; /* all of the above; owned */
};

/* What is asked of one chunk. */
struct controller_run {
    struct controller *c;
    size_t rows;
    bool share;            /* rows may share states: sampling */
    bool score;            /* entropy is wanted */
    bool gradient;         /* dlogits are wanted */
    double entropy_weight; /* divided by the batch's size */
};

struct controller {
    struct config_controller config;
    const struct space *space; /* borrowed */
    uint64_t seed;
    uint32_t version;
    struct lstm lstm;
    size_t kinds;
    struct controller_kind *kind; /* (kinds) */
    bool has_anchors;
    bool plain; /* decide without temperature and tanh */
    struct controller_anchor anchor;
    size_t tokens;      /* rows of the table: all tokens of all kinds */
    float *table;       /* (tokens, columns): embedding W_x + b of layer 0 */
    float *embedding;   /* (tokens, width): all embeddings */
    float *d_table;     /* (tokens, columns) */
    float *d_embedding; /* (tokens, width) */
    size_t max_padded;  /* of the kinds */
    size_t block_count;
    struct controller_block *blocks;
    size_t count;                 /* parameters */
    float *parameters, *gradient; /* flat */
    struct optimizer optimizer;
    struct controller_tape tape; /* grows */
    struct controller_states states;
    struct controller_row *rows;   /* (CONTROLLER_SAMPLE_CHUNK) */
    struct architecture *prefixes; /* (CONTROLLER_CHUNK) */
};

/* controller_pack.c: buffers that follow from the parameters. */
int controller_pack_init(struct controller *c, struct error *err);
void controller_pack_fini(struct controller *c);
void controller_pack(struct controller *c);
void controller_gradient_clear(struct controller *c);
void controller_gradient_unpack(struct controller *c); /* into c->gradient */

/* controller_tape.c */
struct controller_tape_size {
    size_t rows, steps, anchors, choices; /* choices: of the widest anchor decision */
};
int controller_tape_reserve(struct controller *c, const struct controller_tape_size *size,
                            bool keep, struct error *err);
void controller_tape_fini(struct controller_tape *tape);

/* Slots of the tape: h or c of all rows before step t; + 1: after it. */
static inline size_t controller_slot(const struct controller *c, size_t t)
{
    return c->tape.history ? t * c->tape.rows * c->lstm.width : 0;
}
/* The top layer's h after step t, one state. */
static inline float *controller_top(const struct controller *c, size_t t, size_t state)
{
    return c->tape.h + (c->lstm.layers - 1) * c->tape.state_layer +
           controller_slot(c, t + 1) + state * c->lstm.width;
}
static inline struct controller_step *controller_at(const struct controller *c, size_t t,
                                                    size_t row)
{
    return &c->tape.step[t * c->tape.rows + row];
}
static inline float *controller_dlogits(const struct controller *c, size_t t, size_t row)
{
    return c->tape.dlogits + (t * c->tape.rows + row) * c->tape.wide;
}

/* controller_sample.c: set up rows and tape for given architectures, after checking them.
 */
int controller_given(struct controller *c, const struct architecture *const *a, size_t n,
                     bool keep, struct error *err);

/* controller_share.c: start a chunk; follow the tokens that lead to step t. */
int controller_share_init(struct controller *c, struct error *err);
void controller_share_fini(struct controller *c);
void controller_share_start(struct controller *c, size_t rows, bool share);
void controller_share_step(struct controller *c, size_t t, size_t rows);

/* controller_run.c: all steps of a chunk whose rows are set up in c->rows. */
int controller_run(struct controller_run *run, size_t *ret_steps, struct error *err);

/* controller_choice.c: do logits differ from what the heads give? Then: make n logits of
 * z in place; slope: their n derivatives. z is padded to whole vectors. */
bool controller_squashes(const struct controller *c);
bool controller_may_squash(const struct controller *c); /* when not plain */
void controller_squash(const struct controller *c, float *z, float *slope, size_t n);
/* Logits of a state into logits less their maximum, and weights; padded: to clear. */
void controller_softmax(const struct controller *c, size_t state, size_t choices,
                        size_t padded);
/* Logits and weights of all CHOICE decisions of step t. */
void controller_softmax_all(const struct controller *c, size_t t);
/* The token of one row at step t, drawn or given, with its probability, entropy and
 * gradient as the run wants. */
size_t controller_take(const struct controller_run *run, size_t t, size_t row);

/* controller_anchor.c: an ANCHOR or POINTER decision of one row at step t, and its way
 * back, which adds to dh of the top layer. */
void controller_anchor_decide(struct controller_run *run, size_t t, size_t row);
void controller_pointer_decide(struct controller_run *run, size_t t, size_t row);
void controller_anchor_back(struct controller *c, size_t t, size_t row, float *dh);
/* Gradient that step t's h receives as h_j of later decisions; adds to dh. */
void controller_anchor_collect(struct controller *c, size_t t, size_t row, float *dh);
/* The input that followed the ANCHOR or POINTER decision of step t - 1, on the way back.
 */
void controller_anchor_input_back(struct controller *c, size_t t, size_t row,
                                  const float *dgates);

#endif
