/* SPDX-License-Identifier: Apache-2.0 */
/* Which slot is next, without looking at every one: ready slots stand in one list for
 * each number of flights they hold, so that handing out and taking back cost the same
 * with ten ranks and with a hundred thousand. Within a list the slot that has waited
 * longest comes first; a trial that comes back is then unlikely to meet the slot where it
 * failed. */
#include "master/dispatcher_internal.h"

#include <stdlib.h>
#include <string.h>

void dispatcher_list(struct dispatcher *d, struct dispatcher_slot *s)
{
    struct slot_list *list = &d->lists[s->count];
    s->previous = list->last;
    s->next = NULL;
    if (list->last)
        list->last->next = s;
    else
        list->first = s;
    list->last = s;
}

void dispatcher_unlist(struct dispatcher *d, struct dispatcher_slot *s)
{
    struct slot_list *list = &d->lists[s->count];
    if (s->previous)
        s->previous->next = s->next;
    else
        list->first = s->next;
    if (s->next)
        s->next->previous = s->previous;
    else
        list->last = s->previous;
}

bool dispatcher_is_open(const struct dispatcher_worker *w)
{
    return w->state == WORKER_READY && !w->quarantined;
}

void dispatcher_offer(struct dispatcher *d, int rank)
{
    struct dispatcher_worker *w = &d->workers[rank];
    if (!dispatcher_is_open(w))
        return;
    for (int i = 0; i < w->slot_count; i++)
        dispatcher_list(d, &w->slots[i]);
    d->ready += w->slot_count;
    d->gang.came = true;
}

void dispatcher_withdraw(struct dispatcher *d, int rank)
{
    struct dispatcher_worker *w = &d->workers[rank];
    if (!dispatcher_is_open(w))
        return;
    for (int i = 0; i < w->slot_count; i++)
        dispatcher_unlist(d, &w->slots[i]);
    d->ready -= w->slot_count;
    d->gang.left = true;
}

void dispatcher_quarantine(struct dispatcher *d, const char *host)
{
    for (int rank = 1; rank < d->setup.wire->size; rank++) {
        struct dispatcher_worker *w = &d->workers[rank];
        if (w->quarantined || !w->host || strcmp(w->host, host) != 0)
            continue;
        dispatcher_withdraw(d, rank);
        w->quarantined = true;
        d->quarantined++;
    }
}

void dispatcher_end_quarantine(struct dispatcher *d)
{
    for (int rank = 1; rank < d->setup.wire->size; rank++) {
        struct dispatcher_worker *w = &d->workers[rank];
        if (!w->quarantined)
            continue;
        w->quarantined = false;
        dispatcher_offer(d, rank);
    }
    d->quarantined = 0;
}

struct dispatcher_slot *dispatcher_roomiest(struct dispatcher *d, int depth)
{
    for (int count = 0; count < depth; count++)
        if (d->lists[count].first)
            return d->lists[count].first;
    return NULL;
}

/* The flight at the front of a slot runs from now on. */
static void start_front(struct dispatcher *d, struct dispatcher_slot *s)
{
    s->flights[0].started = dispatcher_now(d);
    d->started_sum += s->flights[0].started;
}

int dispatcher_board(struct dispatcher *d, struct dispatcher_slot *s, struct flight f,
                     struct error *err)
{
    if (s->count == s->capacity) {
        int capacity = s->capacity ? 2 * s->capacity : 1;
        struct flight *flights = realloc(s->flights, (size_t)capacity * sizeof *flights);
        if (!flights)
            return error_set(err, ERROR_SYSTEM, "no memory for a slot of rank %d",
                             s->rank);
        s->flights = flights;
        s->capacity = capacity;
    }
    bool open = dispatcher_is_open(&d->workers[s->rank]);
    if (open)
        dispatcher_unlist(d, s);
    f.started = 0;
    s->flights[s->count++] = f;
    if (open)
        dispatcher_list(d, s);
    d->in_flight++;
    if (s->count > 1)
        return 0;
    d->busy++;
    start_front(d, s);
    return 0;
}

/* The slots of a rank that is given up are in no list any more. */
struct flight dispatcher_land(struct dispatcher *d, int rank, int slot, int index)
{
    struct dispatcher_slot *s = &d->workers[rank].slots[slot];
    struct flight landed = s->flights[index];
    bool listed = dispatcher_is_open(&d->workers[rank]);
    if (listed)
        dispatcher_unlist(d, s);
    s->count--;
    memmove(&s->flights[index], &s->flights[index + 1],
            (size_t)(s->count - index) * sizeof *s->flights);
    if (listed)
        dispatcher_list(d, s);
    d->in_flight--;
    if (index > 0)
        return landed;
    d->started_sum -= landed.started;
    d->counted_sum -= landed.counted;
    if (s->count > 0)
        start_front(d, s);
    else if (--d->busy == 0)
        d->started_sum = d->counted_sum = 0; /* sums of many numbers drift */
    return landed;
}
