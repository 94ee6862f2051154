/* SPDX-License-Identifier: Apache-2.0 */
/* Between the exchange of lanes, the first slot's trainer, and other ranks. */
#include "worker/agent_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "proto/trainer_protocol.h"

enum { ROOM = 16 << 20 /* bytes that may wait for a rank */ };

static bool has_room(void *context, int rank)
{
    const struct agent *a = context;
    return wire_queued(a->wire, rank) < ROOM;
}

static void send_to(void *context, int rank, const struct message *m)
{
    struct agent *a = context;
    a->moved = true;
    bytes_clear(&a->lane);
    message_encode(m, &a->lane);
    if (a->lane.failed || a->send_status)
        return;
    a->send_status = wire_send(a->wire, rank, a->lane.data, a->lane.size, &a->send_error);
}

static void tell_trainer(struct agent *a, char *line)
{
    if (line && a->slot_count > 0)
        slot_tell(a->slots[0], line);
    free(line);
}

static void arrived(void *context, uint64_t round, int part)
{
    tell_trainer(context, trainer_encode_lane(round, part));
}

int agent_exchange_init(struct agent *a, struct error *err)
{
    const struct exchange_ops ops = {has_room, send_to, arrived, a};
    bytes_init(&a->lane);
    a->exchange = exchange_new(a->wire->rank, &ops);
    return a->exchange
               ? 0
               : error_set(err, ERROR_SYSTEM, "rank %d: out of memory", a->wire->rank);
}

void agent_exchange_fini(struct agent *a)
{
    exchange_free(a->exchange);
    bytes_fini(&a->lane);
}

static uint64_t round_of(const struct agent *a, uint64_t step)
{
    return step / (uint64_t)a->config.search.shared.sync_every;
}

static void tell_gang(struct agent *a)
{
    tell_trainer(a, trainer_encode_gang(exchange_ranks(a->exchange)));
}

void agent_take_gang(struct agent *a, const struct message_gang *gang)
{
    exchange_set_gang(a->exchange, gang->ranks, gang->count);
    if (exchange_is_open(a->exchange))
        tell_gang(a);
}

/* A peer's word; what makes no sense is passed over, for it may be late. */
int agent_take_peer(struct agent *a, int rank, const struct message *m)
{
    if (m->type == MESSAGE_LANE)
        exchange_take_piece(a->exchange, rank, &m->lane);
    else if (m->type == MESSAGE_WANT)
        exchange_take_want(a->exchange, rank, m->want.round);
    return 0;
}

void agent_sink_lanes(void *context, int slot, int pid, const struct trainer_line *line,
                      uint64_t step)
{
    struct agent *a = context;
    char path[64];
    struct error err = {0};
    if (slot != 0)
        return;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, line->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (exchange_open(a->exchange, fd, (size_t)line->stride, line->samples,
                      round_of(a, step), &err) != 0) {
        log_message(LOG_WARNING, "rank %d: no lanes are exchanged: %s", a->wire->rank,
                    err.text);
        return;
    }
    a->exchange_ends = slot_ends(a->slots[0]);
    tell_gang(a);
}

void agent_sink_made(void *context, int slot, const struct message_task *task)
{
    struct agent *a = context;
    uint64_t sync = (uint64_t)a->config.search.shared.sync_every;
    if (slot != 0)
        return;
    exchange_reach(a->exchange, round_of(a, task->shared.step));
    if (task->shared.step % sync == sync - 1) /* attempt 0: made again, for itself */
        exchange_made(a->exchange, round_of(a, task->shared.step), task->shared.part,
                      task->attempt > 0);
}

void agent_sink_missing(void *context, int slot, uint64_t round)
{
    struct agent *a = context;
    if (slot == 0)
        exchange_ask(a->exchange, round);
}

void agent_exchange_behind(struct agent *a, const struct message_behind *behind)
{
    if (behind->slot == 0)
        exchange_reach(a->exchange, round_of(a, behind->at.step));
}

void agent_exchange_step(struct agent *a)
{
    if (!exchange_is_open(a->exchange))
        return;
    if (slot_ends(a->slots[0]) != a->exchange_ends)
        exchange_close(a->exchange);
    else
        exchange_step(a->exchange);
}
