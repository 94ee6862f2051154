/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: everything that decides, and nothing that waits. It joins strategies,
 * ledger and journal: proposes trials, takes what attempts brought, and tells the
 * strategies.
 *
 * Every step is a record of the journal, and replaying the records makes the same steps
 * again, so a killed run continues from its files (engine_open), a finished one can be
 * checked (engine_verify), and a running one can be looked at from outside (observe).
 *
 * Arms: trial `id` belongs to the control arm when floor((id + 1) * share) >
 * floor(id * share), so the share is exact at every prefix, whoever trains.
 *
 * mode sync: trials are told in the order of their ids. mode async: in the order in which
 * they finish. Either way only after their result is durable. */
#ifndef ARCHWAY_MASTER_ENGINE_H
#define ARCHWAY_MASTER_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"
#include "common/space/space.h"
#include "master/journal.h"
#include "master/ledger.h"
#include "master/record.h"
#include "master/store.h"

struct engine; /* opaque */

enum engine_answer {
    ENGINE_PROPOSED, /* one trial more in the ledger */
    ENGINE_WAIT,     /* results are needed first */
    ENGINE_DONE      /* budget of trials used up, or the strategy has nothing left */
};

/* What was found while a run was read back. */
struct engine_reading {
    uint64_t records, proposals; /* replayed beyond the snapshot */
    uint64_t different;         /* proposals that the strategy would make otherwise now */
    uint64_t first_different;   /* id of the first one */
    uint64_t sessions;          /* masters that opened the run, all in all */
    bool torn;                  /* the journal ended in an incomplete or damaged record */
    uint64_t torn_bytes;        /* from there to the end of the file */
    uint64_t lost_records;      /* whole records among them; a crash leaves none */
    uint64_t gap_end;           /* the journal should reach this byte, as a snapshot says,
                                   but is shorter; 0: it is not. Nothing is replayed then */
    bool closed;                /* the last session ended in order */
    double session_started;     /* Unix time at which the last session began; 0: none */
    double last_time;           /* Unix time of the last thing that happened; 0: none */
    uint64_t journal_end;       /* end of the valid part; with a gap, where filling begins
                                   (0: the header is damaged) */
    char note[ERROR_TEXT_SIZE]; /* e.g. why the newest snapshot was not taken; or "" */
};

/* A new run. `observe`: without strategies, for looking only. config is copied. */
int engine_new(const struct config *config, bool observe, struct engine **ret,
               struct error *err);
/* Read a run's folder back: newest valid snapshot, then the journal. Changes nothing on
 * disk. ret_reading may be NULL. */
int engine_open(const char *dir, bool observe, struct engine **ret,
                struct engine_reading *ret_reading, struct error *err);
/* As an observer, with no more than a status needs, which is much quicker for long runs:
 * what the newest snapshot's digest says of its trials (store.h) and all of those behind
 * it. Reads everything where there is no such digest. */
int engine_open_overview(const char *dir, struct engine **ret,
                         struct engine_reading *ret_reading, struct error *err);
void engine_free(struct engine *e); /* NULL is allowed */

/* Journal into which steps go from now on; borrowed; NULL: nowhere. */
void engine_set_journal(struct engine *e, struct journal *journal);
/* The open file of a lock, which children that write snapshots must not keep; borrowed.
 */
void engine_set_lock(struct engine *e, int descriptor);
/* Facts of the data, for params and flops of proposals; copied. */
void engine_set_facts(struct engine *e, const struct data_facts *facts);

/* Called for every trial that is over (done, saved or failed for good), as it happens. */
void engine_set_listener(struct engine *e,
                         void (*over)(void *context, const struct trial *t),
                         void *context);

const struct config *engine_config(const struct engine *e);
const struct space *engine_space(const struct engine *e);
struct ledger *engine_ledger(struct engine *e);
/* Wall-clock seconds of all earlier sessions. */
double engine_elapsed(const struct engine *e);
uint64_t engine_told(const struct engine *e);
/* Proposals made, and all of them told? Then nothing is left but an extended budget. */
bool engine_settled(const struct engine *e);
enum trial_arm engine_arm(const struct config *config, uint64_t id);

