/* SPDX-License-Identifier: Apache-2.0 */
/* The records of the journal: what happened, in the order in which it happened. Replaying
 * them against the same configuration re-makes every decision. Append only: types and
 * fields are part of the file format. */
#ifndef ARCHWAY_MASTER_RECORD_H
#define ARCHWAY_MASTER_RECORD_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/trial.h"
#include "master/ledger.h"

enum record_type {
    RECORD_SESSION = 1,  /* a master opened the run: version, host, pid, time, workers */
    RECORD_PROPOSED = 2, /* a strategy proposed a trial (same order as the asks) */
    RECORD_STARTED = 3,  /* an attempt was handed to a worker */
    RECORD_ATTEMPT_FAILED = 4, /* an attempt failed and will be tried again */
    RECORD_FINISHED = 5,       /* a trial got its result or failed for good */
    RECORD_TOLD = 6,     /* a trial was told to its strategy (same order as the tells) */
    RECORD_EXTENDED = 7, /* the budget or another key was changed on resume: YAML */
    RECORD_CLOSED = 8,   /* the session ended in order */
    RECORD_HOURS = 9,    /* the hours ledger so far (replaces the earlier one) */
    RECORD_GAP = 10,     /* in place of records that were lost while a snapshot kept what
                            they said; any payload; nothing can be replayed across it */
    RECORD_CHECKPOINT = 11 /* what became of the state of a running trial */
};

struct record_session {
    char version[64], host[256];
    int64_t pid;
    double time; /* Unix time */
    int32_t workers;
};
struct record_started {
    uint64_t id;
    int32_t attempt, worker, slot;
    double time;
};
struct record_finished { /* also of ATTEMPT_FAILED */
    uint64_t id;
    int32_t attempt, worker, slot;
    double reward;               /* NAN: failed and skipped */
    struct ledger_result result; /* decoded: epochs, reason and derived owned, see
                                    record_finished_fini; derived_hash is not recorded */
};

struct record_checkpoint {
    uint64_t id;
    int32_t attempt, worker, slot;
    uint8_t what;    /* enum trial_checkpoint */
    uint32_t epochs; /* that are over */
    double seconds;  /* training time behind it */
    double time;
};

void record_encode_session(const struct record_session *r, struct bytes *out);
int record_decode_session(struct bytes_reader *in, struct record_session *ret,
                          struct error *err);
/* Everything of a trial but its results; step and part of one with shared weights are
 * fields that older records lack. decode allocates ret->architecture (caller's). */
void record_encode_proposed(const struct trial *t, struct bytes *out);
int record_decode_proposed(struct bytes_reader *in, struct trial *ret, struct error *err);
void record_encode_started(const struct record_started *r, struct bytes *out);
int record_decode_started(struct bytes_reader *in, struct record_started *ret,
                          struct error *err);
void record_encode_finished(const struct record_finished *r, struct bytes *out);
int record_decode_finished(struct bytes_reader *in, struct record_finished *ret,
                           struct error *err);
void record_finished_fini(struct record_finished *r);
void record_encode_checkpoint(const struct record_checkpoint *r, struct bytes *out);
int record_decode_checkpoint(struct bytes_reader *in, struct record_checkpoint *ret,
                             struct error *err);
void record_encode_told(uint64_t id, struct bytes *out);
int record_decode_told(struct bytes_reader *in, uint64_t *ret, struct error *err);
void record_encode_hours(const struct ledger_hours *h, struct bytes *out);
int record_decode_hours(struct bytes_reader *in, struct ledger_hours *ret,
                        struct error *err);

#endif
