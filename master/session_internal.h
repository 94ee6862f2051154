/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the session only. */
#ifndef ARCHWAY_MASTER_SESSION_INTERNAL_H
#define ARCHWAY_MASTER_SESSION_INTERNAL_H

#include <jansson.h>

#include "master/disk_watch.h"
#include "master/dispatcher.h"
#include "master/engine.h"
#include "master/event_log.h"
#include "master/failures.h"
#include "master/kernel_watch.h"
#include "master/progress.h"
#include "master/run_folder.h"
#include "master/session.h"
#include "master/stop.h"

/* Bytes of the journal that may wait for the disk before no more is handed out. */
enum { SESSION_BACKLOG_MOST = 256 << 10 };

struct session {
    const struct session_setup *setup;
    char absolute[CONFIG_PATH]; /* folder, for the agents */
    struct run_folder *folder;
    struct journal *journal;
    struct engine *engine;
    struct dispatcher *dispatcher;
    struct event_log *log;
    struct progress progress;
    struct failures failures;
    const struct trial *last_failed; /* of the ledger; NULL: none in this session */
    struct kernel_watch kernels;
    struct disk_watch disk;
    struct stop stop;
    double started;       /* monotonic */
    double snapshot_at, display_at, minute_at, flush_at;
    uint64_t committed;   /* journal end of the last commit */
    uint64_t due_end;     /* journal end when a snapshot became due; 0: none is */
    int nap_us;
    double moved_at; /* monotonic: when something has happened last */
    double watch_at, idle_since, written_at; /* monotonic; see session_watch.c */
    uint64_t written, over_then; /* of the journal on disk, trials over: at the last look */
    json_t *stalls;              /* owned; the states named at the last look, or NULL */
    bool terminal, live;  /* output is one; a live line stands on it */
    bool said_risk;       /* that a trial will probably be cut off; others are logged */
    unsigned warnings;    /* failed attempts said so far */
    bool started_trials;  /* something was handed out: the folder is worth keeping */
    bool exhausted;       /* the strategy or the budget of trials has nothing more */
    bool finished;
    char reason[ERROR_TEXT_SIZE]; /* why it ended */
    char recovered[ERROR_TEXT_SIZE]; /* what was wrong with the files on resume; or "" */
};

double session_now(const struct session *s);
double session_wall(const struct session *s);

int session_open(struct session *s, struct error *err);   /* folder, engine, journal */
int session_loop(struct session *s, struct error *err);   /* until it is over */
/* Stop the ranks, snapshot, best/, exit.json, summary. `status` is how the loop ended. */
int session_end(struct session *s, int status, int *ret_exit, struct error *err);

void session_display_start(struct session *s);
void session_display(struct session *s);       /* live line or a line a minute */
void session_display_clear(struct session *s);
void session_say(struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Dispatcher's events: log.jsonl, warnings, the placement table. */
void session_event(void *context, const struct dispatcher_event *event);
/* A trial is over: the line, log.jsonl. */
void session_over(void *context, const struct trial *t);
/* The journal of a run that goes on, for appending: repairs it and says what was wrong. */
int session_open_journal(struct session *s, const char *journal,
                         const struct engine_reading *reading, struct error *err);
/* Name what holds the run up, every few seconds; at the end there is nothing to name. */
void session_watch_start(struct session *s);
void session_watch(struct session *s);
void session_watch_end(struct session *s);
int session_write_best(struct session *s, struct error *err);

#endif
