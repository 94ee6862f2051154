/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated transport: a master's end of a wire whose other ends are played within
 * the process, and the virtual clock that both live by. Time stands still until it is
 * moved on; then everything that is due happens in order, each event at its own time.
 *
 * The master's end is an ordinary wire. The players use the calls below. */
#ifndef ARCHWAY_PROTO_WIRE_SIM_H
#define ARCHWAY_PROTO_WIRE_SIM_H

#include <stdint.h>

#include "common/clock.h"
#include "proto/wire.h"

enum { WIRE_SIM_MAX_RANKS = 1 << 20 };

struct wire_sim_setup {
    int workers;    /* ranks 1 ... workers */
    double latency; /* seconds that a message is under way */
    double quantum; /* the clock stops at whole multiples of this: a master's nap */
    double wall;    /* Unix time at which the clock starts */
    /* What the master sent has arrived at a rank. Borrowed during the call. */
    void (*arrived)(void *context, int rank, const void *data, size_t size);
    /* A timer of a rank is due. */
    void (*due)(void *context, int rank, uint64_t what);
    void *context;
};

/* ERROR_USAGE for a number that makes no sense. Close with wire_close. */
int wire_sim_open(const struct wire_sim_setup *setup, struct wire **ret,
                  struct error *err);
/* Lives as long as the wire. */
const struct clock *wire_sim_clock(struct wire *w);
/* Call setup->due at time `at` (monotonic; not before now). */
void wire_sim_timer(struct wire *w, int rank, double at, uint64_t what);
/* From a rank to the master; copied; arrives `delay` seconds later than usual. Order is
 * that of arrival. Nothing arrives from a forgotten rank. */
void wire_sim_post(struct wire *w, int rank, const void *data, size_t size, double delay);
bool wire_sim_forgotten(const struct wire *w, int rank);
/* Move on to the next event and what is due within the same quantum, but by `limit`
 * seconds at most. ERROR_SYSTEM when an event was lost because memory is gone. */
int wire_sim_advance(struct wire *w, double limit, struct error *err);
/* Events that have happened so far. */
uint64_t wire_sim_events(const struct wire *w);

#endif
