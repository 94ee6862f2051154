/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends in one process. Each end owns an inbox, a byte buffer that the other end appends
 * to; receiving swaps that buffer with the caller's, so a message is copied once however many
 * wait, and no memory is taken once both buffers have grown. One thread uses both ends:
 * there are no locks. */
#include "proto/wire.h"

#include <stdlib.h>

struct local_end {
    struct wire wire; /* first: the public part */
    struct local_end *other; /* NULL once the other end is closed */
    struct bytes inbox;
    bool deaf; /* the other end was forgotten */
};

static int local_send(struct wire *w, int peer, const void *data, size_t size,
                      struct error *err)
{
    struct local_end *end = (struct local_end *)w;
    if (!end->other || end->deaf || end->other->deaf)
        return 0;
    struct bytes *inbox = &end->other->inbox;
    if (inbox->size + size > WIRE_MAX_QUEUE)
        return error_set(err, ERROR_PEER, "wire local: rank %d does not take its messages",
                         peer);
    size_t before = inbox->size;
    bytes_put(inbox, data, size);
    if (inbox->failed) {
        inbox->size = before;
        inbox->failed = false;
        return error_set(err, ERROR_SYSTEM, "wire local: no memory for %zu bytes", size);
    }
    return 0;
}

static int local_receive(struct wire *w, int *ret_peer, struct bytes *ret,
                         struct error *err)
{
    struct local_end *end = (struct local_end *)w;
    if (end->inbox.size == 0)
        return 0;
    struct bytes taken = end->inbox;
    end->inbox = *ret;
    bytes_clear(&end->inbox);
    *ret = taken;
    *ret_peer = 1 - w->rank;
    return 1;
}

static int local_progress(struct wire *w, struct error *err)
{
    return 0;
}

static bool local_idle(const struct wire *w)
{
    return true; /* a message is with the other end as soon as it is sent */
}

static void local_forget(struct wire *w, int peer)
{
    struct local_end *end = (struct local_end *)w;
    end->deaf = true;
    bytes_clear(&end->inbox);
}

static void local_close(struct wire *w, bool clean)
{
    struct local_end *end = (struct local_end *)w;
    if (end->other)
        end->other->other = NULL;
    bytes_fini(&end->inbox);
    free(end);
}

static const struct wire_ops local_ops = {
    .name = "local",
    .send = local_send,
    .receive = local_receive,
    .progress = local_progress,
    .idle = local_idle,
    .forget = local_forget,
    .close = local_close,
};

static struct local_end *end_new(int rank)
{
    struct local_end *end = calloc(1, sizeof *end);
    if (end)
        end->wire = (struct wire){.ops = &local_ops, .rank = rank, .size = 2};
    return end;
}

int wire_local_open(struct wire **ret_master, struct wire **ret_agent, struct error *err)
{
    struct local_end *master = end_new(WIRE_MASTER), *agent = end_new(1);
    if (!master || !agent) {
        free(master);
        free(agent);
        return error_set(err, ERROR_SYSTEM, "wire local: no memory");
    }
    master->other = agent;
    agent->other = master;
    *ret_master = &master->wire;
    *ret_agent = &agent->wire;
    return 0;
}
