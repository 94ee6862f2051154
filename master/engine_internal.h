/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the engine only. */
#ifndef ARCHWAY_MASTER_ENGINE_INTERNAL_H
#define ARCHWAY_MASTER_ENGINE_INTERNAL_H

#include "master/engine.h"
#include "master/search/search.h"
#include "master/snapshot_child.h"

struct engine_pending {
    uint64_t id;
    uint64_t offset; /* of the journal: durable up to here before it is told */
};

struct engine {
    struct config config;
    bool observe;
    struct space *space;
    struct ledger *ledger;
    const struct search_ops *ops[ARM_COUNT]; /* NULL when observing or without the arm */
    void *self[ARM_COUNT];
    struct journal *journal; /* borrowed; NULL: steps are not recorded */
    struct data_facts facts;
    struct bytes scratch;
    void (*over)(void *context, const struct trial *t);
    void *over_context;

    uint64_t told;
    /* Finished trials in the order of finishing; a ring would save memory that a run of
     * the usual size never misses. */
    struct engine_pending *pending;
    size_t pending_first, pending_count, pending_capacity;

    struct snapshot_child child; /* writes a snapshot */
    bool childless;              /* snapshots are written by this process */
    int lock;                    /* which the child gives up; -1: none */
    double elapsed, session_started, last_time;
    uint64_t sessions;
    bool session_open;
};

/* Steps shared by the live run and the replay; none of them touches the journal. */
int engine_make_proposal(struct engine *e, uint64_t id, struct trial *ret,
                         enum engine_answer *ret_answer, struct error *err);
/* Takes ownership of t->architecture on success. */
int engine_apply_proposed(struct engine *e, struct trial *t, struct error *err);
int engine_apply_finished(struct engine *e, const struct record_finished *r,
                          struct error *err);
int engine_apply_failed_attempt(struct engine *e, const struct record_finished *r,
                                struct error *err);
/* ERROR_CORRUPT when the trial is in no state in which that can become of it. */
int engine_check_checkpoint(const struct engine *e, uint64_t id, int what,
                            struct error *err);
int engine_apply_checkpoint(struct engine *e, const struct record_checkpoint *r,
                            struct error *err);
int engine_apply_told(struct engine *e, uint64_t id, struct error *err);
void engine_apply_session(struct engine *e, double time);
void engine_apply_closed(struct engine *e, double time);
/* Core-seconds (GPU-seconds with devices) that one second of a trial costs. */
double engine_cores(const struct engine *e);
int engine_push_pending(struct engine *e, uint64_t id, uint64_t offset, struct error *err);

/* The snapshot stands for the journal up to `from`; is the journal shorter, or its header
 * damaged? Then gap_end is `from`, journal_end where filling begins, and the note says so. */
int engine_find_gap(const char *journal, uint64_t from, struct engine_reading *reading,
                    struct error *err);
/* What stands behind the valid part: fills torn_bytes and lost_records, and the note where
 * there is more than a crash leaves. */
int engine_find_damage(const char *journal, struct engine_reading *reading,
                       struct error *err);

int engine_save_state(const struct engine *e, struct state *state, struct error *err);
int engine_load_state(struct engine *e, const struct state *state, struct error *err);

#endif
