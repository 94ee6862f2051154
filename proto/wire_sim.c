/* SPDX-License-Identifier: Apache-2.0 */
/* One heap of events, ordered by time and, at the same time, by the order in which they
 * were made, so that a simulation is the same whenever it is repeated. Four children a
 * node: half the levels of a binary heap, and the children lie side by side. Small
 * messages (heartbeats are most of them) live in the event itself. */
#include "proto/wire_sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHILDREN = 4, SMALL = 24 };

enum event_kind { EVENT_TO_MASTER, EVENT_TO_WORKER, EVENT_TIMER };

struct event {
    double at;
    uint64_t order;
    int rank;
    uint32_t size : 30, kind : 2; /* size: of the message */
    union {
        uint8_t small[SMALL];
        uint8_t *large; /* owned, when size > SMALL */
        uint64_t what;
    };
};

struct sim {
    struct wire wire; /* first: the public part */
    struct wire_sim_setup setup;
    struct clock clock;
    double now;
    struct event *heap, *inbox; /* inbox: arrived at the master, from `taken` on */
    size_t count, capacity, inbox_count, inbox_capacity, taken;
    uint64_t order, happened;
    bool *forgotten; /* by rank */
    bool failed;     /* memory was gone */
};

static double sim_monotonic(void *context)
{
    return ((struct sim *)context)->now;
}

static double sim_wall(void *context)
{
    struct sim *s = context;
    return s->setup.wall + s->now;
}

static const uint8_t *event_data(const struct event *e)
{
    return e->size > SMALL ? e->large : e->small;
}

static void event_fini(struct event *e)
{
    if (e->kind != EVENT_TIMER && e->size > SMALL)
        free(e->large);
}

