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
    dispatcher_unlist(d, s);
    f.started = 0;
    s->flights[s->count++] = f;
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
    bool listed = d->workers[rank].state == WORKER_READY;
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
    if (s->count > 0)
        start_front(d, s);
    else if (--d->busy == 0)
        d->started_sum = 0; /* sums of many numbers drift */
    return landed;
}
