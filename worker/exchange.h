/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange of lanes between the ranks that make a step of shared weights together (a
 * gang): what the trainer of this rank has made goes to all others in pieces, and what
 * they have made is put into the memory that the trainer shares (worker/lanes.h). Every
 * rank adds the lanes up itself, in their order.
 *
 * Pieces of a lane come in their order. One that is not the next expected is dropped, as
 * are lanes that are of no use to the trainer: then it waits in vain, asks for them, and
 * in the end says that it is behind. Nothing here blocks; what is written lies in
 * memory. */
#ifndef ARCHWAY_WORKER_EXCHANGE_H
#define ARCHWAY_WORKER_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "proto/message.h"

struct exchange; /* opaque */

enum { EXCHANGE_PIECE = 4 << 20 /* bytes */ };

struct exchange_ops {
    /* May more go to this rank now? */
    bool (*has_room)(void *context, int rank);
    void (*send)(void *context, int rank, const struct message *m);
    /* A whole lane is in the memory. */
    void (*arrived)(void *context, uint64_t round, int part);
    void *context;
};

/* NULL when memory is gone. ops is copied. */
struct exchange *exchange_new(int rank, const struct exchange_ops *ops);
void exchange_free(struct exchange *x); /* NULL is allowed */

/* The memory of a trainer that is at this round. Takes the descriptor over, also when it
 * is refused: ERROR_PEER when it is not memory of that size that cannot shrink,
 * ERROR_SYSTEM without memory. */
int exchange_open(struct exchange *x, int fd, size_t stride, int samples, uint64_t round,
                  struct error *err);
/* The trainer is gone. */
void exchange_close(struct exchange *x);
bool exchange_is_open(const struct exchange *x);
/* The ranks of the gang. Out of memory: as if there were none. */
void exchange_set_gang(struct exchange *x, const int32_t *ranks, int count);
/* How many these are; 1 when this rank is not among them. */
int exchange_ranks(const struct exchange *x);
/* The trainer's weights are those of this round: lanes of it and the next are of use. */
void exchange_reach(struct exchange *x, uint64_t round);
/* The trainer has made a lane. `send`: to all others. */
void exchange_made(struct exchange *x, uint64_t round, int part, bool send);
/* Ask all others for their lanes of a round. */
void exchange_ask(struct exchange *x, uint64_t round);
/* A rank asks for those of this one, or sends a piece. */
void exchange_take_want(struct exchange *x, int rank, uint64_t round);
void exchange_take_piece(struct exchange *x, int rank, const struct message_lane *m);
/* A rank was given up. */
void exchange_forget(struct exchange *x, int rank);
/* Send pieces while there is room. */
void exchange_step(struct exchange *x);
/* Is something on its way, out or in? */
bool exchange_is_busy(const struct exchange *x);

#endif
