/* SPDX-License-Identifier: Apache-2.0 */
/* Messages over MPI, point to point only. Every peer has a chain of buffers: messages are
 * packed into the last one, the first one is on its way (MPI_Isend, MPI_Test), so messages
 * queued within one turn of the caller's loop, or while an earlier buffer travels, go out as
 * one MPI message. Receiving is MPI_Improbe + MPI_Imrecv, for a large message is otherwise
 * waited for. Never a blocking send: a sleeping peer would hold up all others. MPI does not
 * report dead peers; the caller's heartbeats do, and then forget() leaves whatever MPI may
 * still touch where it is. */
#include "proto/wire.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire_launch.h"

enum {
    PACK = 64 << 10,      /* buffers are filled up to here, larger messages go alone */
    KEEP = 1 << 20,       /* larger buffers are freed after use */
    SPARE_BUFFERS = 64,   /* how many unused buffers are kept */
    TAG = 1
};

/* A buffer in a peer's chain, in a chain of arrivals, or spare. */
struct chunk {
    struct chunk *next;
    struct bytes data;
    MPI_Request request; /* of the transfer under way, or MPI_REQUEST_NULL */
    int peer;            /* arrivals: the sender */
};

struct peer {
    struct chunk *first, *last; /* to be sent, in order; the first may be on its way */
    size_t queued;              /* bytes in the chain */
    bool active;                /* listed in mpi_wire.active */
    bool forgotten;
};

struct mpi_wire {
    struct wire wire; /* first: the public part */
    MPI_Comm comm;
    struct peer *peers; /* (size) */
    int *active;        /* (active_count) ranks with something to send */
    int active_count;
    struct chunk *arriving, **arriving_end; /* receives under way, oldest first */
    struct chunk *spare;
    int spare_count;
    struct chunk *abandoned; /* MPI may still touch these */
};

static int check(int rc, const char *call, struct error *err)
{
    char text[MPI_MAX_ERROR_STRING];
    int size = 0;
    if (rc == MPI_SUCCESS)
        return 0;
    if (MPI_Error_string(rc, text, &size) != MPI_SUCCESS)
        size = 0;
    return error_set(err, ERROR_SYSTEM, "%s failed: %.*s", call, size, text);
}

static struct chunk *chunk_take(struct mpi_wire *m)
{
    struct chunk *c = m->spare;
    if (c) {
        m->spare = c->next;
        m->spare_count--;
    } else if (!(c = calloc(1, sizeof *c))) {
        return NULL;
    }
    c->next = NULL;
    c->request = MPI_REQUEST_NULL;
    return c;
}

static void chunk_free(struct chunk *c)
{
    bytes_fini(&c->data);
    free(c);
}

static void chunk_give_back(struct mpi_wire *m, struct chunk *c)
{
    if (m->spare_count >= SPARE_BUFFERS || c->data.capacity > KEEP) {
        chunk_free(c);
        return;
    }
    bytes_clear(&c->data);
    c->next = m->spare;
    m->spare = c;
    m->spare_count++;
}

static void chunk_abandon(struct mpi_wire *m, struct chunk *c)
{
    c->next = m->abandoned;
    m->abandoned = c;
}

static void chain_give_back(struct mpi_wire *m, struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        chunk_give_back(m, c);
        c = next;
    }
}

/* Send what can be sent to one peer now. */
static int peer_advance(struct mpi_wire *m, int rank, struct error *err)
{
    struct peer *p = &m->peers[rank];
    while (p->first) {
        struct chunk *c = p->first;
        int done = 0, rc;
        if (c->request == MPI_REQUEST_NULL) {
            rc = check(MPI_Isend(c->data.data, (int)c->data.size, MPI_BYTE, rank, TAG,
                                 m->comm, &c->request),
                       "MPI_Isend", err);
            if (rc < 0)
                return rc;
        }
        rc = check(MPI_Test(&c->request, &done, MPI_STATUS_IGNORE), "MPI_Test", err);
        if (rc < 0)
            return rc;
        if (!done)
            return 0;
        p->first = c->next;
        p->queued -= c->data.size;
        chunk_give_back(m, c);
    }
    p->last = NULL;
    return 0;
}