/* What a trial's training takes, in units of its own (FLOPs of its child's forward pass, from
 * the architecture, whatever its trainer said); NAN where the space cannot tell. */
double engine_work(const struct engine *e, const struct trial *t);
/* Would the next proposal be the same whatever results come? */
bool engine_next_is_oblivious(const struct engine *e);

/* A master opened (closed) the run at Unix time `now`. Trials that were running in an
 * earlier session go back to the queue. */
int engine_open_session(struct engine *e, const struct record_session *s,
                        struct error *err);
int engine_close_session(struct engine *e, double now, struct error *err);
/* Could engine_change_config take this? Same errors, changes nothing. */
int engine_check_change(const struct engine *e, const struct config *config,
                        struct error *err);
/* Replace the configuration; ERROR_INPUT when a key differs that shapes the record itself
 * or that strategies are made from (space, seed, strategy, batch, controller, mode,
 * control arm). */
int engine_change_config(struct engine *e, const struct config *config,
                         struct error *err);

/* Ask for one trial. */
int engine_propose(struct engine *e, double now, enum engine_answer *ret,
                   struct error *err);
/* An attempt was handed to a slot. Returns its number in *ret_attempt. */
int engine_start(struct engine *e, uint64_t id, int worker, int slot, double now,
                 int *ret_attempt, struct error *err);
/* What an attempt brought; `cores` weighs its seconds in the hours ledger. A failure is
 * tried again while run.retries allow. */
int engine_finish(struct engine *e, uint64_t id, int worker, int slot,
                  const struct ledger_result *r, struct error *err);
/* What became of the state of a running trial (a doubted one may be QUEUED): `what` is of
 * enum trial_checkpoint, `seconds` the training time behind it. SUSPENDED puts the trial
 * back in front of the queue, and its attempt is not counted. */
int engine_checkpoint(struct engine *e, uint64_t id, int worker, int slot, int what,
                      uint32_t epochs, double seconds, double now, struct error *err);
/* A running attempt was given up without fault of its own: back to the queue, not
 * counted; `seconds` of training are behind the trial, of which those behind a saved
 * state are not lost. */
void engine_forget(struct engine *e, uint64_t id, double seconds);
/* A running attempt may be lost: the trial goes back to the queue, and the attempt
 * counts, so that the next one has another number. Its result is still welcome. */
void engine_doubt(struct engine *e, uint64_t id);
/* Tell the strategies what is durable, in the order of the mode. Returns 1 when something
 * was told, 0 when not. */
int engine_tell(struct engine *e, struct error *err);
/* Is a result waiting for the disk before it can be told? */
bool engine_owes_tell(const struct engine *e);
/* Put the hours ledger into the journal. */
int engine_record_hours(struct engine *e, struct error *err);
/* Sync the journal, tell what is due, and have a child process write a snapshot into dir;
 * without a child it is written here, blocking. */
int engine_snapshot_begin(struct engine *e, const char *dir, struct error *err);
/* Have no child write snapshots from now on: where nothing else waits, as in a
 * simulation, a process for each costs more than its work. */
void engine_write_snapshots_here(struct engine *e);
/* 1 while a child writes, 0 when none does, negative when it could not. What one that
 * died did not write is written here. */
int engine_snapshot_poll(struct engine *e, const char *dir, struct error *err);
/* Begin, and wait until it is on disk. Blocking. */
int engine_snapshot(struct engine *e, const char *dir, struct error *err);

/* Re-make every decision of a run from the record alone and compare: proposals with the
 * record, strategy state with the snapshot. Returns 0 with the findings in ret. */
struct engine_check {
    struct engine_reading reading;
    bool has_snapshot, state_equal;   /* newest snapshot, at its journal offset */
    char difference[ERROR_TEXT_SIZE]; /* the first one, in words; "" when there is none */
};
int engine_verify(const char *dir, struct engine_check *ret, struct error *err);

#endif
