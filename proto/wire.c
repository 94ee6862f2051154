/* SPDX-License-Identifier: Apache-2.0 */
/* The transports' common front: checks what callers hand in once, so that no transport
 * has to, and calls the transport's own function. */
#include "proto/wire.h"

int wire_send(struct wire *w, int peer, const void *data, size_t size, struct error *err)
{
    if (peer < 0 || peer >= w->size || peer == w->rank)
        return error_set(err, ERROR_SYSTEM,
                         "wire %s: rank %d cannot send to rank %d of %d", w->ops->name,
                         w->rank, peer, w->size);
    if (size == 0 || size > WIRE_MAX_MESSAGE)
        return error_set(err, ERROR_SYSTEM,
                         "wire %s: a message of %zu bytes to rank %d; allowed are 1 to %d",
                         w->ops->name, size, peer, WIRE_MAX_MESSAGE);
    return w->ops->send(w, peer, data, size, err);
}

int wire_receive(struct wire *w, int *ret_peer, struct bytes *ret, struct error *err)
{
    return w->ops->receive(w, ret_peer, ret, err);
}

int wire_progress(struct wire *w, struct error *err)
{
    return w->ops->progress(w, err);
}

bool wire_idle(const struct wire *w)
{
    return w->ops->idle(w);
}

size_t wire_queued(const struct wire *w, int peer)
{
    bool known = peer >= 0 && peer < w->size && peer != w->rank;
    return known && w->ops->queued ? w->ops->queued(w, peer) : 0;
}

bool wire_arriving(const struct wire *w)
{
    return w->ops->arriving && w->ops->arriving(w);
}

void wire_forget(struct wire *w, int peer)
{
    if (peer >= 0 && peer < w->size && peer != w->rank)
        w->ops->forget(w, peer);
}

void wire_close(struct wire *w, bool clean)
{
    if (w)
        w->ops->close(w, clean);
}
