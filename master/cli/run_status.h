/* SPDX-License-Identifier: Apache-2.0 */
/* How a run stands, from its files alone: works for a running, a stopped and a killed one,
 * from any machine that sees the folder. */
#ifndef ARCHWAY_MASTER_CLI_RUN_STATUS_H
#define ARCHWAY_MASTER_CLI_RUN_STATUS_H

#include <jansson.h>

#include "common/text.h"
#include "master/analysis/comparison.h"
#include "master/engine.h"
#include "master/progress.h"

/* Oldest watch.json that is believed, seconds. */
enum { RUN_WATCH_AGE = 30 };

enum run_state {
    RUN_RUNNING,  /* a live master holds the folder */
    RUN_FINISHED, /* nothing is left to do but extend it */
    RUN_STOPPED,  /* in order and early: resumable */
    RUN_FAILED,   /* a session ended with an error: resumable */
    RUN_KILLED    /* no master, and no word of how the last one ended: resumable */
};

struct run_status {
    enum run_state state;
    char holder[256];             /* "n3 pid 4711"; only when running */
    char reason[ERROR_TEXT_SIZE]; /* of exit.json; "" otherwise */
    double now, elapsed, left;    /* Unix time; seconds of all sessions; seconds, or NAN */
    double rate;                  /* trials a second: of the session when running, else all */
    int slots, busy;              /* slots of the newest placement table; 0: none yet */
    double used;                  /* share of the slots' time that trained, NAN: unknown */
    uint64_t states[TRIAL_SAVED + 1]; /* trials by state */
    json_t *stalls; /* owned, or NULL; what holds a running one up, a string each */
    struct progress progress;
    struct comparison comparison;
    struct engine_reading reading;
};

/* Blocking: reads snapshot and journal. *ret_engine: the run, for more details (few with
 * `overview`, which is as engine_open_overview; the status is the same); caller frees it.
 * now: Unix time. */
int run_status_read(const char *dir, bool overview, double now, struct run_status *ret,
                    struct engine **ret_engine, struct error *err);
void run_status_fini(struct run_status *s);
const char *run_state_name(enum run_state state);
void run_status_format(const struct run_status *s, struct engine *e, const char *dir,
                       struct text *out);
/* New reference; NULL when memory is gone. */
json_t *run_status_json(const struct run_status *s, struct engine *e, const char *dir);

#endif