static int mpi_progress(struct wire *w, struct error *err)
{
    struct mpi_wire *m = (struct mpi_wire *)w;
    for (int i = 0; i < m->active_count;) {
        int rank = m->active[i];
        struct peer *p = &m->peers[rank];
        int rc = peer_advance(m, rank, err);
        if (rc < 0)
            return error_prefix(err, "sending to rank %d", rank);
        if (p->first) {
            i++;
            continue;
        }
        p->active = false;
        m->active[i] = m->active[--m->active_count];
    }
    return 0;
}

/* The buffer that a message of size bytes is packed into; NULL when memory is gone. */
static struct chunk *chunk_for(struct mpi_wire *m, struct peer *p, size_t size)
{
    struct chunk *c = p->last;
    if (c && c->request == MPI_REQUEST_NULL && c->data.size + size <= PACK)
        return c;
    c = chunk_take(m);
    if (!c)
        return NULL;
    if (p->last)
        p->last->next = c;
    else
        p->first = c;
    p->last = c;
    return c;
}

static int mpi_send(struct wire *w, int rank, const void *data, size_t size,
                    struct error *err)
{
    struct mpi_wire *m = (struct mpi_wire *)w;
    struct peer *p = &m->peers[rank];
    if (p->forgotten)
        return 0;
    if (p->queued + size > WIRE_MAX_QUEUE)
        return error_set(err, ERROR_PEER,
                         "rank %d does not take its messages: %zu bytes wait for it", rank,
                         p->queued);
    struct chunk *c = chunk_for(m, p, size);
    if (!c)
        return error_set(err, ERROR_SYSTEM, "wire mpi: no memory for %zu bytes", size);
    size_t before = c->data.size;
    bytes_put(&c->data, data, size);
    if (!p->active) {
        p->active = true;
        m->active[m->active_count++] = rank;
    }
    if (c->data.failed) {
        c->data.size = before;
        c->data.failed = false;
        return error_set(err, ERROR_SYSTEM, "wire mpi: no memory for %zu bytes", size);
    }
    p->queued += size;
    if (c != p->first || c->data.size < PACK)
        return 0;
    return peer_advance(m, rank, err);
}

static void arriving_remove(struct mpi_wire *m, struct chunk **at)
{
    struct chunk *c = *at;
    *at = c->next;
    if (!c->next)
        m->arriving_end = at;
    c->next = NULL;
}

/* Is a receive from this sender under way among the entries before `until`? */
static bool arriving_from(const struct mpi_wire *m, int rank, const struct chunk *until)
{
    for (const struct chunk *c = m->arriving; c && c != until; c = c->next)
        if (c->peer == rank)
            return true;
    return false;
}

/* Take the oldest finished receive whose sender has no older one under way. */
static int arriving_finish(struct mpi_wire *m, struct chunk **ret, struct error *err)
{
    for (struct chunk **at = &m->arriving; *at; at = &(*at)->next) {
        int done = 0;
        int rc = check(MPI_Test(&(*at)->request, &done, MPI_STATUS_IGNORE), "MPI_Test",
                       err);
        if (rc < 0)
            return error_prefix(err, "receiving from rank %d", (*at)->peer);
        if (!done || arriving_from(m, (*at)->peer, *at))
            continue;
        *ret = *at;
        arriving_remove(m, at);
        return 1;
    }
    return 0;
}

static int chunk_reserve(struct chunk *c, size_t size, struct error *err)
{
    if (c->data.capacity < size) {
        size_t capacity = size < 4096 ? 4096 : size;
        uint8_t *data = realloc(c->data.data, capacity);
        if (!data)
            return error_set(err, ERROR_SYSTEM, "wire mpi: no memory for %zu bytes", size);
        c->data.data = data;
        c->data.capacity = capacity;
    }
    c->data.size = size;
    return 0;
}

