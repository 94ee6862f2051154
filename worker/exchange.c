/* SPDX-License-Identifier: Apache-2.0 */
/* The trainer's memory is read and written through its descriptor: whatever the trainer
 * does with it, this process cannot be struck. The mark of a lane is written last, so a
 * trainer that looks by itself never finds half of one. */
#include "worker/exchange.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/lanes.h"

/* A lane on its way to a rank. */
struct outgoing {
    int rank, part;
    uint64_t round, offset, total;
};

/* The place of a lane in the memory. */
struct place {
    uint64_t made; /* 1 + the round of which the trainer has made it; 0: none */
    uint64_t mark; /* 1 + the round that is coming in; 0: none */
    uint64_t got, total;
    int from;
};

struct exchange {
    int rank;
    struct exchange_ops ops;
    int fd; /* -1: no trainer */
    size_t stride;
    int samples;
    uint64_t round;       /* where the trainer is */
    struct place *places; /* owned; (2, samples) */
    int32_t *ranks;       /* owned; the others of the gang */
    int rank_count;
    struct outgoing *queue; /* owned; oldest first */
    int count, capacity;
    uint8_t *piece; /* owned */
};

struct exchange *exchange_new(int rank, const struct exchange_ops *ops)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->rank = rank;
    x->ops = *ops;
    x->fd = -1;
    return x;
}

void exchange_close(struct exchange *x)
{
    if (x->fd >= 0)
        close(x->fd);
    free(x->places);
    x->fd = -1;
    x->places = NULL;
    x->count = 0;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    exchange_close(x);
    free(x->ranks);
    free(x->queue);
    free(x->piece);
    free(x);
}

static bool is_lane_memory(int fd, size_t stride, int samples)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &st) == 0 &&
           (uint64_t)st.st_size == 2 * (uint64_t)samples * stride &&
           stride >= sizeof(struct lane);
}

int exchange_open(struct exchange *x, int fd, size_t stride, int samples, uint64_t round,
                  struct error *err)
{
    exchange_close(x);
    if (fd < 0 || !is_lane_memory(fd, stride, samples)) {
        if (fd >= 0)
            close(fd);
        return error_set(
            err, ERROR_PEER,
            "the trainer's descriptor for lanes is not shared memory of 2 x %d "
            "lanes of %zu bytes",
            samples, stride);
    }
    x->places = calloc(2 * (size_t)samples, sizeof *x->places);
    if (!x->piece)
        x->piece = malloc(EXCHANGE_PIECE);
    if (!x->places || !x->piece) {
        close(fd);
        exchange_close(x);
        return error_set(err, ERROR_SYSTEM, "no memory for the exchange of lanes");
    }
    x->fd = fd;
    x->stride = stride;
    x->samples = samples;
    x->round = round;
    return 0;
}

bool exchange_is_open(const struct exchange *x)
{
    return x->fd >= 0;
}

int exchange_ranks(const struct exchange *x)
{
    return x->rank_count + 1;
}

static bool is_member(const struct exchange *x, int rank)
{
    for (int i = 0; i < x->rank_count; i++)
        if (x->ranks[i] == rank)
            return true;
    return false;
}

void exchange_set_gang(struct exchange *x, const int32_t *ranks, int count)
{
    bool here = false;
    int others = 0;
    free(x->ranks);
    x->ranks = malloc(((size_t)count + 1) * sizeof *x->ranks);
    for (int i = 0; i < count && x->ranks; i++) {
        here |= ranks[i] == x->rank;
        if (ranks[i] != x->rank)
            x->ranks[others++] = ranks[i];
    }
    x->rank_count = here && x->ranks ? others : 0;
    for (int i = x->count - 1; i >= 0; i--)
        if (!is_member(x, x->queue[i].rank))
            exchange_forget(x, x->queue[i].rank);
}

void exchange_reach(struct exchange *x, uint64_t round)
{
    x->round = round;
}

static struct place *place_of(struct exchange *x, uint64_t round, int part)
{
    return &x->places[(size_t)(round % 2) * (size_t)x->samples + (size_t)part];
}

/* --- out ---------------------------------------------------------------------------- */

static off_t offset_of(const struct exchange *x, uint64_t round, int part, uint64_t at)
{
    return (off_t)(lanes_offset(x->stride, x->samples, round, part) + at);
}

/* Is the lane there as a whole? Its bytes, or 0. */
static uint64_t whole(const struct exchange *x, uint64_t round, int part)
{
    struct lane head;
    ssize_t got = pread(x->fd, &head, sizeof head, offset_of(x, round, part, 0));
    bool good = got == (ssize_t)sizeof head && lane_is_whole(&head, round) &&
                head.bytes >= sizeof head && head.bytes <= x->stride;
    return good ? head.bytes : 0;
}

static bool is_queued(const struct exchange *x, int rank, uint64_t round, int part)
{
    for (int i = 0; i < x->count; i++)
        if (x->queue[i].rank == rank && x->queue[i].round == round &&
            x->queue[i].part == part)
            return true;
    return false;
}

