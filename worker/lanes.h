/* SPDX-License-Identifier: Apache-2.0 */
/* What the lanes of a round of shared weights give, each on its own: so they can be made
 * by different trainers, travel, and be added up in the same order everywhere. They lie
 * in memory that a trainer shares with its agent, which sends them off and puts those of
 * other ranks beside them. There is room for two rounds: while the last lanes of one are
 * still on their way, the next can be made.
 *
 * A lane in memory, as the machine writes numbers: struct lane, room for its ranges, the
 * hidden state behind it (batch, H), then its values, range by range. */
#ifndef ARCHWAY_WORKER_LANES_H
#define ARCHWAY_WORKER_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/nn/recurrent.h"

struct lane {
    uint64_t mark;   /* 1 + the round (of sync steps); 0: it is not whole */
    uint64_t bytes;  /* from here to the last value */
    uint64_t values; /* floats, over all its ranges */
    uint32_t part, range_count;
    uint64_t spoiled; /* 1: its loss was not finite, so nobody takes the step */
    double loss;      /* of its last step */
    struct recurrent_range ranges[];
};

struct lanes_shape {
    int samples;          /* lanes of a round */
    size_t ranges;        /* at most, of a lane */
    size_t state, values; /* floats */
};

struct lanes {
    struct lanes_shape shape;
    int fd; /* of the memory */
    unsigned char *memory;
    size_t stride; /* bytes of a lane */
};

/* Bytes of memory for such lanes, and of one of them. */
size_t lanes_bytes(const struct lanes_shape *shape);
size_t lanes_stride(const struct lanes_shape *shape);
/* No lane is there. ERROR_SYSTEM without memory. */
int lanes_init(struct lanes *l, const struct lanes_shape *shape, struct error *err);
void lanes_fini(struct lanes *l); /* one of zeros is allowed */

/* The place of a lane; two rounds later it is that of another one. */
struct lane *lanes_at(const struct lanes *l, uint64_t round, int part);
float *lane_state(const struct lanes *l, struct lane *lane);
float *lane_values(const struct lanes *l, struct lane *lane);
/* Where a lane begins in the memory, for pread and pwrite. */
size_t lanes_offset(size_t stride, int samples, uint64_t round, int part);

/* It is being made: no ranges yet. */
void lane_open(struct lane *lane, int part);
/* Head and state of one that lies in memory of the same shape but for values. */
void lane_copy(const struct lanes *l, struct lane *to, const struct lane *from);
/* It is whole. */
void lane_close(const struct lanes *l, struct lane *lane, uint64_t round);
bool lane_is_whole(const struct lane *lane, uint64_t round);
/* Another process wrote it: is it that lane, with ranges that a model of these parts has?
 * `input`, `pair`, `count`: floats before W_x, of a pair, of all. */
bool lane_fits(const struct lanes *l, const struct lane *lane, uint64_t round, int part,
               size_t input, size_t pair, size_t count);

#endif