/* Begin to receive the next message that MPI knows of: 1 when there was one. */
static int arriving_start(struct mpi_wire *m, struct error *err)
{
    MPI_Message message;
    MPI_Status status;
    int there = 0, count = 0;
    int rc = check(MPI_Improbe(MPI_ANY_SOURCE, TAG, m->comm, &there, &message, &status),
                   "MPI_Improbe", err);
    if (rc < 0 || !there)
        return rc;
    rc = check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count", err);
    if (rc < 0)
        return rc;
    if (count < 0 || count > WIRE_MAX_MESSAGE)
        return error_set(err, ERROR_PEER, "rank %d sent a message of %d bytes; at most %d",
                         status.MPI_SOURCE, count, WIRE_MAX_MESSAGE);
    struct chunk *c = chunk_take(m);
    if (!c)
        return error_set(err, ERROR_SYSTEM, "wire mpi: no memory for %d bytes", count);
    rc = chunk_reserve(c, (size_t)count, err);
    if (rc == 0)
        rc = check(MPI_Imrecv(c->data.data, count, MPI_BYTE, &message, &c->request),
                   "MPI_Imrecv", err);
    if (rc < 0) {
        chunk_give_back(m, c);
        return rc;
    }
    c->peer = status.MPI_SOURCE;
    *m->arriving_end = c;
    m->arriving_end = &c->next;
    return 1;
}

static int receive_chunk(struct mpi_wire *m, struct chunk **ret, struct error *err)
{
    int rc;
    do {
        rc = arriving_finish(m, ret, err);
        if (rc != 0)
            return rc;
        rc = arriving_start(m, err);
    } while (rc > 0);
    return rc;
}

static int mpi_receive(struct wire *w, int *ret_peer, struct bytes *ret, struct error *err)
{
    struct mpi_wire *m = (struct mpi_wire *)w;
    struct chunk *c = NULL;
    int rc = receive_chunk(m, &c, err);
    while (rc > 0 && m->peers[c->peer].forgotten) {
        chunk_give_back(m, c);
        rc = receive_chunk(m, &c, err);
    }
    if (rc == 0)
        return mpi_progress(w, err);
    if (rc < 0)
        return rc;
    struct bytes arrived = c->data;
    c->data = *ret;
    *ret = arrived;
    *ret_peer = c->peer;
    chunk_give_back(m, c);
    return 1;
}

static bool mpi_idle(const struct wire *w)
{
    return ((const struct mpi_wire *)w)->active_count == 0;
}

static size_t mpi_queued(const struct wire *w, int rank)
{
    return ((const struct mpi_wire *)w)->peers[rank].queued;
}

static bool mpi_arriving(const struct wire *w)
{
    return ((const struct mpi_wire *)w)->arriving != NULL;
}

/* Requests towards or from the lost peer are left alone: MPI_Cancel and MPI_Request_free
 * of them may wait for it. Their buffers stay allocated until the process ends. */
static void mpi_forget(struct wire *w, int rank)
{
    struct mpi_wire *m = (struct mpi_wire *)w;
    struct peer *p = &m->peers[rank];
    p->forgotten = true;
    if (p->first && p->first->request != MPI_REQUEST_NULL) {
        struct chunk *travelling = p->first;
        p->first = travelling->next;
        chunk_abandon(m, travelling);
    }
    chain_give_back(m, p->first);
    p->first = p->last = NULL;
    p->queued = 0;
    for (int i = 0; i < m->active_count; i++)
        if (m->active[i] == rank)
            m->active[i--] = m->active[--m->active_count];
    p->active = false;
    for (struct chunk **at = &m->arriving; *at;) {
        struct chunk *c = *at;
        if (c->peer != rank) {
            at = &c->next;
            continue;
        }
        arriving_remove(m, at);
        chunk_abandon(m, c);
    }
}

static void chain_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        chunk_free(c);
        c = next;
    }
}