/* What memory has no room for does not go: its receiver asks for it. */
static void enqueue(struct exchange *x, int rank, uint64_t round, int part,
                    uint64_t total)
{
    if (is_queued(x, rank, round, part))
        return;
    if (x->count == x->capacity) {
        int capacity = x->capacity ? 2 * x->capacity : 8;
        struct outgoing *queue = realloc(x->queue, (size_t)capacity * sizeof *queue);
        if (!queue)
            return;
        x->queue = queue;
        x->capacity = capacity;
    }
    x->queue[x->count++] =
        (struct outgoing){.rank = rank, .part = part, .round = round, .total = total};
}

void exchange_made(struct exchange *x, uint64_t round, int part, bool send)
{
    if (x->fd < 0 || part < 0 || part >= x->samples)
        return;
    exchange_reach(x, round);
    place_of(x, round, part)->made = round + 1;
    uint64_t total = send ? whole(x, round, part) : 0;
    for (int i = 0; i < x->rank_count && total > 0; i++)
        enqueue(x, x->ranks[i], round, part, total);
}

void exchange_take_want(struct exchange *x, int rank, uint64_t round)
{
    if (x->fd < 0 || !is_member(x, rank))
        return;
    for (int part = 0; part < x->samples; part++) {
        bool made = place_of(x, round, part)->made == round + 1;
        uint64_t total = made ? whole(x, round, part) : 0;
        if (total > 0)
            enqueue(x, rank, round, part, total);
    }
}

void exchange_ask(struct exchange *x, uint64_t round)
{
    struct message m = {.type = MESSAGE_WANT, .want.round = round};
    for (int i = 0; i < x->rank_count; i++)
        x->ops.send(x->ops.context, x->ranks[i], &m);
}

static void drop(struct exchange *x, int at)
{
    x->count--;
    memmove(x->queue + at, x->queue + at + 1, (size_t)(x->count - at) * sizeof *x->queue);
}

void exchange_forget(struct exchange *x, int rank)
{
    for (int i = x->count - 1; i >= 0; i--)
        if (x->queue[i].rank == rank)
            drop(x, i);
}

/* The next piece of a lane; false: there is none any more. The trainer may have begun
 * another lane in its place meanwhile. */
static bool send_piece(struct exchange *x, struct outgoing *o)
{
    uint64_t left = o->total - o->offset;
    size_t size = left < EXCHANGE_PIECE ? (size_t)left : EXCHANGE_PIECE;
    ssize_t got =
        pread(x->fd, x->piece, size, offset_of(x, o->round, o->part, o->offset));
    if (got != (ssize_t)size || whole(x, o->round, o->part) != o->total)
        return false;
    struct message m = {.type = MESSAGE_LANE,
                        .lane = {.round = o->round,
                                 .part = o->part,
                                 .offset = o->offset,
                                 .total = o->total,
                                 .size = (uint32_t)size,
                                 .data = x->piece}};
    x->ops.send(x->ops.context, o->rank, &m);
    o->offset += size;
    return o->offset < o->total;
}

/* Ranks take turns, so that all get their lanes at about the same time. */
void exchange_step(struct exchange *x)
{
    bool sent = true;
    while (sent) {
        sent = false;
        for (int i = 0; i < x->count;) {
            if (!x->ops.has_room(x->ops.context, x->queue[i].rank)) {
                i++;
                continue;
            }
            sent = true;
            if (send_piece(x, &x->queue[i]))
                i++;
            else
                drop(x, i);
        }
    }
}

/* --- in ----------------------------------------------------------------------------- */

/* Is it the piece that is due at its place? */
static bool is_next(struct place *p, int rank, const struct message_lane *m)
{
    if (m->offset == 0) {
        p->mark = m->round + 1;
        p->got = 0;
        p->total = m->total;
        p->from = rank;
    }
    return p->mark == m->round + 1 && p->from == rank && p->got == m->offset &&
           p->total == m->total;
}

static bool put(struct exchange *x, const struct message_lane *m, uint64_t at,
                const void *data, size_t size)
{
    return pwrite(x->fd, data, size, offset_of(x, m->round, m->part, at)) ==
           (ssize_t)size;
}

/* Without the mark, which lies at the beginning. */
static bool put_piece(struct exchange *x, const struct message_lane *m)
{
    static const uint64_t none = 0;
    size_t skip = m->offset == 0 ? sizeof none : 0;
    if (skip > 0 && !put(x, m, 0, &none, sizeof none))
        return false;
    return put(x, m, m->offset + skip, m->data + skip, m->size - skip);
}

void exchange_take_piece(struct exchange *x, int rank, const struct message_lane *m)
{
    bool useful = m->round == x->round || m->round == x->round + 1;
    if (x->fd < 0 || !is_member(x, rank) || !useful || m->part >= x->samples ||
        m->total > x->stride || m->total < sizeof(struct lane) ||
        (m->offset == 0 && m->size < sizeof(struct lane)))
        return;
    struct place *p = place_of(x, m->round, m->part);
    if (!is_next(p, rank, m))
        return;
    p->got += m->size;
    uint64_t mark = m->round + 1;
    bool good = put_piece(x, m);
    if (good && p->got < p->total)
        return;
    p->mark = 0;
    if (good && put(x, m, offsetof(struct lane, mark), &mark, sizeof mark))
        x->ops.arrived(x->ops.context, m->round, m->part);
}

bool exchange_is_busy(const struct exchange *x)
{
    if (x->count > 0)
        return true;
    for (int i = 0; x->places && i < 2 * x->samples; i++)
        if (x->places[i].mark > 0)
            return true;
    return false;
}
