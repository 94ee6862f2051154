/* SPDX-License-Identifier: Apache-2.0 */
/* Moving messages between master (rank 0) and agents (ranks 1 ... size-1), and over MPI
 * between agents. Three
 * transports stand behind one interface: MPI, a local pair within one process, and a
 * simulated one. Nothing here blocks and nothing is collective after opening. */
#ifndef ARCHWAY_PROTO_WIRE_H
#define ARCHWAY_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/bytes.h"
#include "common/error.h"

enum {
    WIRE_MASTER = 0,
    WIRE_MAX_MESSAGE = 64 << 20, /* bytes of one message */
    WIRE_MAX_QUEUE = 256 << 20   /* bytes that may wait for one peer */
};

struct wire;

struct wire_ops {
    const char *name; /* "mpi", "local", "sim" */
    int (*send)(struct wire *w, int peer, const void *data, size_t size,
                struct error *err);
    int (*receive)(struct wire *w, int *ret_peer, struct bytes *ret, struct error *err);
    int (*progress)(struct wire *w, struct error *err);
    bool (*idle)(const struct wire *w);
    size_t (*queued)(const struct wire *w, int peer);
    bool (*arriving)(const struct wire *w);
    void (*forget)(struct wire *w, int peer);
    void (*close)(struct wire *w, bool clean);
};

/* First member of every transport's own struct. */
struct wire {
    const struct wire_ops *ops;
    int rank, size;
};

/* Queue a message for peer; copied. Order is kept per peer. Messages to one peer may
 * travel together: one wire_receive then yields several of them, one behind the other, so
 * they must say themselves where they end (message.h does). Nothing is sent before
 * wire_progress or wire_receive, unless much is queued. To a forgotten peer nothing is sent
 * and nothing is wrong. ERROR_PEER when more than WIRE_MAX_QUEUE bytes would wait. */
int wire_send(struct wire *w, int peer, const void *data, size_t size, struct error *err);
/* Take what has arrived: 1 with ret filled (its old memory is reused: do not keep pointers
 * into it), 0 when there is nothing, negative on error. */
int wire_receive(struct wire *w, int *ret_peer, struct bytes *ret, struct error *err);
/* Let queued messages advance. */
int wire_progress(struct wire *w, struct error *err);
/* All queued messages have left? */
bool wire_idle(const struct wire *w);
/* Bytes that wait for a peer, those on their way included. */
size_t wire_queued(const struct wire *w, int peer);
/* Is something being received that has not arrived as a whole? */
bool wire_arriving(const struct wire *w);
/* A peer was given up: drop what is queued for it and ignore what it still sends. */
void wire_forget(struct wire *w, int peer);
/* Close and free; what is still queued is dropped, so wait for wire_idle first. `clean`:
 * nobody was lost (MPI_Finalize, collective); otherwise nothing that could hang is called
 * and the process is expected to _exit. NULL is allowed. */
void wire_close(struct wire *w, bool clean);

/* MPI over a duplicate of MPI_COMM_WORLD. Collective. MPI_Init happens here, with
 * MPI_THREAD_FUNNELED. ERROR_USAGE when the launcher does not fit this program's MPI, or
 * when there is one rank only. At most once a process. */
int wire_mpi_open(struct wire **ret, struct error *err);
/* Was this process started by mpirun, srun or alike with more than one rank? Looks at the
 * environment only, so that a single process never pays for MPI_Init. */
bool wire_mpi_launched(void);
/* A master's and an agent's end within one process (ranks 0 and 1 of 2), both used by one
 * thread. Either end may be closed first; what is sent to a closed end is dropped. */
int wire_local_open(struct wire **ret_master, struct wire **ret_agent, struct error *err);

#endif