/* Unclean: only spare buffers are freed, the others MPI or a slow peer may still touch. */
static void mpi_close(struct wire *w, bool clean)
{
    struct mpi_wire *m = (struct mpi_wire *)w;
    if (clean) {
        MPI_Comm_free(&m->comm);
        MPI_Finalize();
        for (int rank = 0; rank < w->size; rank++)
            chain_free(m->peers[rank].first);
        chain_free(m->arriving);
        chain_free(m->abandoned);
    }
    chain_free(m->spare);
    free(m->peers);
    free(m->active);
    free(m);
}

static const struct wire_ops mpi_ops = {
    .name = "mpi",
    .send = mpi_send,
    .receive = mpi_receive,
    .progress = mpi_progress,
    .idle = mpi_idle,
    .queued = mpi_queued,
    .arriving = mpi_arriving,
    .forget = mpi_forget,
    .close = mpi_close,
};

/* Refuse what would end in several masters or in an abort within MPI_Init. */
static int check_launch(const struct wire_launch *launch, struct error *err)
{
    int initialized = 0;
    if (MPI_Initialized(&initialized) == MPI_SUCCESS && initialized)
        return error_set(err, ERROR_SYSTEM, "MPI was opened before in this process");
    if (launch->ranks == 1)
        return error_set(err, ERROR_USAGE, "not started by mpirun or srun with 2 or more "
                                           "ranks (a master and its workers)");
    if (!launch->managed)
        return error_set(err, ERROR_USAGE,
                         "%s says that %d tasks were started, but without a process manager "
                         "that MPI can use; start with 'srun --mpi=pmix' or with mpirun",
                         launch->variable, launch->ranks);
    return 0;
}

/* MPI_Init, a communicator of our own, and errors that are returned. */
static int start_mpi(const struct wire_launch *launch, struct mpi_wire *m,
                     struct error *err)
{
    int provided = 0;
    int rc = check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided),
                   "MPI_Init_thread", err);
    if (rc == 0)
        rc = check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                   "MPI_Comm_set_errhandler", err);
    if (rc == 0)
        rc = check(MPI_Comm_rank(MPI_COMM_WORLD, &m->wire.rank), "MPI_Comm_rank", err);
    if (rc == 0)
        rc = check(MPI_Comm_size(MPI_COMM_WORLD, &m->wire.size), "MPI_Comm_size", err);
    if (rc < 0)
        return rc;
    if (m->wire.size == 1) {
        MPI_Finalize();
        return error_set(err, ERROR_USAGE,
                         "%s is set, but MPI sees a single rank: the launcher belongs to "
                         "another MPI than the one this program was built with",
                         launch->variable);
    }
    rc = check(MPI_Comm_dup(MPI_COMM_WORLD, &m->comm), "MPI_Comm_dup", err);
    if (rc == 0)
        rc = check(MPI_Comm_set_errhandler(m->comm, MPI_ERRORS_RETURN),
                   "MPI_Comm_set_errhandler", err);
    return rc;
}

int wire_mpi_open(struct wire **ret, struct error *err)
{
    struct wire_launch launch = wire_launch_detect();
    struct mpi_wire *m = NULL;
    int rc = check_launch(&launch, err);
    if (rc < 0)
        return rc;
    rc = ERROR_SYSTEM;
    m = calloc(1, sizeof *m);
    if (!m) {
        error_set(err, rc, "wire mpi: no memory");
        goto out;
    }
    m->wire.ops = &mpi_ops;
    m->arriving_end = &m->arriving;
    rc = start_mpi(&launch, m, err);
    if (rc < 0)
        goto out;
    m->peers = calloc((size_t)m->wire.size, sizeof *m->peers);
    m->active = calloc((size_t)m->wire.size, sizeof *m->active);
    if (!m->peers || !m->active) {
        rc = error_set(err, ERROR_SYSTEM, "wire mpi: no memory for %d ranks", m->wire.size);
        goto out;
    }
    *ret = &m->wire;
    m = NULL;
out:
    if (m) {
        free(m->peers);
        free(m->active);
        free(m);
    }
    return rc;
}
