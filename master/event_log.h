/* SPDX-License-Identifier: Apache-2.0 */
/* DIR/log.jsonl: one JSON object a line for every event, for machines. Written through a
 * buffer that is flushed once a second; losing its tail in a crash loses no result (those
 * are in the journal). */
#ifndef ARCHWAY_MASTER_EVENT_LOG_H
#define ARCHWAY_MASTER_EVENT_LOG_H

#include "common/error.h"
#include "common/trial.h"

struct event_log;

int event_log_open(const char *path, struct event_log **ret, struct error *err);
void event_log_close(struct event_log *l); /* flushes; NULL is allowed */
void event_log_flush(struct event_log *l);
/* {"time":..., "event":NAME, "rank":N, "text":TEXT}; rank < 0 and NULL are left out. */
void event_log_text(struct event_log *l, double time, const char *event, int rank,
                    const char *text);
/* {"time":..., "event":"usage", "cpu_seconds":..., "max_rss_bytes":..., "record_bytes":
 * ...} of the master's process (alone, that is the agent's as well), and of the ledger. */
void event_log_usage(struct event_log *l, double time, double cpu_seconds,
                     uint64_t max_rss_bytes, uint64_t record_bytes);
/* What became of a state: {"time":..., "event":"checkpoint", "trial":N,
 * "status":"suspended", "epoch":E, "seconds":S, "before":B, "worker":N, "slot":N,
 * "reason":TEXT}. */
struct event_log_checkpoint {
    uint64_t trial;
    int what; /* enum trial_checkpoint */
    uint32_t epoch;
    double seconds, before; /* behind it; behind the state that the attempt began with */
    int worker, slot;
    const char *reason; /* or NULL */
};
void event_log_checkpoint(struct event_log *l, double time,
                          const struct event_log_checkpoint *c);
/* A trial with its arm, state, tokens, metric, reward, seconds, worker, slot. */
void event_log_trial(struct event_log *l, double time, const char *event,
                     const struct trial *t, const char *reason);

#endif