static bool event_before(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static bool reserve(struct event **events, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity ? 2 * *capacity : 64;
    struct event *grown = realloc(*events, more * sizeof *grown);
    if (!grown)
        return false;
    *events = grown;
    *capacity = more;
    return true;
}

static void heap_push(struct sim *s, struct event e)
{
    if (!reserve(&s->heap, s->count, &s->capacity)) {
        event_fini(&e);
        s->failed = true;
        return;
    }
    e.order = s->order++;
    size_t i = s->count++;
    for (; i > 0; i = (i - 1) / CHILDREN) {
        struct event *parent = &s->heap[(i - 1) / CHILDREN];
        if (!event_before(&e, parent))
            break;
        s->heap[i] = *parent;
    }
    s->heap[i] = e;
}

static struct event heap_pop(struct sim *s)
{
    struct event top = s->heap[0], last = s->heap[--s->count];
    size_t i = 0;
    for (;;) {
        size_t first = i * CHILDREN + 1, best = first;
        size_t end = first + CHILDREN < s->count ? first + CHILDREN : s->count;
        for (size_t k = first + 1; k < end; k++)
            if (event_before(&s->heap[k], &s->heap[best]))
                best = k;
        if (first >= s->count || !event_before(&s->heap[best], &last))
            break;
        s->heap[i] = s->heap[best];
        i = best;
    }
    s->heap[i] = last;
    return top;
}

static void push_message(struct sim *s, enum event_kind kind, int rank, const void *data,
                         size_t size, double at)
{
    struct event e = {.at = at, .rank = rank, .size = (uint32_t)size, .kind = kind};
    if (size > SMALL && !(e.large = malloc(size))) {
        s->failed = true;
        return;
    }
    memcpy(size > SMALL ? e.large : e.small, data, size);
    heap_push(s, e);
}

static int sim_send(struct wire *w, int peer, const void *data, size_t size,
                    struct error *err)
{
    struct sim *s = (struct sim *)w;
    if (!s->forgotten[peer])
        push_message(s, EVENT_TO_WORKER, peer, data, size, s->now + s->setup.latency);
    return s->failed ? error_set(err, ERROR_SYSTEM, "simulation: no memory for a message")
                     : 0;
}

static int sim_receive(struct wire *w, int *ret_peer, struct bytes *ret,
                       struct error *err)
{
    struct sim *s = (struct sim *)w;
    if (s->taken == s->inbox_count) {
        s->taken = s->inbox_count = 0;
        return 0;
    }
    struct event *e = &s->inbox[s->taken++];
    bytes_clear(ret);
    bytes_put(ret, event_data(e), e->size);
    *ret_peer = e->rank;
    event_fini(e);
    return ret->failed ? error_set(err, ERROR_SYSTEM, "simulation: no memory") : 1;
}

static int sim_progress(struct wire *w, struct error *err)
{
    return 0;
}

static bool sim_idle(const struct wire *w)
{
    return true; /* a message is under way as soon as it is sent */
}

static void sim_forget(struct wire *w, int peer)
{
    ((struct sim *)w)->forgotten[peer] = true;
}

static void sim_close(struct wire *w, bool clean)
{
    struct sim *s = (struct sim *)w;
    for (size_t i = 0; i < s->count; i++)
        event_fini(&s->heap[i]);
    for (size_t i = s->taken; i < s->inbox_count; i++)
        event_fini(&s->inbox[i]);
    free(s->heap);
    free(s->inbox);
    free(s->forgotten);
    free(s);
}

static const struct wire_ops sim_ops = {
    .name = "sim",
    .send = sim_send,
    .receive = sim_receive,
    .progress = sim_progress,
    .idle = sim_idle,
    .forget = sim_forget,
    .close = sim_close,
};

int wire_sim_open(const struct wire_sim_setup *setup, struct wire **ret,
                  struct error *err)
{
    if (setup->workers < 1 || setup->workers >= WIRE_SIM_MAX_RANKS)
        return error_set(err, ERROR_USAGE, "simulation: from 1 to %d workers, not %d",
                         WIRE_SIM_MAX_RANKS - 1, setup->workers);
    if (!(setup->latency >= 0) || !(setup->quantum > 0))
        return error_set(err, ERROR_USAGE, "simulation: a latency of %g s, steps of %g s",
                         setup->latency, setup->quantum);
    struct sim *s = calloc(1, sizeof *s);
    if (s)
        s->forgotten = calloc((size_t)setup->workers + 1, sizeof *s->forgotten);
    if (!s || !s->forgotten) {
        free(s);
        return error_set(err, ERROR_SYSTEM, "simulation: no memory");
    }
    s->wire =
        (struct wire){.ops = &sim_ops, .rank = WIRE_MASTER, .size = setup->workers + 1};
    s->setup = *setup;
    s->clock = (struct clock){sim_monotonic, sim_wall, s};
    *ret = &s->wire;
    return 0;
}

const struct clock *wire_sim_clock(struct wire *w)
{
    return &((struct sim *)w)->clock;
}

void wire_sim_timer(struct wire *w, int rank, double at, uint64_t what)
{
    struct sim *s = (struct sim *)w;
    heap_push(
        s, (struct event){
               .at = fmax(at, s->now), .rank = rank, .kind = EVENT_TIMER, .what = what});
}

void wire_sim_post(struct wire *w, int rank, const void *data, size_t size, double delay)
{
    struct sim *s = (struct sim *)w;
    push_message(s, EVENT_TO_MASTER, rank, data, size, s->now + s->setup.latency + delay);
}

bool wire_sim_forgotten(const struct wire *w, int rank)
{
    return ((const struct sim *)w)->forgotten[rank];
}

static void take_in(struct sim *s, struct event e)
{
    if (s->forgotten[e.rank] || !reserve(&s->inbox, s->inbox_count, &s->inbox_capacity)) {
        s->failed |= !s->forgotten[e.rank];
        event_fini(&e);
        return;
    }
    s->inbox[s->inbox_count++] = e;
}

static void happen(struct sim *s, struct event e)
{
    s->happened++;
    switch (e.kind) {
    case EVENT_TO_MASTER:
        take_in(s, e);
        return;
    case EVENT_TO_WORKER:
        s->setup.arrived(s->setup.context, e.rank, event_data(&e), e.size);
        break;
    default:
        s->setup.due(s->setup.context, e.rank, e.what);
    }
    event_fini(&e);
}

int wire_sim_advance(struct wire *w, double limit, struct error *err)
{
    struct sim *s = (struct sim *)w;
    double until = s->now + limit, quantum = s->setup.quantum;
    if (s->count > 0 && s->heap[0].at < until) {
        double step = ceil(s->heap[0].at / quantum) * quantum;
        until = fmin(until, fmax(step, s->heap[0].at));
    }
    while (s->count > 0 && s->heap[0].at <= until) {
        struct event e = heap_pop(s);
        s->now = fmax(s->now, e.at);
        happen(s, e);
    }
    s->now = until;
    return s->failed ? error_set(err, ERROR_SYSTEM, "simulation: no memory for an event")
                     : 0;
}

uint64_t wire_sim_events(const struct wire *w)
{
    return ((const struct sim *)w)->happened;
}
